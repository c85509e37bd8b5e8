"""Service level objectives: what counts as good, how fast the budget burns, and who is told.

Multi-window, multi-burn-rate alerts (Google, The Site Reliability Workbook, chapter 5, "Alerting on SLOs"): an alert
fires where a long window says that it matters and a short one that it still goes on. Ratios of long windows are
failures of the whole window by events of the whole window, never an average of ratios.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal

from alerts.parts import Alert, Group, Recording, Severity
from alerts.query import DAY, HOUR, JOB, MINUTE, Query, le, number, span
from alerts.text import affected, percent
from otel_setup.catalogue import M
from otel_setup.catalogue import attributes as a
from otel_setup.catalogue.dashboards import Panel, Panels

PERIOD_DAYS = 30

ERRORS, EVENTS = "slo:errors:rate5m", "slo:events:rate5m"
OBJECTIVE, BUDGET = "slo:objective:ratio", "slo:error_budget:ratio"
BURN, LEFT = "slo:current_burn_rate:ratio", "slo:period_error_budget_remaining:ratio"
SLO = "slo"
"""The label that says which objective."""


@dataclass(frozen=True)
class Burn:
    """A burn rate at which somebody is told.

    :param factor: times the rate at which the budget lasts for the whole period
    :param long: window in seconds, in which so much is burnt that it matters
    :param short: window in seconds, in which it must still go on
    :param hold: seconds for which it must be so
    """

    severity: Severity
    factor: Decimal
    long: int
    short: int
    hold: int


# 2 % of the period's budget in an hour, 5 % in six; 10 % in a day, 10 % in three (the workbook's table 5-8).
BURNS = (
    Burn(Severity.CRITICAL, Decimal("14.4"), HOUR, 5 * MINUTE, 2 * MINUTE),
    Burn(Severity.CRITICAL, Decimal(6), 6 * HOUR, 30 * MINUTE, 15 * MINUTE),
    Burn(Severity.WARNING, Decimal(3), DAY, 2 * HOUR, HOUR),
    Burn(Severity.WARNING, Decimal(1), 3 * DAY, 6 * HOUR, 3 * HOUR),
)
WINDOWS = (30 * MINUTE, HOUR, 2 * HOUR, 6 * HOUR, DAY, 3 * DAY, PERIOD_DAYS * DAY)
"""Beside the five minutes of which rates are recorded."""


@dataclass(frozen=True)
class Objective:
    """One objective.

    :param key: its name in the label ``slo``
    :param alert: its alerts' name
    :param bad: what is wrong, as the end of a sentence that begins with a share
    :param percent: how much is good
    :param errors: events a second that were bad, by job and :attr:`by`
    :param events: all events a second
    :param by: further labels
    :param harm: what players notice
    """

    key: str
    alert: str
    bad: str
    percent: Decimal
    errors: Callable[[Query, int], str]
    events: Callable[[Query, int], str]
    harm: str
    panel: Panel
    by: tuple[str, ...] = ()

    @property
    def budget(self) -> Decimal:
        """The share that may be bad."""
        return 1 - self.percent / 100


ABNORMAL_CLOSES = ("1002", "1006", "1011", "1012", "1013", "1014")
"""RFC 6455 §7.4.1 and the IANA registry: protocol error, no close frame, internal error, service restart, try again
later, bad gateway. What players or proxies end in the ordinary way (1000, 1001) is no failure."""


def objectives(query: Query) -> tuple[Objective, ...]:
    """All objectives of a game."""
    given = query.settings.alerts.objectives
    return (
        Objective(
            key="action_success",
            alert="ActionSuccessBudgetBurn",
            bad="of the players' actions failed by the server's doing",
            percent=Decimal(str(given.action_success_percent)),
            errors=lambda q, s: q.rate(M.ACTIONS, s, {a.OUTCOME: ("failed", "cancelled")}),
            events=lambda q, s: q.rate(M.ACTIONS, s),
            harm="Players' actions fail.",
            panel=Panels.ACTION_BURN,
        ),
        Objective(
            key="action_latency",
            alert="ActionLatencyBudgetBurn",
            bad="of the actions of type {{ $labels.action_type }} took longer than they may",
            percent=Decimal(str(given.action_latency_percent)),
            errors=lambda q, s: f"{_all_actions(q, s)} - {_in_time(q, s)}",
            events=_all_actions,
            harm="Players wait for their actions.",
            panel=Panels.LATENCY_BURN,
            by=(a.ACTION.name,),
        ),
        Objective(
            key="connection",
            alert="ConnectionBudgetBurn",
            bad="of the connections that ended did so abnormally",
            percent=Decimal(str(given.connection_percent)),
            errors=lambda q, s: q.rate(M.CLOSES, s, {a.CLOSE_CODE: ABNORMAL_CLOSES}),
            events=lambda q, s: q.rate(M.CLOSES, s),
            harm="Players are thrown out.",
            panel=Panels.CONNECTION_BURN,
        ),
        Objective(
            key="completion",
            alert="GameCompletionBudgetBurn",
            bad="of the games that ended were abandoned",
            percent=Decimal(str(given.completion_percent)),
            errors=lambda q, s: q.rate(M.GAMES_ABANDONED, s),
            events=lambda q, s: f"{q.rate(M.GAMES_COMPLETED, s)} + {q.rate(M.GAMES_ABANDONED, s)}",
            harm="Games are not played to their end.",
            panel=Panels.COMPLETION_BURN,
        ),
    )


def _all_actions(query: Query, seconds: int) -> str:
    return query.rate(M.ACTION_DURATION, seconds, by=(JOB, a.ACTION.name), part="count")


def _in_time(query: Query, seconds: int) -> str:
    """Actions that took no longer than their kind may: each kind has a bucket with that bound, or the next above."""
    model, by_limit = query.catalogue.model, dict[float, list[str]]()
    for action in model.action_types:
        by_limit.setdefault(bucket_above(model.slow_seconds(action)), []).append(action)
    window, parts = query.window(seconds), []
    for limit, actions in by_limit.items():
        bucket = query.select(M.ACTION_DURATION, {a.ACTION: tuple(actions)}, part="bucket", more=le(limit))
        parts.append(f"rate({bucket}[{window}])")
    return f"sum by ({JOB}, {a.ACTION.name}) ({' or '.join(parts)})"


def bucket_above(seconds: float) -> float:
    """The least bound of the histogram of actions that is no lower."""
    return min(bound for bound in M.ACTION_DURATION.buckets if bound >= seconds)


def rules(query: Query) -> Group:
    """Recordings of every objective, and its alerts."""
    every = objectives(query)
    return Group(
        "slo",
        (
            *(rule for objective in every for rule in _of_objective(query, objective)),
            *_ratios(query),
            *(alert for objective in every for alert in _alerts(query, objective)),
        ),
    )


def _of_objective(query: Query, objective: Objective) -> Iterator[Recording]:
    labels = {SLO: objective.key}
    yield Recording(ERRORS, objective.errors(query, 5 * MINUTE), labels)
    yield Recording(EVENTS, objective.events(query, 5 * MINUTE), labels)
    yield Recording(OBJECTIVE, f"vector({number(objective.percent / 100)})", labels)
    yield Recording(BUDGET, f"vector({number(objective.budget)})", labels)


def _ratios(query: Query) -> Iterator[Recording]:
    """Of all objectives at once, since the label tells them apart."""
    yield Recording(
        ratio(5 * MINUTE),
        f"{ERRORS} / ({EVENTS} > 0)",
        why="Where nothing happened there is no ratio, instead of one that is not a number.",
    )
    for seconds in WINDOWS:
        window = query.window(seconds)
        yield Recording(
            ratio(seconds),
            f"sum_over_time({ERRORS}[{window}]) / (sum_over_time({EVENTS}[{window}]) > 0)",
        )
    hour, period = ratio(HOUR), ratio(PERIOD_DAYS * DAY)
    yield Recording(BURN, f"{hour} / on({SLO}) group_left {BUDGET}")
    yield Recording(LEFT, f"1 - {period} / on({SLO}) group_left {BUDGET}")


def ratio(seconds: int) -> str:
    """The recording of the share of bad events in a window."""
    return f"slo:errors:ratio_rate{span(seconds)}"


def _alerts(query: Query, objective: Objective) -> Iterator[Alert]:
    of = f'{{{SLO}="{objective.key}"}}'
    least = query.settings.alerts.objectives.least_events
    for burn in BURNS:
        if burn.factor * objective.budget >= 1:
            continue  # not even if everything were bad
        limit = number(burn.factor * objective.budget)
        long, short = span(burn.long), span(burn.short)
        # The mean rate of the long window times its length is the number of its events.
        length = number(Decimal(burn.long) * Decimal(str(query.settings.alerts.time_scale)))
        yield Alert(
            name=objective.alert,
            expr=f"{ratio(burn.long)}{of} > {limit}\nand {ratio(burn.short)}{of} > {limit}\n"
            f"and avg_over_time({EVENTS}{of}[{query.window(burn.long)}]) * {length} > {least}",
            severity=burn.severity,
            hold_seconds=burn.hold,
            summary=f"{objective.harm[:-1]}, and the error budget burns {number(burn.factor)} times too fast.",
            description=f"{{{{ $labels.job }}}}: {percent('$value')} {objective.bad} within {long}; "
            f"{number(100 - objective.percent)} % may. {affected(query)}",
            panel=objective.panel,
            keep_seconds=5 * MINUTE,
            labels={"long": long, "short": short},
        )
