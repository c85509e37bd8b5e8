"""One monitored action of a game, written three ways: not at all, by hand on the stock SDK, and with the monitor.

By hand means what a careful team would write: the same span, metrics and events under the same attributes, and the
same hand-over to ten readers of which one is concerned. It has no ledger, no history, no pseudonyms, no closed labels
and no account of losses.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, Unpack

from opentelemetry import _logs, trace
from opentelemetry._logs import SeverityNumber
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from otel_setup import EventFilter, Seat, configure, get_enterprise_monitor
from otel_setup.catalogue import EventType, M
from otel_setup.catalogue import attributes as a
from otel_setup.catalogue.spans import ACTION_SPAN
from otel_setup.config import Options
from otel_setup.game_model import LIAP_TUI

GAME, ROOM = "game-1", "room-1"
PLAYERS = ("Ada", "Ben", "Cleo", "Dan")
WATCHED_ROOMS = tuple(f"room-{number}" for number in range(1, 11))
"""What the ten readers watch: one the game's room, the others rooms in which nothing happens."""
QUEUE_SIZE = 1000
"""Events that wait for one reader; the oldest leave."""
PSEUDONYM_KEY = "benchmark-key-of-enough-characters"


class Variant(Protocol):
    """One way of monitoring."""

    async def open(self, endpoint: str) -> None:
        """Starts it, exporting to an OTLP/HTTP endpoint."""

    async def act(self, number: int) -> None:
        """One monitored action, the ``number``th."""

    async def drain(self) -> None:
        """Reads what the readers were given."""

    def flush(self) -> None:
        """Exports the spans and events that wait; metrics go by their own interval."""

    def close(self) -> None:
        """Ends it."""


def whose(number: int) -> tuple[str, str]:
    """Player and type of the ``number``th action."""
    return PLAYERS[number % len(PLAYERS)], LIAP_TUI.action_types[number % len(LIAP_TUI.action_types)]


class Nothing:
    """The game without telemetry."""

    async def open(self, endpoint: str) -> None: ...

    async def act(self, number: int) -> None:
        whose(number)

    async def drain(self) -> None: ...

    def flush(self) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class _Reader:
    wants: Callable[[dict[str, Any]], bool]
    queue: asyncio.Queue[dict[str, Any]]


class Stock:
    """The same signals by hand on the OpenTelemetry SDK.

    Parameters:
        batching: options of the SDK's batch processors; its defaults where there are none.
    """

    def __init__(self, **batching: Any) -> None:
        self._batch = batching

    async def open(self, endpoint: str) -> None:
        resource = Resource.create({"service.name": "benchmark"})
        spans = BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{endpoint}/v1/traces"), **self._batch)
        self._tracers = TracerProvider(resource=resource)
        self._tracers.add_span_processor(spans)
        logs = BatchLogRecordProcessor(OTLPLogExporter(endpoint=f"{endpoint}/v1/logs"), **self._batch)
        self._loggers = LoggerProvider(resource=resource)
        self._loggers.add_log_record_processor(logs)
        metrics = PeriodicExportingMetricReader(OTLPMetricExporter(endpoint=f"{endpoint}/v1/metrics"))
        self._meters = MeterProvider(resource=resource, metric_readers=[metrics])
        self._tracer = self._tracers.get_tracer("benchmark")
        self._logger = self._loggers.get_logger("benchmark")
        meter = self._meters.get_meter("benchmark")
        self._actions = meter.create_counter(M.ACTIONS.name, unit=M.ACTIONS.unit)
        self._durations = meter.create_histogram(
            M.ACTION_DURATION.name,
            unit=M.ACTION_DURATION.unit,
            explicit_bucket_boundaries_advisory=M.ACTION_DURATION.buckets,
        )
        self._readers = [_reader(room) for room in WATCHED_ROOMS]

    async def act(self, number: int) -> None:
        player, action = whose(number)
        started = time.perf_counter()
        # What the signals of an action have in common: game, room, player, correlation, type.
        common = {
            a.GAME_ID.name: GAME,
            a.ROOM_ID.name: ROOM,
            a.PLAYER_ID.name: player,
            a.CORRELATION_ID.name: f"{random.getrandbits(64):016x}",
            a.ACTION_TYPE.name: action,
        }
        span_attributes = {key: value for key, value in common.items() if key != a.ROOM_ID.name}
        with self._tracer.start_as_current_span(ACTION_SPAN.name.format(type=action), attributes=span_attributes) as s:
            self._tell(EventType.ACTION_QUEUED, number, {**common, a.ACTION_STATUS.name: "queued"})
            self._tell(EventType.ACTION_PROCESSING, number, {**common, a.ACTION_STATUS.name: "processing"})
            took = time.perf_counter() - started
            s.set_attributes({a.ACTION_OUTCOME.name: "accepted", a.ACTION_ACTOR.name: "human"})
            self._tell(
                EventType.ACTION_COMPLETED,
                number,
                {
                    **common,
                    a.ACTION_STATUS.name: "completed",
                    a.DURATION_MS.name: took * 1000,
                    a.ACTION_OUTCOME.name: "accepted",
                    a.ACTION_ACTOR.name: "human",
                },
            )
            self._actions.add(1, {"action_type": action, "outcome": "accepted", "actor": "human"})
            self._durations.record(took, {"action_type": action, "outcome": "accepted"})

    def _tell(self, event_type: EventType, number: int, attributes: dict[str, Any]) -> None:
        attributes[a.RECORD_UID.name] = f"benchmark-{number}-{event_type.value}"
        self._logger.emit(
            timestamp=time.time_ns(),
            severity_number=SeverityNumber.INFO,
            severity_text="INFO",
            event_name=event_type.value,
            attributes=attributes,
        )
        for reader in self._readers:
            if reader.wants(attributes):
                if reader.queue.full():
                    reader.queue.get_nowait()
                reader.queue.put_nowait(attributes)

    async def drain(self) -> None:
        for reader in self._readers:
            while not reader.queue.empty():
                reader.queue.get_nowait()

    def flush(self) -> None:
        self._tracers.force_flush()
        self._loggers.force_flush()

    def close(self) -> None:
        for provider in (self._tracers, self._loggers, self._meters):
            provider.shutdown()


def _reader(room: str) -> _Reader:
    return _Reader(lambda event: event[a.ROOM_ID.name] == room, asyncio.Queue(QUEUE_SIZE))


class Facade:
    """The monitor, configured as a game server would.

    Parameters:
        options: of ``configure()``, beside what identifies the server.
    """

    def __init__(self, **options: Unpack[Options]) -> None:
        self._options = options

    async def open(self, endpoint: str) -> None:
        who = Options(collector=endpoint, service="benchmark", pseudonym_key=PSEUDONYM_KEY)
        self._telemetry = configure(who, **self._options)
        self._monitor = get_enterprise_monitor()
        seats = [Seat(player) for player in PLAYERS]
        await self._monitor.record_game_start(GAME, ROOM, len(PLAYERS), 0, players=seats)
        self._readers = [
            await self._monitor.subscribe_to_events(event_filter=EventFilter(room_ids={room})) for room in WATCHED_ROOMS
        ]

    async def act(self, number: int) -> None:
        player, action = whose(number)
        async with self._monitor.monitor_action_processing(GAME, action, player):
            pass

    async def drain(self) -> None:
        for reader in self._readers:
            await reader.get_events(QUEUE_SIZE, timeout=0)

    def flush(self) -> None:
        providers: tuple[Any, ...] = (trace.get_tracer_provider(), _logs.get_logger_provider())
        for provider in providers:
            provider.delegate.force_flush()

    def close(self) -> None:
        self._telemetry.shutdown(30)


VARIANTS: dict[str, Callable[[], Variant]] = {
    "no telemetry": Nothing,
    "stock SDK": Stock,
    "stock SDK, batch 128": lambda: Stock(max_export_batch_size=128),
    "monitor": Facade,
}
