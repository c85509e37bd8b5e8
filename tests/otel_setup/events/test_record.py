"""SystemEvent as JSON."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import hypothesis.strategies as st
from hypothesis import given

from otel_setup.catalogue import EventType, Severity
from otel_setup.events.record import SystemEvent


def refuse_constant(name: str) -> Any:
    raise AssertionError(f"{name} is not JSON")


def loaded(event: SystemEvent) -> Any:
    """What a strict reader of UTF-8 JSON makes of it."""
    return json.loads(event.to_json().encode("utf-8"), parse_constant=refuse_constant)


def test_every_field_is_in_the_json() -> None:
    event = SystemEvent(
        event_type=EventType.GAME_ENDED,
        timestamp_ns=1_700_000_000_123_456_789,
        game_id="game123",
        room_id="room456",
        player_id="player1",
        connection_id="conn1",
        correlation_id="corr_1",
        trace_id="0af7651916cd43dd8448eb211c80319c",
        span_id="b7ad6b7169203331",
        severity=Severity.WARN,
        data={"winner_id": "player1", "final_scores": {"player1": 100, "player2": 80.5}, "abandoned": False},
        metadata={"server": "eu-1"},
        event_id="a-1-7",
        sequence=7,
    )
    assert loaded(event) == {
        "event_id": "a-1-7",
        "sequence": 7,
        "event_type": "game.ended",
        "timestamp": "2023-11-14T22:13:20.123456+00:00",
        "severity": "WARN",
        "game_id": "game123",
        "room_id": "room456",
        "player_id": "player1",
        "connection_id": "conn1",
        "correlation_id": "corr_1",
        "trace_id": "0af7651916cd43dd8448eb211c80319c",
        "span_id": "b7ad6b7169203331",
        "data": {"winner_id": "player1", "final_scores": {"player1": 100, "player2": 80.5}, "abandoned": False},
        "metadata": {"server": "eu-1"},
    }
    assert datetime.fromisoformat(loaded(event)["timestamp"]) == event.timestamp
    assert "\n" not in event.to_json()


def test_what_is_not_known_is_null() -> None:
    told = loaded(SystemEvent(event_type=EventType("arena.storm.closing")))
    assert told["event_type"] == "arena.storm.closing"
    for key in ("game_id", "room_id", "player_id", "connection_id", "correlation_id", "trace_id", "span_id"):
        assert told[key] is None


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError


def test_data_of_any_kind_becomes_json() -> None:
    data: dict[Any, Any] = {
        "nan": float("nan"),
        "infinite": float("inf"),
        "huge": 10**5000,
        "object": Unprintable(),
        "bytes": b"\xff",
        "set": {1},
        5: "key",
        "type": EventType.GAME_STARTED,
    }
    told = loaded(SystemEvent(event_type=EventType.GAME_STARTED, data=data))["data"]
    assert (told["nan"], told["infinite"], told["set"], told["5"]) == ("nan", "inf", [1], "key")
    assert told["type"] == "game.started"


def test_data_without_bounds_is_cut() -> None:
    data: dict[str, Any] = {str(number): "x" * 10_000 for number in range(1000)}
    assert len(SystemEvent(event_type=EventType.GAME_STARTED, data=data).to_json()) < 200_000
    deep: dict[str, Any] = {}
    deep["again"] = deep
    loaded(SystemEvent(event_type=EventType.GAME_STARTED, data=deep))


HOSTILE = st.text(st.characters(), max_size=300) | st.sampled_from(
    ["\ud800", "\x00", "\u202e", "\x1b[2J", "x" * 10_000]
)


@given(text=HOSTILE)
def test_hostile_text_anywhere_is_valid_utf_8_json(text: str) -> None:
    told = loaded(
        SystemEvent(
            event_type=EventType(text),
            game_id=text,
            room_id=text,
            player_id=text,
            connection_id=text,
            correlation_id=text,
            data={text: [text, {"inner": text}]},
            metadata={text: text},
        )
    )
    for key in ("event_type", "game_id", "room_id", "player_id", "connection_id", "correlation_id"):
        assert len(told[key]) <= 128
        assert not any(character in told[key] for character in "\x00\x1b\u202e\n")
