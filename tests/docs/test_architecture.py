"""docs/architecture.md says what is there: its files, packages, bounds and names."""

from __future__ import annotations

import importlib
import re

import pytest

from otel_setup import Bounds
from otel_setup.catalogue import METRICS
from otel_setup.catalogue.attributes import BOUND
from otel_setup.config import OPTIONS
from tests.docs import file_tables
from tests.docs.markdown import ROOT, Page, Table, code_in

PAGE = Page(ROOT / "docs" / "architecture.md")
SETTING = re.compile(r"(Bounds|configure)\((\w+)\)|([\w.]+)\.(\w+)")
OWN = {f"otel_setup.{metric.name}" for metric in METRICS if metric.own}


def bounds() -> Table:
    (table,) = (table for table in PAGE.tables if table.section == "Bounds")
    assert table.header == ("what is held", "setting", "default", "past it", "counted")
    return table


def default_of(setting: str) -> object:
    """The default in the code."""
    found = SETTING.fullmatch(setting)
    assert found, f"{setting}: expected Bounds(name), configure(name) or a constant with its module"
    owner, name, module, constant = found.groups()
    if owner == "Bounds":
        return getattr(Bounds(), name)
    if owner == "configure":
        return next(option.default for option in OPTIONS if option.name == name)
    return getattr(importlib.import_module(module), constant)


def test_the_section_on_files_is_what_the_modules_say() -> None:
    assert file_tables.written(PAGE.text) == PAGE.text, "write it again: python -m tests.docs.file_tables"


def test_every_package_and_module_of_the_product_is_named() -> None:
    below = PAGE.text.split("## Files")[1]
    for package in file_tables.PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            name = path.relative_to(ROOT).as_posix()
            where = f"### `{name.removesuffix('__init__.py')}`" if path.name == "__init__.py" else f"](../{name})"
            assert where in below, name


def test_every_top_level_folder_is_spoken_of() -> None:
    spoken = [target.removeprefix("../") for _, target in PAGE.links]
    for folder in ("otel_setup", "settings", "deploy", "collector-config", "examples", "tests"):
        assert any(target.startswith(folder) for target in spoken), folder


def test_the_diagram_names_each_part_once() -> None:
    (diagram,) = (block.text for block in PAGE.blocks if block.language == "mermaid")
    declared = re.findall(r"\b(\w+) ?[\[](?=\"|\w)", diagram)
    assert len(declared) == len(set(declared)) > 10
    used = {name for arrow in re.findall(r"(\w+) (?:-->|-\.->)(?:\|[^|]*\|)? (\w+)", diagram) for name in arrow}
    assert used - set(declared) == set()


@pytest.mark.parametrize("row", bounds().rows, ids=lambda row: row[1][0])
def test_a_bound_has_the_default_that_the_page_says(row: tuple[int, tuple[str, ...]]) -> None:
    _, (_, setting, default, _, _) = row
    if names := code_in(setting):
        assert float(default.removesuffix(" s")) == float(default_of(names[0]))  # type: ignore[arg-type]


def test_every_counted_bound_is_in_the_table_once_and_every_counter_exists() -> None:
    assert isinstance(BOUND.values, tuple)
    counters = [name for _, row in bounds().rows for name in code_in(row[4])]
    labels = [name for name in counters if not name.startswith("otel_setup.") and name != "other"]
    assert sorted(labels) == sorted(BOUND.values)
    assert {name for name in counters if name.startswith("otel_setup.")} <= OWN


def test_every_setting_of_the_ledger_is_in_the_table() -> None:
    named = {name for _, row in bounds().rows for name in code_in(row[1])}
    kept = set(Bounds.__dataclass_fields__) - {"retention_hours"}
    assert {f"Bounds({name})" for name in kept} <= named


def test_metrics_named_on_the_page_exist() -> None:
    named = {text.partition("{")[0] for _, text in PAGE.code_spans if text.startswith("otel_setup.")}
    modules = {text for text in named if re.search(r"\.[A-Z_]+$", text)}
    assert named - modules <= OWN
