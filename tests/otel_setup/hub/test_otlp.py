"""OTLP/HTTP for logs: what OpenTelemetry's own exporter makes of records comes out as those events, in every form."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace

import pytest
from google.protobuf.json_format import Parse
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from otel_setup import EventType, SystemEvent
from otel_setup.catalogue import Severity
from otel_setup.hub.otlp import JSON, PROTOBUF, Decoded, Refused, decode, encode_response, encode_status
from tests.otel_setup.hub.otlp_support import (
    EVENTS,
    LIMITS,
    METADATA,
    REQUEST,
    as_json,
    exported,
    now,
    received,
)

__all__ = ["now"]
pytestmark = pytest.mark.usefixtures("now")

# --- the same in every form -----------------------------------------------------------------------------------------


FORMS = {
    "protobuf": (REQUEST.SerializeToString(), PROTOBUF, ""),
    "protobuf, gzip": (gzip.compress(REQUEST.SerializeToString()), PROTOBUF, "gzip"),
    "protobuf, identity": (REQUEST.SerializeToString(), "Application/X-Protobuf ; charset=x", "Identity"),
    "json": (as_json(REQUEST), JSON, ""),
    "json, gzip": (gzip.compress(as_json(REQUEST)), "application/json; charset=utf-8", "GZIP"),
    "json, names of the messages": (as_json(REQUEST, own_names=True), JSON, ""),
    "json, integers as numbers": (as_json(REQUEST, as_numbers=True), JSON, ""),
}


@pytest.mark.parametrize("form", FORMS)
def test_what_was_exported_comes_out(form: str) -> None:
    assert decode(*FORMS[form], LIMITS) == Decoded(events=received(EVENTS))


def test_the_json_of_the_specification_is_read() -> None:
    """examples/logs.json of opentelemetry-proto, with an event name."""
    body = """{"resourceLogs": [{
      "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "my.service"}}]},
      "scopeLogs": [{
        "scope": {"name": "my.library", "version": "1.0.0",
                  "attributes": [{"key": "my.scope.attribute", "value": {"stringValue": "some scope attribute"}}]},
        "logRecords": [{
          "timeUnixNano": "1544712660300000000",
          "observedTimeUnixNano": "1544712660300000000",
          "severityNumber": 10,
          "severityText": "Information",
          "eventName": "browser.page_view",
          "traceId": "5B8EFFF798038103D269B633813FC60C",
          "spanId": "EEE19B7EC3C1B174",
          "body": {"stringValue": "Example log record"},
          "attributes": [
            {"key": "string.attribute", "value": {"stringValue": "some string"}},
            {"key": "boolean.attribute", "value": {"boolValue": true}},
            {"key": "int.attribute", "value": {"intValue": "10"}},
            {"key": "double.attribute", "value": {"doubleValue": 637.704}},
            {"key": "array.attribute", "value": {"arrayValue": {"values": [
              {"stringValue": "many"}, {"stringValue": "values"}]}}},
            {"key": "map.attribute", "value": {"kvlistValue": {"values": [
              {"key": "some.map.key", "value": {"stringValue": "some value"}}]}}}
          ]}]}]}]}"""
    assert decode(body.encode(), JSON, "", LIMITS).events == [
        SystemEvent(
            event_type=EventType("browser.page_view"),
            timestamp_ns=1_544_712_660_300_000_000,
            severity=Severity.INFO,
            trace_id="5b8efff798038103d269b633813fc60c",
            span_id="eee19b7ec3c1b174",
            data={
                "string.attribute": "some string",
                "boolean.attribute": True,
                "int.attribute": 10,
                "double.attribute": 637.704,
                "array.attribute": ["many", "values"],
                "map.attribute": {"some.map.key": "some value"},
                "body": "Example log record",
            },
            metadata={"service": "my.service"},
        )
    ]


def test_a_collector_may_put_several_resources_and_scopes_into_one_request() -> None:
    merged = ExportLogsServiceRequest()
    expected = []
    for number in range(6):
        request = exported(EVENTS)
        resource = request.resource_logs[0]
        resource.resource.attributes.add(key="service.name", value=AnyValue(string_value=f"service-{number}"))
        resource.scope_logs.add().log_records.extend(resource.scope_logs[0].log_records)
        merged.resource_logs.extend(request.resource_logs)
        expected += [replace(event, metadata={**METADATA, "service": f"service-{number}"}) for event in EVENTS * 2]
    assert decode(merged.SerializeToString(), PROTOBUF, "", LIMITS).events == expected
    assert decode(as_json(merged), JSON, "", LIMITS).events == expected


def test_a_resource_may_follow_its_records_and_unknown_fields_are_passed_over() -> None:
    """Protobuf leaves the order of fields to the writer, and new fields to newer writers."""

    def field(number: int, content: bytes) -> bytes:
        return varint(number << 3 | 2) + varint(len(content)) + content

    def varint(number: int) -> bytes:
        digits = [number >> shift & 0x7F for shift in range(0, 64, 7) if number >> shift or not shift]
        return bytes([*(digit | 0x80 for digit in digits[:-1]), digits[-1]])

    unknown = (
        field(999, b"\x00" * 300)
        + varint(1000 << 3 | 0)
        + varint(2**63)
        + varint(1001 << 3 | 1)
        + bytes(8)
        + varint(1002 << 3 | 5)
        + bytes(4)
    )
    (resource,) = REQUEST.resource_logs
    (scope,) = resource.scope_logs
    records = b"".join(
        unknown + field(2, record.SerializeToString() + unknown) + unknown for record in scope.log_records
    )
    body = (
        unknown
        + field(1, unknown + field(2, records) + field(1, resource.resource.SerializeToString() + unknown))
        + unknown
    )
    # The library agrees that it is the same.
    assert len(ExportLogsServiceRequest.FromString(body).resource_logs[0].scope_logs[0].log_records) == len(EVENTS)
    assert decode(body, PROTOBUF, "", LIMITS) == Decoded(events=received(EVENTS))


@pytest.mark.parametrize(("content_type", "body"), [(PROTOBUF, b""), (JSON, b"{}"), (JSON, b'{"resourceLogs": null}')])
def test_an_empty_request_holds_nothing(content_type: str, body: bytes) -> None:
    assert decode(body, content_type, "", LIMITS) == Decoded(events=[])


# --- answers --------------------------------------------------------------------------------------------------------


def test_an_answer_is_encoded_like_the_request_and_tells_what_was_rejected() -> None:
    decoded = Decoded(events=[], rejected=3, ignored=5, reason="too odd")
    expected = ExportLogsServiceResponse()
    expected.partial_success.rejected_log_records = 3
    expected.partial_success.error_message = "too odd"
    assert ExportLogsServiceResponse.FromString(encode_response(decoded, PROTOBUF)) == expected
    assert json.loads(encode_response(decoded, "application/json; charset=utf-8")) == {
        "partialSuccess": {"rejectedLogRecords": "3", "errorMessage": "too odd"}
    }


def test_full_success_is_an_empty_message() -> None:
    """OTLP: "the server MUST leave the partial_success field unset in case of a successful response"."""
    decoded = Decoded(events=[], ignored=5)
    assert encode_response(decoded, PROTOBUF) == b""
    assert json.loads(encode_response(decoded, JSON)) == {}


@pytest.mark.parametrize("content_type", [PROTOBUF, "text/plain", ""])
def test_a_refusal_is_a_status(content_type: str) -> None:
    assert Status.FromString(encode_status(Refused(400, "no"), content_type)) == Status(message="no")
    assert Parse(encode_status(Refused(400, "no"), JSON), Status()) == Status(message="no")
