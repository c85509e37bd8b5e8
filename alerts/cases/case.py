"""What a case is made of: series that are given, times at which it is looked, and what must be so then."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from otel_setup.catalogue import Catalogue
from settings import Settings

JOB, INSTANCE = "games/server", "server-1"
"""Of the server that the series of a case come from."""

NOTHING_KNOWN = "Now: unknown games, unknown connections; no servers started within the last 30 minutes."
"""How a critical message ends where the series of games, connections and servers are not there."""


class Kind(StrEnum):
    """What a case shows. Every alert has one of each but the last."""

    FIRES = "fires"
    BELOW = "below"
    """It is silent just below its threshold."""
    RESOLVES = "resolves"
    ABSENT = "absent"
    """What it does where there are no series."""
    MORE = "more"


@dataclass(frozen=True)
class Firing:
    """An alert as it must be, whole."""

    alert: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]


@dataclass(frozen=True)
class Sample:
    """A value that an expression must have at a time, and its labels but for the name."""

    at: str
    expr: str
    labels: str
    value: float


@dataclass(frozen=True)
class Case:
    """One case.

    :param alert: which it is about
    :param name: a sentence
    :param series: values in promtool's notation by series, one a minute
    :param checks: by time, all alerts of the group that fire then; every other one must be silent
    :param samples: what recordings must say
    :param every: between two evaluations of the rules
    """

    alert: str
    kind: Kind
    name: str
    series: Mapping[str, str]
    checks: Mapping[str, tuple[Firing, ...]] = field(default_factory=dict)
    samples: tuple[Sample, ...] = ()
    every: str = "1m"


@dataclass(frozen=True)
class Game:
    """What differs from game to game, and from one deployment to another.

    :param quick: an action, and the seconds that it may take
    :param patient: an action that may take another time than most, if the game has one
    :param initial: the phase in which rooms wait
    :param later: two phases after it
    :param buckets: the upper bounds of the histogram of actions, in seconds
    """

    prefix: str
    quick: tuple[str, float]
    patient: tuple[str, float] | None
    initial: str
    later: tuple[str, str]
    buckets: tuple[float, ...]
    runbooks_url: str
    grafana_url: str

    def annotations(self, alert: str, summary: str, description: str, panel: str) -> dict[str, str]:
        """All that a message says.

        :param panel: the end of the address in Grafana: ``game-overview?viewPanel=1001``
        """
        return {
            "summary": summary,
            "description": description,
            "runbook_url": f"{self.runbooks_url}/{alert}.md",
            "dashboard_url": f"{self.grafana_url}/d/{panel}",
        }

    def own(self, name: str, **labels: str) -> str:
        """A series of the game's metrics; see :func:`series`."""
        return series(f"{self.prefix}_{name}", **labels)

    def bound(self, seconds: float) -> float:
        """The bound of the bucket that holds what took so long."""
        return min(bound for bound in self.buckets if bound >= seconds)


def game_of(settings: Settings, catalogue: Catalogue) -> Game:
    """The game of a catalogue."""
    model = catalogue.model
    limits = {action: model.slow_seconds(action) for action in model.action_types}
    quick = next((a for a in limits if a not in model.slow_action_seconds), model.action_types[0])
    patient = next((action for action, seconds in limits.items() if seconds > limits[quick]), None)
    later = [phase for phase in model.phases if phase not in (model.initial, *model.terminal)] or [model.initial]
    buckets = next(m.declared.buckets for m in catalogue.metrics if m.declared.name == "action.duration")
    return Game(
        prefix=catalogue.prefix,
        quick=(quick, limits[quick]),
        patient=(patient, limits[patient]) if patient else None,
        initial=model.initial,
        later=(later[0], later[-1]),
        buckets=buckets,
        runbooks_url=settings.alerts.runbooks_url,
        grafana_url=settings.alerts.grafana_url,
    )


def series(name: str, **labels: str) -> str:
    """A series of the server :data:`INSTANCE`, or of whom the labels name; one ending in ``_`` is written without."""
    every = {"job": JOB, "instance": INSTANCE} | {label.rstrip("_"): value for label, value in labels.items()}
    matchers = ", ".join(f'{label}="{value}"' for label, value in every.items())
    return f"{name}{{{matchers}}}"


def counter(*spells: tuple[int, float]) -> str:
    """A counter from zero: for so many minutes it rises by so much in each."""
    text, value = "0", 0.0
    for minutes, step in spells:
        text += f" {value + step}+{step}x{minutes - 1}"
        # Added up as promtool does: what begins the least bit lower than its last value was reset.
        for _ in range(minutes):
            value += step
    return text


def gauge(*spells: tuple[int, float | None]) -> str:
    """Values that each stay for so many minutes; for None there are no samples."""
    return " ".join(
        f"_x{minutes}" if value is None else f"{_number(value)}+0x{minutes - 1}" for minutes, value in spells
    )


def line(start: float, step: float, minutes: int) -> str:
    """A gauge that goes on rising for so many minutes."""
    return f"{_number(start)}+{_number(step)}x{minutes}"


def _number(value: float) -> str:
    return f"{value:.12g}"
