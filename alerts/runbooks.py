"""Runbooks: a page for each alert. Its frame is written from the rules; what is under the headings, by people.

The words of people are of the default game. For another one its prefix takes the place of that game's in names of
metrics.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any

from alerts.groups import groups
from alerts.parts import Alert, Group, Severity
from alerts.query import number, span
from alerts.render import as_rule
from deploy.generating import ROOT
from otel_setup.catalogue import Catalogue, build
from otel_setup.game_model import LIAP_TUI
from settings import Settings

FOLDER = "docs/runbooks"
HEADINGS = ("Meaning", "Impact", "Diagnosis", "Mitigation")
BEGIN = "<!-- Down to the first heading written by `python -m alerts build`; what is under the headings is kept. -->"
NOT_THRESHOLDS = {"time_scale", "runbooks_url", "grafana_url"}
ASKS = {
    Severity.CRITICAL: "wakes somebody",
    Severity.WARNING: "is a ticket",
    Severity.NONE: "is always on",
}
_HEADING = re.compile(rf"^## ({'|'.join(HEADINGS)})$", re.MULTILINE)


def generated_runbooks(settings: Settings, catalogue: Catalogue) -> dict[str, str]:
    """The text of every runbook by its path in the source tree: a new frame around the words that are there.

    :raises alerts.query.QueryError: where a rule asks for what the game's catalogue does not have
    """
    every = groups(settings, catalogue)
    thresholds = _thresholds(settings, catalogue, every)
    own, default = f"{catalogue.prefix}_", f"{build(LIAP_TUI).prefix}_"
    pages = {}
    for group in every:
        for name in dict.fromkeys(alert.name for alert in group.alerts):
            alerts = [alert for alert in group.alerts if alert.name == name]
            path = f"{FOLDER}/{name}.md"
            words = {heading: text.replace(default, own) for heading, text in written(path).items()}
            sections = [f"## {heading}\n\n{words.get(heading, '')}".rstrip() for heading in HEADINGS]
            pages[path] = "\n\n".join([*_frame(group, alerts, thresholds.get(name, []), settings), *sections]) + "\n"
    return pages


def written(path: str) -> dict[str, str]:
    """What a runbook of this checkout has under each heading; empty where there is no such file."""
    file = ROOT / path
    _, *parts = _HEADING.split(file.read_text(encoding="utf-8")) if file.exists() else [""]
    return {heading: text.strip() for heading, text in zip(parts[::2], parts[1::2], strict=True)}


def _frame(group: Group, alerts: Sequence[Alert], thresholds: list[str], settings: Settings) -> Iterator[str]:
    first, file = alerts[0], f"{group.name}.yaml"
    yield BEGIN
    yield f"# {first.name}"
    yield first.summary if len({alert.summary for alert in alerts}) == 1 else first.summary.partition(",")[0] + "."
    panel, dashboard = first.panel, first.panel.dashboard
    rows = [
        ("drawn in", f"[{panel.title}]({settings.alerts.grafana_url}{panel.path}), dashboard {dashboard.title}"),
        ("rule", f"[{file}](../../alerts/rules/{file}), group `{group.name}`, team `{group.team}`"),
    ]
    if thresholds:
        rows.append(("settings", f"{', '.join(thresholds)}, in [settings/alerts.py](../../settings/alerts.py)"))
    yield "\n".join(["| | |", "|---|---|", *(f"| {name} | {text} |" for name, text in rows)])
    for alert in alerts:
        labels = "".join(f', `{name}="{value}"`' for name, value in alert.labels.items())
        held = f" once it has been so for {_held(alert, settings)}" if alert.hold_seconds else ""
        yield f"`{alert.severity}`{labels}: {ASKS[alert.severity]}{held}."
        yield f"```promql\n{alert.expr}\n```"


def _held(alert: Alert, settings: Settings) -> str:
    return span(alert.hold_seconds * settings.alerts.time_scale)


def _thresholds(settings: Settings, catalogue: Catalogue, every: Sequence[Group]) -> dict[str, list[str]]:
    """The settings that each alert depends on, found by changing one after the other."""
    found: dict[str, list[str]] = {}
    before = _rules(every, settings)
    for path, value, changed in _changed(settings.alerts):
        other = replace(settings, alerts=changed)
        after = _rules(groups(other, catalogue), other)
        for name in before:
            if after.get(name) != before[name]:
                found.setdefault(name, []).append(f"`alerts.{path}` = {number(value)}")
    return found


def _rules(every: Sequence[Group], settings: Settings) -> dict[str, list[dict[str, object]]]:
    rules: dict[str, list[dict[str, object]]] = {}
    for group in every:
        for alert in group.alerts:
            rules.setdefault(alert.name, []).append(as_rule(alert, settings, group.team))
    return rules


def _changed(section: Any, path: str = "") -> Iterator[tuple[str, float, Any]]:
    """Each number of a section by its name, and the section with another number there."""
    for field in fields(section):
        value = getattr(section, field.name)
        if field.name in NOT_THRESHOLDS:
            continue
        if is_dataclass(value):
            for name, number_there, inner in _changed(value, f"{path}{field.name}."):
                yield name, number_there, replace(section, **{field.name: inner})
        elif isinstance(value, int | float) and not isinstance(value, bool):
            other = value + 1 if isinstance(value, int) else value * 0.9
            yield f"{path}{field.name}", value, replace(section, **{field.name: other})
