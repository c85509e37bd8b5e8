"""``debug`` on a configured process: full sampling and more events of one room, and of no other."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry import trace

import otel_setup
from otel_setup import get_enterprise_monitor
from otel_setup.cli import debug
from otel_setup.control import RUNTIME_DIR_VARIABLE, ask
from otel_setup.testing import fresh_telemetry
from tests.otel_setup.receiver import Receiver, receiving


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(RUNTIME_DIR_VARIABLE, str(tmp_path / "r"))
    return tmp_path / "r"


@pytest.fixture
def receiver(directory: Path) -> Iterator[Receiver]:
    with fresh_telemetry(), receiving() as received:
        yield received


def names_by_game(receiver: Receiver) -> set[tuple[str, str]]:
    return {
        (span.name, item.value.string_value)
        for span in receiver.spans()
        for item in span.attributes
        if item.key == "game.id"
    }


async def play(game_id: str, room_id: str, player_id: str) -> None:
    """One queued action, with a socket message, below a span of a server that no room is known of."""
    monitor = get_enterprise_monitor()
    await monitor.record_websocket_event(f"socket-{room_id}", "connect", room_id)
    await monitor.record_game_start(game_id, room_id, 4, 0)
    tracer = trace.get_tracer("the application's")
    with tracer.start_as_current_span("POST /play", kind=trace.SpanKind.SERVER):
        await monitor.record_socket_message(f"socket-{room_id}", "receive", "play", 42)
        token = monitor.capture()
        waiting = monitor.capture()
        async with monitor.monitor_action_processing(game_id, "play", player_id, token=token):
            pass
        del waiting


async def test_everything_of_one_room_and_nothing_more_of_others(receiver: Receiver) -> None:
    telemetry = otel_setup.configure(collector=receiver.url, sampler="parentbased_always_off", pseudonyms=False)
    await play("before", "room1", "ada")
    assert debug.main(["--room", "room1", "--for", "10m"]) == 0
    await play("game1", "room1", "ada")
    await play("game2", "room2", "ada")
    assert debug.main(["--stop"]) == 0
    await play("after", "room1", "ada")
    assert telemetry.shutdown(20)
    assert names_by_game(receiver) == {("action.play_pieces", "game1")}
    told = {}
    for record in receiver.log_records():
        if record.event_name in (
            "connection.message",
            "action.dequeued",
            "producer.debug.started",
            "producer.debug.ended",
        ):
            attributes = {item.key: item.value for item in record.attributes}
            told[record.event_name] = attributes
            assert attributes["room.id"].string_value == "room1"
    assert set(told) == {"connection.message", "action.dequeued", "producer.debug.started", "producer.debug.ended"}
    message, dequeued = told["connection.message"], told["action.dequeued"]
    assert message["websocket.message.size"].int_value == 42
    assert message["websocket.message.type"].string_value == "play"
    assert message["network.io.direction"].string_value == "receive"
    assert dequeued["game.id"].string_value == "game1"
    assert dequeued["action.queue_waiting"].int_value == 1
    assert dequeued["action.queue_wait_ms"].double_value >= 0


async def test_a_player_is_found_by_the_name_and_by_the_pseudonym(receiver: Receiver) -> None:
    telemetry = otel_setup.configure(collector=receiver.url, sampler="always_off")
    pseudonym = telemetry.core.pseudonyms.of("wren-78")
    assert debug.main(["--player", "quill-77"]) == 0
    assert debug.main(["--player", pseudonym]) == 0
    for number, player in enumerate(("quill-77", "wren-78", "lark-79")):
        await play(f"game{number}", "room1", player)
    assert telemetry.shutdown(20)
    assert names_by_game(receiver) == {("action.play_pieces", "game0"), ("action.play_pieces", "game1")}
    exported = b"".join(request.SerializeToString() for requests in receiver.requests.values() for request in requests)
    for name in (b"quill-77", b"wren-78", b"lark-79"):
        assert name not in exported


async def test_a_span_of_the_applications_own_is_recorded_by_its_attributes(receiver: Receiver) -> None:
    telemetry = otel_setup.configure(collector=receiver.url, sampler="parentbased_always_off")
    assert debug.main(["--game", "game1"]) == 0
    tracer = trace.get_tracer("the application's")
    for game in ("game1", "game2"):
        with tracer.start_as_current_span("tick", attributes={"game.id": game}):
            pass
    assert telemetry.shutdown(20)
    assert names_by_game(receiver) == {("tick", "game1")}


def test_the_door_opens_with_configure_and_closes_with_shutdown(receiver: Receiver, directory: Path) -> None:
    telemetry = otel_setup.configure(collector=receiver.url, service="mygame")
    place = directory / f"{os.getpid()}.sock"
    assert ask(place, {"do": "list"})["service"] == "mygame"
    otel_setup.configure(collector=receiver.url, service="renamed")
    assert ask(place, {"do": "list"})["service"] == "renamed"
    assert telemetry is not otel_setup.configure(collector=receiver.url, service="renamed", control_socket=False)
    assert list(directory.iterdir()) == []
    otel_setup.configure(collector=receiver.url, service="again").shutdown()
    assert list(directory.iterdir()) == []


def test_a_forked_child_has_a_door_and_rules_of_its_own(receiver: Receiver, directory: Path) -> None:
    telemetry = otel_setup.configure(collector=receiver.url)
    assert debug.main(["--room", "room1"]) == 0
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        get_enterprise_monitor().event_stream.get_history()  # the first use begins afresh
        os.write(tell, b"1" if otel_setup.telemetry.current_core().debug.active else b"0")
        time.sleep(60)
        os._exit(0)
    try:
        assert os.read(told, 1) == b"0"
        assert {path.name for path in directory.iterdir()} == {f"{os.getpid()}.sock", f"{child}.sock"}
        assert debug.main(["--room", "room2", "--pid", str(child)]) == 0
        assert [rule["room"] for rule in ask(directory / f"{child}.sock", {"do": "list"})["rules"]] == ["room2"]
        assert [rule["room"] for rule in ask(directory / f"{os.getpid()}.sock", {"do": "list"})["rules"]] == ["room1"]
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)
    assert telemetry.shutdown(20)


def test_where_there_is_no_place_for_the_door_the_game_runs_all_the_same(
    receiver: Receiver, directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    directory.mkdir(mode=0o755)
    telemetry = otel_setup.configure(collector=receiver.url)
    assert "cannot reach this process" in caplog.text
    assert telemetry.shutdown(20)
