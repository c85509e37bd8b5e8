"""Thresholds of the alerts: when somebody is woken, when a ticket is enough, and where the links lead.

Change a threshold here, not in a rule. What is a window or a time is in seconds, and ``time_scale`` shrinks all of them
together, so that a drill sees within seconds what takes an hour.
"""

from __future__ import annotations

from dataclasses import dataclass

from settings.fields import number, url


@dataclass(frozen=True)
class ObjectiveSettings:
    """Service level objectives: the share of good events, in percent, over thirty days."""

    action_success_percent: float = number(99.9, minimum=50, maximum=99.9999)
    """Actions that did not fail by the server's doing; what the rules of the game reject is not a failure."""

    action_latency_percent: float = number(99.0, minimum=50, maximum=99.9999)
    """Actions of each kind that took no longer than the game's model allows for that kind."""

    connection_percent: float = number(99.0, minimum=50, maximum=99.9999)
    """Connections that did not end abnormally."""

    completion_percent: float = number(90.0, minimum=50, maximum=99.9999)
    """Games that were played to their decision."""

    least_events: int = number(100)
    """With fewer events in a burn rate's long window nothing is said: one failure of ten is no trend."""


@dataclass(frozen=True)
class AlertSettings:
    """When alerts fire."""

    objectives: ObjectiveSettings = ObjectiveSettings()

    time_scale: float = number(1.0, minimum=0.0001, maximum=1.0)
    """Every window and every pending time of a rule is multiplied by it; only for drills, since it makes alerts
    nervous."""

    runbooks_url: str = url("http://localhost:8000/runbooks")
    """Where docs/runbooks is served."""

    grafana_url: str = url("http://localhost:3000")
    """Where the dashboards are."""

    memory_mebibytes: int = number(1024)
    """A server's resident memory from which it is high, and which a growing one is expected to reach."""

    errors_per_second: float = number(1.0, minimum=0.001)
    """Errors of states and failed actions, of a whole game."""

    connection_drops_percent: float = number(10.0, minimum=0.1, maximum=100)
    """Players who lost their connection within ten minutes, of those who were connected."""

    abandoned_percent: float = number(30.0, minimum=0.1, maximum=100)
    """Games that ended undecided within an hour, of all that ended."""

    reconnects_per_player: float = number(0.5, minimum=0.01)
    """Players who came back within five minutes, for each one that is connected: above, all come back at once."""

    stuck_times_usual: float = number(10.0, minimum=1.5)
    """A phase is stuck where no game has left it for so many times as long as it usually lasts."""

    waiting_rooms: int = number(3)
    """Full rooms from which no game starts."""

    bots_percent: float = number(90.0, minimum=1, maximum=100)
    """Seats taken by bots, of all seats of the games that ended within an hour."""

    loop_lag_seconds: float = number(0.1, minimum=0.001)
    """By how much callbacks of a server's event loop are late, in the 99th of a hundred."""

    gc_pause_seconds: float = number(0.1, minimum=0.001)
    """How long a garbage collection holds a server up, in the 99th of a hundred."""

    forecast_hours: float = number(4.0, minimum=0.1)
    """How far ahead memory and descriptors are extrapolated."""

    descriptors: int = number(50_000)
    """Open file descriptors that a server may have (``ulimit -n``)."""

    tasks: int = number(20_000)
    """Tasks of a server's event loop."""

    queue_percent: float = number(60.0, minimum=1, maximum=100)
    """How full a Collector's queue may be before somebody looks."""

    traffic_connections: int = number(1)
    """With fewer connections there are no players, and what they do not do is not missed."""
