"""The four alerts that the product's first document listed, as tickets, and quiet where nobody plays."""

from __future__ import annotations

from collections.abc import Iterator

from alerts.game import LEAST_DROPPED
from alerts.parts import Alert, Group, Severity
from alerts.query import INSTANCE, JOB, MINUTE, Query, number
from alerts.runtime import MEBIBYTE
from alerts.text import percent
from otel_setup.catalogue import M
from otel_setup.catalogue import attributes as a
from otel_setup.catalogue.dashboards import Panels


def rules(query: Query) -> Group:
    """The alerts."""
    return Group("seed", tuple(_alerts(query)))


def _alerts(query: Query) -> Iterator[Alert]:
    given = query.settings.alerts
    traffic = f"{query.now(M.CONNECTIONS_ACTIVE)} >= {given.traffic_connections}"
    yield Alert(
        name="HighMemoryUsage",
        expr=f"{query.now(M.PROCESS_MEMORY_USAGE, by=(JOB, INSTANCE))} > {given.memory_mebibytes * MEBIBYTE}",
        severity=Severity.WARNING,
        hold_seconds=10 * MINUTE,
        summary="A server holds much memory.",
        description="{{ $labels.job }} on {{ $labels.instance }} holds {{ $value | humanize1024 }}B.",
        panel=Panels.MEMORY,
    )
    errors = query.rate(M.STATE_ERRORS, 5 * MINUTE)
    failed = query.rate(M.ACTIONS, 5 * MINUTE, {a.OUTCOME: "failed"})
    yield Alert(
        name="HighErrorRate",
        expr=f"{errors} + {failed} > {number(given.errors_per_second)}\nand {traffic}",
        severity=Severity.WARNING,
        hold_seconds=5 * MINUTE,
        summary="Transitions and actions fail.",
        description='{{ $labels.job }}: {{ $value | printf "%.2f" }} a second fail.',
        panel=Panels.ERRORS,
    )
    yield Alert(
        name="NoActiveGames",
        expr=f"{query.now(M.GAMES_ACTIVE)} == 0\nand {traffic}\n"
        f"and {query.increase(M.PLAYERS_JOINED, 30 * MINUTE)} > 0",
        severity=Severity.WARNING,
        hold_seconds=15 * MINUTE,
        summary="Players are there, and no game is being played.",
        description="{{ $labels.job }}: players are connected and have joined rooms, and no game is being played.",
        panel=Panels.GAMES_ACTIVE,
        why="An empty evening is no fault: only where players wait.",
    )
    lost = query.increase(M.PLAYERS_DISCONNECTED, 10 * MINUTE)
    there = f"{lost} + {query.now(M.CONNECTIONS_ACTIVE)}"
    yield Alert(
        name="ConnectionDrops",
        expr=f"{lost} > {LEAST_DROPPED}\nand {lost} / ({there} > 0) > {number(given.connection_drops_percent / 100)}",
        severity=Severity.WARNING,
        hold_seconds=2 * MINUTE,
        summary="Players lose their connections during games.",
        description='{{ $labels.job }}: {{ $value | printf "%.0f" }} players lost their connection within ten minutes, '
        f"more than {percent(number(given.connection_drops_percent / 100))} of those who were there.",
        panel=Panels.DROPS,
        why="Losses alone: that more connections end than begin is every evening.",
    )
