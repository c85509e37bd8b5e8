"""Single odd records in an export request: they come out clean, or spoil themselves alone."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from otel_setup import EventType
from otel_setup.catalogue import Severity
from otel_setup.hub.otlp import JSON, PROTOBUF, Decoded, Limits, decode
from tests.otel_setup.hub.otlp_support import (
    DAY_NS,
    GOOD,
    LIMITS,
    NOW_NS,
    any_value,
    as_json,
    clean,
    now,
    record,
    request_of,
)

__all__ = ["now"]
pytestmark = pytest.mark.usefixtures("now")

# --- single records that are odd ------------------------------------------------------------------------------------


def both(*records: LogRecord, limits: Limits = LIMITS) -> Decoded:
    """What comes of records in either encoding, which is the same."""
    request = request_of(*records)
    decoded = decode(request.SerializeToString(), PROTOBUF, "", limits)
    of_json = decode(as_json(request), JSON, "", limits)
    assert (of_json.events, of_json.rejected, of_json.ignored) == (decoded.events, decoded.rejected, decoded.ignored)
    return decoded


def good_are(decoded: Decoded, count: int) -> bool:
    return [event.event_type for event in decoded.events].count(EventType("good")) == count


def test_records_without_an_event_name_are_no_events_and_no_mistake() -> None:
    decoded = both(GOOD, record(event_name=""), GOOD, LogRecord())
    assert good_are(decoded, 2)
    assert (len(decoded.events), decoded.ignored, decoded.rejected) == (2, 2, 0)


@pytest.mark.parametrize(
    "uid",
    ["", "x" * 513, "x" * 10_000, "a\x01", "a\n", "a\u202eb", 7, 1.5, True, b"i-e-1", ["i-e-1"], {"a": "i-e-1"}],
    ids=lambda uid: ascii(uid)[:12],
)
def test_a_uid_that_would_have_to_be_changed_spoils_its_record_alone(uid: Any) -> None:
    """Changed, it might be another one's, and the event would be taken for a repetition."""
    if isinstance(uid, bytes):
        bad = decode(
            request_of(GOOD, record(attributes={"log.record.uid": uid}), GOOD).SerializeToString(), PROTOBUF, "", LIMITS
        )
    else:
        bad = both(GOOD, record(attributes={"log.record.uid": uid}), GOOD)
    assert good_are(bad, 2)
    assert (len(bad.events), bad.rejected) == (2, 1)
    assert "log.record.uid" in bad.reason


@pytest.mark.parametrize("uid", ["i-9f8e7d6c-1", "x" * 512, "ü ß", "-", "a--1"])
def test_any_other_uid_is_kept_as_it_is(uid: str) -> None:
    (event,) = both(record(attributes={"log.record.uid": uid})).events
    assert event.event_id == uid
    assert event.data == {}


def test_a_uid_without_a_value_is_none() -> None:
    (event,) = both(record(attributes={"log.record.uid": None})).events
    assert (event.event_id, event.data) == ("", {})


@pytest.mark.parametrize(
    ("timestamp", "observed", "expected"),
    [
        (NOW_NS - 7 * DAY_NS, NOW_NS, NOW_NS - 7 * DAY_NS),  # a queue on disk, after a long outage
        (NOW_NS + DAY_NS, 0, NOW_NS + DAY_NS),
        (0, NOW_NS - 1, NOW_NS - 1),
        (0, 0, NOW_NS),
        (1, 2, NOW_NS),
        (NOW_NS + DAY_NS + 1, NOW_NS - 1, NOW_NS - 1),
        (2**63, NOW_NS - 1, NOW_NS - 1),
        (2**64 - 1, 2**64 - 1, NOW_NS),
        (946_684_800 * 10**9, 0, 946_684_800 * 10**9),
        (946_684_800 * 10**9 - 1, 0, NOW_NS),
    ],
)
def test_a_time_that_cannot_be_gives_way(timestamp: int, observed: int, expected: int) -> None:
    (event,) = both(record(time_unix_nano=timestamp, observed_time_unix_nano=observed)).events
    assert event.timestamp_ns == expected
    assert event.timestamp.year >= 2000


@pytest.mark.parametrize(
    ("field", "length"), [(field, length) for field in ("trace_id", "span_id") for length in (0, 1, 8, 16, 17, 1000)]
)
def test_ids_of_spans_have_their_length_or_are_none(field: str, length: int) -> None:
    right = {"trace_id": 16, "span_id": 8}[field]
    (event,) = both(record(**{field: b"\xab" * length})).events
    assert getattr(event, field) == ("ab" * right if length == right else "")
    (nothing,) = both(record(**{field: bytes(length)})).events
    assert getattr(nothing, field) == ""


@pytest.mark.parametrize("number", [-(2**31), -1, 0, 9, 12, 25, 2**31 - 1])
def test_any_severity_number_is_a_severity(number: int) -> None:
    (event,) = both(record(severity_number=number)).events
    assert event.severity is (Severity.ERROR if number > 20 else Severity.INFO)


HOSTILE = {
    "id": "x" * 10_000,
    "controls": "\x00\x1b[31m\x7f",
    "bidi": "\u202eevil",
    "nan": math.nan,
    "infinity": -math.inf,
    "smallest": -(2**63),
    "bytes": b"\xff\x00",
    "many": list(range(1000)),
    "keys": {"\u202e" + "k" * 1000: 1},
    "deep": [[[[[[["bottom"]]]]]]],
}


@pytest.mark.parametrize("place", ["game.id", "player.id", "game.final_scores", "game.seats", "event.data", "own"])
@pytest.mark.parametrize("kind", HOSTILE)
def test_whatever_a_player_sends_comes_out_clean(place: str, kind: str) -> None:
    value = HOSTILE[kind]
    for content in (value, [value], {"in": value}):
        request = request_of(record(event_name="game.ended", attributes={place: content}), GOOD)
        decoded = decode(request.SerializeToString(), PROTOBUF, "", LIMITS)
        assert len(decoded.events) == 2
        told = decoded.events[0].to_dict()
        assert clean(told)
        json.dumps(told, allow_nan=False).encode("utf-8")
        assert len(told["game_id"] or "") <= 128


def test_an_attribute_of_too_many_levels_spoils_its_record_alone() -> None:
    def nested(levels: int) -> Any:
        return [nested(levels - 1)] if levels else "bottom"

    deep, too_deep = (record(attributes={"own": nested(levels)}) for levels in (32, 33))
    decoded = both(deep, too_deep, GOOD)
    assert (len(decoded.events), decoded.rejected) == (2, 1)
    assert "32 levels" in decoded.reason


def test_two_hostile_ids_stay_two() -> None:
    first, second = both(
        record(attributes={"game.id": "x" * 10_000}), record(attributes={"game.id": "x" * 9_999 + "y"})
    ).events
    assert first.game_id != second.game_id


@pytest.mark.parametrize(
    "bad",
    [
        record(attributes={"name": "héé"}).SerializeToString().replace("é".encode(), b"\xc3\xff", 1),
        b"\x0f",  # a wire type that there is none of
        b"\x32\x10short",  # attributes longer than the record
        record(attributes={"own": "x" * (256 * 1024)}).SerializeToString(),
    ],
    ids=["text", "wire type", "length", "size"],
)
def test_a_broken_record_in_protobuf_spoils_itself_alone(bad: bytes) -> None:
    good = record(event_name="good").SerializeToString()
    records = b"".join(b"\x12" + _length(content) + content for content in (good, bad, good))
    scope = b"\x12" + _length(records) + records
    body = b"\x0a" + _length(scope) + scope
    decoded = decode(body, PROTOBUF, "", LIMITS)
    assert good_are(decoded, 2)
    assert (len(decoded.events), decoded.rejected) == (2, 1)
    assert decoded.reason


def _length(content: bytes) -> bytes:
    number, encoded = len(content), b""
    while number > 0x7F:
        encoded += bytes([number & 0x7F | 0x80])
        number >>= 7
    return encoded + bytes([number])


@pytest.mark.parametrize(
    "bad",
    [
        "7",
        "null",
        '{"eventName": 7}',
        '{"eventName": "x", "attributes": {}}',
        '{"eventName": "x", "attributes": [7]}',
        '{"eventName": "x", "attributes": [null]}',
        '{"eventName": "x", "attributes": [{"key": 7}]}',
        '{"eventName": "x", "attributes": [{"key": "a", "value": "text"}]}',
        *(
            f'{{"eventName": "x", "attributes": [{{"key": "a", "value": {{{value}}}}}]}}'
            for value in (
                '"stringValue": 7',
                '"boolValue": "true"',
                '"intValue": "seven"',
                '"intValue": 1.5',
                '"intValue": "1.0"',
                '"intValue": Infinity',
                '"intValue": true',
                '"intValue": ' + "9" * 5000,
                '"intValue": "' + "9" * 5000 + '"',
                '"doubleValue": "much"',
                '"doubleValue": []',
                '"bytesValue": "ü"',
                '"bytesValue": 7',
                '"arrayValue": 7',
                '"arrayValue": {"values": {}}',
                '"kvlistValue": {"values": [7]}',
            )
        ),
        '{"eventName": "x", "attributes": [{"key": "a", "value": '
        + '{"arrayValue": {"values": [' * 33
        + "]}}" * 33
        + "}]}",
    ],
    ids=lambda bad: bad[-40:],
)
def test_a_broken_record_in_json_spoils_itself_alone(bad: str) -> None:
    body = f'{{"resourceLogs": [{{"scopeLogs": [{{"logRecords": [{{"eventName": "good"}}, {bad}]}}]}}]}}'
    decoded = decode(body.encode(), JSON, "", LIMITS)
    assert (good_are(decoded, 1), len(decoded.events)) == (True, 1)
    assert (decoded.rejected, decoded.ignored) == (1, 0)
    assert decoded.reason


@pytest.mark.parametrize(
    ("encoded", "value"),
    [
        ('{"intValue": "-9223372036854775808"}', str(-(2**63))),  # beyond what JavaScript and others read: its text
        ('{"intValue": 12.0}', 12),
        ('{"intValue": 1e3}', 1000),
        ('{"doubleValue": 1}', 1.0),
        ('{"doubleValue": "2.5"}', 2.5),
        ('{"doubleValue": "NaN"}', "nan"),
        ('{"doubleValue": "-Infinity"}', "-inf"),
        ('{"doubleValue": 1e999}', "inf"),
        ('{"bytesValue": "_-8"}', str(b"\xff\xef")),
        ('{"bytesValue": "/+8="}', str(b"\xff\xef")),
        ('{"stringValue": null}', None),
        ('{"futureValue": 7}', None),
        ("null", None),
        ("{}", None),
        ('{"arrayValue": {}}', []),
        ('{"kvlistValue": {"values": null}}', {}),
        ('{"stringValue": "\\ud800 \\u202e"}', "\N{REPLACEMENT CHARACTER} \N{REPLACEMENT CHARACTER}"),
    ],
)
def test_values_in_json_may_be_written_in_several_ways(encoded: str, value: Any) -> None:
    body = f"""{{"resourceLogs": [{{"scopeLogs": [{{"logRecords": [
        {{"eventName": "x", "attributes": [{{"key": "own", "value": {encoded}}}]}}]}}]}}]}}"""
    (event,) = decode(body.encode(), JSON, "", LIMITS).events
    assert event.data == {"own": value}
    assert type(event.data["own"]) is type(value)


def test_half_a_character_in_json_spoils_its_text_alone() -> None:
    attribute = b'{"key": "own", "value": {"stringValue": "h\xc3"}}'
    body = b'{"resourceLogs": [{"scopeLogs": [{"logRecords": [{"eventName": "x", "attributes": [%s]}]}]}]}' % attribute
    (event,) = decode(body, JSON, "", LIMITS).events
    assert event.data == {"own": "h\N{REPLACEMENT CHARACTER}"}


@pytest.mark.parametrize("resource", ["7", "[]", "null", '{"attributes": 7}', '{"attributes": [7]}'])
def test_a_broken_resource_leaves_its_records_good(resource: str) -> None:
    body = (
        f'{{"resourceLogs": [{{"resource": {resource}, "scopeLogs": [{{"logRecords": [{{"eventName": "good"}}]}}]}}]}}'
    )
    (event,) = decode(body.encode(), JSON, "", LIMITS).events
    assert event.metadata == {}


def test_metadata_are_clean() -> None:
    request = request_of(GOOD)
    request.resource_logs[0].resource.attributes.add(key="service.name", value=any_value("\u202e" + "x" * 1000))
    (event,) = decode(request.SerializeToString(), PROTOBUF, "", LIMITS).events
    assert event.metadata["service"].startswith("\N{REPLACEMENT CHARACTER}xxx")
    assert len(event.metadata["service"]) == 128


def test_attributes_past_their_number_are_left_out_and_counted() -> None:
    limits = Limits(max_attributes=3)
    decoded = both(record(attributes={f"a{n}": n for n in range(10)}), limits=limits)
    assert decoded.events[0].data == {"a0": 0, "a1": 1, "a2": 2}
    assert decoded.attributes_dropped == 7
    assert decoded.rejected == 0
