"""Expressions as trees: what an expression is made of, whatever it means."""

from __future__ import annotations

import re
from collections.abc import Iterator

import promql_parser as p

COMPARISONS = ("==", "!=", ">", "<", ">=", "<=")
SETS = ("and", "or", "unless")
_LONG = 120
_QUERIES = re.compile(r"query `([^`]*)`")
_LITERALS = re.compile(r"(?:[\w \-/:|]|\\\W)+")


class SyntaxProblem(ValueError):
    """An expression that cannot be read; the text says why."""


def parsed(text: str) -> p.Expr:
    """The tree of an expression.

    :raises SyntaxProblem: where it is none
    """
    try:
        return p.parse(text)
    except ValueError as problem:
        raise SyntaxProblem(str(problem)) from problem


def children(expr: p.Expr) -> tuple[p.Expr, ...]:
    """What an expression consists of."""
    match expr:
        case p.AggregateExpr():
            return (expr.expr, *([expr.param] if isinstance(expr.param, p.Expr) else []))
        case p.ParenExpr() | p.UnaryExpr() | p.SubqueryExpr():
            return (expr.expr,)
        case p.BinaryExpr():
            return (expr.lhs, expr.rhs)
        case p.Call():
            return tuple(expr.args)
        case p.MatrixSelector():
            return (expr.vector_selector,)
    return ()


def walk(expr: p.Expr) -> Iterator[p.Expr]:
    """An expression and everything in it."""
    yield expr
    for child in children(expr):
        yield from walk(child)


def unwrapped(expr: p.Expr) -> p.Expr:
    """Without the parentheses around it."""
    return unwrapped(expr.expr) if isinstance(expr, p.ParenExpr) else expr


def is_scalar(expr: p.Expr) -> bool:
    """Whether it is one number, and no vector."""
    match expr:
        case p.NumberLiteral():
            return True
        case p.Call():
            return bool(expr.func.return_type == p.ValueType.Scalar)
        case p.ParenExpr() | p.UnaryExpr():
            return is_scalar(expr.expr)
        case p.BinaryExpr():
            return is_scalar(expr.lhs) and is_scalar(expr.rhs)
    return False


def is_filter(expr: p.BinaryExpr) -> bool:
    """Whether it compares, and leaves out what is not so."""
    return str(expr.op) in COMPARISONS and not (expr.modifier and expr.modifier.return_bool)


def matchers_of(selector: p.VectorSelector) -> list[p.Matcher]:
    """All matchers, alternatives (``or``) included."""
    found = selector.matchers
    return [*found.matchers, *(matcher for group in found.or_matchers for matcher in group)]


def alternatives(matcher: p.Matcher) -> list[str] | None:
    """The values that a matcher names; None where it is a pattern."""
    if matcher.op in (p.MatchOp.Equal, p.MatchOp.NotEqual):
        return [matcher.value]
    if _LITERALS.fullmatch(matcher.value):
        return [re.sub(r"\\(.)", r"\1", part) for part in re.split(r"(?<!\\)\|", matcher.value)]
    return None


def fits(matcher: p.Matcher, value: str) -> bool:
    """Whether a matcher takes a value."""
    if matcher.op in (p.MatchOp.Equal, p.MatchOp.NotEqual):
        same = matcher.value == value
    else:
        same = is_like(matcher.value, value)
    return same == (matcher.op in (p.MatchOp.Equal, p.MatchOp.Re))


def is_like(pattern: str, value: str) -> bool:
    """Whether a value is as a pattern says, which is anchored at both ends, as in Prometheus."""
    try:
        return re.fullmatch(pattern, value) is not None
    except re.error:
        return True  # Prometheus knows patterns that Python does not


def queries_in(template: str) -> list[str]:
    """The expressions that a template of a message evaluates."""
    return _QUERIES.findall(template)


def short(expr: p.Expr) -> str:
    """An expression in one line, as findings quote it."""
    text = " ".join(str(expr).replace("{}", "").split())
    return text if len(text) <= _LONG else f"{text[:_LONG]}..."
