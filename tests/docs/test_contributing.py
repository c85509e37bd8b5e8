"""The how-tos of CONTRIBUTING.md do what they promise: followed word for word, in a copy of the checkout.

Blocks are followed in their order. ``insert-into=FILE before="LINE"`` puts a block before the one line of the file
that begins so, ``file=FILE`` makes a file, ``sh`` is run, and a ``text`` block after it is what it must print (spaces
apart).
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.docs.markdown import ROOT, Block, Page

PAGE = Page(ROOT / "CONTRIBUTING.md")
COPIED = ("otel_setup", "docs/reference", "tests/conftest.py", "tests/__init__.py", "tests/allowed_skips.txt")
METRIC, PHASE = "Add a metric", "Add a phase"


class Checkout:
    """A copy in which a how-to is followed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in (*COPIED, "pyproject.toml"):
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            copy(ROOT / name, folder / name)
        (folder / "tests" / "otel_setup").mkdir()
        (folder / "tests" / "otel_setup" / "__init__.py").touch()

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """Runs a command as in the activated environment."""
        environment = {
            # Some test runners set a width for themselves, at which the command would wrap what the page shows.
            **{name: value for name, value in os.environ.items() if name != "COLUMNS"},
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(self.folder),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        words = ["bash", "-euo", "pipefail", "-c", command]
        return subprocess.run(
            words, cwd=self.folder, env=environment, check=False, capture_output=True, text=True, timeout=120
        )

    def printed(self, command: str) -> str:
        done = self.run(command)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout

    def json(self) -> dict[str, Any]:
        catalogue: dict[str, Any] = json.loads(self.printed("python -m otel_setup catalogue --format json"))
        return catalogue

    def reference(self) -> dict[str, str]:
        return {page.name: page.read_text() for page in (self.folder / "docs" / "reference").glob("*.md")}

    def write(self, block: Block) -> Path:
        """Makes the file, or changes the one, that a block names."""
        given = dict(word.split("=", 1) for word in shlex.split(block.info)[1:])
        if "file" in given:
            path = self.folder / given["file"]
            path.write_text(block.text)
        else:
            path = self.folder / given["insert-into"]
            path.write_text(inserted(path.read_text(), block.text, given["before"]))
        return path

    def follow(self, title: str) -> None:
        """Follows a how-to to its end; every command succeeds and prints what the page says."""
        steps = section(title)
        for block, following in zip(steps, [*steps[1:], None], strict=True):
            if block.language == "python":
                self.write(block)
            elif block.language == "sh":
                printed = self.printed(block.text)
                if following is not None and following.language == "text":
                    assert words_of(printed) == words_of(following.text), printed


def section(title: str) -> list[Block]:
    return [block for block in PAGE.blocks if block.section == title]


def words_of(text: str) -> list[list[str]]:
    return [line.split() for line in text.strip().splitlines()]


def inserted(text: str, new: str, before: str) -> str:
    """The text with something new before a line, and as many empty lines between them as were there."""
    lines = text.splitlines(keepends=True)
    (place,) = (number for number, line in enumerate(lines) if line.startswith(before))
    empty = 0
    while lines[place - 1 - empty].isspace():
        empty += 1
    return "".join([*lines[:place], new, "\n" * empty, *lines[place:]])


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    copy = Checkout(tmp_path)
    where = copy.printed("python -c 'import otel_setup; print(otel_setup.__file__)'").strip()
    assert Path(where).is_relative_to(tmp_path), "the copy is what is tried"
    return copy


def changed(before: Mapping[str, str], after: Mapping[str, str]) -> set[str]:
    return {name for name in before if before[name] != after[name]}


def test_add_a_metric(checkout: Checkout) -> None:
    reference = checkout.reference()
    checkout.follow(METRIC)
    (metric,) = (m for m in checkout.json()["metrics"] if m["prometheus"] == "liap_tui_phase_timeouts_total")
    assert (metric["name"], metric["zeros"]) == ("liap_tui.phase.timeouts", 8)
    assert changed(reference, checkout.reference()) >= {"metrics.md"}
    assert "`liap_tui_phase_timeouts_total`" in checkout.reference()["metrics.md"]


def test_add_a_phase(checkout: Checkout) -> None:
    reference = checkout.reference()
    checkout.follow(PHASE)
    values = {
        (metric["prometheus"], label["name"]): label["values"]
        for metric in checkout.json()["metrics"]
        for label in metric["labels"]
    }
    assert {series for series, known in values.items() if "intermission" in known} == {
        ("liap_tui_state_active_games", "state"),
        ("liap_tui_state_transitions_total", "from"),
        ("liap_tui_state_transitions_total", "to"),
        ("liap_tui_state_transition_duration_seconds", "from"),
        ("liap_tui_state_transition_duration_seconds", "to"),
        ("liap_tui_state_illegal_transitions_total", "from"),
        ("liap_tui_state_illegal_transitions_total", "to"),
        ("liap_tui_state_errors_total", "state"),
        ("liap_tui_phase_duration_seconds", "phase"),
        ("liap_tui_rooms_active", "state"),
    }
    assert changed(reference, checkout.reference()) >= {"attributes.md"}


@pytest.mark.parametrize("title", [METRIC, PHASE])
def test_without_the_changes_the_test_that_is_shown_fails(checkout: Checkout, title: str) -> None:
    """Else following a how-to would prove nothing."""
    for block in section(title):
        if "file=" in block.info:
            checkout.write(block)
    (command,) = (block.text for block in section(title) if "pytest" in block.text and block.language == "sh")
    done = checkout.run(command)
    assert done.returncode == 1, done.stdout
    assert "assert None == 0" in done.stdout, "the series does not exist yet"


@pytest.mark.parametrize("title", [METRIC, PHASE])
def test_what_is_shown_is_in_the_style_of_the_house(checkout: Checkout, title: str) -> None:
    paths = {str(checkout.write(block)) for block in section(title) if block.language == "python"}
    for command in ("ruff format --check", "ruff check"):
        checkout.printed(shlex.join([*command.split(), *sorted(paths)]))


def test_what_the_page_has_no_how_to_for_it_says() -> None:
    assert "does not exist yet" in PAGE.text.split("## Add a panel")[1]
    assert not (ROOT / "grafana").exists(), "the dashboards are there: write the how-to"


def test_an_insertion_keeps_the_distance_and_needs_one_place() -> None:
    assert inserted("a\n\n\nb\n", "new\n", "b") == "a\n\n\nnew\n\n\nb\n"
    assert inserted("(\n  1,\n)\n", "  0,\n", "  1") == "(\n  0,\n  1,\n)\n"
    for text in ("nothing\n", "b\nb\n"):
        with pytest.raises(ValueError, match="values to unpack"):
            inserted(text, "new\n", "b")
