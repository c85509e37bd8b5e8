"""Runbooks: one for each alert, framed as generated, with words that name what there is."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest
import yaml

from alerts import runbooks
from alerts.checks import selectors
from alerts.checks.scope import Checked, Finding, Scope, read
from alerts.groups import groups
from alerts.known import known
from alerts.parts import Recording, Team
from alerts.runbooks import generated_runbooks
from deploy.generating import ROOT, drift
from examples.arena.model import ARENA
from otel_setup.catalogue import build
from otel_setup.catalogue.dashboards import all_panels
from otel_setup.game_model import LIAP_TUI, GameModel
from settings import Settings, parse

FOLDER = ROOT / "docs" / "runbooks"
PAGES = sorted(FOLDER.glob("*.md"))
CHECKS = (selectors.exist, selectors.labels_exist, selectors.counters, selectors.windows)
GAMES = {model.name: model for model in (LIAP_TUI, ARENA)}
LEAST_WORDS = 10
"""Under a heading: with fewer nothing was said."""

_PANEL = re.compile(r"http://localhost:3000(/d/[\w-]+\?viewPanel=\d+)")
_LINK = re.compile(r"\]\(([^()\s]+)\)")
_BLOCK = re.compile(r"^( *)```promql\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)


def alert_names() -> set[str]:
    """Of the committed rules."""
    files = (ROOT / "alerts" / "rules").glob("*.yaml")
    rules = [rule for file in files for group in yaml.safe_load(file.read_text())["groups"] for rule in group["rules"]]
    return {rule["alert"] for rule in rules if "alert" in rule}


def queries(page: str) -> list[str]:
    """What a page wants somebody to ask Prometheus."""
    return [block.strip() for _, block in _BLOCK.findall(page)]


@cache
def scope(game: str) -> Scope:
    """Everything that there is to ask for, of a game by its name."""
    settings, catalogue, recorded = Settings(), build(GAMES[game]), dict[str, list[Checked]]()
    for group in groups(settings, catalogue):
        for rule in group.rules:
            checked = read(rule, settings, group.team)
            if isinstance(rule, Recording) and isinstance(checked, Checked):
                recorded.setdefault(rule.record, []).append(checked)
    return Scope(settings, known(settings, catalogue), recorded)


def faults(query: str, model: GameModel = LIAP_TUI) -> list[str]:
    """What is wrong with a query."""
    every = scope(model.name)
    checked = read(Recording("query", query), every.settings, Team.GAME)
    if isinstance(checked, Finding):
        return [str(checked)]
    return [str(finding) for check in CHECKS for finding in check(every, checked)]


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    assert {page.stem for page in PAGES} == alert_names()


def test_frames_are_as_generated() -> None:
    assert drift(generated_runbooks(Settings(), build(LIAP_TUI)), ROOT) == "", "run: python -m alerts build"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_runbook_says_something_under_each_heading_and_ends_with_how_to_tell_that_it_is_over(page: Path) -> None:
    said = runbooks.written(f"docs/runbooks/{page.name}")
    assert list(said) == ["Meaning", "Impact", "Diagnosis", "Mitigation"]
    for heading, words in said.items():
        assert len(words.split()) >= LEAST_WORDS, heading
    assert "It is over when" in said["Mitigation"] or "It is over once" in said["Mitigation"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_query_asks_for_what_there_is(page: Path) -> None:
    asked = queries(page.read_text())
    words = runbooks.written(f"docs/runbooks/{page.name}")
    assert "```promql" in words["Diagnosis"], "what to look at is not only said but can be asked"
    assert [problem for query in asked for problem in faults(query)] == []


def test_the_same_queries_are_right_for_another_game() -> None:
    pages = generated_runbooks(Settings(), build(ARENA))
    assert [problem for page in pages.values() for query in queries(page) for problem in faults(query, ARENA)] == []


@pytest.mark.parametrize(
    ("query", "fault"),
    [
        ("liap_tui_games_actve", "there is no metric"),
        ("sum by (room) (liap_tui_games_active)", "has no label room"),
        ('liap_tui_games_active{phase="turn"}', "has no label phase"),
        ('liap_tui_actions_total{outcome="fialed"} offset 1h > 0', "never 'fialed'"),
        ("sum(liap_tui_games_started_total)", "only rises"),
        ("rate(liap_tui_games_active[5m])", "is no counter"),
        ("sum by (job (up)", "cannot be read"),
    ],
)
def test_a_query_that_asks_for_what_there_is_not_would_be_found(query: str, fault: str) -> None:
    assert any(fault in problem for problem in faults(query))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_to_files_that_are_there_and_to_reserved_panels(page: Path) -> None:
    links = _LINK.findall(page.read_text())
    files = [link.partition("#")[0] for link in links if "://" not in link]
    assert files, "the rule at least"
    assert [file for file in files if not (page.parent / file).exists()] == []
    (panel,) = _PANEL.findall(page.read_text())
    assert panel in {panel.path for panel in all_panels()}


def test_a_new_frame_keeps_the_words_and_names_what_the_alert_depends_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = "docs/runbooks/CollectorQueueFilling.md"
    own = "Own words.\n\n```promql\nliap_tui_games_active\n```\n\n### Further\n\nEnd."
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_text(f"# An old frame\n\n## Meaning\n\n{own}\n\n## Mitigation\n\nLast.\n")
    monkeypatch.setattr(runbooks, "ROOT", tmp_path)
    settings = parse({"alerts": {"queue_percent": 42, "grafana_url": "https://g.example.com"}})
    text = generated_runbooks(settings, build(LIAP_TUI))[path]
    frame, words = text.split("\n## Meaning\n", 1)
    assert words == f"\n{own}\n\n## Impact\n\n## Diagnosis\n\n## Mitigation\n\nLast.\n"
    assert "An old frame" not in frame
    assert "https://g.example.com/d/game-telemetry-pipeline?viewPanel=1001" in frame
    assert "| settings | `alerts.queue_percent` = 42, in " in frame
    assert " > 0.42\n```" in frame
    assert "liap_tui" not in generated_runbooks(settings, build(ARENA))[path]


def test_every_threshold_is_named_on_some_page() -> None:
    named = {name for page in PAGES for name in re.findall(r"`alerts\.([\w.]+)` = ", page.read_text())}
    asked = set(re.findall(r"given\.(\w+)|settings\.alerts\.(\w+)", _sources()))
    used = {name for pair in asked for name in pair if name} - {"objectives", "time_scale", "runbooks_url"}
    assert used, "else the sources are not read right"
    assert used - {name.rpartition(".")[2] for name in named} == set()


def _sources() -> str:
    return "".join((ROOT / "alerts" / f"{name}.py").read_text() for name in ("game", "runtime", "pipeline", "seed"))
