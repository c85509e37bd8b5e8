"""Which labels an expression's result has: as many variants as there are, each with the values that it may have.

The rules are those of Prometheus (https://prometheus.io/docs/prometheus/latest/querying/operators/). Where something is
asked that nobody knows, the result is None, so that one fault is not told as many.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import promql_parser as p

from alerts.checks.scope import Checked, Scope
from alerts.checks.syntax import alternatives, fits, is_scalar
from alerts.known import LE, Labels, Series

Variants = tuple[Labels, ...]
_KEEP_LABELS = ("topk", "bottomk", "limitk", "limit_ratio")
_ABSENT: frozenset[str] = frozenset({""})


def series_of(scope: Scope, name: str | None) -> Series | None:
    """The series of a name, whether sent or recorded; None where there are none."""
    if name is None or name in scope.series or name not in scope.recorded:
        return scope.series.get(name or "")
    if name not in scope.inferred:
        scope.inferred[name] = recorded_series(scope, name, scope.recorded[name])
    return scope.inferred[name]


def recorded_series(scope: Scope, name: str, rules: Sequence[Checked]) -> Series | None:
    """What rules record under a name."""
    variants: list[Labels] = []
    for rule in rules:
        found = variants_of(scope, rule.expr)
        if found is None:
            return None
        static: Labels = {label: frozenset({value}) for label, value in rule.labels.items()}
        variants += [{**labels, **static} for labels in found]
    return Series(name, tuple(_distinct(variants)), counts=all(is_counter_alias(scope, rule) for rule in rules))


def is_counter_alias(scope: Scope, rule: Checked) -> bool:
    """Whether a rule gives a counter another name, and changes nothing: what it records is a counter too."""
    series = series_of(scope, rule.expr.name) if isinstance(rule.expr, p.VectorSelector) else None
    return series is not None and series.counts


def variants_of(scope: Scope, expr: p.Expr) -> Variants | None:
    """The labels of an expression's result; none of a scalar; None where it cannot be known."""
    match expr:
        case p.VectorSelector():
            series = series_of(scope, expr.name)
            if series is None:
                return None
            return tuple(labels for known in series.variants if (labels := narrowed(known, expr)) is not None)
        case p.MatrixSelector():
            return variants_of(scope, expr.vector_selector)
        case p.ParenExpr() | p.UnaryExpr() | p.SubqueryExpr():
            return variants_of(scope, expr.expr)
        case p.AggregateExpr():
            return _aggregated(scope, expr)
        case p.Call():
            return _called(scope, expr)
        case p.BinaryExpr():
            return _combined(scope, expr)
    return ()


def narrowed(labels: Labels, selector: p.VectorSelector) -> Labels | None:
    """The labels of those series that a selector takes; None where it takes none."""
    result = dict(labels)
    for matcher in selector.matchers.matchers:
        values = result.get(matcher.name, _ABSENT)
        if values is None:
            positive = matcher.op in (p.MatchOp.Equal, p.MatchOp.Re)
            named = alternatives(matcher)
            result[matcher.name] = frozenset(named) if positive and named is not None else None
            continue
        kept = frozenset(value for value in values if fits(matcher, value))
        if not kept:
            return None
        if matcher.name in result:
            result[matcher.name] = kept
    return result


def _aggregated(scope: Scope, expr: p.AggregateExpr) -> Variants | None:
    inner = variants_of(scope, expr.expr)
    if inner is None or str(expr.op) in _KEEP_LABELS:
        return inner
    modifier = expr.modifier
    if modifier is None:
        kept: list[Labels] = [{} for _ in inner]
    elif modifier.type == p.AggModifierType.By:
        kept = [_only(labels, modifier.labels) for labels in inner]
    else:
        kept = [_without(labels, modifier.labels) for labels in inner]
    if isinstance(expr.param, p.StringLiteral):  # count_values
        kept = [{**labels, expr.param.val: None} for labels in kept]
    return _distinct(kept)


def _called(scope: Scope, call: p.Call) -> Variants | None:
    name, arguments = call.func.name, call.args
    if is_scalar(call):
        return ()
    if name in ("absent", "absent_over_time"):
        return (_equalities(arguments[0]),)
    vectors = [argument for argument in arguments if _has_labels(argument)]
    inner = variants_of(scope, vectors[0]) if vectors else ({},)
    if inner is None or name == "info":
        return None
    if name == "histogram_quantile":
        return _distinct([_without(labels, [LE]) for labels in inner])
    if name == "label_replace":
        target, replacement, source, pattern = (argument.val for argument in arguments[1:])
        return _distinct([_replaced(labels, target, replacement, source, pattern) for labels in inner])
    if name == "label_join":
        return tuple({**labels, arguments[1].val: None} for labels in inner)
    return inner


def _has_labels(argument: p.Expr) -> bool:
    """Whether an argument of a function has labels."""
    return not (isinstance(argument, p.StringLiteral) or is_scalar(argument))


def _equalities(expr: p.Expr) -> Labels:
    """What Prometheus puts on the result of ``absent``."""
    selector = expr.vector_selector if isinstance(expr, p.MatrixSelector) else expr
    if not isinstance(selector, p.VectorSelector):
        return {}
    equal = [matcher for matcher in selector.matchers.matchers if matcher.op == p.MatchOp.Equal]
    return {matcher.name: frozenset({matcher.value}) for matcher in equal}


def _replaced(labels: Labels, target: str, replacement: str, source: str, pattern: str) -> Labels:
    if "$" not in replacement:
        values: frozenset[str] | None = frozenset({replacement})
        if pattern not in ("", ".*") and target in labels:
            before = labels[target]
            values = before | frozenset({replacement}) if before is not None else None
    elif replacement == "$1" and pattern in ("(.+)", "(.*)"):
        values = labels.get(source, _ABSENT)
    else:
        values = None
    return _without(labels, [target]) if values == _ABSENT else {**labels, target: values}


def _combined(scope: Scope, expr: p.BinaryExpr) -> Variants | None:
    left_scalar, right_scalar = is_scalar(expr.lhs), is_scalar(expr.rhs)
    if left_scalar or right_scalar:
        return variants_of(scope, expr.rhs if left_scalar else expr.lhs)
    left, right = variants_of(scope, expr.lhs), variants_of(scope, expr.rhs)
    if left is None or right is None:
        return None
    operator = str(expr.op)
    if operator == "or":
        return _distinct([*left, *right])
    match = Match.of(expr)
    if operator == "and":
        return tuple(labels for labels in left if any(match.meets(labels, other) for other in right))
    if operator == "unless":
        return left
    return _distinct(match.result(a, b) for a in left for b in right if match.meets(a, b))


class Match:
    """How the sides of an operation find each other: ``on``, ``ignoring``, ``group_left``, ``group_right``."""

    def __init__(self, modifier: p.BinModifier | None) -> None:
        matching = modifier.matching if modifier else None
        self.on = matching is not None and matching.type == p.LabelModifierType.Include
        self.listed: Sequence[str] = matching.labels if matching else ()
        self.taken: Sequence[str] = (modifier.group_labels if modifier else None) or ()
        self.many_left = modifier is not None and modifier.card == p.VectorMatchCardinality.ManyToOne
        self.many_right = modifier is not None and modifier.card == p.VectorMatchCardinality.OneToMany

    @classmethod
    def of(cls, expr: p.BinaryExpr) -> Match:
        """That of an operation."""
        return cls(expr.modifier)

    @property
    def by_all(self) -> bool:
        """Whether all labels have to be equal."""
        return not self.on and not self.listed

    def key(self, labels: Labels) -> Labels:
        """Those labels that have to be equal."""
        return _only(labels, self.listed) if self.on else _without(labels, self.listed)

    def meant(self, left: Labels, right: Labels) -> bool:
        """Whether nothing that both have keeps them apart."""
        a, b = self.key(left), self.key(right)
        return all(overlap(a[label], b[label]) for label in a.keys() & b.keys())

    def meets(self, left: Labels, right: Labels) -> bool:
        """Whether series of both can be equal in these labels."""
        return self.key(left).keys() == self.key(right).keys() and self.meant(left, right)

    def result(self, left: Labels, right: Labels) -> Labels:
        """The labels of what an operation makes of a pair."""
        if self.many_left or self.many_right:
            many, one = (left, right) if self.many_left else (right, left)
            return {**_without(many, self.taken), **_only(one, self.taken)}
        key = self.key(right)
        return {label: _both(values, key.get(label)) for label, values in self.key(left).items()}


def overlap(a: frozenset[str] | None, b: frozenset[str] | None) -> bool:
    """Whether two labels can have the same value."""
    return a is None or b is None or bool(a & b)


def _both(a: frozenset[str] | None, b: frozenset[str] | None) -> frozenset[str] | None:
    if a is None or b is None:
        return a if b is None else b
    return a & b


def _only(labels: Labels, names: Iterable[str]) -> Labels:
    return {label: labels[label] for label in names if label in labels}


def _without(labels: Labels, names: Iterable[str]) -> Labels:
    return {label: values for label, values in labels.items() if label not in set(names)}


def _distinct(variants: Iterable[Labels]) -> Variants:
    """Each once; those whose values overlap are one, since nothing tells their series apart."""
    result: list[Labels] = []
    for labels in variants:
        for place, other in enumerate(result):
            if labels.keys() == other.keys() and all(overlap(labels[name], other[name]) for name in labels):
                result[place] = {name: _either(labels[name], other[name]) for name in labels}
                break
        else:
            result.append(labels)
    return tuple(result)


def _either(a: frozenset[str] | None, b: frozenset[str] | None) -> frozenset[str] | None:
    return None if a is None or b is None else a | b
