"""Between which values the result of an expression is, as far as that can be known without any data."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from operator import add, sub

import promql_parser as p

from alerts.checks.labels import narrowed, recorded_series, series_of
from alerts.checks.scope import Checked, Scope
from alerts.checks.syntax import SETS, is_filter, is_scalar, unwrapped, walk

_GROWTH = ("rate", "increase", "irate", "resets", "changes", "count_over_time", "timestamp", "time")
_SAME = (
    "avg_over_time", "last_over_time", "max_over_time", "min_over_time", "quantile_over_time",
    "label_join", "label_replace", "sort", "sort_desc", "sort_by_label", "vector",
)  # fmt: skip
_SUMS = ("rate", "increase", "sum_over_time", "max_over_time", "count_over_time")
"""Of a part never more than of the whole."""


@dataclass(frozen=True)
class Range:
    """Values from ``low`` to ``high``, each of which may itself be left out."""

    low: float = -math.inf
    high: float = math.inf
    low_open: bool = False
    high_open: bool = False

    @property
    def empty(self) -> bool:
        """Whether there are none."""
        return self.low > self.high or (self.low == self.high and (self.low_open or self.high_open))

    @property
    def single(self) -> bool:
        """Whether there is one."""
        return self.low == self.high and not self.empty

    def __contains__(self, value: float) -> bool:
        above = value > self.low or (value == self.low and not self.low_open)
        return above and (value < self.high or (value == self.high and not self.high_open))

    def __and__(self, other: Range) -> Range:
        # Of two equal ends, the one that is left out is the narrower.
        low, low_open = max((self.low, self.low_open), (other.low, other.low_open))
        high, high_kept = min((self.high, not self.high_open), (other.high, not other.high_open))
        return Range(low, high, low_open, not high_kept)

    def __or__(self, other: Range) -> Range:
        low, low_open = min((self.low, self.low_open), (other.low, other.low_open))
        high, high_kept = max((self.high, not self.high_open), (other.high, not other.high_open))
        return Range(low, high, low_open, not high_kept)

    def __str__(self) -> str:
        if self.low == self.high:
            return f"is always {self.low:g}"
        if self.high == math.inf:
            return f"is never {'at or ' if self.low_open else ''}below {self.low:g}"
        if self.low == -math.inf:
            return f"is never {'at or ' if self.high_open else ''}above {self.high:g}"
        return f"is between {self.low:g} and {self.high:g}"


ANY, UP = Range(), Range(0)


def range_of(scope: Scope, expr: p.Expr) -> Range:
    """The values that an expression may have."""
    match expr:
        case p.NumberLiteral():
            return Range(expr.val, expr.val)
        case p.VectorSelector():
            return _of_series(scope, expr)
        case p.MatrixSelector():
            return range_of(scope, expr.vector_selector)
        case p.ParenExpr() | p.SubqueryExpr():
            return range_of(scope, expr.expr)
        case p.UnaryExpr():
            inner = range_of(scope, expr.expr)
            return Range(-inner.high, -inner.low, inner.high_open, inner.low_open)
        case p.AggregateExpr():
            return _of_aggregate(scope, expr)
        case p.Call():
            return _of_call(scope, expr)
        case p.BinaryExpr():
            return _of_binary(scope, expr)
    return ANY


def _of_series(scope: Scope, selector: p.VectorSelector) -> Range:
    name = selector.name or ""
    if name in scope.series:
        return Range(scope.series[name].low, scope.series[name].high)
    return _hull(range_of(scope, rule.expr) for rule in _recording(scope, selector))


def _recording(scope: Scope, selector: p.VectorSelector) -> list[Checked]:
    """The rules that record what a selector takes."""
    rules = scope.recorded.get(selector.name or "", ())
    return [rule for rule in rules if _takes(scope, selector, rule)]


def _takes(scope: Scope, selector: p.VectorSelector, rule: Checked) -> bool:
    series = recorded_series(scope, selector.name or "", [rule])
    return series is None or any(narrowed(labels, selector) is not None for labels in series.variants)


def _hull(ranges: Iterable[Range]) -> Range:
    result: Range | None = None
    for one in ranges:
        result = one if result is None else result | one
    return result or ANY


def _of_aggregate(scope: Scope, expr: p.AggregateExpr) -> Range:
    inner, operator = range_of(scope, expr.expr), str(expr.op)
    if operator in ("count", "count_values"):
        return Range(1)
    if operator in ("stddev", "stdvar"):
        return UP
    if operator == "group":
        return Range(1, 1)
    return _summed(inner) if operator == "sum" else inner


def _summed(inner: Range) -> Range:
    """Of one value or more."""
    low = inner if inner.low >= 0 else ANY
    high = inner if inner.high <= 0 else ANY
    return Range(low.low, high.high, low.low_open, high.high_open)


def _of_call(scope: Scope, call: p.Call) -> Range:
    name = call.func.name
    if name in _GROWTH or name.startswith("stddev") or name.startswith("stdvar"):
        return UP
    if name.startswith("absent") or name == "present_over_time":
        return Range(1, 1)
    if name == "histogram_quantile":
        return _of_quantile(scope, call)
    vectors = [argument for argument in call.args if not isinstance(argument, p.StringLiteral)]
    if not vectors:
        return ANY
    inner = range_of(scope, vectors[-1] if name.startswith("quantile") else vectors[0])
    if name in _SAME:
        return inner
    if name == "sum_over_time":
        return _summed(inner)
    if name == "abs":
        return inner if inner.low >= 0 else UP
    if name.startswith("clamp"):
        return _clamped(scope, name, inner, vectors[1:])
    return ANY


def _of_quantile(scope: Scope, call: p.Call) -> Range:
    """No quantile is above the last finite bound: https://prometheus.io/docs/prometheus/latest/querying/functions/."""
    selected = [series_of(scope, node.name) for node in walk(call) if isinstance(node, p.VectorSelector)]
    bounds = [bound for series in selected if series is not None for bound in series.bounds]
    return Range(min(0.0, *bounds), max(bounds)) if bounds else ANY


def _clamped(scope: Scope, name: str, inner: Range, limits: list[p.Expr]) -> Range:
    ends = [range_of(scope, limit) for limit in limits]
    least = ends[0].low if name != "clamp_max" else -math.inf
    most = ends[-1].high if name != "clamp_min" else math.inf
    return Range(min(max(inner.low, least), most), max(min(inner.high, most), least))


def _of_binary(scope: Scope, expr: p.BinaryExpr) -> Range:
    operator = str(expr.op)
    if operator in SETS:
        left = range_of(scope, expr.lhs)
        return left | range_of(scope, expr.rhs) if operator == "or" else left
    if is_filter(expr):
        kept, _ = filtered(scope, expr)
        return kept
    if expr.modifier and expr.modifier.return_bool:
        return Range(0, 1)
    left, right = range_of(scope, expr.lhs), range_of(scope, expr.rhs)
    if operator == "/":
        most = 1 if part_of(scope, expr.lhs, expr.rhs) else math.inf
        return _divided(left, right) & Range(high=most)
    calculate = {"+": add, "-": sub, "*": _times}.get(operator)
    return _calculated(left, right, calculate) if calculate else ANY


def _calculated(left: Range, right: Range, calculate: Callable[[float, float], float]) -> Range:
    ends = [calculate(a, b) for a in (left.low, left.high) for b in (right.low, right.high)]
    if any(math.isnan(end) for end in ends):
        return ANY
    # Above zero plus zero or more is above zero; nothing else needs the ends that are left out.
    low_open = calculate is add and (left.low_open or right.low_open)
    return Range(min(ends), max(ends), low_open)


def _times(a: float, b: float) -> float:
    return 0.0 if 0 in (a, b) else a * b


def _divided(left: Range, right: Range) -> Range:
    if left.low < 0 or right.low < 0:
        return ANY
    return Range(left.low / right.high if right.high else 0, left.high / right.low if right.low else math.inf)


def filtered(scope: Scope, expr: p.BinaryExpr) -> tuple[Range, Range]:
    """What a comparison lets through, and the values that it chooses from."""
    operator, left, right = str(expr.op), range_of(scope, expr.lhs), range_of(scope, expr.rhs)
    if is_scalar(expr.lhs):
        mirrored = {">": "<", "<": ">", ">=": "<=", "<=": ">="}
        left, right, operator = right, left, mirrored.get(operator, operator)
    match operator:
        case ">" | ">=":
            return left & Range(right.low, math.inf, right.low_open or operator == ">"), left
        case "<" | "<=":
            return left & Range(-math.inf, right.high, False, right.high_open or operator == "<"), left
        case "==":
            return left & right, left
    without_end = Range(left.low, left.high, left.low_open or right == Range(left.low, left.low), left.high_open)
    return without_end, left


def bare(expr: p.Expr) -> p.Expr:
    """Without parentheses, and without what only leaves something out."""
    expr = unwrapped(expr)
    if isinstance(expr, p.BinaryExpr) and ((is_filter(expr) and is_scalar(expr.rhs)) or str(expr.op) == "and"):
        return bare(expr.lhs)
    return expr


def part_of(scope: Scope, part: p.Expr, whole: p.Expr) -> bool:
    """Whether one expression is never more than another one of the same labels."""
    part, whole = bare(part), bare(whole)
    if str(part) == str(whole):
        return True
    if isinstance(whole, p.BinaryExpr) and str(whole.op) == "+":
        return any(
            part_of(scope, part, one) and range_of(scope, rest).low >= 0
            for one, rest in ((whole.lhs, whole.rhs), (whole.rhs, whole.lhs))
        )
    match part, whole:
        case p.BinaryExpr(), _ if str(part.op) == "-":
            return part_of(scope, part.lhs, whole) and range_of(scope, part.rhs).low >= 0
        case p.AggregateExpr(), p.AggregateExpr():
            same = (str(part.op), str(part.modifier)) == (str(whole.op), str(whole.modifier))
            return same and str(part.op) in ("sum", "max", "count") and part_of(scope, part.expr, whole.expr)
        case p.Call(), p.Call():
            same = part.func.name == whole.func.name and part.func.name in _SUMS
            return same and part_of(scope, part.args[0], whole.args[0])
        case p.MatrixSelector(), p.MatrixSelector():
            return part.range == whole.range and part_of(scope, part.vector_selector, whole.vector_selector)
        case p.VectorSelector(), p.VectorSelector():
            return _series_part(scope, part, whole)
    return False


def _series_part(scope: Scope, part: p.VectorSelector, whole: p.VectorSelector) -> bool:
    if (part.offset, str(part.at)) != (whole.offset, str(whole.at)):
        return False
    series = scope.series.get(part.name or "")
    if part.name == whole.name or (series is not None and series.within == whole.name):
        asked = {str(matcher) for matcher in whole.matchers.matchers}
        return asked <= {str(matcher) for matcher in part.matchers.matchers} and range_of(scope, part).low >= 0
    wholes = _recording(scope, whole)
    parts = [
        any(part_of(scope, one.expr, every.expr) for every in wholes if one.labels == every.labels)
        for one in _recording(scope, part)
    ]
    return bool(parts) and all(parts)


def conjuncts(expr: p.Expr) -> list[p.Expr]:
    """What has to be so at once: the operands of a chain of ``and``."""
    expr = unwrapped(expr)
    if isinstance(expr, p.BinaryExpr) and str(expr.op) == "and":
        return [*conjuncts(expr.lhs), *conjuncts(expr.rhs)]
    return [expr]
