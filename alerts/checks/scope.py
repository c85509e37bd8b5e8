"""What checks work on: rules that are read once, and all series there are, the recorded ones included."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

import promql_parser as p

from alerts.checks.syntax import SyntaxProblem, parsed, queries_in, walk
from alerts.known import Series
from alerts.parts import Alert, Recording, Team
from alerts.render import as_rule
from settings import Settings


@dataclass(frozen=True)
class Finding:
    """A fault of a rule.

    :param rule: its name
    :param what: what is wrong
    :param todo: what to do about it
    """

    rule: str
    what: str
    todo: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.what}; {self.todo}"


@dataclass(frozen=True)
class Checked:
    """A rule and the trees of its expressions.

    :param expr: what it records or alerts on
    :param labels: that it puts on what it yields
    :param messages: the annotations of an alert
    :param queries: what its messages ask beside that
    """

    rule: Recording | Alert
    expr: p.Expr
    labels: Mapping[str, str]
    messages: Mapping[str, str] = field(default_factory=dict)
    queries: tuple[p.Expr, ...] = ()

    @property
    def name(self) -> str:
        """As findings call it, so that rules of one name can be told apart."""
        labels = ",".join(f'{label}="{value}"' for label, value in self.rule.labels.items())
        return f"{name_of(self.rule)}{{{labels}}}" if labels else name_of(self.rule)

    @property
    def exprs(self) -> tuple[p.Expr, ...]:
        """The expression and the queries."""
        return (self.expr, *self.queries)

    def nodes(self) -> Iterator[p.Expr]:
        """Everything in all expressions."""
        for expr in self.exprs:
            yield from walk(expr)

    def finding(self, what: str, todo: str) -> Finding:
        """A fault of this rule."""
        return Finding(self.name, what, todo)


@dataclass(frozen=True)
class Scope:
    """Everything that a rule may refer to.

    :param series: what is not recorded, by name
    :param recorded: the rules that record a name
    :param inferred: what is recorded as series, as far as it was asked for
    """

    settings: Settings
    series: Mapping[str, Series]
    recorded: Mapping[str, Sequence[Checked]]
    inferred: dict[str, Series | None] = field(default_factory=dict)


def name_of(rule: Recording | Alert) -> str:
    """What a rule records, or what an alert is called."""
    return rule.record if isinstance(rule, Recording) else rule.name


def read(rule: Recording | Alert, settings: Settings, team: Team) -> Checked | Finding:
    """A rule with its trees, or what keeps it from being read."""
    try:
        if isinstance(rule, Recording):
            return Checked(rule, parsed(rule.expr), rule.labels)
        rendered = as_rule(rule, settings, team)
        messages = cast(Mapping[str, str], rendered["annotations"])
        labels = cast(Mapping[str, str], rendered["labels"])
        queries = [query for text in [*messages.values(), *labels.values()] for query in queries_in(text)]
        return Checked(rule, parsed(rule.expr), labels, messages, tuple(map(parsed, dict.fromkeys(queries))))
    except SyntaxProblem as problem:
        return Finding(name_of(rule), f"an expression cannot be read: {problem}", "write it as Prometheus does")
