"""Games that go wrong: tickets, unless an objective burns."""

from __future__ import annotations

from collections.abc import Iterator

from alerts.parts import Alert, Group, Recording, Severity
from alerts.query import DAY, HOUR, JOB, MINUTE, Query, number
from alerts.text import percent
from otel_setup.catalogue import M
from otel_setup.catalogue import attributes as a
from otel_setup.catalogue.dashboards import Panels

STATE = a.STATE.name
LEFT, SPENT = "job_state:phases_left:rate5m", "job_state:phase_seconds:rate5m"
USUAL = "job_state:phase_duration_seconds:mean7d"
"""How long a phase lasts: the mean of a week."""

LEAST_ENDED, LEAST_SEATS, LEAST_RECONNECTED, LEAST_DROPPED = 10, 20, 20, 5
"""Below, a share says nothing."""


def rules(query: Query) -> Group:
    """Recordings of how long phases last, and the alerts."""
    return Group("game", (*_phases(query), *_alerts(query)))


def _phases(query: Query) -> Iterator[Recording]:
    by = (JOB, a.PHASE.name)
    week = query.window(7 * DAY)
    # A phase is `phase` where it is left and `state` where games are in it: one name for both.
    yield Recording(LEFT, _as_state(query.rate(M.PHASE_DURATION, 5 * MINUTE, by=by, part="count")))
    yield Recording(SPENT, _as_state(query.rate(M.PHASE_DURATION, 5 * MINUTE, by=by, part="sum")))
    yield Recording(USUAL, f"sum_over_time({SPENT}[{week}]) / (sum_over_time({LEFT}[{week}]) > 0)")


def _as_state(expr: str) -> str:
    named = f'label_replace({expr}, "{STATE}", "$1", "{a.PHASE.name}", "(.+)")'
    return f"sum by ({JOB}, {STATE}) ({named})"


def _alerts(query: Query) -> Iterator[Alert]:
    given = query.settings.alerts
    yield _stuck(query)
    yield Alert(
        name="RoomsDoNotStart",
        expr=f"{query.now(M.ROOMS_ACTIVE, {a.STATE: query.catalogue.model.initial})} >= {given.waiting_rooms}\n"
        f"and {query.increase(M.GAMES_STARTED, 15 * MINUTE)} == 0\n"
        f"and {query.increase(M.PLAYERS_JOINED, 15 * MINUTE)} > 0",
        severity=Severity.WARNING,
        hold_seconds=10 * MINUTE,
        summary="Rooms wait, players join them, and no game starts.",
        description="{{ $labels.job }}: {{ $value }} rooms wait, and no game has started for 15 minutes.",
        panel=Panels.WAITING_ROOMS,
    )
    yield Alert(
        name="ReconnectStorm",
        expr=f"{query.increase(M.PLAYERS_RECONNECTED, 5 * MINUTE)} > {LEAST_RECONNECTED}\n"
        f"and {query.increase(M.PLAYERS_RECONNECTED, 5 * MINUTE)}\n"
        f"/ ({query.now(M.CONNECTIONS_ACTIVE)} > 0) > {number(given.reconnects_per_player)}",
        severity=Severity.WARNING,
        hold_seconds=MINUTE,
        summary="Many players come back at once.",
        description='{{ $labels.job }}: {{ $value | printf "%.0f" }} players came back within five minutes.',
        panel=Panels.RECONNECTS,
        keep_seconds=5 * MINUTE,
    )
    abandoned, completed = query.increase(M.GAMES_ABANDONED, HOUR), query.increase(M.GAMES_COMPLETED, HOUR)
    yield Alert(
        name="GamesAbandoned",
        expr=f"{abandoned} / ({abandoned} + {completed} > {LEAST_ENDED}) > {number(given.abandoned_percent / 100)}",
        severity=Severity.WARNING,
        hold_seconds=10 * MINUTE,
        summary="Many games end undecided.",
        description=f"{{{{ $labels.job }}}}: {percent('$value')} of the games of the last hour were abandoned.",
        panel=Panels.ABANDONED,
    )
    yield Alert(
        name="IllegalTransitions",
        expr=f"{query.increase(M.STATE_ILLEGAL_TRANSITIONS, 10 * MINUTE, by=(JOB, a.FROM.name, a.TO.name))} > 0",
        severity=Severity.WARNING,
        hold_seconds=0,
        summary="A game was to enter a phase that its rules forbid.",
        description="{{ $labels.job }}: from {{ $labels.from }} to {{ $labels.to }}, "
        '{{ $value | printf "%.0f" }} times or so within ten minutes. Their traces are all kept.',
        panel=Panels.ILLEGAL,
        keep_seconds=5 * MINUTE,
        why="It fires at once: one is a bug, and the next evaluation may not see it any more.",
    )
    seats, bots = query.increase(M.SEATS, HOUR), query.increase(M.SEATS, HOUR, {a.SEAT_TYPE: a.BOT})
    yield Alert(
        name="BotsOnly",
        expr=f"{bots} / ({seats} > {LEAST_SEATS}) > {number(given.bots_percent / 100)}",
        severity=Severity.WARNING,
        hold_seconds=10 * MINUTE,
        summary="Nearly all seats are bots'.",
        description=f"{{{{ $labels.job }}}}: bots had {percent('$value')} of the seats in games of the last hour.",
        panel=Panels.BOTS,
    )


def _stuck(query: Query) -> Alert:
    half_hour = 30 * MINUTE
    window = query.window(half_hour)
    seconds = number(half_hour * query.settings.alerts.time_scale)
    stay = f"sum by ({JOB}, {STATE}) (avg_over_time({query.select(M.STATE_ACTIVE_GAMES)}[{window}])) * {seconds}"
    leaves = f"avg_over_time({LEFT}[{window}]) * {seconds} + 1"
    return Alert(
        name="PhaseStuck",
        expr=f"{stay}\n/ ({leaves})\n/ ({USUAL} > 0) > {number(query.settings.alerts.stuck_times_usual)}",
        severity=Severity.WARNING,
        hold_seconds=5 * MINUTE,
        summary="Games stay in a phase far longer than usual.",
        description="{{ $labels.job }}: games stay in {{ $labels.state }} "
        '{{ $value | printf "%.0f" }} times as long as in the last week. '
        "The hub's view of the state machine names them.",
        panel=Panels.STUCK,
        why="The time that games spent in a phase, by those that left it: how long one stays (Little's law). One more "
        "has left than has, so that nobody's leaving is not taken for ever.",
    )
