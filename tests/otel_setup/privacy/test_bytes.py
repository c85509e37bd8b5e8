"""A hundred names are planted wherever text goes; the bytes that leave hold none of them."""

from __future__ import annotations

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.trace import ReadableSpan

from otel_setup.privacy import Pseudonyms, Redaction
from otel_setup.privacy.sanitizer import Sanitizer
from tests.otel_setup.privacy.helpers import KEY, NAMES, forms, logs_about, sent_logs, sent_spans, spans_about


@pytest.fixture(scope="module")
def spans() -> list[ReadableSpan]:
    return [span for name in NAMES for span in spans_about(name)]


@pytest.fixture(scope="module")
def logs() -> list[ReadableLogRecord]:
    return [log for name in NAMES for log in logs_about(name)]


def sanitizer() -> Sanitizer:
    return Sanitizer(Pseudonyms(KEY), Redaction(max_length=100_000))


def found(sent: bytes) -> list[str]:
    return [name[:40] for name in NAMES if any(form in sent for form in forms(name))]


def test_the_search_finds_every_name_in_what_is_not_sanitised(
    spans: list[ReadableSpan], logs: list[ReadableLogRecord]
) -> None:
    assert len(found(sent_spans(spans))) == len(found(sent_logs(logs))) == len(set(NAMES)) == 100


def test_spans_hold_no_name(spans: list[ReadableSpan]) -> None:
    clean = sanitizer()
    assert found(sent_spans([clean.span(span) for span in spans])) == []


def test_log_records_hold_no_name(logs: list[ReadableLogRecord]) -> None:
    clean = sanitizer()
    assert found(sent_logs([clean.log_record(log) for log in logs])) == []


def test_a_long_name_is_hidden_by_what_was_kept_of_it_too() -> None:
    clean = sanitizer()
    long = next(name for name in NAMES if len(name) > 1000)
    sent = sent_logs([clean.log_record(log) for log in logs_about(long)])
    assert b"x yx y" not in sent


def test_what_is_not_a_name_is_still_there(logs: list[ReadableLogRecord]) -> None:
    clean = sanitizer()
    request = ExportLogsServiceRequest.FromString(sent_logs([clean.log_record(logs[0])]))
    record = request.resource_logs[0].scope_logs[0].log_records[0]
    values = {attribute.key: attribute.value for attribute in record.attributes}
    pseudonym = values["player.id"].string_value
    assert record.event_name == "game.ended"
    assert values["game.id"].string_value == "game123"
    assert values["error.message"].string_value == f"seat of {pseudonym}: not there"
    scores = values["game.final_scores"].array_value.values[0].kvlist_value.values
    assert {entry.key: entry.value.string_value or entry.value.int_value for entry in scores} == {
        "player": pseudonym,
        "score": 12,
    }
    assert "in _seat" in values["exception.stacktrace"].string_value


def test_sanitised_twice_is_sanitised_once(spans: list[ReadableSpan], logs: list[ReadableLogRecord]) -> None:
    clean = sanitizer()
    # The first round makes every name known, so that both others know the same.
    _ = [clean.span(span) for span in spans], [clean.log_record(log) for log in logs]
    once = [clean.span(span) for span in spans]
    logged = [clean.log_record(log) for log in logs]
    assert sent_spans([clean.span(span) for span in once]) == sent_spans(once)
    assert sent_logs([clean.log_record(log) for log in logged]) == sent_logs(logged)
