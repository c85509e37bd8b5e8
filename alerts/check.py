"""Strict checks of every generated rule, without any data: ``python -m alerts check``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import promql_parser as p

from alerts.checks import conditions, messages, selectors
from alerts.checks.scope import Checked, Finding, Scope, read
from alerts.checks.syntax import walk
from alerts.groups import groups
from alerts.known import Series, known
from alerts.parts import Group, Recording
from otel_setup.catalogue import Catalogue
from settings import Settings

CHECKS = (
    selectors.exist,
    selectors.bounds_by_both_ways,
    selectors.labels_exist,
    selectors.counters,
    selectors.windows,
    conditions.matching,
    conditions.divisions,
    conditions.reachable,
    conditions.conditional,
    messages.complete,
    messages.templates,
    messages.overwrites,
)
"""Each looks at one rule at a time."""


def check(settings: Settings, catalogue: Catalogue) -> list[Finding]:
    """What is wrong with the rules of a game in a deployment.

    :raises alerts.query.QueryError: where a rule asks for what the game's catalogue does not have
    """
    return findings(groups(settings, catalogue), settings, known(settings, catalogue))


def findings(rules: Iterable[Group], settings: Settings, series: Mapping[str, Series]) -> list[Finding]:
    """What is wrong with groups of rules, each fault once.

    :param series: all that may be in Prometheus beside what the rules record
    """
    results = [read(rule, settings, group.team) for group in rules for rule in group.rules]
    unreadable = [one for one in results if isinstance(one, Finding)]
    checked = [one for one in results if isinstance(one, Checked)]
    recorded: dict[str, list[Checked]] = {}
    for rule in checked:
        if isinstance(rule.rule, Recording):
            recorded.setdefault(rule.rule.record, []).append(rule)
    if circles := list(_circles(recorded)):
        return [*unreadable, *circles]  # nothing can be said of what has no beginning
    scope = Scope(settings, series, recorded)
    found = [finding for rule in checked for look in CHECKS for finding in look(scope, rule)]
    return list(dict.fromkeys([*unreadable, *found, *messages.duplicates(checked)]))


def _circles(recorded: Mapping[str, Sequence[Checked]]) -> Iterator[Finding]:
    """Recordings that come from themselves."""
    sources = {
        name: {node.name or "" for rule in rules for node in walk(rule.expr) if isinstance(node, p.VectorSelector)}
        for name, rules in recorded.items()
    }
    for name in recorded:
        reached, waiting = set[str](), [*sources[name]]
        while waiting:
            source = waiting.pop()
            if source not in reached:
                reached.add(source)
                waiting += sources.get(source, ())
        if name in reached:
            yield Finding(name, "it is recorded from itself", "take it out of its own expression")
