"""The one object a game server talks to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from otel_setup.background import Background
from otel_setup.blocks import ActionBlock, TransitionBlock
from otel_setup.compat import GameMetricsCollector, MetricsCollector
from otel_setup.core import Core
from otel_setup.events.filter import EventFilter
from otel_setup.events.logger import EventLogger
from otel_setup.events.past import Since
from otel_setup.events.stream import EventStream, EventSubscriber
from otel_setup.events.tee import EventTee
from otel_setup.ledger import reports
from otel_setup.queue_tokens import QueueToken
from otel_setup.recorder import Recorder
from otel_setup.runtime import SystemMetricsCollector
from otel_setup.telemetry import configure, current_core
from otel_setup.tracing import StateTracer
from otel_setup.visualization import StateVisualizationProvider


class EnterpriseMonitor(Recorder):
    """Monitors a game server. It works with no configuration (then locally) and never raises into the game.

    All monitors of a process share what they know: there is one ledger, one event stream, one /metrics.

    Parameters:
        core: what to observe with; the process's own where not given.

    Attributes:
        metrics_collector: records the game's declared business metrics.
        game_metrics: single facts about games, and the figures that came of them.
        tracer: spans for the game's own operations.
        visualization: the views.
    """

    def __init__(self, core: Callable[[], Core] = current_core) -> None:
        super().__init__(core)
        self.metrics_collector = MetricsCollector(self)
        self.game_metrics = GameMetricsCollector(self)
        self.tracer = StateTracer(core)
        self.visualization = StateVisualizationProvider(core)
        self._background = Background(self)

    @property
    def service_name(self) -> str:
        """``service.name`` of everything exported."""
        return self.core.settings.service

    @property
    def system_metrics(self) -> SystemMetricsCollector:
        """Memory, CPU and garbage collection of this process."""
        return self.core.system

    @property
    def event_logger(self) -> EventLogger:
        """Publishes the usual events by hand."""
        return EventLogger(self.core.stream)

    @property
    def logger(self) -> EventTee:
        """An OpenTelemetry logger: its records are events of the stream first, and are exported after."""
        core = self.core
        return EventTee(core.publish, lambda fault: core.faults.count("stream", fault))

    @property
    def event_stream(self) -> EventStream:
        """Every event of this process, live and from memory."""
        return self.core.stream

    async def start(self) -> None:
        """Starts background work on the running loop: heartbeats, snapshots, memory samples, clean-up."""
        with self.core.faults.guard("runtime"):
            self._background.start()

    async def stop(self) -> None:
        """Stops background work. Exporting goes on; ``telemetry.shutdown()`` ends it."""
        with self.core.faults.guard("runtime"):
            await self._background.stop()

    def monitor_state_transition(
        self, game_id: str, from_state: str, to_state: str, correlation_id: str | None = None
    ) -> TransitionBlock:
        """Wraps a transition: ``async with monitor.monitor_state_transition("game123", "TURN", "SCORING"):``.

        Success counts the edge and moves the game, unless a transition entered later has moved it already. An
        exception or a cancellation leaves the game where it was and passes on. A pair that the rules do not allow is
        counted as illegal besides.
        """
        return TransitionBlock(self.core, game_id, from_state, to_state, correlation_id)

    def monitor_action_processing(
        self,
        game_id: str,
        action_type: str,
        player_id: str,
        correlation_id: str | None = None,
        token: QueueToken | None = None,
    ) -> ActionBlock:
        """Wraps the execution of an action; ``handle.outcome("rejected")`` says how it ended, ``accepted`` else.

        Parameters:
            token: what :meth:`capture` gave when the action was queued; measures the wait and carries correlation.
        """
        return ActionBlock(self.core, game_id, action_type, player_id, correlation_id, token)

    def capture(self) -> QueueToken:
        """Captures correlation, trace and time for an action that is queued now and executed later."""
        return self.core.waiting.capture()

    async def subscribe_to_events(
        self,
        subscriber_id: str | None = None,
        event_filter: EventFilter | None = None,
        *,
        since: Since = None,
        **wishes: Any,
    ) -> EventSubscriber:
        """A reader of the event stream: from now on, or from somewhere in the past, at whatever speed.

        Parameters:
            subscriber_id, event_filter, since, wishes: see :meth:`EventStream.subscribe`, which also says what it
                raises where the id is taken, all places are, or an argument makes no sense.
        """
        return await self.core.stream.subscribe(subscriber_id, event_filter, since=since, **wishes)

    def get_visualization_data(self, viz_type: str | None = None) -> dict[str, Any]:
        """A view by name (``state_diagram``, ``room_status``, ``performance``, ``errors``, ``flow_diagram``,
        ``player_activity``), or all of them.
        """
        return self.visualization.get_view(viz_type)

    def get_monitoring_status(self) -> dict[str, Any]:
        """What runs, and how much is held."""
        core = self.core
        tracing = bool(core.settings.traces) and not core.settings.disabled
        return {
            "service_name": self.service_name,
            "collectors": {"metrics": True, "game_metrics": True, "system_metrics": True, "tracer": tracing},
            "background_running": self._background.running,
            "event_stream": core.stream.get_statistics(),
            "game_analytics": reports.game_analytics(core.ledger),
            "system_summary": core.system.get_memory_summary(),
            "active_traces": len(self.tracer.get_active_traces()),
            "visualization_rooms": len(core.ledger.rooms),
            "internal_errors": core.fault_counts(),
            "exported": dict(core.exports.accepted),
            "export_failures": dict(core.exports.failed),
        }


_monitor = EnterpriseMonitor()


def get_enterprise_monitor() -> EnterpriseMonitor:
    """The monitor of this process; always the same one."""
    return _monitor


def configure_enterprise_monitoring(
    service_name: str = "liap-tui", enable_tracing: bool = True, enable_console_export: bool = False
) -> EnterpriseMonitor:
    """``configure()`` by the names of the API this product succeeds.

    Raises:
        ConfigError: naming everything that is wrong.
    """
    configure(service=service_name, traces=enable_tracing, console=enable_console_export)
    return get_enterprise_monitor()


def configure_tracing(service_name: str = "liap-tui", enable_console_export: bool = False) -> StateTracer:
    """``configure()`` with traces on, by the names of the API this product succeeds.

    Raises:
        ConfigError: naming everything that is wrong.
    """
    configure(service=service_name, traces=True, console=enable_console_export)
    return get_tracer()


def get_tracer() -> StateTracer:
    """The tracer of this process's monitor."""
    return get_enterprise_monitor().tracer


def configure_event_stream(history_size: int = 10_000, max_subscribers: int = 100) -> EventStream:
    """Changes the bounds of this process's event stream; what no longer fits leaves, oldest first, and is counted."""
    stream = get_event_stream()
    stream.resize(history_size, max_subscribers)
    return stream


def get_event_stream() -> EventStream:
    """Every event of this process, live and from memory."""
    return get_enterprise_monitor().event_stream
