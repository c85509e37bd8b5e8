"""The record: independent of the monitoring, faithful to its file, strict about what it is told."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import examples
from examples.arena.record import ArenaRecord
from examples.common.record import Record, expected
from examples.liap_tui.record import LiapTuiRecord

RECORDING = (
    "examples.common.record",
    "examples.common.wire",
    "examples.liap_tui.record",
    "examples.arena.record",
    "examples.reconcile",
)


def test_recording_modules_do_not_load_the_monitoring() -> None:
    program = (
        "import sys\n"
        "sys.modules['otel_setup'] = None  # an import of it now fails\n"
        f"import {', '.join(RECORDING)}\n"
        "assert not [name for name in sys.modules if name.startswith(('otel_setup.', 'opentelemetry'))]\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120, capture_output=True)


@pytest.mark.parametrize("module", RECORDING)
def test_recording_modules_do_not_mention_the_monitoring(module: str) -> None:
    """Nor inside a function, where an import would only run later."""
    source = Path(next(iter(examples.__path__)), *module.split(".")[1:]).with_suffix(".py")
    for node in ast.walk(ast.parse(source.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        assert not [name for name in names if name.startswith(("otel_setup", "opentelemetry"))]


def test_a_file_gives_the_same_totals_as_the_game_that_wrote_it(tmp_path: Path) -> None:
    path = tmp_path / "record.jsonl"
    record = LiapTuiRecord(path)
    record.game_started("R1", humans=3, bots=1)
    record.transition("R1", "WAITING", "PREPARATION")
    record.game_completed("R1", {"North": False, "East": True, "South": False, "West": False}, ["North", "East"])
    record.socket_message("/ws/R1", "receive", "play", 31)
    record.socket_message("/ws/R1", "receive", "play", 11)
    record.socket_closed("/ws/R1", 1006)
    record.broadcast("R1", recipients=3, success=True)
    record.declaration("R1", "North", 2, 2, "hit")
    record.close()
    loaded = LiapTuiRecord.load(path)
    assert loaded.totals == record.totals
    assert expected(loaded) == expected(record)
    assert [json.loads(line)["fact"] for line in path.read_text().splitlines()].count("seat_completed") == 4


def test_expected_values_have_the_labels_of_the_metrics() -> None:
    record = LiapTuiRecord()
    record.transition("R1", "WAITING", "PREPARATION")
    record.action("R1", "play_pieces", "accepted", played_by_bot=True)
    record.socket_message("/ws/R1", "transmit", "pong", 27)
    record.socket_closed("/ws/R1", 1001)
    record.broadcast("R1", recipients=3, success=False)
    record.broadcast("R1", recipients=4, success=True)
    record.redeal("R1", "North", "timed_out")
    values = {(family, tuple(sorted(labels))): value for (family, labels), value in expected(record).items() if value}
    assert values == {
        ("state_transitions_total", (("from", "waiting"), ("to", "preparation"))): 1,
        ("actions_total", (("action_type", "play_pieces"), ("actor", "bot"), ("outcome", "accepted"))): 1,
        ("websocket_messages_total", (("direction", "transmit"), ("message_type", "pong"))): 1,
        ("websocket_io_bytes_total", (("direction", "transmit"), ("message_type", "pong"))): 27,
        ("websocket_connections_closed_total", ()): 1,
        ("websocket_closes_total", (("code", "1001"),)): 1,
        ("websocket_broadcasts_total", (("outcome", "failure"),)): 1,
        ("websocket_broadcasts_total", (("outcome", "success"),)): 1,
        ("websocket_broadcast_recipients_total", ()): 7,
        ("redeals_total", (("outcome", "timed_out"),)): 1,
    }


def test_every_compared_family_is_expected_even_where_nothing_happened() -> None:
    common = {
        "games_started_total", "games_completed_total", "games_abandoned_total", "rooms_created_total",
        "rooms_closed_total", "state_transitions_total", "state_illegal_transitions_total", "state_errors_total",
        "phase_duration_seconds_count", "actions_total", "players_joined_total", "players_left_total",
        "players_disconnected_total", "players_reconnected_total", "seats_total", "player_wins_total",
        "websocket_connections_opened_total", "websocket_connections_closed_total", "websocket_closes_total",
        "websocket_messages_total", "websocket_io_bytes_total", "websocket_broadcasts_total",
        "websocket_broadcast_recipients_total",
    }  # fmt: skip
    liap_tui = {
        "rounds_total", "turns_total", "redeals_total", "declarations_total", "action_timeouts_total",
        "bot_takeovers_total",
    }  # fmt: skip
    arena = {"shots_fired_total", "hit_damage_count", "hit_damage_sum"}
    assert {family for family, _ in expected(Record())} == common
    assert {family for family, _ in expected(LiapTuiRecord())} == common | liap_tui
    assert {family for family, _ in expected(ArenaRecord())} == common | arena
    assert set(expected(LiapTuiRecord()).values()) == {0.0}


def test_unknown_facts_and_missing_labels_are_errors() -> None:
    with pytest.raises(KeyError):
        Record().note("coffee_break", room="R1")
    with pytest.raises(KeyError):
        Record().note("player_joined", room="R1")
