"""Silence: what tells nothing any more, and whether alerts arrive at all."""

from __future__ import annotations

from alerts.parts import Alert, Group, Severity, Team
from alerts.query import INSTANCE, JOB, MINUTE, Query
from alerts.text import affected
from deploy.prometheus import COLLECTOR_JOB, HUB_JOB
from otel_setup.catalogue import M
from otel_setup.catalogue.dashboards import Panels

UP = "up"


def rules(query: Query) -> Group:
    """Alerts on silence."""
    alerts = [_watchdog(), _down("CollectorDown", COLLECTOR_JOB, query), _servers_gone(query), _stalled(query)]
    if query.settings.hub.enabled:
        alerts.append(_down("HubDown", HUB_JOB, query))
    return Group("absence", tuple(alerts), Team.PLATFORM)


def _watchdog() -> Alert:
    return Alert(
        name="Watchdog",
        expr="vector(1)",
        severity=Severity.NONE,
        hold_seconds=0,
        summary="Alerts arrive.",
        description="This alert is always on. Whoever gets it raises an alarm where it stops coming.",
        panel=Panels.WATCHDOG,
    )


def _down(name: str, job: str, query: Query) -> Alert:
    of = f'{{{JOB}="{job}"}}'
    summary = {
        COLLECTOR_JOB: "The Collector does not answer, and nothing is seen of the games any more.",
        HUB_JOB: "The hub does not answer, and events wait at the Collector.",
    }[job]
    return Alert(
        name=name,
        expr=f"{UP}{of} == 0 or absent({UP}{of})",
        severity=Severity.CRITICAL,
        hold_seconds=2 * MINUTE,
        summary=summary,
        description=f"It has not been reached for two minutes. {affected(query)}",
        panel=Panels.COLLECTOR_UP if job == COLLECTOR_JOB else Panels.HUB,
        why="absent: where Prometheus does not even know that it should be there.",
    )


def _servers_gone(query: Query) -> Alert:
    games, recent = query.select(M.GAMES_ACTIVE), query.window(15 * MINUTE)
    return Alert(
        name="GameServersSilent",
        expr=f"sum by ({JOB}) (last_over_time({games}[{recent}])) > 0\nunless sum by ({JOB}) ({games})",
        severity=Severity.CRITICAL,
        hold_seconds=MINUTE,
        summary="Servers on which games were being played tell nothing any more.",
        description="{{ $labels.job }}: {{ $value }} games were being played when the last of its servers was heard "
        f"of, and none has told anything since. {affected(query)}",
        panel=Panels.SERVERS,
        why="Servers without games may end: that is an evening.",
    )


def _stalled(query: Query) -> Alert:
    by = (JOB, INSTANCE)
    probed = query.rate(M.EVENT_LOOP_LAG, 5 * MINUTE, by=by, part="count")
    connected = query.now(M.CONNECTIONS_ACTIVE, by=by)
    return Alert(
        name="GameServerStalled",
        expr=f"{probed} == 0\nand {connected} >= {query.settings.alerts.traffic_connections}",
        severity=Severity.CRITICAL,
        hold_seconds=MINUTE,
        summary="A server's event loop hangs while players are connected.",
        description="{{ $labels.job }} on {{ $labels.instance }} still sends metrics, from a thread of their own, but "
        f"its event loop has not run for minutes: its players see nothing move. {affected(query)}",
        panel=Panels.STILL,
        why="The loop measures its own lateness ten times a second, whatever is played.",
    )
