"""What rules are made of: recordings, alerts, groups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from otel_setup.catalogue.dashboards import Panel


class Severity(StrEnum):
    """What an alert asks for."""

    CRITICAL = "critical"
    """Somebody is woken: players are hurt now, or it cannot be seen any more whether they are."""
    WARNING = "warning"
    """A ticket: it wants looking at, not tonight."""
    NONE = "none"
    """Nothing; it tells that alerts arrive."""


class Team(StrEnum):
    """Whose alert it is; a deployment may send each team's alerts elsewhere."""

    GAME = "game"
    """Who runs the game servers."""
    PLATFORM = "platform"
    """Who runs what watches them."""


@dataclass(frozen=True)
class Recording:
    """A recording rule.

    :param record: ``level:metric:operations``
        (https://prometheus.io/docs/practices/rules/)
    :param labels: added to what the expression yields
    :param why: a comment above it
    """

    record: str
    expr: str
    labels: Mapping[str, str] = field(default_factory=dict)
    why: str = ""


@dataclass(frozen=True)
class Alert:
    """An alerting rule.

    :param name: in CamelCase; its runbook has the same name
    :param hold_seconds: for how long it must be so before it fires
    :param keep_seconds: for how long it goes on after it is over, so that it does not flap
    :param summary: one sentence without numbers, the same for every instance
    :param description: what is so, with numbers; a template of Prometheus
    :param panel: draws the expression and its threshold
    :param labels: beside the severity and the team
    :param why: a comment above it
    """

    name: str
    expr: str
    severity: Severity
    hold_seconds: float
    summary: str
    description: str
    panel: Panel
    keep_seconds: float = 0
    labels: Mapping[str, str] = field(default_factory=dict)
    why: str = ""


@dataclass(frozen=True)
class Group:
    """Rules that are evaluated one after the other, each seeing what those before it recorded.

    :param team: whose alerts they are
    """

    name: str
    rules: tuple[Recording | Alert, ...]
    team: Team = Team.GAME

    @property
    def alerts(self) -> tuple[Alert, ...]:
        """Those of its rules that are alerts."""
        return tuple(rule for rule in self.rules if isinstance(rule, Alert))
