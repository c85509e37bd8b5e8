"""What one process observes with: catalogue, ledger, stream, instruments, tracer, and the way an event takes.

    publish(event) ─► one lock: ledger, sequence, uid, stream ─► metrics ─► log record to the delegate logger

There is one :class:`Core` in a process. It works before anything is configured, on local providers;
``configure()`` gives it exporters, and may do so again.
"""

from __future__ import annotations

import itertools
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from opentelemetry import _logs as logs_api
from opentelemetry import metrics as metrics_api
from opentelemetry import trace as trace_api
from opentelemetry._logs import Logger, SeverityNumber
from opentelemetry.metrics import Meter
from opentelemetry.trace import Tracer

from otel_setup.catalogue import EVENTS, Catalogue, Event, EventType, M, Severity, build
from otel_setup.catalogue import attributes as a
from otel_setup.config import Settings
from otel_setup.correlation import get_correlation_id
from otel_setup.events.log_records import attributes_of
from otel_setup.events.record import SystemEvent
from otel_setup.events.stream import EventStream
from otel_setup.faults import Faults
from otel_setup.game_model import OTHER
from otel_setup.instruments import Instruments
from otel_setup.ledger import Facts, Ledger
from otel_setup.ledger.payload import is_cancelled
from otel_setup.measures import measure
from otel_setup.privacy import Pseudonyms, find_key, given_key, vocabulary
from otel_setup.queue_tokens import QueueTokens
from otel_setup.readings import readings
from otel_setup.runtime_metrics import SystemMetricsCollector
from otel_setup.sdk.exporters import ExportCounts
from otel_setup.text import clean_id

if TYPE_CHECKING:
    from otel_setup.tracing import TraceContext

SCOPE = "otel_setup"
"""Name of the instrumentation scope of everything this product emits."""

_PHASE_KEYS = {attribute.data_key for attribute in (a.STATE_FROM, a.STATE_TO, a.STATE_NAME, a.PHASE_NAME)}
_ACTION_KEY = a.ACTION_TYPE.data_key
_ORDINAL_KEY = a.ORDINAL.data_key
_DECLARED: dict[str, Event] = {str(event.name): event for event in EVENTS}
# What the ledger can tell of an event before it takes it in, for callers who did not measure it themselves.
_MEASURED: Mapping[str, tuple[str, Callable[[Ledger, SystemEvent], float | None]]] = {
    EventType.GAME_ENDED: (
        a.GAME_DURATION.data_key,
        lambda ledger, event: ledger.game_seconds(event.game_id or ""),
    ),
    EventType.PLAYER_RECONNECTED: (
        a.AWAY_SECONDS.data_key,
        lambda ledger, event: ledger.away_seconds(event.game_id or "", event.player_id or ""),
    ),
    EventType.CONNECTION_CLOSED: (
        a.CONNECTION_SECONDS.data_key,
        lambda ledger, event: ledger.connection_seconds(event.connection_id or ""),
    ),
}
_POLL_SECONDS = 0.001


@dataclass(slots=True, eq=False)
class Connection:
    """Where spans, metrics and events go from one ``connect()`` to the next.

    An event goes one and the same way to its end, whatever is configured meanwhile: so no number of an epoch is given
    to an event that leaves by another.

    Attributes:
        epoch: names this time in the ids of its events.
        sent: events that have an id of this epoch.
        under_way: events that have one and are not handed to the logger yet.
    """

    instruments: Instruments
    tracer: Tracer
    logger: Logger
    epoch: str = field(default_factory=lambda: secrets.token_hex(4))
    sent: int = 0
    under_way: int = 0

    def wait_until_quiet(self, timeout: float) -> None:
        """Waits until what is under way has arrived, ``timeout`` seconds at most; then its logger may be stopped."""
        deadline = time.monotonic() + timeout
        while self.under_way and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)


class Core:
    """The parts, and the one way events take through them.

    Parameters:
        settings: how it is configured.

    Attributes:
        scrapes: counts the requests to /metrics and those that failed; whoever answers them sets it.
    """

    def __init__(self, settings: Settings, faults: Faults) -> None:
        self.lock = threading.RLock()
        self.faults = faults
        self.exports = ExportCounts()
        self.waiting = QueueTokens()
        self.system = SystemMetricsCollector()
        self.scrapes: Callable[[], tuple[int, int]] = lambda: (0, 0)
        self.trace_contexts: OrderedDict[str, TraceContext] = OrderedDict()
        self.trace_contexts_dropped = 0
        self.settings = settings
        self.stream = EventStream(settings.history_size, settings.max_subscribers, lock=self.lock)
        self.stream.publisher = self.publish
        self.catalogue: Catalogue = build(settings.model, settings.prefix, settings.business_metrics)
        self.ledger = Ledger(settings.model, settings.bounds, self.lock)
        self._connection = self._without_providers()
        self._ordinals = itertools.count(1)
        self._pseudonyms: tuple[tuple[bool, str], Pseudonyms] | None = None

    def _without_providers(self) -> Connection:
        instruments = Instruments(self.catalogue, (), {}, self._callback_failed)
        return Connection(instruments, trace_api.NoOpTracer(), logs_api.NoOpLogger(SCOPE))

    def connect(self, settings: Settings, meters: Sequence[Meter], tracer: Tracer | None, logger: Logger) -> Connection:
        """Moves to new providers: metrics start at 0 and a new epoch of event ids begins.

        Live games stay, unless the game or the bounds of what is remembered are others.

        Parameters:
            settings: the new configuration.
            meters: where metrics are recorded.
            tracer: creates spans; None for none.
            logger: receives events after the local stream.

        Returns:
            The connection until now.
        """
        catalogue = build(settings.model, settings.prefix, settings.business_metrics)
        # Not under our lock: while the SDK reads gauges it holds its own, which registering takes, and waits for ours.
        instruments = Instruments(catalogue, meters, readings(self), self._callback_failed)
        instruments.export_zeros()
        new = Connection(instruments, tracer or trace_api.NoOpTracer(), logger)
        with self.lock:
            if settings.model != self.settings.model or settings.bounds != self.settings.bounds:
                self.ledger = Ledger(settings.model, settings.bounds, self.lock)
            self.settings, self.catalogue = settings, catalogue
            self.stream.resize(settings.history_size, settings.max_subscribers)
            old, self._connection = self._connection, new
        return old

    def connect_locally(self, meter: Meter) -> None:
        """Before ``configure()``: local metrics, and whatever providers the application installed, or will install."""
        self.connect(
            self.settings,
            (meter, metrics_api.get_meter(SCOPE)),
            trace_api.get_tracer(SCOPE),
            logs_api.get_logger(SCOPE),
        )

    def disconnect(self) -> Connection:
        """Stops handing events and spans on; the local parts stay.

        Returns:
            The connection until now.
        """
        with self.lock:
            old = self._connection
            self._connection = Connection(old.instruments, trace_api.NoOpTracer(), logs_api.NoOpLogger(SCOPE))
        return old

    def after_fork(self, faults: Faults) -> None:
        """Begins afresh in a forked child: locks may be held by threads the child does not have, and games, counts and
        readers are the parent's. Without providers until the next ``connect()``.
        """
        self.lock = threading.RLock()
        self.faults = faults
        self.exports = ExportCounts()
        self.waiting = QueueTokens()
        self.stream.after_fork(self.lock)
        self.ledger = Ledger(self.settings.model, self.settings.bounds, self.lock)
        if self._pseudonyms is not None:
            self._pseudonyms[1].after_fork()
        self._connection = self._without_providers()

    @property
    def pseudonyms(self) -> Pseudonyms:
        """What players are called wherever their names leave the process. Its key is looked up when first needed.

        Raises:
            ValueError: where the key file is there and is no key.
        """
        return self.pseudonyms_by(self.settings)

    def pseudonyms_by(self, settings: Settings) -> Pseudonyms:
        """The pseudonyms a configuration asks for; those there are, while it asks for the same.

        Raises:
            ValueError: where the key file is there and is no key.
        """
        wanted = (settings.pseudonyms, settings.pseudonym_key)
        if self._pseudonyms is None or self._pseudonyms[0] != wanted:
            self._pseudonyms = (wanted, self._make_pseudonyms(settings))
        return self._pseudonyms[1]

    def _make_pseudonyms(self, settings: Settings) -> Pseudonyms:
        if not settings.pseudonyms:
            return Pseudonyms.off()
        reserved = vocabulary(self.catalogue)
        key = given_key(settings.pseudonym_key) if settings.pseudonym_key else find_key()
        if not key.kept:
            self.faults.note("pseudonym_key", f"the key of players' pseudonyms is {key.source}: whois cannot know it")
        return Pseudonyms(key.value, reserved=reserved)

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

    def id(self, value: object) -> str:
        """An id as it is kept: see :func:`~otel_setup.text.clean_id`. One that had to be cleaned is counted."""
        cleaned = clean_id(value)
        if value is not None and not (isinstance(value, str) and cleaned == value):
            self.irregular("text_cleaned", "an id holds invisible characters, is very long or is no text")
        return cleaned

    def irregular(self, kind: str, message: str) -> None:
        """Counts odd input that is recorded all the same, and logs the first of its kind."""
        self.instruments.add(M.INPUT_IRREGULAR, kind=kind)
        self.faults.note(kind, message)

    def complete(self, event: SystemEvent) -> SystemEvent:
        """Fills in what the caller left open: severity, room, correlation, trace; phases and actions by their names."""
        data = dict(event.data)
        for key in _PHASE_KEYS & data.keys():
            data[key] = self.phase(data[key])
        if _ACTION_KEY in data:
            data[_ACTION_KEY] = self.action(data[_ACTION_KEY])
        if event.event_type == EventType.STATE_TRANSITION_COMPLETE and _ORDINAL_KEY not in data:
            data[_ORDINAL_KEY] = self.next_ordinal()  # reported when it was over: it was entered last
        if event.event_type in _MEASURED:
            key, measured = _MEASURED[event.event_type]
            if data.get(key) is None and (seconds := measured(self.ledger, event)) is not None:
                data[key] = seconds
        context = trace_api.get_current_span().get_span_context()
        return replace(
            event,
            sequence=0,
            data=data,
            severity=_severity(event),
            room_id=event.room_id or (self.ledger.room_of(event.game_id) if event.game_id else None),
            correlation_id=event.correlation_id or get_correlation_id(),
            trace_id=event.trace_id or (format(context.trace_id, "032x") if context.is_valid else ""),
            span_id=event.span_id or (format(context.span_id, "016x") if context.is_valid else ""),
        )

    def publish(self, event: SystemEvent) -> None:
        """Takes an event in: ledger and stream in one step, then metrics, then export. Never raises, never blocks."""
        with self.faults.guard("stream"):
            completed = self.complete(event)
            self._publish(event.event_type, lambda: completed)

    def publish_state(self, event_type: EventType, describe: Callable[[], SystemEvent | None]) -> None:
        """As :meth:`publish`, for an event that says how things stand: nothing happens between looking and its place.

        Parameters:
            describe: looks, under the lock, and makes the event; None where there is nothing to say.
        """

        def completed() -> SystemEvent | None:
            event = describe()
            return None if event is None else self.complete(event)

        with self.faults.guard("stream"):
            self._publish(event_type, completed)

    def _publish(self, event_type: EventType, describe: Callable[[], SystemEvent | None]) -> None:
        while not self._published_by(self._connection, event_type, describe):
            pass  # connect() came in between: the next one it is

    def _published_by(
        self, connection: Connection, event_type: EventType, describe: Callable[[], SystemEvent | None]
    ) -> bool:
        exported = connection.logger.enabled(event_name=event_type)
        with self.lock:
            if connection is not self._connection:
                return False
            event = describe()
            if event is None:
                return True
            facts, fault = self._fold(event)
            connection.sent += exported
            connection.under_way += exported
            # complete() made this object and nobody else has it yet: setting beats copying it once more
            object.__setattr__(event, "event_id", self._event_id(connection, exported=exported))
            event = self.stream.append(event)
        # Outside the lock, because instruments, loggers and log handlers have locks of their own, and may take long.
        try:
            if fault is not None:
                self.faults.count("ledger", fault)
            with self.faults.guard("measures"):
                measure(connection.instruments, event, facts)
                if facts.irregular:
                    what = facts.irregular.replace("_", " ")
                    self.irregular(facts.irregular, f"{event.event_type} of game {event.game_id!r}: {what}")
            if exported:
                with self.faults.guard("export"):
                    _export(connection.logger, event, self.pseudonyms)
        finally:
            if exported:
                with self.lock:
                    connection.under_way -= 1
        return True

    def _fold(self, event: SystemEvent) -> tuple[Facts, Exception | None]:
        """What the ledger makes of an event; an event that it fails on is an event all the same."""
        if event.event_type == EventType.GAME_SNAPSHOT:
            return Facts(), None  # the ledger said it itself; taken for activity, it would keep dead games alive
        try:
            return self.ledger.apply(event), None
        except Exception as fault:  # noqa: BLE001 - counted by the caller, once it has left the lock
            return Facts(), fault

    def _event_id(self, connection: Connection, *, exported: bool) -> str:
        """``instance-epoch-sequence``; what is not exported has ids of its own, so that exported ones have no holes."""
        number = f"{connection.sent}" if exported else f"local{self.stream.total_events + 1}"
        return f"{self.settings.instance_id}-{connection.epoch}-{number}"

    @property
    def instruments(self) -> Instruments:
        """The catalogue's metrics."""
        return self._connection.instruments

    @property
    def tracer(self) -> Tracer:
        """Creates the monitor's spans."""
        return self._connection.tracer

    @property
    def epoch(self) -> str:
        """Names the time since the last ``configure()``."""
        return self._connection.epoch

    @property
    def sent(self) -> int:
        """Events handed to the exporter in this epoch."""
        return self._connection.sent

    # --- faults -----------------------------------------------------------------------------------------------------

    def fault_counts(self) -> dict[str, int]:
        """Faults inside monitoring so far, by component."""
        counts = dict(self.faults.counts)
        counts["stream"] += self.stream.faults
        counts["scrape"] += self.scrapes()[1]
        return counts

    def _callback_failed(self, fault: Exception) -> None:
        self.faults.count("measures", fault)


def _severity(event: SystemEvent) -> Severity:
    """The declared one, unless the caller says more; work that was cancelled is no error."""
    declared = _DECLARED.get(event.event_type)
    if declared is None or event.severity is not Severity.INFO or is_cancelled(event.data):
        return event.severity
    return declared.severity


def _export(logger: Logger, event: SystemEvent, pseudonyms: Pseudonyms) -> None:
    logger.emit(
        timestamp=event.timestamp_ns,
        severity_number=SeverityNumber(event.severity.value),
        severity_text=event.severity.name,
        event_name=clean_id(event.event_type.value),
        attributes=pseudonyms.pseudonymised(attributes_of(event)),
    )
