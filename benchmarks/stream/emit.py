"""What the stream adds to an event's way to the exporters, with no reader: for records of others, and for its own."""

from __future__ import annotations

import time
from collections.abc import Callable

from opentelemetry._logs import Logger, SeverityNumber
from opentelemetry.sdk._logs import LoggerProvider, LogRecordProcessor, ReadWriteLogRecord
from opentelemetry.trace import INVALID_SPAN_CONTEXT
from opentelemetry.util.types import AnyValue

from benchmarks.report import Spread, Table
from benchmarks.stream.events import events
from benchmarks.stream.goals import Found, Verdict
from otel_setup.catalogue import EventType
from otel_setup.catalogue import attributes as a
from otel_setup.events.stream import EventStream
from otel_setup.privacy import Pseudonyms
from otel_setup.sdk.event_log import EventLog
from otel_setup.sdk.foreign_events import ForeignEvents

ROUNDS, EVENTS = 25, 2000
QUICK_ROUNDS, QUICK_EVENTS = 7, 500
_RECORD: dict[str, AnyValue] = {
    a.GAME_ID.name: "game-1",
    a.ROOM_ID.name: "room-1",
    a.PLAYER_ID.name: "Ada",
    a.CORRELATION_ID.name: "00000000deadbeef",
    a.ACTION_TYPE.name: "play",
    a.ACTION_STATUS.name: "completed",
    a.DURATION_MS.name: 1.25,
}
_NOP, _FOREIGN, _HANDED, _OWN = (
    "Logger.emit, a processor that does nothing",
    "Logger.emit, the stream in its place",
    "an event of the monitor's own handed over, a processor that does nothing",
    "the same, and published",
)
_GENERIC, _FAST = 0.25, 0.10
_MICRO = 1e6

Lap = Callable[[int], float]
"""Seconds of the thread's time that so many events take."""


class _Nothing(LogRecordProcessor):
    def on_emit(self, log_record: ReadWriteLogRecord) -> None: ...

    def shutdown(self) -> None: ...

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return True


def run(*, quick: bool) -> Found:
    """All ways by turns."""
    rounds, count = (QUICK_ROUNDS, QUICK_EVENTS) if quick else (ROUNDS, EVENTS)
    laps: dict[str, Lap] = {
        _NOP: _emitting(_Nothing()),
        _FOREIGN: _emitting(ForeignEvents(EventStream().append, lambda scope: False)),
        _HANDED: _handing_over(None),
        _OWN: _handing_over(EventStream()),
    }
    times: dict[str, list[float]] = {name: [] for name in laps}
    for lap in laps.values():
        lap(count)  # warms up
    for _ in range(rounds):
        for name, lap in laps.items():
            times[name].append(lap(count) / count * _MICRO)
    # Both against the same: what OpenTelemetry's logger takes for an event that nobody wants.
    generic = Spread.of([(own - nop) / nop for own, nop in zip(times[_FOREIGN], times[_NOP], strict=True)])
    fast = Spread.of(
        [(own - handed) / nop for own, handed, nop in zip(times[_OWN], times[_HANDED], times[_NOP], strict=True)]
    )
    verdicts = [
        _verdict("a record of others, to be in the stream as well, adds to Logger.emit", generic, _GENERIC),
        _verdict("an event of the monitor's own, published with no reader, adds of Logger.emit", fast, _FAST),
    ]
    rows = [(name, str(Spread.of(found))) for name, found in times.items()]
    remarks = (
        f"Microseconds of the thread's time for one event with seven attributes: median (quartiles) of {rounds} "
        f"rounds of {count:,}.",
    )
    figures = {name: Spread.of(found) for name, found in times.items()} | {"generic": generic, "fast": fast}
    return Found(Table("The way of an event with no reader", ("", "µs"), rows, remarks), verdicts, figures)


def _verdict(words: str, share: Spread, limit: float) -> Verdict:
    percent = Spread(*(value * 100 for value in (share.median, share.low, share.high)))
    return Verdict(words, f"at most {limit:.0%}", percent, share.median <= limit, " %")


def _emitting(processor: LogRecordProcessor) -> Lap:
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(processor)
    logger: Logger = provider.get_logger("benchmark")

    def lap(count: int) -> float:
        started = time.thread_time()
        for _ in range(count):
            logger.emit(
                timestamp=1,
                severity_number=SeverityNumber.INFO,
                severity_text="INFO",
                event_name=EventType.ACTION_COMPLETED.value,
                attributes=_RECORD,
            )
        return time.thread_time() - started

    return lap


def _handing_over(stream: EventStream | None) -> Lap:
    provider = LoggerProvider(shutdown_on_exit=False)
    log = EventLog("benchmark", provider.get_logger("benchmark"), [_Nothing()], provider.resource)
    names = Pseudonyms.off()

    def lap(count: int) -> float:
        made = events(count)
        started = time.thread_time()
        while made:
            event = made.pop()  # so that to let go of one counts for whoever keeps it and for whoever does not
            if stream is not None:
                stream.append(event)
            log.take(event, names, INVALID_SPAN_CONTEXT)
        return time.thread_time() - started

    return lap
