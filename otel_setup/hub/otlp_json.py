"""Log records out of OTLP's JSON encoding.

Differences to ordinary JSON of protobuf: ids are hexadecimal, enumerations are numbers
(https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding). As in ProtoJSON, a field may have the name it has in
the protobuf message, 64-bit integers are texts or numbers, null is a field that is not there, and fields that are not
known are passed over.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from typing import Any

from otel_setup.events.log_records import MAX_LISTED
from otel_setup.hub.decoding import BODY, BadRecord, Decoding, Refused, metadata_of

_HEX_DIGITS = frozenset("0123456789abcdef")
_MAX_DIGITS = 20
"""Digits of a 64-bit integer, with its sign. More are read as a float: to read them exactly takes quadratic time."""


def read_json(body: bytes, decoding: Decoding) -> None:
    """Takes every record of an ``ExportLogsServiceRequest`` in JSON.

    Raises:
        Refused: it is none (400), or too large (413).
    """
    decoding.count_values(body.count(b"{") + body.count(b"["))
    for resource_logs in _messages(_parsed(body), "resourceLogs", "resource_logs"):
        metadata = _metadata(_field(resource_logs, "resource"), decoding)
        for scope_logs in _messages(resource_logs, "scopeLogs", "scope_logs"):
            records = _list(scope_logs, "logRecords", "log_records")
            decoding.count_records(len(records))
            for record in records:
                try:
                    _take(record, metadata, decoding)
                except BadRecord as error:
                    decoding.reject(str(error))


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        # Half a character in one text spoils that text alone.
        request = json.loads(body.decode("utf-8", "replace"), parse_int=_integer)
    except ValueError as error:
        raise Refused(400, f"not JSON: {error}") from None
    except RecursionError:
        raise Refused(400, "JSON of too many levels") from None
    if not isinstance(request, dict):
        raise Refused(400, "not an ExportLogsServiceRequest: no JSON object")
    return request


def _take(record: Any, metadata: Mapping[str, str], decoding: Decoding) -> None:
    if not isinstance(record, dict):
        raise BadRecord("a log record is no JSON object")
    event_name = _field(record, "eventName", "event_name")
    if event_name is None or event_name == "":
        decoding.ignored += 1
        return
    if not isinstance(event_name, str):
        raise BadRecord("an event name is no text")
    attributes = _attributes(_field(record, "attributes"), decoding)
    if (body := _value(_field(record, "body"), decoding.limits.max_depth)) is not None:
        attributes.setdefault(BODY, body)
    decoding.take(
        event_name,
        attributes,
        metadata,
        timestamp_ns=_number(_field(record, "timeUnixNano", "time_unix_nano")),
        observed_ns=_number(_field(record, "observedTimeUnixNano", "observed_time_unix_nano")),
        severity_number=_number(_field(record, "severityNumber", "severity_number")),
        trace_id=_hexadecimal(_field(record, "traceId", "trace_id")),
        span_id=_hexadecimal(_field(record, "spanId", "span_id")),
    )


def _metadata(resource: Any, decoding: Decoding) -> dict[str, str]:
    """The metadata of a resource; one that is broken has none, and its records are good all the same."""
    if not isinstance(resource, dict):
        return {}
    try:
        return metadata_of(_attributes(_field(resource, "attributes"), decoding))
    except BadRecord:
        return {}


def _attributes(entries: Any, decoding: Decoding) -> dict[str, Any]:
    if entries is None:
        return {}
    if not isinstance(entries, list):
        raise BadRecord("attributes are no list")
    return _entries(entries[: decoding.count_attributes(len(entries))], decoding.limits.max_depth)


def _entries(entries: list[Any], depth: int) -> dict[str, Any]:
    found = {}
    for entry in entries:
        if not isinstance(entry, dict):
            raise BadRecord("an attribute is no JSON object")
        key = entry.get("key", "")
        if not isinstance(key, str):
            raise BadRecord("an attribute's key is no text")
        found[key] = _value(entry.get("value"), depth)
    return found


def _value(encoded: Any, depth: int) -> Any:
    """An ``AnyValue``: an object of one field, whose name says its kind."""
    if encoded is None:
        return None
    if not isinstance(encoded, dict):
        raise BadRecord("an attribute's value is no JSON object")
    for name, content in encoded.items():
        if content is None:
            continue
        if scalar := _SCALARS.get(name):
            return scalar(content)
        if name in _LISTS:
            if depth == 0:
                raise BadRecord("an attribute has too many levels")
            values = _field(content, "values") if isinstance(content, dict) else content
            values = [] if values is None else values  # and OTLP's own example of an event has the list at once
            if not isinstance(values, list):
                raise BadRecord("the values of an attribute are no list")
            first = values[:MAX_LISTED]
            return [_value(item, depth - 1) for item in first] if _LISTS[name] else _entries(first, depth - 1)
    return None


def _text(content: Any) -> str:
    if not isinstance(content, str):
        raise BadRecord("a stringValue is no text")
    return content


def _boolean(content: Any) -> bool:
    if not isinstance(content, bool):
        raise BadRecord("a boolValue is neither true nor false")
    return content


def _whole(content: Any) -> int:
    if not _is_number(content) and (not isinstance(content, str) or len(content) > _MAX_DIGITS):
        raise BadRecord("an intValue is no integer")
    try:
        whole = int(content)
    except (ValueError, OverflowError):
        raise BadRecord("an intValue is no integer") from None
    if isinstance(content, float) and whole != content:
        raise BadRecord("an intValue is no integer")
    return whole


def _double(content: Any) -> float:
    if not _is_number(content) and not isinstance(content, str):
        raise BadRecord("a doubleValue is no number")
    try:
        return float(content)  # "NaN" and "Infinity", too
    except (ValueError, OverflowError):
        raise BadRecord("a doubleValue is no number") from None


def _is_number(content: Any) -> bool:
    return isinstance(content, int | float) and not isinstance(content, bool)


def _bytes(content: Any) -> bytes:
    try:
        # ProtoJSON takes both alphabets, with and without padding.
        return base64.b64decode(_text(content).translate(_STANDARD) + "==")
    except (ValueError, binascii.Error):
        raise BadRecord("a bytesValue is not base64") from None


_STANDARD = str.maketrans("-_", "+/")
_SCALARS: dict[str, Callable[[Any], Any]] = {
    "stringValue": _text,
    "string_value": _text,
    "intValue": _whole,
    "int_value": _whole,
    "boolValue": _boolean,
    "bool_value": _boolean,
    "doubleValue": _double,
    "double_value": _double,
    "bytesValue": _bytes,
    "bytes_value": _bytes,
}
_LISTS = {"arrayValue": True, "array_value": True, "kvlistValue": False, "kvlist_value": False}


def _number(content: Any) -> int:
    """A number of the record itself; one that cannot be read is as none, since an event needs it not."""
    try:
        return 0 if content is None else _whole(content)
    except BadRecord:
        return 0


def _hexadecimal(content: Any) -> str:
    digits = content.lower() if isinstance(content, str) else ""
    return digits if _HEX_DIGITS.issuperset(digits) else ""


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= _MAX_DIGITS else float(digits)


def _messages(holder: dict[str, Any], *names: str) -> list[dict[str, Any]]:
    found = _list(holder, *names)
    for message in found:
        if not isinstance(message, dict):
            raise Refused(400, f"not an ExportLogsServiceRequest: {names[0]} holds what is no JSON object")
    return found


def _list(holder: dict[str, Any], *names: str) -> list[Any]:
    found = _field(holder, *names)
    if found is None:
        return []
    if not isinstance(found, list):
        raise Refused(400, f"not an ExportLogsServiceRequest: {names[0]} is no list")
    return found


def _field(message: dict[str, Any], *names: str) -> Any:
    for name in names:
        found = message.get(name)
        if found is not None:
            return found
    return None
