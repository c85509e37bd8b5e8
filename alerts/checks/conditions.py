"""Checks of what an expression can become: sides that find each other, divisions, comparisons that can be so."""

from __future__ import annotations

from collections.abc import Iterator

import promql_parser as p

from alerts.checks.labels import Match, Variants, overlap, variants_of
from alerts.checks.scope import Checked, Finding, Scope
from alerts.checks.syntax import is_filter, is_scalar, short, walk
from alerts.checks.values import Range, bare, conjuncts, filtered, range_of
from alerts.known import Labels
from alerts.parts import Recording


def matching(scope: Scope, rule: Checked) -> Iterator[Finding]:
    """The sides of an operation have the same labels, or it is said how they find each other; one side has one each."""
    for node in rule.nodes():
        if not isinstance(node, p.BinaryExpr) or is_scalar(node.lhs) or is_scalar(node.rhs) or str(node.op) == "or":
            continue
        left, right = variants_of(scope, node.lhs), variants_of(scope, node.rhs)
        if left and right:
            yield from _unmatched(rule, node, left, right)
            if str(node.op) not in ("and", "unless"):
                yield from _many(rule, node, left, right)


def _unmatched(rule: Checked, node: p.BinaryExpr, left: Variants, right: Variants) -> Iterator[Finding]:
    match = Match.of(node)
    for labels in left:
        meant = [other for other in right if match.meant(labels, other)]
        if not meant:
            yield rule.finding(
                f"nothing of {short(node.rhs)} is equal in the labels of {short(node.lhs)}", "select the same on both"
            )
        for other in meant:
            if not match.meets(labels, other):
                yield rule.finding(
                    f"the sides of {short(node)} have different labels: {_names(labels)} and {_names(other)}",
                    "sum both by the same labels, or say on(...)",
                )


def _many(rule: Checked, node: p.BinaryExpr, left: Variants, right: Variants) -> Iterator[Finding]:
    match = Match.of(node)
    if match.by_all:
        return
    for side, variants, may_be_many in (("left", left, match.many_left), ("right", right, match.many_right)):
        if not may_be_many and not _is_unique(match, variants):
            yield rule.finding(
                f"many series on the {side} of {short(node)} can be equal in what is matched on",
                f"sum that side by these labels, or say group_{side}",
            )


def _is_unique(match: Match, variants: Variants) -> bool:
    """Whether no two series of one side are equal in the labels that are matched on."""
    for place, labels in enumerate(variants):
        key = match.key(labels)
        if any(values is None or len(values) > 1 for label, values in labels.items() if label not in key):
            return False
        if any(_same(key, match.key(other)) for other in variants[place + 1 :]):
            return False
    return True


def _same(a: Labels, b: Labels) -> bool:
    return a.keys() == b.keys() and all(overlap(a[label], b[label]) for label in a)


def _names(labels: Labels) -> str:
    return f"({', '.join(sorted(labels))})"


def divisions(scope: Scope, rule: Checked) -> Iterator[Finding]:
    """Nothing is divided by what can be zero: without any traffic there is no ratio."""
    for node in rule.nodes():
        if isinstance(node, p.BinaryExpr) and str(node.op) in ("/", "%") and 0 in range_of(scope, node.rhs):
            yield rule.finding(
                f"{short(node)} divides by what can be 0", f"leave that out: / ({short(bare(node.rhs))} > 0)"
            )


def reachable(scope: Scope, rule: Checked) -> Iterator[Finding]:
    """Every comparison can be so and can be otherwise; those that have to be so at once do not exclude each other."""
    for node in rule.nodes():
        if not isinstance(node, p.BinaryExpr):
            continue
        if is_filter(node):
            yield from _never_or_always(scope, rule, node)
        elif str(node.op) == "and":
            yield from _contradictions(scope, rule, node)


def _never_or_always(scope: Scope, rule: Checked, node: p.BinaryExpr) -> Iterator[Finding]:
    kept, given = filtered(scope, node)
    compared, other = (node.rhs, node.lhs) if is_scalar(node.lhs) else (node.lhs, node.rhs)
    limit = range_of(scope, other)
    leaves_out = str(node.op) == "!=" and limit.low in given  # a hole, which a range cannot have
    never = kept.empty and not given.empty
    always = kept == given != Range() and limit.single and not leaves_out
    if never or always:
        yield rule.finding(
            f"{short(node)} is {'never' if never else 'always'} so: {short(bare(compared))} {given}",
            "change the threshold, or the rule",
        )


def _contradictions(scope: Scope, rule: Checked, node: p.BinaryExpr) -> Iterator[Finding]:
    limits: dict[str, Range] = {}
    for part in conjuncts(node):
        if isinstance(part, p.BinaryExpr) and is_filter(part):
            subject = str(bare(part.rhs if is_scalar(part.lhs) else part.lhs))
            kept, _ = filtered(scope, part)
            both = limits.get(subject, Range()) & kept
            if both.empty and not kept.empty:
                yield rule.finding(
                    f"{short(part)} and what has to be so at once exclude each other", "change one of the thresholds"
                )
            limits[subject] = both


def conditional(_scope: Scope, rule: Checked) -> Iterator[Finding]:
    """An alert has a condition, unless it looks at nothing: that one is on purpose."""
    looks = any(isinstance(node, p.VectorSelector) for node in walk(rule.expr))
    if not isinstance(rule.rule, Recording) and looks and not _is_conditional(rule.expr):
        yield rule.finding(f"{short(rule.expr)} is always so", "compare it with a threshold")


def _is_conditional(expr: p.Expr) -> bool:
    match expr:
        case p.BinaryExpr():
            operator = str(expr.op)
            if is_filter(expr) or operator == "unless":
                return True
            if operator == "or":
                return _is_conditional(expr.lhs) and _is_conditional(expr.rhs)
            # What is left out of a denominator is a guard, and no condition.
            return _is_conditional(expr.lhs) or (operator != "/" and _is_conditional(expr.rhs))
        case p.Call():
            return expr.func.name.startswith("absent") or any(map(_is_conditional, expr.args))
        case p.ParenExpr() | p.UnaryExpr() | p.AggregateExpr() | p.SubqueryExpr():
            return _is_conditional(expr.expr)
    return False
