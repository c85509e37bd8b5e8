"""Events on the short way to the log processors: what arrives is what the SDK's logger would have brought."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

from otel_setup.catalogue import Severity
from otel_setup.events.log_records import log_record_of
from otel_setup.events.record import EventType, SystemEvent
from otel_setup.privacy import Pseudonyms
from otel_setup.sdk.event_log import EventLog, make_event_log

RESOURCE = Resource({"service.name": "test"})
EVENTS = [
    SystemEvent(event_type=EventType.ACTION_QUEUED, game_id="g", player_id="Ada", data={"status": "queued"}),
    SystemEvent(event_type=EventType.GAME_ENDED, game_id="g", data={"final_scores": {"Ada": 3, "Ben": 5}}),
    SystemEvent(event_type=EventType("my.own"), data={"who": "Ada", "list": [1, {"a": None}]}),
    SystemEvent(event_type=EventType.ERROR_OCCURRED, severity=Severity.ERROR, data={"error_message": "x\x00y"}),
]


class Logs:
    """A logger of the SDK, the short way beside it, and what came of each."""

    def __init__(self) -> None:
        self.exporter = InMemoryLogRecordExporter()
        processor = SimpleLogRecordProcessor(self.exporter)
        self.provider = LoggerProvider(resource=RESOURCE, shutdown_on_exit=False)
        self.provider.add_log_record_processor(processor)
        self.slow = self.provider.get_logger("scope")
        self.fast = make_event_log("scope", self.slow, [processor], RESOURCE)

    def told(self) -> list[dict[str, Any]]:
        told = []
        for readable in self.exporter.get_finished_logs():
            record = readable.log_record
            fields = ("timestamp", "trace_id", "span_id", "trace_flags", "severity_number", "severity_text", "body")
            told.append({field: getattr(record, field) for field in fields})
            told[-1] |= {"attributes": listed(dict(record.attributes or {})), "event_name": record.event_name}
            told[-1] |= {"resource": readable.resource, "scope": readable.instrumentation_scope}
            told[-1] |= {"dropped": readable.dropped_attributes}
        self.exporter.clear()
        return told


def listed(value: Any) -> Any:
    """Lists for tuples, of which the SDK makes its own and OTLP knows one kind."""
    if isinstance(value, dict):
        return {key: listed(item) for key, item in value.items()}
    return [listed(item) for item in value] if isinstance(value, list | tuple) else value


def place() -> trace.SpanContext:
    return trace.get_current_span().get_span_context()


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.event_type.value)
def test_an_event_arrives_as_by_the_logger_of_the_sdk(event: SystemEvent) -> None:
    logs, pseudonyms = Logs(), Pseudonyms(b"k" * 32)
    assert isinstance(logs.fast, EventLog)
    with TracerProvider().get_tracer("test").start_as_current_span("s"):
        logs.slow.emit(**log_record_of(event, pseudonyms))
        slow = logs.told()
        logs.fast.take(event, pseudonyms, place())
        assert logs.told() == slow


def test_names_are_known_before_the_record_is_worked_out() -> None:
    pseudonyms = Pseudonyms(b"k" * 32)

    class Keeping(SimpleLogRecordProcessor):
        def on_emit(self, log_record: object) -> None:
            """Exports nothing yet."""

    log = EventLog("scope", Logs().slow, [Keeping(InMemoryLogRecordExporter())], RESOURCE)
    for event in EVENTS[:2]:
        log.take(event, pseudonyms, place())
    text = pseudonyms.text("Ada beat Ben")
    assert "Ada" not in text
    assert "Ben" not in text


def test_other_records_go_through_the_logger_of_the_sdk() -> None:
    logs = Logs()
    logs.slow.emit(event_name="other", attributes={"a": 1}, timestamp=5)
    slow = logs.told()
    logs.fast.emit(event_name="other", attributes={"a": 1}, timestamp=5)
    assert logs.told() == slow


def test_where_attributes_are_to_be_cut_the_sdk_cuts_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "3")
    logs = Logs()
    assert logs.fast is logs.slow
