"""Checks of rules as a whole: what alerts carry, what their messages say, and that none is there twice."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import promql_parser as p

from alerts.checks.labels import variants_of
from alerts.checks.scope import Checked, Finding, Scope, name_of
from alerts.checks.syntax import walk
from alerts.parts import Alert, Recording, Severity
from alerts.render import ANNOTATIONS

_ACTION = re.compile(r"\{\{.*?\}\}", re.DOTALL)
_LABEL = re.compile(r"\$labels\.(\w+)|index\s+\$labels\s+\"(\w+)\"")


def complete(_scope: Scope, rule: Checked) -> Iterator[Finding]:
    """Every alert waits before it fires or says why not, asks for something, and has all four annotations.

    The one that looks at nothing (Watchdog) is always on, and asks for nothing.
    """
    alert = rule.rule
    if not isinstance(alert, Alert):
        return
    if any(isinstance(node, p.VectorSelector) for node in walk(rule.expr)):
        if alert.hold_seconds <= 0 and not alert.why:
            yield rule.finding("it fires at once and does not say why", "give it hold_seconds, or a reason in why")
        if alert.severity not in (Severity.CRITICAL, Severity.WARNING):
            yield rule.finding("it has no severity", "decide whether somebody is woken (critical) or not (warning)")
    for annotation in ANNOTATIONS:
        if not rule.messages.get(annotation, "").strip():
            yield rule.finding(f"it has no {annotation}", "write one")


def templates(scope: Scope, rule: Checked) -> Iterator[Finding]:
    """Every label that a message uses is one of the alert's, whatever made it fire."""
    variants = variants_of(scope, rule.expr)
    if not isinstance(rule.rule, Alert) or variants is None:
        return
    for where, text in {**rule.messages, **rule.labels}.items():
        actions = " ".join(_ACTION.findall(text))
        for label in dict.fromkeys(first or second for first, second in _LABEL.findall(actions)):
            if label not in rule.labels and any(label not in labels for labels in variants):
                there = sorted({*rule.labels, *(name for labels in variants for name in labels)})
                yield rule.finding(
                    f"{where} uses label {label}, which its expression does not always have",
                    f"keep it in every aggregation, or use one of: {', '.join(there) or 'none'}",
                )
    for label, text in rule.labels.items():
        if "$value" in text:
            yield rule.finding(f"label {label} has the value in it, which makes it another alert each time", "move it")


def overwrites(scope: Scope, rule: Checked) -> Iterator[Finding]:
    """What a rule makes takes nobody's place: not its name, and not the labels that tell its series apart."""
    if isinstance(rule.rule, Recording) and rule.rule.record in scope.series:
        yield rule.finding("there is a metric of this name already", "give it another name")
    for labels in variants_of(scope, rule.expr) or ():
        for label in rule.labels:
            values = labels.get(label, frozenset())
            if values is None or len(values) > 1:
                yield rule.finding(
                    f"its label {label} takes the place of one that its expression has", "give it another name"
                )


def duplicates(rules: Sequence[Checked]) -> Iterator[Finding]:
    """No rule is there twice, by its name or by what it says."""
    by_name: dict[tuple[str, frozenset[tuple[str, str]]], Checked] = {}
    by_expr: dict[str, Checked] = {}
    for rule in rules:
        if by_name.setdefault((name_of(rule.rule), frozenset(rule.labels.items())), rule) is not rule:
            yield rule.finding("it is there twice with the same labels", "take one out, or tell them apart by a label")
        elif isinstance(rule.rule, Alert) and (other := by_expr.setdefault(str(rule.expr), rule)) is not rule:
            yield rule.finding(f"it says what {other.name} says", "take one out")
