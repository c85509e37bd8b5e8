"""Events that others emit through the Logs API: taken in once, stamped before anybody exports, never in the way."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import _logs, trace
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.sdk._logs import LoggerProvider, LogRecordProcessor, ReadWriteLogRecord
from opentelemetry.sdk._logs._internal import ConcurrentMultiLogRecordProcessor, _LoggerConfig

import otel_setup
from otel_setup.events.foreign import excludes
from otel_setup.events.record import SystemEvent
from otel_setup.sdk.foreign_events import ForeignEvents, put_first
from otel_setup.testing import Recording, fresh_telemetry, recording

UID = "log.record.uid"


class Keeping(LogRecordProcessor):
    """What an exporter that copies at once would have."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        self.seen.append(dict(log_record.log_record.attributes or {}))

    def shutdown(self) -> None: ...

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return True


class Stream:
    """Numbers what it takes in."""

    def __init__(self) -> None:
        self.events: list[SystemEvent] = []

    def take_in(self, event: SystemEvent) -> SystemEvent:
        self.events.append(event)
        object.__setattr__(event, "event_id", f"stream-{len(self.events)}")
        return event


def provider_with(*processors: LogRecordProcessor) -> LoggerProvider:
    provider = LoggerProvider(shutdown_on_exit=False)
    for processor in processors:
        provider.add_log_record_processor(processor)
    return provider


@pytest.fixture
def recorded() -> Iterator[Recording]:
    with recording() as recorded:
        yield recorded


def test_records_without_a_name_and_excluded_scopes_are_left_alone() -> None:
    stream, keeping = Stream(), Keeping()
    provider = provider_with(ForeignEvents(stream.take_in, excludes(("fastapi",))), keeping)
    provider.get_logger("game").emit(body="a message")
    provider.get_logger("fastapi").emit(event_name="request.failed")
    provider.get_logger("fastapi.sub").emit(event_name="request.failed")
    provider.get_logger("fastapiary").emit(event_name="bee.landed")
    assert [event.event_type for event in stream.events] == ["bee.landed"]
    assert keeping.seen == [{}, {}, {}, {UID: "stream-1"}]


def test_put_first_it_stamps_before_those_that_were_there() -> None:
    stream, keeping = Stream(), Keeping()
    provider = provider_with(keeping)
    put_first(provider, ForeignEvents(stream.take_in, excludes(())))
    provider.get_logger("game").emit(event_name="one")
    assert keeping.seen == [{UID: "stream-1"}]


def test_where_the_sdk_keeps_its_processors_elsewhere_it_is_added_all_the_same() -> None:
    class Other(LoggerProvider):
        def add_log_record_processor(self, log_record_processor: LogRecordProcessor) -> None:
            super().add_log_record_processor(log_record_processor)
            self.__dict__["_elsewhere"] = self.__dict__.pop("_multi_log_record_processor")

    provider = Other(shutdown_on_exit=False)
    put_first(provider, ForeignEvents(Stream().take_in, excludes(())))
    assert len(provider.__dict__["_elsewhere"]._log_record_processors) == 1


def test_what_the_stream_raises_reaches_nobody_and_the_record_goes_on() -> None:
    def broken(event: SystemEvent) -> SystemEvent:
        raise RuntimeError("no stream")

    faults: list[Exception] = []
    keeping = Keeping()
    provider = provider_with(ForeignEvents(broken, excludes(()), faults.append), keeping)
    provider.get_logger("game").emit(event_name="one", attributes={"a": 1})
    assert keeping.seen == [{"a": 1}]
    assert [str(fault) for fault in faults] == ["no stream"]


def test_two_on_one_provider_take_a_record_once() -> None:
    """An adopted provider keeps those of earlier configurations."""
    first, second, keeping = Stream(), Stream(), Keeping()
    provider = provider_with(keeping)
    put_first(provider, ForeignEvents(first.take_in, excludes(())))
    put_first(provider, ForeignEvents(second.take_in, excludes(())))
    provider.get_logger("game").emit(event_name="one")
    assert (len(first.events), len(second.events)) == (0, 1)
    assert keeping.seen == [{UID: "stream-1"}]


def test_a_record_that_is_emitted_twice_is_two_events() -> None:
    """It still has the id of the first time, which must not make the second a duplicate."""
    stream, keeping = Stream(), Keeping()
    provider = provider_with(ForeignEvents(stream.take_in, excludes(())), keeping)
    record = LogRecord(event_name="one")
    for _ in range(2):
        provider.get_logger("game").emit(record)
    assert [seen[UID] for seen in keeping.seen] == ["stream-1", "stream-2"]


def test_a_scope_that_is_switched_off_emits_nothing() -> None:
    stream = Stream()
    provider = LoggerProvider(
        shutdown_on_exit=False, _logger_configurator=lambda scope: _LoggerConfig(is_enabled=scope.name != "noisy")
    )
    put_first(provider, ForeignEvents(stream.take_in, excludes(())))
    provider.get_logger("noisy").emit(event_name="one")
    provider.get_logger("quiet").emit(event_name="two")
    assert [event.event_type for event in stream.events] == ["two"]


def test_a_provider_that_works_in_parallel_is_served_too() -> None:
    stream = Stream()
    chain = ConcurrentMultiLogRecordProcessor()
    provider = LoggerProvider(shutdown_on_exit=False, multi_log_record_processor=chain)
    put_first(provider, ForeignEvents(stream.take_in, excludes(())))
    provider.get_logger("game").emit(event_name="one")
    chain._executor.shutdown()
    assert [event.event_type for event in stream.events] == ["one"]


# --- with the real stream -------------------------------------------------------------------------------------------


def test_the_monitors_own_records_are_not_taken_in_again(recorded: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither on the short way to the processors nor where the SDK makes records of events."""
    for limit in ("", "100"):
        monkeypatch.setenv("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", limit)
        otel_setup.configure(service=f"limit-{limit}")
        recorded.monitor.logger.emit(event_name="chat.message")
    assert len(recorded.events("chat.message")) == 2
    assert [record.event_name for record in recorded.logs()].count("chat.message") == 2


async def test_without_a_configuration_the_monitors_records_do_not_come_back() -> None:
    """The global provider is ours for ever, once there was a configuration, and hands events to the stream."""
    with fresh_telemetry():
        otel_setup.configure(collector=False)
    with fresh_telemetry() as fresh:
        await fresh.monitor.record_room_created("r1")
        (event,) = fresh.events()
        assert "-local" in event.event_id
        assert fresh.monitor.get_monitoring_status()["internal_errors"]["stream"] == 0


def test_a_declared_event_moves_its_metric(recorded: Recording) -> None:
    _logs.get_logger("game").emit(event_name="game.started", attributes={"game.id": "g1", "game.player_count": 4})
    recorded.assert_metric("games_started_total", 1)
    recorded.assert_metric("games_active", 1)


def test_severity_time_and_place_are_the_records(recorded: Recording) -> None:
    with trace.get_tracer("game").start_as_current_span("work") as span:
        _logs.get_logger("game").emit(
            event_name="storm.closing", severity_number=SeverityNumber.ERROR3, timestamp=1_700_000_000_000_000_001
        )
    event = recorded.assert_event("storm.closing", severity="ERROR")
    assert event.timestamp_ns == 1_700_000_000_000_000_001
    assert event.span_id == format(span.get_span_context().span_id, "016x")


def test_scopes_are_excluded_as_configured(recorded: Recording) -> None:
    otel_setup.configure(excluded_event_scopes=["noisy"])
    for scope in ("noisy", "noisy.below", "fastapi", "game"):
        _logs.get_logger(scope).emit(event_name="tick", attributes={"from": scope})
    assert [event.data["from"] for event in recorded.events("tick")] == ["fastapi", "game"]
    otel_setup.configure(excluded_event_scopes=["game"], logs=False)
    _logs.get_logger("game").emit(event_name="tick", attributes={"from": "game, without export"})
    _logs.get_logger("noisy").emit(event_name="tick", attributes={"from": "noisy, without export"})
    assert recorded.events("tick")[-1].data["from"] == "noisy, without export"
    assert len(recorded.events("tick")) == 3


def test_what_is_hostile_is_made_safe(recorded: Recording) -> None:
    hostile = "\x1b[31m\u202e" + "x" * 10_000
    _logs.get_logger("game").emit(
        event_name=hostile, body=hostile, attributes={"player.id": hostile, "text": hostile, hostile: {"a": hostile}}
    )
    (event,) = recorded.events()
    text = event.to_json()
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert len(text) < 20_000


def test_it_says_nothing(recorded: Recording, caplog: pytest.LogCaptureFixture) -> None:
    _logs.get_logger("game").emit(event_name="tick", attributes={"player.id": None, "odd": 2**70})
    assert recorded.events("tick")
    assert [record for record in caplog.records if record.name.startswith("otel_setup")] == []


def test_threads_get_numbers_without_a_hole(recorded: Recording) -> None:
    threads, each = 8, 200
    start = threading.Barrier(threads)

    def emit(number: int) -> None:
        start.wait()
        for turn in range(each):
            if number % 2:
                recorded.monitor.logger.emit(event_name="own", attributes={"turn": turn})
            else:
                _logs.get_logger(f"game{number}").emit(event_name="foreign", attributes={"turn": turn})

    workers = [threading.Thread(target=emit, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    uids = [str((record.attributes or {})[UID]) for record in recorded.logs()]
    assert sorted(int(uid.rpartition("-")[2]) for uid in uids) == list(range(1, threads * each + 1))
    assert sorted(event.event_id for event in recorded.events()) == sorted(uids)
