"""What one process observes with: catalogue, ledger, stream, instruments, tracer, and the way an event takes.

    publish(event) ─► one lock: ledger, sequence, uid, stream ─► metrics ─► log record to the delegate logger

There is one :class:`Core` in a process. It works before anything is configured, on local providers;
``configure()`` gives it exporters, and may do so again.
"""

from __future__ import annotations

import itertools
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from opentelemetry import _logs as logs_api
from opentelemetry import metrics as metrics_api
from opentelemetry import trace as trace_api
from opentelemetry._logs import Logger
from opentelemetry.metrics import Meter
from opentelemetry.trace import SpanContext, Tracer

from otel_setup import clock
from otel_setup.catalogue import EVENTS, Catalogue, EventType, M, Severity, build
from otel_setup.catalogue import attributes as a
from otel_setup.config import Settings
from otel_setup.connection import Connection, Place
from otel_setup.correlation import get_correlation_id
from otel_setup.diagnosis.close_look import CloseLook
from otel_setup.events.log_records import TAKE, Take, log_record_of
from otel_setup.events.record import SystemEvent, make_event
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
from otel_setup.runtime import SystemMetricsCollector
from otel_setup.sdk.account import ExportCounts
from otel_setup.text import clean_id

if TYPE_CHECKING:
    from otel_setup.tracing import TraceContext

SCOPE = "otel_setup"
"""Name of the instrumentation scope of everything this product emits."""


class _Ids(NamedTuple):
    """Whom an event concerns."""

    game_id: str | None
    room_id: str | None
    player_id: str | None
    connection_id: str | None


_PHASE_KEYS = tuple(attribute.data_key for attribute in (a.STATE_FROM, a.STATE_TO, a.STATE_NAME, a.PHASE_NAME))
_ACTION_KEY = a.ACTION_TYPE.data_key
_ORDINAL_KEY = a.ORDINAL.data_key
_DECLARED: dict[str, Severity] = {str(event.name): event.severity for event in EVENTS}
# What the ledger can tell of an event before it takes it in, for callers who did not measure it themselves.
_MEASURED: Mapping[str, tuple[str, Callable[[Ledger, _Ids], float | None]]] = {
    EventType.GAME_ENDED: (
        a.GAME_DURATION.data_key,
        lambda ledger, ids: ledger.game_seconds(ids.game_id or ""),
    ),
    EventType.PLAYER_RECONNECTED: (
        a.AWAY_SECONDS.data_key,
        lambda ledger, ids: ledger.away_seconds(ids.game_id or "", ids.player_id or ""),
    ),
    EventType.CONNECTION_CLOSED: (
        a.CONNECTION_SECONDS.data_key,
        lambda ledger, ids: ledger.connection_seconds(ids.connection_id or ""),
    ),
}


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
        self.debug = CloseLook(self)
        self.system = SystemMetricsCollector()
        self.scrapes: Callable[[], tuple[int, int]] = lambda: (0, 0)
        self.trace_contexts: OrderedDict[str, TraceContext] = OrderedDict()
        self.trace_contexts_dropped = 0
        self._adopt(settings)
        self.stream = EventStream(lock=self.lock)
        self._bound_the_stream()
        self.stream.publisher = self.publish
        self.catalogue: Catalogue = build(settings.model, settings.prefix, settings.business_metrics)
        self.ledger = Ledger(settings.model, settings.bounds, self.lock)
        self._connection = self._without_providers()
        self._ordinals = itertools.count(1)
        self._pseudonyms: tuple[tuple[bool, str], Pseudonyms] | None = None
        self._pseudonyms_for: Settings | None = None

    def _adopt(self, settings: Settings) -> None:
        self.settings, model = settings, settings.model
        self.debug.look_at_everything(settings.debug)
        # Names come in this form nearly always, and to look for another takes ten times as long.
        self._canonical_phases = frozenset(name for name in model.phases if model.phase(name) == name)
        self._canonical_actions = frozenset(name for name in model.action_types if model.action(name) == name)

    def _bound_the_stream(self) -> None:
        settings = self.settings
        self.stream.resize(
            settings.history_size,
            settings.max_subscribers,
            history_bytes=settings.history_bytes,
            queue_size=settings.subscriber_queue_size,
            queue_bytes=settings.subscriber_queue_bytes,
        )

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

        def move() -> None:
            if settings.model != self.settings.model or settings.bounds != self.settings.bounds:
                self.ledger = Ledger(settings.model, settings.bounds, self.lock)
            self._adopt(settings)
            self.catalogue = catalogue
            self._bound_the_stream()
            self._connection = new

        return self._leave(move)

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

        def move() -> None:
            instruments = self._connection.instruments
            self._connection = Connection(instruments, trace_api.NoOpTracer(), logs_api.NoOpLogger(SCOPE))

        return self._leave(move)

    def _leave(self, move: Callable[[], None]) -> Connection:
        """Ends the epoch: its last event says so, and in the same step ``move`` goes on to another connection.

        An epoch without any event has nobody who waits for its end.

        Returns:
            The connection until now.
        """
        untold = False
        while True:
            old = self._connection
            if old.sent and not untold:
                try:
                    if self._published_by(old, EventType.PRODUCER_STOPPED, self._stopped, then=move):
                        return old
                except Exception as fault:  # noqa: BLE001 - an epoch ends, whether it can say so or not
                    self.faults.count("stream", fault)
                    untold = True
                continue
            with self.lock:
                if self._connection is old and (untold or not old.sent):
                    move()
                    return old

    def _stopped(self) -> SystemEvent:
        data = {
            a.PRODUCER_EPOCH.data_key: self.epoch,
            a.LAST_SEQUENCE.data_key: self.sent,
            a.LIVE_GAMES.data_key: len(self.ledger.games),
        }
        return self.complete(SystemEvent(event_type=EventType.PRODUCER_STOPPED, data=data))

    def after_fork(self, faults: Faults) -> None:
        """Begins afresh in a forked child: locks may be held by threads the child does not have, and games, counts and
        readers are the parent's. Without providers until the next ``connect()``.
        """
        self.lock = threading.RLock()
        self.faults = faults
        self.exports = ExportCounts()
        self.waiting = QueueTokens()
        self.debug = CloseLook(self)
        self.debug.look_at_everything(self.settings.debug)
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
        if self._pseudonyms is not None and self._pseudonyms_for is self.settings:
            return self._pseudonyms[1]
        made = self.pseudonyms_by(self.settings)
        self._pseudonyms_for = self.settings
        return made

    def pseudonyms_by(self, settings: Settings) -> Pseudonyms:
        """The pseudonyms a configuration asks for; those there are, while it asks for the same.

        Raises:
            ValueError: where the key file is there and is no key.
        """
        wanted = (settings.pseudonyms, settings.pseudonym_key)
        if self._pseudonyms is None or self._pseudonyms[0] != wanted:
            self._pseudonyms = (wanted, self._make_pseudonyms(settings))
            self._pseudonyms_for = None
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
        if type(name) is str and name in self._canonical_phases:
            return name
        phase = self.settings.model.phase(name)
        if phase == OTHER != name:
            self.irregular("unknown_state", f"phase {clean_id(name)!r} is not in the game model")
        return phase

    def action(self, name: object) -> str:
        """The canonical name of an action type; an unknown one is ``other`` and counted."""
        if type(name) is str and name in self._canonical_actions:
            return name
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
        """A copy of an event with what its maker left open: severity, room, correlation, trace; phases and actions by
        their names.
        """
        ids = _Ids(event.game_id, event.room_id, event.player_id, event.connection_id)
        place = Place.current()
        return self._event(
            event.event_type,
            dict(event.data),
            ids,
            event.correlation_id,
            place._replace(trace_id=event.trace_id or place.trace_id, span_id=event.span_id or place.span_id),
            event.severity,
            event.timestamp_ns,
            event.metadata,
        )

    def _event(
        self,
        event_type: EventType,
        data: dict[str, Any],
        ids: _Ids,
        correlation_id: str | None,
        place: Place,
        severity: Severity = Severity.INFO,
        timestamp_ns: int | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> SystemEvent:
        """An event with everything in it, made in one go: to make it and then copy it would cost as much again.

        Parameters:
            data: becomes the event's own.
        """
        ids = self._located(ids)
        for key in _PHASE_KEYS:
            if key in data:
                data[key] = self.phase(data[key])
        if _ACTION_KEY in data:
            data[_ACTION_KEY] = self.action(data[_ACTION_KEY])
        if event_type == EventType.STATE_TRANSITION_COMPLETE and _ORDINAL_KEY not in data:
            data[_ORDINAL_KEY] = self.next_ordinal()  # reported when it was over: it was entered last
        if event_type in _MEASURED:
            key, measured = _MEASURED[event_type]
            if data.get(key) is None and (seconds := measured(self.ledger, ids)) is not None:
                data[key] = seconds
        return make_event(
            event_type,
            clock.time_ns() if timestamp_ns is None else timestamp_ns,
            ids.game_id,
            ids.room_id,
            ids.player_id,
            ids.connection_id,
            correlation_id or get_correlation_id(),
            place.trace_id,
            place.span_id,
            _severity(event_type, severity, data),
            data,
            metadata if metadata is not None else {},
        )

    def _located(self, ids: _Ids) -> _Ids:
        """With what the ledger knows: the room of a game or of a socket, and the game that is on in a room."""
        ledger, room_id = self.ledger, ids.room_id
        if ids.game_id:
            return ids if room_id else _Ids(ids.game_id, ledger.room_of(ids.game_id), ids.player_id, ids.connection_id)
        with self.lock:
            if not room_id and (connection := ledger.connections.get(ids.connection_id or "")) is not None:
                room_id = connection.room_id or None
            room = ledger.rooms.get(room_id or "")
            game_id = room.game_id if room is not None else None
        return _Ids(game_id, room_id, ids.player_id, ids.connection_id)

    def tell(
        self,
        event_type: EventType,
        data: dict[str, Any],
        *,
        game_id: str | None = None,
        room_id: str | None = None,
        player_id: str | None = None,
        connection_id: str | None = None,
        correlation_id: str | None = None,
        place: Place | None = None,
    ) -> None:
        """As :meth:`publish`, for an event that is not made yet.

        Parameters:
            data: becomes the event's own; values are clean, see :func:`~otel_setup.text.clean_data`.
            game_id, room_id, player_id, connection_id, correlation_id: clean, or None.
            place: in which span it happens; in the current one where not given.
        """
        try:
            ids = _Ids(game_id, room_id, player_id, connection_id)
            place = place or Place.current()
            self._publish(event_type, self._event(event_type, data, ids, correlation_id, place), place.context)
        except Exception as fault:  # noqa: BLE001 - monitoring never raises into the game
            self.faults.count("stream", fault)

    def publish(self, event: SystemEvent) -> None:
        """Takes an event in: ledger and stream in one step, then metrics, then export. Never raises, never blocks."""
        with self.faults.guard("stream"):
            self._publish(event.event_type, self.complete(event))

    def take_in(self, event: SystemEvent) -> SystemEvent | None:
        """As :meth:`publish`, for an event whose log record is on its way to the exporters already: others made it.

        Returns:
            The event as it stands in the stream, with the id that its record is to have; None where that failed.
        """
        with self.faults.guard("stream"):
            placed = self._publish(event.event_type, self.complete(event), hand_on=False)
            return placed if isinstance(placed, SystemEvent) else None
        return None

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

    def _publish(
        self,
        event_type: EventType,
        event: SystemEvent | Callable[[], SystemEvent | None],
        context: SpanContext | None = None,
        *,
        hand_on: bool = True,
    ) -> SystemEvent | bool:
        while not (placed := self._published_by(self._connection, event_type, event, context, hand_on=hand_on)):
            pass  # connect() came in between: the next one it is
        return placed

    def _published_by(
        self,
        connection: Connection,
        event_type: EventType,
        event: SystemEvent | Callable[[], SystemEvent | None],
        context: SpanContext | None = None,
        *,
        hand_on: bool = True,
        then: Callable[[], None] | None = None,
    ) -> SystemEvent | bool:
        """Publishes an event by a connection, if it is the present one.

        Parameters:
            then: done in the same step, under the lock.

        Returns:
            The event as the stream has it; False where the connection is no more, True where there is nothing to say.
        """
        logger = connection.logger
        # Looked up by name, because to ask an abstract class for its instances takes ten times as long.
        take: Take | None = getattr(logger, TAKE, None)
        exported = take is not None or logger.enabled(event_name=event_type)
        with self.lock:
            if connection is not self._connection:
                return False
            made = event if isinstance(event, SystemEvent) else event()
            if made is None:
                return True
            facts, failed = self._fold(made)
            connection.sent += exported
            connection.under_way += exported
            # It was made here and nobody else has it yet: setting beats copying it once more.
            object.__setattr__(made, "event_id", self._event_id(connection, exported=exported))
            made = self.stream.append(made)
            if then is not None:
                then()
        # Outside the lock, because instruments, loggers and log handlers have locks of their own, and may take long.
        try:
            if failed is not None:
                self.faults.count("ledger", failed)
            self._measure(connection.instruments, made, facts)
            if not hand_on:
                pass  # whoever made its record hands it on
            elif take is not None:
                take(made, self.pseudonyms, context or Place.current().context)
            elif exported:
                logger.emit(**log_record_of(made, self.pseudonyms))
        except Exception as fault:  # noqa: BLE001 - monitoring never raises into the game
            self.faults.count("export", fault)
        finally:
            if exported:
                with self.lock:
                    connection.under_way -= 1
        return made

    def _measure(self, instruments: Instruments, event: SystemEvent, facts: Facts) -> None:
        try:
            measure(instruments, event, facts)
            if facts.irregular:
                what = facts.irregular.replace("_", " ")
                self.irregular(facts.irregular, f"{event.event_type} of game {event.game_id!r}: {what}")
        except Exception as fault:  # noqa: BLE001 - whatever it is, the event goes on to the exporter
            self.faults.count("measures", fault)

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


def _severity(event_type: EventType, severity: Severity, data: Mapping[str, Any]) -> Severity:
    """The declared one, unless the caller says more; work that was cancelled is no error."""
    declared = _DECLARED.get(event_type, severity)
    if declared is severity or severity is not Severity.INFO or is_cancelled(data):
        return severity
    return declared
