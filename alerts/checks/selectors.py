"""Checks of what expressions ask for: series, labels, values, how counters are read, how long windows are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from difflib import get_close_matches

import promql_parser as p

from alerts.checks.labels import narrowed, series_of, variants_of
from alerts.checks.scope import Checked, Finding, Scope
from alerts.checks.syntax import alternatives, fits, is_like, matchers_of, short, unwrapped
from alerts.known import LE, Labels, Series, le_forms
from alerts.parts import Recording
from alerts.query import span

LEAST_EXPORTS = 4
"""So many exports belong into a window: with one lost and one late there are still two, without which nothing rises."""

_FEW = 12
"""So many names are all told where none is like the one that was asked for."""
_OF_COUNTERS = ("rate", "increase", "irate", "resets")
_OF_GAUGES = (
    "avg_over_time", "min_over_time", "max_over_time", "sum_over_time", "quantile_over_time", "stddev_over_time",
    "stdvar_over_time", "mad_over_time", "delta", "idelta", "deriv", "predict_linear", "double_exponential_smoothing",
)  # fmt: skip
_EXISTENCE = ("absent", "absent_over_time", "present_over_time", "count_over_time", "timestamp", "changes")
"""These ask whether or when there was a value, never which."""


def exist(scope: Scope, rule: Checked) -> Iterator[Finding]:
    """Every series, label and value that a selector names is there."""
    for selector in _selectors(rule):
        series = series_of(scope, selector.name)
        if not selector.name:
            yield rule.finding(f"{short(selector)} names no metric", "name one")
        elif series is None:
            if selector.name not in scope.recorded:  # otherwise what it is recorded from is told as missing
                yield rule.finding(f"there is no metric {selector.name}", _instead(selector.name, _names(scope)))
        elif problems := list(_of_matchers(rule, series, matchers_of(selector))):
            yield from problems
        elif all(narrowed(labels, selector) is None for labels in series.variants):
            yield rule.finding(
                f"no series has all that {short(selector)} asks for", "take out the matchers that exclude each other"
            )


def _of_matchers(rule: Checked, series: Series, matchers: Iterable[p.Matcher]) -> Iterator[Finding]:
    for matcher in matchers:
        variants = [labels[matcher.name] for labels in series.variants if matcher.name in labels]
        if not variants:
            yield rule.finding(
                f"{series.name} has no label {matcher.name}", _instead(matcher.name, _all_labels(series.variants))
            )
            continue
        if None in variants:
            continue
        values = sorted({value for allowed in variants for value in allowed or ()})
        named = alternatives(matcher)
        if named is None and not any(is_like(matcher.value, value) for value in values):
            yield rule.finding(f"no {matcher.name} of {series.name} is like {matcher.value!r}", _instead("", values))
        for value in named or ():
            if value not in values:
                yield rule.finding(f"{matcher.name} of {series.name} is never {value!r}", _instead(value, values))


def bounds_by_both_ways(scope: Scope, rule: Checked) -> Iterator[Finding]:
    """A bucket with a whole bound is taken as OTLP writes it and as a scraped page does."""
    for selector in _selectors(rule):
        series = series_of(scope, selector.name)
        for matcher in matchers_of(selector):
            if series is None or matcher.name != LE:
                continue
            taken = [[fits(matcher, form) for form in le_forms(bound)] for bound in series.bounds]
            if any(any(forms) and not all(forms) for forms in taken):
                yield rule.finding(
                    f"{matcher} is the bucket by OTLP or by a scraped page, not by both",
                    "write it with alerts.query.le",
                )


def labels_exist(scope: Scope, rule: Checked) -> Iterator[Finding]:
    """What is grouped by, matched on or taken over is a label of what it is asked of."""
    for node in rule.nodes():
        match node:
            case p.AggregateExpr() if node.modifier:
                yield from _have(scope, rule, node.modifier.labels, [node.expr], node)
            case p.BinaryExpr() if node.modifier:
                modifier = node.modifier
                of_one = node.rhs if modifier.card == p.VectorMatchCardinality.ManyToOne else node.lhs
                if modifier.matching:
                    on = modifier.matching.type == p.LabelModifierType.Include
                    sides = [[node.lhs], [node.rhs]] if on else [[node.lhs, node.rhs]]
                    for side in sides:
                        yield from _have(scope, rule, modifier.matching.labels, side, node)
                yield from _have(scope, rule, modifier.group_labels or [], [of_one], node)
            case p.Call() if node.func.name == "label_replace" and node.args[3].val:
                yield from _have(scope, rule, [node.args[3].val], [node.args[0]], node)
            case p.Call() if node.func.name == "histogram_quantile":
                yield from _have(scope, rule, [LE], [node.args[1]], node)


def _have(
    scope: Scope, rule: Checked, labels: Sequence[str], exprs: Sequence[p.Expr], where: p.Expr
) -> Iterator[Finding]:
    """Findings of the labels that none of the expressions has."""
    every = [variants_of(scope, expr) for expr in exprs]
    if any(variants is None for variants in every):
        return
    there = _all_labels(labels for variants in every for labels in variants or ())
    for label in labels:
        if label not in there:
            about = " and ".join(map(short, exprs))
            yield rule.finding(f"{about} has no label {label} for {short(where)}", _instead(label, there))


def counters(scope: Scope, rule: Checked) -> Iterator[Finding]:
    """Of a counter only its growth says anything, and only a counter has any.

    A bare counter is right where nobody looks at its value: where it is asked whether it is there, and where another
    value is kept because of it. It is right as well where it was not there before (``x unless x offset 10m``): then
    all that it says is its growth. A recording that is nothing but a counter is its other name.
    """
    for node in rule.nodes():
        if isinstance(node, p.Call) and isinstance(matrix := (node.args or [None])[0], p.MatrixSelector):
            series = series_of(scope, matrix.vector_selector.name)
            if series is not None and series.counts and node.func.name in _OF_GAUGES:
                yield rule.finding(f"{series.name} only rises: {node.func.name} of it says nothing", "use rate()")
            if series is not None and not series.counts and node.func.name in _OF_COUNTERS:
                yield rule.finding(f"{series.name} is no counter: it has no {node.func.name}", "use delta() or deriv()")
    if isinstance(rule.rule, Recording) and isinstance(unwrapped(rule.expr), p.VectorSelector):
        return
    for expr in rule.exprs:
        for selector in _looked_at(expr):
            series = series_of(scope, selector.name)
            if series is not None and series.counts:
                yield rule.finding(f"{series.name} only rises: its value says nothing", "use rate() or increase()")


def _looked_at(expr: p.Expr) -> Iterator[p.VectorSelector]:
    """The selectors whose present values matter."""
    match expr:
        case p.VectorSelector():
            yield expr
        case p.Call() if expr.func.name == "last_over_time" and isinstance(expr.args[0], p.MatrixSelector):
            yield expr.args[0].vector_selector
        case p.Call() if expr.func.name not in _EXISTENCE:
            for argument in expr.args:
                yield from _looked_at(argument)
        case p.AggregateExpr() if str(expr.op) not in ("count", "group"):
            yield from _looked_at(expr.expr)
        case p.ParenExpr() | p.UnaryExpr() | p.SubqueryExpr():
            yield from _looked_at(expr.expr)
        case p.BinaryExpr():
            if not _is_new(expr):
                yield from _looked_at(expr.lhs)
            if str(expr.op) not in ("and", "unless"):
                yield from _looked_at(expr.rhs)


def _is_new(expr: p.BinaryExpr) -> bool:
    """Whether it takes the series that were not there some time before: ``x unless x offset 10m``."""
    now, before = unwrapped(expr.lhs), unwrapped(expr.rhs)
    if str(expr.op) != "unless" or not isinstance(now, p.VectorSelector) or not isinstance(before, p.VectorSelector):
        return False
    same = (now.name, str(now.matchers)) == (before.name, str(before.matchers))
    return same and now.offset is None and before.offset is not None and before.offset > timedelta()


def windows(scope: Scope, rule: Checked) -> Iterator[Finding]:
    """Every window has room for some exports, though one is lost and one late."""
    every = scope.settings.metrics.export_interval_seconds
    for node in rule.nodes():
        if isinstance(node, p.MatrixSelector | p.SubqueryExpr) and node.range is not None:
            seconds = node.range.total_seconds()
            if seconds < LEAST_EXPORTS * every:
                yield rule.finding(
                    f"the window of {short(node)} is shorter than {LEAST_EXPORTS} exports, one every {span(every)}",
                    f"make it {span(LEAST_EXPORTS * every)} or more: the window, alerts.time_scale, or "
                    "metrics.export_interval_seconds",
                )


def _selectors(rule: Checked) -> Iterator[p.VectorSelector]:
    return (node for node in rule.nodes() if isinstance(node, p.VectorSelector))


def _names(scope: Scope) -> list[str]:
    return sorted({*scope.series, *scope.recorded})


def _all_labels(variants: Iterable[Labels]) -> list[str]:
    return sorted({label for labels in variants for label in labels})


def _instead(wanted: str, there: Sequence[str]) -> str:
    """What may have been meant, or all there is."""
    meant = get_close_matches(wanted, there, n=3) or (there if len(there) <= _FEW else [])
    return f"there is {', '.join(meant)}" if meant else "name one of the catalogue"
