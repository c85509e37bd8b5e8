"""Log records out of OTLP's protobuf encoding.

What surrounds the records is walked here, so that records are counted before they take memory, and one that is broken
(half a character in a text is enough) leaves the others good; each record is then read by the protobuf library.

Format: https://protobuf.dev/programming-guides/encoding/, messages of opentelemetry-proto.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from otel_setup.events.log_records import MAX_LISTED
from otel_setup.hub.decoding import BODY, METADATA, BadRecord, Decoding, Refused, metadata_of

_RESOURCE_LOGS = ExportLogsServiceRequest.RESOURCE_LOGS_FIELD_NUMBER
_RESOURCE = ResourceLogs.RESOURCE_FIELD_NUMBER
_SCOPE_LOGS = ResourceLogs.SCOPE_LOGS_FIELD_NUMBER
_LOG_RECORDS = ScopeLogs.LOG_RECORDS_FIELD_NUMBER

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types
_FIXED = {_FIXED64: 8, _FIXED32: 4}
_VARINT_BYTES = 10
_TEXT, _LIST, _MAP = "string_value", "array_value", "kvlist_value"  # names in the message AnyValue
_SCALARS = frozenset({_TEXT, "int_value", "double_value", "bool_value", "bytes_value"})


def read_protobuf(body: bytes, decoding: Decoding) -> None:
    """Takes every record of an ``ExportLogsServiceRequest``.

    Raises:
        Refused: it is none (400), or too large (413).
    """
    for _, start, end in _fields(body, 0, len(body), decoding, _RESOURCE_LOGS):
        metadata: dict[str, str] = {}
        scopes = []
        for number, first, last in _fields(body, start, end, decoding, _RESOURCE, _SCOPE_LOGS):
            if number == _RESOURCE:
                metadata |= _metadata(body[first:last], decoding)  # it may come after the records that it is of
            else:
                scopes.append((first, last))
        for first, last in scopes:
            for _, begin, until in _fields(body, first, last, decoding, _LOG_RECORDS):
                decoding.count_records()
                try:
                    _take(body[begin:until], metadata, decoding)
                except BadRecord as error:
                    decoding.reject(str(error))


def _take(encoded: bytes, metadata: dict[str, str], decoding: Decoding) -> None:
    if len(encoded) > decoding.limits.max_record_bytes:
        raise BadRecord(f"a log record is larger than {decoding.limits.max_record_bytes} bytes")
    try:
        record = LogRecord.FromString(encoded)
    except DecodeError as error:
        raise BadRecord(f"not a log record: {error}") from None
    if not record.event_name:
        decoding.ignored += 1
        return
    attributes = _attributes(record.attributes, decoding)
    if (body := _value(record.body, decoding, decoding.limits.max_depth)) is not None:
        attributes.setdefault(BODY, body)
    decoding.take(
        record.event_name,
        attributes,
        metadata,
        timestamp_ns=record.time_unix_nano,
        observed_ns=record.observed_time_unix_nano,
        severity_number=record.severity_number,
        trace_id=record.trace_id.hex(),
        span_id=record.span_id.hex(),
    )


def _attributes(encoded: Any, decoding: Decoding) -> dict[str, Any]:
    depth = decoding.limits.max_depth
    kept = decoding.count_attributes(len(encoded))
    # Most are texts: this spares them the question what they are.
    return {
        entry.key: (value := entry.value).string_value or _value(value, decoding, depth)
        for entry in islice(encoded, kept)
    }


def _value(encoded: AnyValue, decoding: Decoding, depth: int) -> Any:
    kind = encoded.WhichOneof("value")
    if kind in _SCALARS:
        return getattr(encoded, kind)
    if kind not in {_LIST, _MAP}:
        return None
    if depth == 0:
        raise BadRecord(f"an attribute has more than {decoding.limits.max_depth} levels")
    values: Any = getattr(encoded, kind).values
    decoding.count_values(min(len(values), MAX_LISTED))
    first = islice(values, MAX_LISTED)
    if kind == _LIST:
        return [_value(item, decoding, depth - 1) for item in first]
    return {entry.key: _value(entry.value, decoding, depth - 1) for entry in first}


def _metadata(encoded: bytes, decoding: Decoding) -> dict[str, str]:
    """The metadata of a resource; one that is broken has none, and its records are good all the same."""
    if len(encoded) > decoding.limits.max_record_bytes:
        return {}
    try:
        attributes = Resource.FromString(encoded).attributes
    except DecodeError:
        return {}
    decoding.count_values(len(attributes))
    return metadata_of({entry.key: getattr(entry.value, _TEXT) for entry in attributes if entry.key in METADATA})


def _fields(body: bytes, position: int, end: int, decoding: Decoding, *wanted: int) -> Iterator[tuple[int, int, int]]:
    """The messages in the fields of these numbers: number, start, end. Other fields are passed over."""
    while position < end:
        decoding.count_values(1)
        tag, position = _varint(body, position, end)
        number, wire_type = tag >> 3, tag & 7
        if wire_type == _VARINT:
            _, position = _varint(body, position, end)
            continue
        if wire_type == _BYTES:
            length, position = _varint(body, position, end)
        elif wire_type in _FIXED:
            length = _FIXED[wire_type]
        else:
            raise Refused(400, f"not protobuf: wire type {wire_type} at byte {position}")
        if length > end - position:
            raise Refused(400, f"not protobuf: a field at byte {position} is longer than what holds it")
        if number in wanted and wire_type == _BYTES:
            yield number, position, position + length
        position += length


def _varint(body: bytes, position: int, end: int) -> tuple[int, int]:
    """A number of variable length, and the position after it."""
    value = shift = 0
    for at in range(position, min(position + _VARINT_BYTES, end)):
        byte = body[at]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004 - the bit that says there is more
            return value, at + 1
        shift += 7
    raise Refused(400, f"not protobuf: no number at byte {position}")
