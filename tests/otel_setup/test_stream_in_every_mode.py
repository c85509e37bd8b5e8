"""The local stream of a played script is the same, however the process is configured, foreign events included.

Global providers can be set once in a process, so each case runs in a process of its own. What the stream must hold is
written down here by hand.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from tests.otel_setup.receiver import Receiver, receiving

SCRIPT = """
    import asyncio, json, sys
    from contextlib import suppress
    from opentelemetry import _logs
    from opentelemetry._logs import LogRecord, SeverityNumber
    import otel_setup
    from otel_setup import get_enterprise_monitor

    chat = _logs.get_logger("chat")  # long before anything is configured
    monitor = get_enterprise_monitor()

    async def play(foreign):
        await monitor.record_game_start("g1", "r1", player_count=2, bot_count=0)
        foreign.emit(
            event_name="chat.message",
            severity_number=SeverityNumber.WARN2,
            body="well played",
            attributes={"game.id": "g1", "player.id": "Ada", "chat.words": ["well", "played"], "chat.length": 11},
        )
        with suppress(ValueError):
            async with monitor.monitor_action_processing("g1", "declare", "Ben", "corr_0123456789abcdef"):
                foreign.emit(LogRecord(event_name="chat.report", attributes={"player.id": "Ben", "chat.length": 3}))
                raise ValueError("nine piles")
        foreign.emit(
            event_name="player.timeout", attributes={"game.id": "g1", "player.id": "Ben", "action.type": "declare"}
        )
        try:
            raise KeyError("emoji")
        except KeyError as broken:
            foreign.emit(event_name="chat.broken", exception=broken, attributes={"player.id": "Ada"})
        _logs.get_logger("fastapi").emit(event_name="fastapi.validation.failed")
        _logs.get_logger("fastapi.websocket").emit(event_name="fastapi.websocket.exception")
        _logs.get_logger("fastapiary").emit(body="a message, and no event")
        await monitor.record_game_end("g1", "Ada", {"Ada": 50, "Ben": 3})

    def tell():
        print(json.dumps([event.to_dict() for event in monitor.event_stream.get_history()]))
"""

MODES = {
    "unconfigured": """
        asyncio.run(play(monitor.logger))
        tell()
    """,
    "logs off": """
        telemetry = otel_setup.configure(collector=sys.argv[1], logs=False)
        asyncio.run(play(chat))
        assert telemetry.shutdown(10)
        tell()
    """,
    "SDK disabled": """
        telemetry = otel_setup.configure(collector=sys.argv[1])
        asyncio.run(play(chat))
        assert telemetry.shutdown(10)
        tell()
    """,
    "adopted": """
        from opentelemetry.sdk._logs import LoggerProvider
        from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
        theirs, exporter = LoggerProvider(), InMemoryLogRecordExporter()
        theirs.add_log_record_processor(SimpleLogRecordProcessor(exporter))
        _logs.set_logger_provider(theirs)
        telemetry = otel_setup.configure(collector=sys.argv[1], adopt=True)
        asyncio.run(play(chat))
        assert telemetry.shutdown(10)
        tell()
        records = [record.log_record for record in exporter.get_finished_logs()]
        print(json.dumps([record.attributes.get("log.record.uid") for record in records if record.event_name]))
    """,
    "adopted, logs off": """
        from opentelemetry.sdk._logs import LoggerProvider
        _logs.set_logger_provider(LoggerProvider())
        telemetry = otel_setup.configure(collector=sys.argv[1], adopt=True, logs=False)
        asyncio.run(play(chat))
        assert telemetry.shutdown(10)
        tell()
    """,
    "configured": """
        telemetry = otel_setup.configure(collector=sys.argv[1])
        asyncio.run(play(chat))
        assert telemetry.shutdown(10)
        tell()
    """,
    "shut down": """
        telemetry = otel_setup.configure(collector=sys.argv[1])
        assert telemetry.shutdown(10)
        asyncio.run(play(chat))
        tell()
    """,
}
EXPORTED = {"adopted", "configured"}

GAME = {"game_id": "g1", "room_id": "r1"}
CORRELATED = {"correlation_id": "corr_0123456789abcdef"}
ACTION = {**GAME, **CORRELATED, "player_id": "Ben"}
FAILURE = {"error_type": "ValueError"}
EXPECTED: list[tuple[str, str, dict[str, str], dict[str, Any]]] = [
    ("game.started", "INFO", GAME, {"player_count": 2, "bot_count": 0}),
    ("game.snapshot", "DEBUG", GAME, {"state": "waiting", "player_count": 2}),
    (
        "chat.message",
        "WARN",
        {**GAME, "player_id": "Ada"},
        {"body": "well played", "chat.words": ["well", "played"], "chat.length": 11},
    ),
    ("action.queued", "DEBUG", ACTION, {"action_type": "declare", "status": "queued"}),
    ("action.processing", "DEBUG", ACTION, {"action_type": "declare", "status": "processing"}),
    ("chat.report", "INFO", {**CORRELATED, "player_id": "Ben"}, {"chat.length": 3}),
    ("action.failed", "ERROR", ACTION, {"outcome": "failed", "error": "nine piles", **FAILURE}),
    ("error.occurred", "ERROR", ACTION, {"error_message": "nine piles", **FAILURE}),
    ("player.timeout", "WARN", {**GAME, "player_id": "Ben"}, {"action_type": "declare"}),
    (
        "chat.broken",
        "INFO",
        {"player_id": "Ada"},
        {"error.type": "KeyError", "exception.type": "KeyError", "exception.message": "'emoji'"},
    ),
    ("game.ended", "INFO", GAME, {"winner_id": "Ada", "final_scores": {"Ada": 50, "Ben": 3}, "abandoned": False}),
]
FOREIGN = {"chat.message", "chat.report", "player.timeout", "chat.broken"}
STOPPED = "producer.stopped"
"""Published by a shutdown, which most modes play after all else, and one before."""
IDS = ("game_id", "room_id", "player_id", "connection_id", "correlation_id")


def run(mode: str, url: str = "") -> tuple[list[dict[str, Any]], list[Any]]:
    """The events of the local stream, and what else the process printed."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    if mode == "SDK disabled":
        environment["OTEL_SDK_DISABLED"] = "true"
    done = subprocess.run(
        [sys.executable, "-c", dedent(SCRIPT) + dedent(MODES[mode]), url],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == "", "nothing was said"
    stream, *more = done.stdout.splitlines()
    return [event for event in json.loads(stream) if event["event_type"] != STOPPED], more


@pytest.fixture(scope="module")
def played() -> dict[str, tuple[list[dict[str, Any]], Receiver, list[Any]]]:
    told = {}
    for mode in MODES:
        with receiving() as receiver:
            stream, more = run(mode, receiver.url)
        told[mode] = stream, receiver, more
    return told


@pytest.mark.parametrize("mode", MODES)
def test_the_stream_holds_what_was_played(mode: str, played: dict[str, Any]) -> None:
    stream, _, _ = played[mode]
    assert [event["event_type"] for event in stream] == [event_type for event_type, *_ in EXPECTED]
    for event, (_, severity, ids, data) in zip(stream, EXPECTED, strict=True):
        assert event["severity"] == severity, event
        assert {name: event[name] for name in IDS if event[name]} == ids, event
        assert {key: event["data"].get(key) for key in data} == data
    first = stream[0]["sequence"]
    assert [event["sequence"] for event in stream] == list(range(first, first + len(EXPECTED)))
    (broken,) = [event for event in stream if event["event_type"] == "chat.broken"]
    assert broken["data"]["exception.stacktrace"].rstrip().endswith("KeyError: 'emoji'")


def test_no_mode_says_more_or_less_than_another(played: dict[str, Any]) -> None:
    """Beyond what is written down above: every key of the data, but for times."""

    def comparable(mode: str) -> list[Any]:
        stream, _, _ = played[mode]
        told = [{**event["data"], "type": event["event_type"]} for event in stream]
        for data in told:
            data.pop("exception.stacktrace", None)  # it ends with the same line, as is held above
            data |= {key: "some time" for key in ("duration_ms", "game_seconds") if key in data}
        return told

    for mode in MODES:
        assert comparable(mode) == comparable("configured"), mode


@pytest.mark.parametrize("mode", sorted(EXPORTED))
def test_what_is_exported_is_numbered_without_a_hole_and_once(mode: str, played: dict[str, Any]) -> None:
    stream, receiver, _ = played[mode]
    exported = []
    for record in receiver.events():
        attributes = {item.key: item.value.string_value for item in record.attributes}
        if record.event_name.startswith("fastapi"):  # an event, but none of the stream's
            assert "log.record.uid" not in attributes
        elif record.event_name != STOPPED:
            exported.append((attributes["log.record.uid"], record.event_name))
    producer = stream[0]["event_id"].rpartition("-")[0]
    names = [event_type for event_type, *_ in EXPECTED]
    assert sorted(exported) == sorted((f"{producer}-{number}", name) for number, name in enumerate(names, 1))
    assert sorted(exported) == sorted((event["event_id"], event["event_type"]) for event in stream)


def test_a_foreign_event_is_exported_with_what_the_stream_knows_of_it(played: dict[str, Any]) -> None:
    """Room and correlation, which its maker did not tell: readers of the export see what local ones do."""
    _, receiver, _ = played["configured"]
    told = {
        record.event_name: {item.key: item.value.string_value for item in record.attributes}
        for record in receiver.events()
    }
    assert told["chat.message"]["room.id"] == "r1"
    assert told["chat.report"]["correlation.id"] == "corr_0123456789abcdef"
    assert "Ada" not in told["chat.message"].values(), "names leave as pseudonyms"


def test_where_nothing_is_exported_no_number_is_used_up(played: dict[str, Any]) -> None:
    for mode in set(MODES) - EXPORTED:
        stream, receiver, _ = played[mode]
        assert receiver.events() == []
        assert all("-local" in event["event_id"] for event in stream), mode


def test_the_applications_own_exporter_sees_the_same_ids(played: dict[str, Any]) -> None:
    """So that a receiver of both exports knows them for one."""
    stream, _, (told,) = played["adopted"]
    uids = [uid for uid in json.loads(told) if uid]
    assert uids[: len(EXPECTED)] == [event["event_id"] for event in stream]
