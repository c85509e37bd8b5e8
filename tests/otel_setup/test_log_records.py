"""Events as log records and back, through the real SDK and the wire format of OTLP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.resources import Resource

from otel_setup import EventType, SystemEvent
from otel_setup.catalogue import EVENTS, AttributeType, Event, Severity
from otel_setup.events.log_records import MAX_LISTED, attributes_of, event_of
from otel_setup.testing import Recorded

IDS = ("game_id", "room_id", "player_id", "connection_id", "correlation_id")
BY_NAME = {str(event.name): event for event in EVENTS}

exported = InMemoryLogRecordExporter()
provider = LoggerProvider(resource=Resource.get_empty(), shutdown_on_exit=False)
provider.add_log_record_processor(SimpleLogRecordProcessor(exported))
logger = provider.get_logger("test")


def record_of(event: SystemEvent) -> LogRecord:
    """The record as the SDK hands it to an exporter."""
    exported.clear()
    logger.emit(
        timestamp=event.timestamp_ns,
        severity_number=SeverityNumber(event.severity.value),
        severity_text=event.severity.name,
        event_name=event.event_type.value,
        attributes=attributes_of(event),
    )
    (data,) = exported.get_finished_logs()
    return data.log_record


def on_the_wire(event: SystemEvent) -> Any:
    """The record as protobuf, after the encoder of OTLP's exporters."""
    record_of(event)
    request = encode_logs(exported.get_finished_logs())
    return request.resource_logs[0].scope_logs[0].log_records[0]


async def published(telemetry: Recorded, event: SystemEvent) -> list[Any]:
    """The records on the wire of an event that took the whole way."""
    core = telemetry.monitor.core
    core.connect(core.settings, [], None, logger)
    exported.clear()
    await telemetry.monitor.event_stream.publish_event(event)
    request = encode_logs(exported.get_finished_logs())
    return list(request.resource_logs[0].scope_logs[0].log_records)


def plain(value: Any) -> Any:
    """A protobuf AnyValue as a Python value."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [plain(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return {item.key: plain(item.value) for item in value.kvlist_value.values}
    return getattr(value, kind) if kind else None


def attributes(event: SystemEvent) -> dict[str, Any]:
    return {item.key: plain(item.value) for item in on_the_wire(event).attributes}


# --- there and back -------------------------------------------------------------------------------------------------

TEXT = st.text("abcXYZ 0189_-äß", min_size=1, max_size=20)
INTEGERS = st.integers(-(2**63) + 1, 2**63 - 1)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
SCALARS = st.booleans() | INTEGERS | FLOATS | TEXT
OF_TYPE: dict[AttributeType, st.SearchStrategy[Any]] = {
    AttributeType.STRING: TEXT,
    AttributeType.INT: INTEGERS,
    AttributeType.DOUBLE: FLOATS,
    AttributeType.BOOLEAN: st.booleans(),
}
MAPS: dict[str, st.SearchStrategy[Any]] = {
    "players": st.lists(st.fixed_dictionaries({"player": TEXT, "is_bot": st.booleans()}), max_size=5),
    "winner_id": TEXT | st.lists(TEXT, min_size=1, max_size=3),
    "final_scores": st.dictionaries(TEXT, INTEGERS | FLOATS, max_size=5),
}


@st.composite
def events(draw: st.DrawFn) -> SystemEvent:
    """Any declared event, with any part of what it may carry and with data of the caller's own."""
    declared: Event = draw(st.sampled_from(EVENTS))
    own_places = ("event.data", "log.record.uid")
    types = {
        attribute.data_key: attribute.type for attribute in declared.attributes if attribute.name not in own_places
    }
    fields = types.keys() & set(IDS)
    optional = {key: MAPS[key] if key in MAPS else OF_TYPE[types[key]] for key in types.keys() - fields}
    own = st.dictionaries(TEXT.filter(lambda key: key not in optional), SCALARS | st.lists(SCALARS, max_size=3))
    return SystemEvent(
        event_type=EventType(declared.name),
        timestamp_ns=draw(st.integers(1, 2**63 - 1)),
        severity=draw(st.sampled_from(Severity)),
        event_id=draw(TEXT),
        data={**draw(own), **draw(st.fixed_dictionaries({}, optional=optional))},
        **{field: draw(TEXT) for field in fields},
    )


@settings(deadline=None, max_examples=300)
@given(event=events())
def test_every_declared_event_comes_back_as_it_was(event: SystemEvent) -> None:
    assert event_of(record_of(event)) == event


def test_every_declared_event_name_is_drawn_from() -> None:
    assert len(BY_NAME) == len(EVENTS) == len(EventType)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.name)
def test_no_two_fields_of_an_event_share_an_attribute(event: Event) -> None:
    names = [attribute.name for attribute in event.attributes]
    keys = [attribute.data_key for attribute in event.attributes]
    assert (len(set(names)), len(set(keys))) == (len(names), len(keys))


def test_scores_travel_as_a_list_so_that_no_key_is_a_players_name() -> None:
    event = SystemEvent(event_type=EventType.GAME_ENDED, data={"final_scores": {"ann": 50, "bo": -3.5}})
    assert attributes(event)["game.final_scores"] == [{"player": "ann", "score": 50}, {"player": "bo", "score": -3.5}]
    assert event_of(record_of(event)).data["final_scores"] == {"ann": 50, "bo": -3.5}


def test_what_is_declared_has_its_attribute_and_the_rest_travels_in_one_map() -> None:
    event = SystemEvent(
        event_type=EventType.CONNECTION_CLOSED,
        event_id="i-e-7",
        connection_id="c1",
        room_id="r1",
        data={"code": 1001, "browser": "lynx", "deep": {"a": {"b": {"c": {"d": 1}}}}},
    )
    assert attributes(event) == {
        "log.record.uid": "i-e-7",
        "connection.id": "c1",
        "room.id": "r1",
        "connection.close_code": 1001,
        "event.data": {"browser": "lynx", "deep": {"a": {"b": {"c": {"d": 1}}}}},
    }


def test_data_of_an_ids_name_cannot_replace_the_id() -> None:
    own = {"player_id": "root", "game_id": "x", "log.record.uid": "i-e-1", "extra": "z"}
    event = SystemEvent(event_type=EventType.PLAYER_JOINED, event_id="i-e-7", player_id="ann", data=own)
    found = attributes(event)
    assert (found["player.id"], found["log.record.uid"]) == ("ann", "i-e-7")
    assert "game.id" not in found
    assert found["event.data"] == own
    assert event_of(record_of(event)).player_id == "ann"


# --- severity -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "severity"),
    # OpenTelemetry logs data model, "Mapping of SeverityNumber"
    [
        *((number, Severity.DEBUG) for number in range(1, 9)),
        *((number, Severity.INFO) for number in range(9, 13)),
        *((number, Severity.WARN) for number in range(13, 17)),
        *((number, Severity.ERROR) for number in range(17, 25)),
    ],
)
def test_every_severity_number_has_a_severity(number: int, severity: Severity) -> None:
    assert event_of(LogRecord(event_name="x", severity_number=SeverityNumber(number))).severity is severity


@pytest.mark.parametrize("number", [None, SeverityNumber.UNSPECIFIED])
def test_a_record_that_says_no_severity_is_information(number: SeverityNumber | None) -> None:
    assert event_of(LogRecord(event_name="x", severity_number=number)).severity is Severity.INFO


@pytest.mark.parametrize(("severity", "number"), [("DEBUG", 5), ("INFO", 9), ("WARN", 13), ("ERROR", 17)])
async def test_a_severity_is_exported_by_number_and_name(telemetry: Recorded, severity: str, number: int) -> None:
    (record,) = await published(telemetry, SystemEvent(event_type=EventType("own"), severity=Severity[severity]))
    assert (record.severity_number, record.severity_text) == (number, severity)
    assert plain(record.body) is None


# --- hostile values -------------------------------------------------------------------------------------------------


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("no")


HOSTILE: list[Any] = [
    2**70,
    -(2**70),
    float("nan"),
    "\ud800",
    "\x00\u202e",
    "x" * 100_000,
    b"\xff",
    Unprintable(),
    {1: 2},
]


@pytest.mark.parametrize(
    "value",
    HOSTILE,
    ids=lambda value: (
        f"{type(value).__name__}-{str(value)[:8]!a}" if not isinstance(value, Unprintable) else "unprintable"
    ),
)
def test_no_value_is_lost_or_spoils_its_batch(value: Any, caplog: pytest.LogCaptureFixture) -> None:
    """OTLP's encoder drops attributes it cannot encode, and fails on a whole batch for an event name."""
    event = SystemEvent(
        event_type=EventType.ROUND_STARTED,
        game_id=value,
        data={"round_number": value, "starter": value, "own": [value], "nested": {"deep": value}},
    )
    found = attributes(event)
    assert set(found) == {"log.record.uid", "game.id", "game.round", "round.starter", "event.data"}
    assert set(found["event.data"]) == {"own", "nested"}
    assert len(str(found)) < 20_000
    assert caplog.records == []


async def test_a_foreign_event_of_a_hostile_name_is_exported(telemetry: Recorded) -> None:
    (record,) = await published(telemetry, SystemEvent(event_type=EventType("arena.\ud800\n" + "x" * 1000)))
    assert record.event_name.startswith("arena.��xxx")
    assert len(record.event_name) == 128


def test_an_event_with_more_than_fits_is_cut() -> None:
    data = {f"own{n}": n for n in range(1000)} | {"players": [{"player": str(n), "is_bot": False} for n in range(1000)]}
    found = attributes(SystemEvent(event_type=EventType.GAME_STARTED, data=data))
    assert (len(found["event.data"]), len(found["game.seats"])) == (64, MAX_LISTED)


def test_a_foreign_record_is_an_event_with_its_attributes_as_data() -> None:
    record = LogRecord(
        event_name="arena.storm.closing",
        attributes={"storm.radius": 40, "game.id": "g1", "x\x00": "y\x00", "event.data": "no map"},
        observed_timestamp=7,
        trace_id=0xABC,
        span_id=0xDEF,
    )
    event = event_of(record, "given-id")
    assert (event.event_type, event.game_id, event.timestamp_ns) == ("arena.storm.closing", "g1", 7)
    assert event.data == {"storm.radius": 40, "x�": "y�"}
    assert (event.event_id, event.trace_id, event.span_id) == ("given-id", f"{0xABC:032x}", f"{0xDEF:016x}")


@pytest.mark.parametrize("scores", ["ann 50", [1, 2], [{"player": "ann"}], {"ann": 50}, [None], 7])
def test_scores_of_another_producer_never_fail(scores: Any) -> None:
    event = event_of(LogRecord(event_name="game.ended", attributes={"game.final_scores": scores}))
    if isinstance(scores, Mapping):
        assert event.data["final_scores"] == scores
