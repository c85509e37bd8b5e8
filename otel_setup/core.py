"""What one process observes with: catalogue, ledger, stream, instruments, tracer, and the way an event takes.

    publish(event) ─► one lock: ledger, sequence, uid, stream ─► metrics ─► log record to the delegate logger

There is one :class:`Core` in a process. It works before anything is configured, on local providers;
``configure()`` gives it exporters, and may do so again.
"""

from __future__ import annotations

import itertools
import secrets
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

from opentelemetry import _logs as logs_api
from opentelemetry import metrics as metrics_api
from opentelemetry import trace as trace_api
from opentelemetry._logs import Logger, SeverityNumber
from opentelemetry.metrics import Meter
from opentelemetry.trace import Tracer

from otel_setup.catalogue import EVENTS, Catalogue, Event, M, Severity, build
from otel_setup.catalogue import attributes as a
from otel_setup.config import Settings
from otel_setup.correlation import dropped_metadata_count, evicted_count, get_correlation_id, refused_count
from otel_setup.events.log_records import attributes_of
from otel_setup.events.record import SystemEvent
from otel_setup.events.stream import EventStream
from otel_setup.faults import Faults
from otel_setup.game_model import OTHER
from otel_setup.instruments import Instruments, Reading, Readings
from otel_setup.ledger import Ledger, reports
from otel_setup.measures import measure
from otel_setup.queue_tokens import QueueTokens
from otel_setup.runtime_metrics import SystemMetricsCollector
from otel_setup.sdk.exporters import ExportCounts
from otel_setup.text import clean_id

SCOPE = "otel_setup"
"""Name of the instrumentation scope of everything this product emits."""

_PHASE_KEYS = {attribute.data_key for attribute in (a.STATE_FROM, a.STATE_TO, a.STATE_NAME, a.PHASE_NAME)}
_ACTION_KEY = a.ACTION_TYPE.data_key
_DECLARED: dict[str, Event] = {str(event.name): event for event in EVENTS}


class Core:
    """The parts, and the one way events take through them.

    Parameters:
        settings: how it is configured.

    Attributes:
        scrapes: counts the requests to /metrics and those that failed; whoever answers them sets it.
    """

    def __init__(self, settings: Settings) -> None:
        self.lock = threading.RLock()
        self.faults = Faults()
        self.exports = ExportCounts()
        self.waiting = QueueTokens()
        self.system = SystemMetricsCollector()
        self.scrapes: Callable[[], tuple[int, int]] = lambda: (0, 0)
        self.trace_contexts_dropped = 0
        self.settings = settings
        self.stream = EventStream(settings.history_size, settings.max_subscribers, lock=self.lock)
        self.stream.publisher = self.publish
        self.catalogue: Catalogue
        self.ledger: Ledger
        self.instruments: Instruments
        self.tracer: Tracer
        self._delegate: Logger
        self._epoch = ""
        self._sent = 0
        self._ordinals = itertools.count(1)
        self._observe(settings)

    def _observe(self, settings: Settings) -> None:
        self.catalogue = build(settings.model, settings.prefix, settings.business_metrics)
        self.ledger = Ledger(settings.model, settings.bounds, self.lock)

    def connect(self, settings: Settings, meters: Sequence[Meter], tracer: Tracer | None, logger: Logger) -> None:
        """Moves to new providers: metrics start at 0 and a new epoch of event ids begins.

        Live games stay, unless the game itself is another.

        Parameters:
            settings: the new configuration.
            meters: where metrics are recorded.
            tracer: creates spans; None for none.
            logger: receives events after the local stream.
        """
        with self.lock:
            if settings.model != self.settings.model or settings.bounds != self.settings.bounds:
                self._observe(settings)
            else:
                self.catalogue = build(settings.model, settings.prefix, settings.business_metrics)
            self.settings = settings
            self.stream.resize(settings.history_size, settings.max_subscribers)
            self.instruments = Instruments(self.catalogue, meters, self._readings(), self._callback_failed)
            self.tracer = tracer or trace_api.NoOpTracer()
            self._delegate = logger
            self._epoch = secrets.token_hex(4)
            self._sent = 0
        self.instruments.export_zeros()

    def connect_locally(self, meter: Meter) -> None:
        """Before ``configure()``: local metrics, and whatever providers the application installed, or will install."""
        self.connect(
            self.settings,
            (meter, metrics_api.get_meter(SCOPE)),
            trace_api.get_tracer(SCOPE),
            logs_api.get_logger(SCOPE),
        )

    def disconnect(self) -> None:
        """Stops handing events and spans on; the local parts stay."""
        with self.lock:
            self.tracer = trace_api.NoOpTracer()
            self._delegate = logs_api.NoOpLogger(SCOPE)

    # --- events -----------------------------------------------------------------------------------------------------

    def next_ordinal(self) -> int:
        """The next number in the order in which transitions are entered."""
        return next(self._ordinals)

    def phase(self, name: object) -> str:
        """The canonical name of a phase; an unknown one is ``other`` and counted."""
        phase = self.settings.model.phase(name)
        if phase == OTHER != name:
            self.irregular("unknown_state", f"phase {clean_id(name)!r} is not in the game model")
        return phase

    def action(self, name: object) -> str:
        """The canonical name of an action type; an unknown one is ``other`` and counted."""
        action = self.settings.model.action(name)
        if action == OTHER != name:
            self.irregular("unknown_action", f"action {clean_id(name)!r} is not in the game model")
        return action

    def irregular(self, kind: str, message: str) -> None:
        """Counts odd input that is recorded all the same, and logs the first of its kind."""
        self.instruments.add(M.INPUT_IRREGULAR, kind=kind)
        self.faults.note(kind, message)

    def complete(self, event: SystemEvent) -> SystemEvent:
        """Fills in what the caller left open: severity, room, correlation, trace; phases and actions by their names."""
        declared = _DECLARED.get(event.event_type)
        data = dict(event.data)
        for key in _PHASE_KEYS & data.keys():
            data[key] = self.phase(data[key])
        if _ACTION_KEY in data:
            data[_ACTION_KEY] = self.action(data[_ACTION_KEY])
        context = trace_api.get_current_span().get_span_context()
        return replace(
            event,
            sequence=0,
            data=data,
            severity=declared.severity if declared and event.severity is Severity.INFO else event.severity,
            room_id=event.room_id or (self.ledger.room_of(event.game_id) if event.game_id else None),
            correlation_id=event.correlation_id or get_correlation_id(),
            trace_id=event.trace_id or (format(context.trace_id, "032x") if context.is_valid else ""),
            span_id=event.span_id or (format(context.span_id, "016x") if context.is_valid else ""),
        )

    def publish(self, event: SystemEvent) -> None:
        """Takes an event in: ledger and stream in one step, then metrics, then export. Never raises, never blocks."""
        with self.faults.guard("stream"):
            event = self.complete(event)
            exported = self._delegate.enabled(event_name=event.event_type)
            with self.lock:
                facts = self.ledger.apply(event)
                if exported:
                    self._sent += 1
                # complete() made this object and nobody else has it yet: setting beats copying it once more
                object.__setattr__(event, "event_id", self._event_id(exported=exported))
                event = self.stream.append(event)
            with self.faults.guard("measures"):
                measure(self.instruments, event, facts)
                if facts.irregular:
                    what = facts.irregular.replace("_", " ")
                    self.irregular(facts.irregular, f"{event.event_type} of game {event.game_id!r}: {what}")
            if exported:
                with self.faults.guard("export"):
                    self._export(event)

    def _event_id(self, *, exported: bool) -> str:
        """``instance-epoch-sequence``; what is not exported has ids of its own, so that exported ones have no holes."""
        if exported:
            return f"{self.settings.instance_id}-{self._epoch}-{self._sent}"
        return f"{self.settings.instance_id}-{self._epoch}-local{self.stream.total_events + 1}"

    def _export(self, event: SystemEvent) -> None:
        self._delegate.emit(
            timestamp=event.timestamp_ns,
            severity_number=SeverityNumber(event.severity.value),
            severity_text=event.severity.name,
            event_name=event.event_type.value,
            attributes=attributes_of(event),
        )

    @property
    def epoch(self) -> str:
        """Names the time since the last ``configure()``."""
        return self._epoch

    @property
    def sent(self) -> int:
        """Events handed to the exporter in this epoch."""
        return self._sent

    # --- observable metrics -----------------------------------------------------------------------------------------

    def _callback_failed(self, fault: Exception) -> None:
        self.faults.count("measures", fault)

    def _readings(self) -> Readings:
        ledger, system = self.ledger, self.system
        return {
            M.GAMES_ACTIVE.name: lambda: _one(reports.games_active(ledger)),
            M.GAMES_PER_HOUR.name: lambda: _one(reports.games_per_hour(ledger)),
            M.GAME_DURATION.name: lambda: _one(reports.mean_game_minutes(ledger)),
            M.STATE_ACTIVE_GAMES.name: lambda: _by("state", reports.games_by_state(ledger)),
            M.PLAYER_WIN_RATE.name: lambda: _by("type", reports.win_rates(ledger)),
            M.ROOMS_ACTIVE.name: lambda: _by("state", reports.rooms_by_state(ledger)),
            M.ROOM_HEALTH.name: lambda: _by("status", reports.rooms_by_health(ledger)),
            M.CONNECTIONS_ACTIVE.name: lambda: _one(reports.connections_active(ledger)),
            M.ACTION_QUEUE_DEPTH.name: lambda: _one(len(self.waiting)),
            M.MEMORY_USAGE.name: lambda: _by("type", system.memory_mb()),
            M.MEMORY_GROWTH.name: lambda: _one(system.growth_rate_mb_per_hour()),
            M.CPU_USAGE.name: lambda: _one(system.cpu_percent()),
            M.GC_COLLECTIONS.name: lambda: _by("generation", system.gc_collections()),
            M.GC_OBJECTS_COLLECTED.name: lambda: _one(system.gc_objects_collected()),
            M.THREADS_ACTIVE.name: lambda: _one(system.threads_active()),
            M.ASYNCIO_TASKS.name: lambda: _one(system.asyncio_tasks()),
            M.FILE_DESCRIPTORS.name: lambda: _one(system.file_descriptors_open()),
            M.INTERNAL_ERRORS.name: lambda: _by("component", self.faults.counts | {"scrape": self.scrapes()[1]}),
            M.CORRELATION_REFUSED.name: lambda: _one(refused_count()),
            M.EVENTS_PUBLISHED.name: lambda: _one(self.stream.total_events),
            M.DROPPED.name: lambda: _by("bound", self._dropped()),
            M.EXPORTED.name: lambda: _by(a.SIGNAL.name, self.exports.accepted),
            M.EXPORT_FAILED.name: lambda: _by(a.SIGNAL.name, self.exports.failed),
            M.SCRAPES.name: lambda: _one(self.scrapes()[0]),
        }

    def _dropped(self) -> dict[str, int]:
        bounds = dict.fromkeys(a.BOUND.values, 0) if isinstance(a.BOUND.values, tuple) else {}
        with self.lock:
            statistics = self.stream.get_statistics()
            return (
                bounds
                | self.ledger.dropped
                | {
                    "max_active_correlations": evicted_count(),
                    "max_correlation_metadata": dropped_metadata_count(),
                    "max_trace_contexts": self.trace_contexts_dropped,
                    "history_size": statistics["dropped_history"],
                    "subscriber_queue": statistics["dropped_subscribers"],
                }
            )


def _one(value: float | None) -> Reading:
    return () if value is None else ((value, {}),)


def _by(label: str, values: dict[str, float] | dict[str, int] | dict[int, int]) -> Reading:
    return [(value, {label: str(key)}) for key, value in values.items()]
