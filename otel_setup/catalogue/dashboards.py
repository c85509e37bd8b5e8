"""Dashboards and those of their panels that something else leads to: alerts, runbooks, other dashboards.

An address that was sent to somebody's phone has to lead somewhere years later. So uids and numbers of panels are
reserved here, once, and never used again for anything else.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Dashboard:
    """A dashboard.

    :param uid: its place in Grafana's addresses, at most 40 characters
    :param title: as people see it
    """

    uid: str
    title: str


@dataclass(frozen=True)
class Panel:
    """A panel that something leads to.

    :param number: its ``id`` in the dashboard
    :param title: as people see it
    """

    dashboard: Dashboard
    number: int
    title: str

    @property
    def path(self) -> str:
        """Its address, without Grafana's own."""
        return f"/d/{self.dashboard.uid}?viewPanel={self.number}"


class Dashboards:
    """All dashboards."""

    OVERVIEW = Dashboard("game-overview", "Game overview")
    PERFORMANCE = Dashboard("game-performance", "Performance")
    STATES = Dashboard("game-state-machine", "State machine")
    LIVE = Dashboard("game-live-ops", "Live ops")
    LOBBY = Dashboard("game-lobby", "Lobby and funnel")
    MATCHES = Dashboard("game-match-health", "Match health")
    CONNECTIONS = Dashboard("game-connections", "Connections")
    PACE = Dashboard("game-turn-pace", "Turn pace and AFK")
    FAIRNESS = Dashboard("game-fairness", "Fairness and balance")
    PLAYERS = Dashboard("game-players", "Players")
    INCIDENT = Dashboard("game-incident", "Incident and SLO")
    PIPELINE = Dashboard("game-telemetry-pipeline", "Telemetry pipeline")
    ANALYTICS = Dashboard("game-analytics", "Analytics")


class Panels:
    """Panels with an address: numbers from 1000, so that a dashboard's other panels can be counted from 1."""

    ACTION_BURN = Panel(Dashboards.INCIDENT, 1001, "Action success: budget burn")
    LATENCY_BURN = Panel(Dashboards.INCIDENT, 1002, "Action latency: budget burn")
    CONNECTION_BURN = Panel(Dashboards.INCIDENT, 1003, "Connections: budget burn")
    COMPLETION_BURN = Panel(Dashboards.INCIDENT, 1004, "Game completion: budget burn")
    WATCHDOG = Panel(Dashboards.INCIDENT, 1005, "Alerting works")

    GAMES_ACTIVE = Panel(Dashboards.OVERVIEW, 1001, "Games being played")
    ERRORS = Panel(Dashboards.OVERVIEW, 1002, "Errors")
    SERVERS = Panel(Dashboards.OVERVIEW, 1003, "Servers that tell")

    MEMORY = Panel(Dashboards.PERFORMANCE, 1001, "Memory, and where it is heading")
    LOOP_LAG = Panel(Dashboards.PERFORMANCE, 1002, "Lateness of the event loop")
    GC_PAUSES = Panel(Dashboards.PERFORMANCE, 1003, "Pauses of the garbage collector")
    DESCRIPTORS = Panel(Dashboards.PERFORMANCE, 1004, "Open file descriptors")
    TASKS = Panel(Dashboards.PERFORMANCE, 1005, "Tasks of the event loop")

    ILLEGAL = Panel(Dashboards.STATES, 1001, "Illegal transitions")

    PLAYERS_BAND = Panel(Dashboards.LIVE, 1001, "Connected players and their usual number")

    WAITING_ROOMS = Panel(Dashboards.LOBBY, 1001, "Full rooms that do not start")
    BOTS = Panel(Dashboards.LOBBY, 1002, "Seats of bots")

    STUCK = Panel(Dashboards.MATCHES, 1001, "Phases that last")
    ABANDONED = Panel(Dashboards.MATCHES, 1002, "Abandoned games")

    DROPS = Panel(Dashboards.CONNECTIONS, 1001, "Lost connections")
    RECONNECTS = Panel(Dashboards.CONNECTIONS, 1002, "Reconnections")

    QUEUES = Panel(Dashboards.PIPELINE, 1001, "Queues of the Collector")
    SENDING = Panel(Dashboards.PIPELINE, 1002, "What could not be sent")
    REFUSED = Panel(Dashboards.PIPELINE, 1003, "What the Collector refused")
    SERVER_LOSSES = Panel(Dashboards.PIPELINE, 1004, "What servers dropped")
    SAMPLING = Panel(Dashboards.PIPELINE, 1005, "Traces decided too early")
    HUB = Panel(Dashboards.PIPELINE, 1006, "Events missing at the hub")
    CANARY = Panel(Dashboards.PIPELINE, 1009, "What the canary sees")
    COLLECTOR_UP = Panel(Dashboards.PIPELINE, 1007, "The Collector runs")
    STILL = Panel(Dashboards.PIPELINE, 1008, "Events published")


def all_panels() -> tuple[Panel, ...]:
    """Every panel with an address."""
    return tuple(value for value in vars(Panels).values() if isinstance(value, Panel))
