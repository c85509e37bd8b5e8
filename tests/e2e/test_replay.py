"""The replay itself: what began and ended in which order, how fast, and with which errors."""

from __future__ import annotations

import gzip
import json
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from examples.replay import load, main, replay
from otel_setup.catalogue import EventType
from otel_setup.testing import Recorded

TRACE = Path(__file__).parents[1] / "data" / "liap_tui_trace.jsonl.gz"
STARTS = {"state_transition": EventType.STATE_TRANSITION_START, "action": EventType.ACTION_QUEUED}
ENDS = {
    "state_transition": EventType.STATE_TRANSITION_COMPLETE,
    "action": EventType.ACTION_COMPLETED,
    "phase_duration": EventType.PHASE_COMPLETED,
    "game_start": EventType.GAME_STARTED,
    "game_end": EventType.GAME_ENDED,
}
SOCKETS = {
    "connect": EventType.CONNECTION_OPENED,
    "disconnect": EventType.CONNECTION_CLOSED,
    "broadcast": EventType.BROADCAST_SENT,
}
Happening = tuple[str, str]
"""An event's type, and whom it concerns."""


def recorded_order() -> list[Happening]:
    """Every start and end in the order of their times, in exact arithmetic."""
    with gzip.open(TRACE, "rt", encoding="utf-8") as lines:
        calls: list[dict[str, Any]] = [json.loads(line, parse_float=Decimal) for line in lines]
    moments: list[tuple[Decimal, Happening]] = []
    for call in calls:
        about = call.get("player_id") or call.get("game_id") or call["room_id"]
        name = call["call"]
        if name in STARTS:
            moments.append((call["t"] - call["seconds"], (STARTS[name], about)))
        moments.append((call["t"], (ENDS.get(name) or SOCKETS[call["event_type"]], about)))
    return [happening for _, happening in sorted(moments, key=lambda moment: moment[0])]


async def test_starts_and_ends_come_in_the_recorded_order(telemetry: Recorded) -> None:
    await replay(load(TRACE), telemetry.monitor, speed=0)
    wanted = {*STARTS.values(), *ENDS.values(), *SOCKETS.values()}
    happened = [
        (str(event.event_type), event.player_id or event.game_id or event.room_id)
        for event in telemetry.events()
        if event.event_type in wanted
    ]
    assert happened == [(str(kind), about) for kind, about in recorded_order()]


async def test_a_speed_is_kept(telemetry: Recorded, tmp_path: Path) -> None:
    """Two moments, a second apart in the recording; what was before the first is not waited for."""
    calls = load(trace(tmp_path, phase(t=1000.0), phase(t=1001.0)))
    began = time.monotonic()
    await replay(calls, telemetry.monitor, speed=5)
    assert time.monotonic() - began >= 1 / 5
    assert len(telemetry.events()) == 2
    with pytest.raises(ValueError, match="0 or more"):
        await replay(calls, telemetry.monitor, speed=-1)


@pytest.mark.parametrize(
    ("recorded", "error_type", "text"),
    [
        (None, None, None),
        ("ValueError: no such piece", "ValueError", "no such piece"),
        ("TimeoutError", "TimeoutError", ""),
        ("it broke", "RecordedError", "it broke"),
        ("CancelledError", "CancelledError", "cancelled"),
    ],
)
async def test_a_recorded_error_is_raised_again(
    telemetry: Recorded, tmp_path: Path, recorded: str | None, error_type: str | None, text: str | None
) -> None:
    action = {"call": "action", "game_id": "g", "action_type": "declare", "player_id": "Ada", "seconds": 0.5}
    await replay(load(trace(tmp_path, {"t": 1.0, **action, "error": recorded})), telemetry.monitor, speed=0)
    (ended,) = telemetry.events(EventType.ACTION_FAILED if recorded else EventType.ACTION_COMPLETED)
    assert (ended.data.get("error_type"), ended.data.get("error")) == (error_type, text)


@pytest.mark.parametrize(
    "line", ["nonsense", "[]", '{"t": 1.0}', '{"t": "soon", "call": "game_end"}', '{"t": 1, "call": "x"}']
)
def test_what_is_no_call_is_refused_with_its_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / "trace.jsonl"
    path.write_text(f"{json.dumps(phase(t=1.0))}\n{line}\n")
    with pytest.raises(ValueError, match="line 2"):
        load(path)


async def test_arguments_the_monitor_does_not_know_are_an_error_and_no_hang(
    telemetry: Recorded, tmp_path: Path
) -> None:
    action = {"t": 1.0, "call": "action", "game_id": "g", "weather": "fine", "seconds": 0.5}
    with pytest.raises(ExceptionGroup):
        await replay(load(trace(tmp_path, action)), telemetry.monitor, speed=0)


def test_the_command_says_what_it_replayed(telemetry: Recorded, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(TRACE), "--speed", "0"]) == 0
    assert "302 calls" in capsys.readouterr().out
    assert telemetry.monitor.game_metrics.get_game_analytics()["completed_games"] == 2


def phase(t: float) -> dict[str, Any]:
    return {"t": t, "call": "phase_duration", "game_id": "g", "phase": "TURN", "duration_seconds": 1.5}


def trace(tmp_path: Path, *calls: dict[str, Any]) -> Path:
    path = tmp_path / "trace.jsonl"
    path.write_text("".join(json.dumps(call) + "\n" for call in calls))
    return path
