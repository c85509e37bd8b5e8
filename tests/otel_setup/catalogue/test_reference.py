"""The reference pages: in the repository as generated, whole, and correct Markdown."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from otel_setup.__main__ import main
from otel_setup.catalogue import Catalogue, Kind, Metric, build
from otel_setup.catalogue.render import UNGROUPED, group_of
from otel_setup.cli import reference

from .arena import ARENA, ARENA_WITH_SHOTS

ROOT = Path(__file__).parents[3]
CATALOGUES = {"default": build(), "arena": ARENA_WITH_SHOTS}
each_game = pytest.mark.parametrize("catalogue", list(CATALOGUES.values()), ids=list(CATALOGUES))


def test_the_pages_in_the_repository_are_those_of_the_catalogue(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["catalogue", "--format", "markdown", "--out", str(ROOT / "docs" / "reference"), "--check"])
    assert code == 0, capsys.readouterr().out


@each_game
def test_every_metric_and_event_has_a_row_of_its_own(catalogue: Catalogue) -> None:
    pages = reference.files(catalogue)
    for metric in catalogue.metrics:
        assert pages["metrics.md"].count(f"\n| `{metric.prometheus}`<br>") == 1
    for event in catalogue.events:
        assert pages["events.md"].count(f"\n| `{event.name}`<br>") == 1


@each_game
def test_every_metric_and_event_belongs_to_a_group(catalogue: Catalogue) -> None:
    lost = [metric.name for metric in catalogue.metrics if group_of(metric) is UNGROUPED]
    lost += [event.name for event in catalogue.events if group_of(event) is UNGROUPED]
    assert lost == [], "give render.GROUPS the first word of these names"


@each_game
def test_every_row_has_as_many_cells_as_its_header(catalogue: Catalogue) -> None:
    for name, page in reference.files(catalogue).items():
        cells = 0
        for line in page.splitlines():
            if not line.startswith("|"):
                cells = 0
                continue
            found = len(re.findall(r"(?<!\\)\|", line))
            cells = cells or found
            assert found == cells, f"{name}: {line}"


def _anchors(page: str) -> set[str]:
    """The anchors that GitHub gives a page's headings: lower case, without punctuation, spaces as hyphens."""
    titles = re.findall(r"^#+ (.*)$", page, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@each_game
def test_every_link_leads_somewhere(catalogue: Catalogue) -> None:
    pages = reference.files(catalogue)
    links = [(name, target) for name, page in pages.items() for target in re.findall(r"\]\(([^)]*)\)", page)]
    assert links
    for name, target in links:
        page, _, anchor = target.partition("#")
        assert (page or name) in pages, f"{name} links to {target}"
        if anchor:
            assert anchor in _anchors(pages[page or name]), f"{name} links to {target}"


def test_a_metric_is_told_with_its_labels_and_its_meaning() -> None:
    page = reference.files(CATALOGUES["arena"])["metrics.md"]
    assert "## Business" in page
    [row] = [line for line in page.splitlines() if "`arena_shots_fired_total`" in line]
    for told in ("`arena.shots.fired`", "counter", "`{shot}`", "2 series", "`weapon`: `bow`, `staff`", "Shots fired."):
        assert told in row
    assert row.endswith("| Follows the fights. |")


def test_a_bar_in_a_text_does_not_end_its_cell() -> None:
    odd = Metric(name="odd", kind=Kind.GAUGE, unit="", description="Heads | tails.", moves="-")
    page = reference.files(build(ARENA, extra=[odd]))["metrics.md"]
    assert "| Heads \\| tails. |" in page


def test_the_values_of_the_game_are_told_once_for_all_labels() -> None:
    page = reference.files(CATALOGUES["arena"])["attributes.md"]
    assert "| Phases | `lobby`, `fight`, `storm`, `podium` |" in page
    assert "| Seats | none in this game |" in page
