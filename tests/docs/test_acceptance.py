"""docs/acceptance.md names tests that exist and count; where a promise has none, it says what is missing."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.docs.markdown import ROOT, Page, Table, code_in

PAGE = Page(ROOT / "docs" / "acceptance.md")
TESTS = ROOT / "tests"
NODE = re.compile(r"([\w/]+\.py)(?:::(\w+))?")
ROWS = {
    "Done means": 5,
    "What a faithful successor must do": 25,
    "Right where earlier implementations were wrong": 15,
    "Snippets of the first document": 14,
    "Variables of the first document": 7,
}
"""How many promises were made."""
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
NEVER_RUN = ("xfail", "skip")


def rows() -> Iterator[tuple[str, str, str]]:
    """Where each promise stands, what is promised, and what holds it."""
    for table in PAGE.tables:
        for line, (number, promise, held_by) in table.rows:
            yield f"{PAGE.name}:{line} {table.section} {number}", promise, held_by


HELD_BY = {where: held_by for where, _, held_by in rows()}
NODES = sorted({node for held_by in HELD_BY.values() for node in code_in(held_by) if NODE.fullmatch(node)})


@cache
def known_tests(path: Path) -> dict[str, list[str]]:
    """The tests of a file, each with the marks that keep it from counting."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    tests = {
        node.name: [mark for mark in NEVER_RUN for decorator in node.decorator_list if _is_mark(decorator, mark)]
        for node in tree.body
        if isinstance(node, FUNCTIONS) and node.name.startswith("test_")
    }
    # A state machine of Hypothesis is a test by assignment.
    assigned = [ast.unparse(target) for node in tree.body if isinstance(node, ast.Assign) for target in node.targets]
    return tests | {name: [] for name in assigned if name.startswith("Test")}


def _is_mark(decorator: ast.expr, mark: str) -> bool:
    return re.fullmatch(rf"pytest\.mark\.{mark}(\(.*)?", ast.unparse(decorator), re.DOTALL) is not None


@pytest.mark.parametrize("node", NODES)
def test_a_named_test_exists_and_counts(node: str) -> None:
    found = NODE.fullmatch(node)
    assert found
    path, name = TESTS / found[1], found[2]
    assert path.exists(), f"{node}: no such file"
    known = known_tests(path)
    if name is None:
        assert any(not marks for marks in known.values()), f"{node}: no test in it"
    else:
        assert name in known, f"{node}: no such test"
        assert not known[name], f"{node}: marked {known[name]}, so it holds nothing"


@pytest.mark.parametrize("where", HELD_BY)
def test_a_promise_is_held_or_what_is_missing_is_said(where: str) -> None:
    text = HELD_BY[where]
    missing = re.search(r"\bNot yet: \w+", text)
    foreign = [code for code in code_in(text) if not NODE.fullmatch(code)]
    assert not foreign, f"neither a file nor a test: {foreign}"
    assert missing or code_in(text) or "](#" in text, "no test, and no word on what is missing"


@pytest.mark.parametrize("table", PAGE.tables, ids=lambda table: table.section)
def test_promises_are_numbered_from_one_without_a_gap(table: Table) -> None:
    assert table.header[2] == "held by"
    assert [row[0] for _, row in table.rows] == [str(number) for number in range(1, len(table.rows) + 1)]
    assert len(table.rows) == ROWS.get(table.section, len(table.rows))


def test_every_list_of_promises_is_there() -> None:
    assert set(ROWS) <= {table.section for table in PAGE.tables}


def test_every_snippet_and_variable_has_its_row() -> None:
    snippets = re.findall(r"^## (.*)$", (TESTS / "data" / "seed_snippets.md").read_text(encoding="utf-8"), re.MULTILINE)
    tables = {table.section: table for table in PAGE.tables}
    assert [row[1] for _, row in tables["Snippets of the first document"].rows] == snippets
    tried = (TESTS / "otel_setup" / "test_config.py").read_text(encoding="utf-8")
    for _, row in tables["Variables of the first document"].rows:
        assert f'("{row[1].strip("`")}", ' in tried, row[1]


def test_tests_that_hold_nothing_are_recognised() -> None:
    assert known_tests(TESTS / "otel_setup" / "test_seed_snippets.py")["test_import_dashboards"] == ["xfail"]
    assert known_tests(TESTS / "otel_setup" / "test_seed_snippets.py")["test_basic_setup"] == []


def test_every_folder_of_tests_is_spoken_of() -> None:
    """A new suite that holds no promise of the page is a promise that the page lacks."""
    named = {node.rpartition("/")[0] or "." for node in NODES}
    folders = {path.parent.relative_to(TESTS).as_posix() for path in TESTS.rglob("test_*.py")}
    assert {folder for folder in folders if folder not in named} == set()
