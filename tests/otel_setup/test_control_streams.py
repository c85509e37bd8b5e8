"""Events over the command socket: what a reader gets, and that none can hold up the game or another reader."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from otel_setup import control_streams
from otel_setup.catalogue import EventType
from otel_setup.clients.process import ProcessEvents
from otel_setup.control import RUNTIME_DIR_VARIABLE, ControlError, ControlServer, ask
from otel_setup.control_streams import MAX_STREAMS, EventStreams
from otel_setup.core import Core
from otel_setup.diagnosis.close_look import CloseLook
from otel_setup.events.cursor import Cursor
from otel_setup.events.filter import EventFilter
from otel_setup.events.record import SystemEvent
from otel_setup.events.stream import EventStream
from otel_setup.events.subscriber import StreamClosed
from otel_setup.telemetry import current_core
from otel_setup.testing import Recorded

PATIENCE = 20.0


@pytest.fixture
def stream() -> EventStream:
    return EventStream(history_size=2000, queue_size=500)


@pytest.fixture
def core(telemetry: Recorded) -> Core:
    return current_core()


@pytest.fixture
def server(tmp_path: Path, core: Core, stream: EventStream, monkeypatch: pytest.MonkeyPatch) -> Iterator[ControlServer]:
    monkeypatch.setenv(RUNTIME_DIR_VARIABLE, str(tmp_path / "r"))
    server = ControlServer(CloseLook(core), lambda: {"service": "mygame", "instance": "i1"}, core.faults, stream)
    yield server
    server.stop()


def publish(stream: EventStream, count: int, **fields: Any) -> None:
    for _ in range(count):
        number = stream.total_events + 1
        stream.append(SystemEvent(event_type=EventType("arena.tick"), data={"number": number}, **fields))


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "what was waited for did not come"
        time.sleep(0.01)


def connected(path: Path, query: str = "") -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(PATIENCE)
    connection.connect(str(path))
    connection.sendall(json.dumps({"do": "events", "query": query}).encode() + b"\n")
    return connection


async def numbers(events: ProcessEvents, count: int) -> list[int]:
    found: list[int] = []
    async with asyncio.timeout(PATIENCE):
        while len(found) < count:
            found += [event.data["number"] for event in await events.get_events(count - len(found))]
    return found


# --- what a reader gets -----------------------------------------------------------------------------------------------


async def test_the_past_and_then_the_present_without_hole_or_repeat(server: ControlServer, stream: EventStream) -> None:
    publish(stream, 100)
    async with ProcessEvents(server.path, since="oldest") as events:
        assert events.about == {"pid": os.getpid(), "service": "mygame", "instance": "i1"}
        publish(stream, 50)
        assert await numbers(events, 150) == list(range(1, 151))
        assert events.cursor == Cursor(stream.epoch, 150)
        publish(stream, 1)
        assert await numbers(events, 1) == [151]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"since": 3}, [8, 9, 10]),
        ({"since": "oldest", "event_filter": EventFilter(room_ids={"r 2&"})}, [6, 7, 8, 9, 10]),
        ({"since": "oldest", "event_filter": EventFilter(event_types={"other.*"})}, []),
    ],
)
async def test_filters_and_beginnings(
    server: ControlServer, stream: EventStream, asked: dict[str, Any], expected: list[int]
) -> None:
    publish(stream, 5, room_id="r 1")
    publish(stream, 5, room_id="r 2&")
    async with ProcessEvents(server.path, live=False, **asked) as events:
        found = [event.data["number"] async for event in events]
    assert found == expected


async def test_an_event_comes_as_it_is(server: ControlServer, stream: EventStream) -> None:
    made = SystemEvent(
        event_type=EventType("arena.tick"),
        timestamp_ns=1_700_000_000_123_456_000,
        player_id="象\u202e\n",
        trace_id="ab" * 16,
        data={"text": "\x1b[2J\n", "list": [1, {"a": None}], "is": True},
        metadata={"late": True},
    )
    async with ProcessEvents(server.path) as events:
        published = stream.append(made)
        found = await events.get_event(PATIENCE)
    assert found is not None
    assert found.to_dict() == published.to_dict()


def test_what_makes_no_sense_is_refused(server: ControlServer) -> None:
    for query, said in (("since=x", "since is 'x'"), ("nonsense=1", "no parameter"), ("speed=0", "speed is '0'")):
        with pytest.raises(ControlError, match=said):
            ask(server.path, {"do": "events", "query": query})
    for request in ({"do": "events", "query": 5}, {"do": "events", "more": 1}):
        with pytest.raises(ControlError):
            ask(server.path, request)
    assert ask(server.path, {"do": "list"})["streams"] == 0


def test_without_a_stream_nobody_reads(tmp_path: Path, core: Core, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(RUNTIME_DIR_VARIABLE, str(tmp_path / "r"))
    server = ControlServer(CloseLook(core), lambda: {}, core.faults)
    with pytest.raises(ControlError, match="nobody"):
        ask(server.path, {"do": "events"})
    server.stop()


# --- nobody is held up ------------------------------------------------------------------------------------------------


async def test_a_reader_that_takes_nothing_is_told_what_it_missed(server: ControlServer, stream: EventStream) -> None:
    """Its bounds are those of the stream; the game and another reader do not notice."""
    with connected(server.path) as stalled:
        assert json.loads(stalled.makefile("rb").readline())["ok"]
        async with ProcessEvents(server.path) as events:
            for _ in range(40):
                publish(stream, 100, room_id="r" * 100)  # more than sockets and queues hold
                assert len(await numbers(events, 100)) == 100
        data = b""
        while b'"number":4000,' not in data and b'"number":4000}' not in data:
            data += stalled.recv(1 << 20)
    told = [json.loads(line) for line in data.splitlines()]
    got = [line["data"]["number"] for line in told if line["event_type"] == "arena.tick"]
    lost = [line["data"] for line in told if line["event_type"] == "stream.gap"]
    assert lost
    missing = {number for gap in lost for number in range(gap["first"], gap["last"] + 1)}
    assert sorted([*got, *missing]) == list(range(1, 4001))
    assert sum(gap["count"] for gap in lost) == len(missing)


def test_a_reader_that_takes_nothing_for_too_long_is_disconnected(stream: EventStream) -> None:
    now = 0.0
    streams = EventStreams(stream, lambda: now)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        publish(stream, 2000, room_id="r" * 100)
        streams.serve(theirs, streams.open("since=oldest"))
        for _ in range(10):
            streams.step()
        assert streams.full == [theirs]
        now = control_streams.STALL_SECONDS
        streams.step()
        assert len(streams) == 1
        now += 1
        streams.step()
        assert (len(streams), streams.stalled) == (0, 1)
        assert stream.get_statistics()["subscriber_count"] == 0


def test_there_are_only_so_many(server: ControlServer, stream: EventStream) -> None:
    connections = [connected(server.path) for _ in range(MAX_STREAMS)]
    for connection in connections:
        assert json.loads(connection.makefile("rb").readline())["ok"]
    with pytest.raises(ControlError, match="others read here already"):
        ask(server.path, {"do": "events"})
    assert server._streams is not None
    assert server._streams.refused == 1
    connections[0].close()
    wait_for(lambda: ask(server.path, {"do": "list"})["streams"] == MAX_STREAMS - 1)
    assert stream.get_statistics()["subscriber_count"] == MAX_STREAMS - 1
    for connection in connections[1:]:
        connection.close()
    wait_for(lambda: ask(server.path, {"do": "list"})["streams"] == 0)
    assert stream.get_statistics()["subscriber_count"] == 0


def test_the_thread_sleeps_where_nobody_reads(server: ControlServer) -> None:
    assert server._milliseconds() is None
    with connected(server.path) as connection:
        connection.makefile("rb").readline()
        wait_for(lambda: server._milliseconds() == control_streams.TICK_SECONDS * 1000)
    wait_for(lambda: server._milliseconds() is None)


async def test_commands_are_answered_meanwhile(server: ControlServer, stream: EventStream) -> None:
    publish(stream, 2000)
    with connected(server.path, "since=oldest"):
        begun = ask(server.path, {"do": "start", "room": "room1", "seconds": 60})
        assert [rule["room"] for rule in begun["rules"]] == ["room1"]


# --- its end ----------------------------------------------------------------------------------------------------------


async def test_readers_are_told_when_the_process_ends(server: ControlServer, stream: EventStream) -> None:
    async with ProcessEvents(server.path) as events:
        publish(stream, 1)
        assert await numbers(events, 1) == [1]
        server.stop()
        with pytest.raises(StreamClosed):
            await events.get_event(PATIENCE)
    assert stream.get_statistics()["subscriber_count"] == 0
    assert not [thread for thread in threading.enumerate() if thread.name == "otel_setup-control"]


async def test_a_process_that_is_configured_anew_is_read_on(
    server: ControlServer, core: Core, stream: EventStream, tmp_path: Path
) -> None:
    async with ProcessEvents(server.path) as events:
        publish(stream, 1)
        assert await numbers(events, 1) == [1]
        server.stop()
        publish(stream, 2)
        again = ControlServer(CloseLook(core), lambda: {"service": "mygame"}, core.faults, stream)
        try:
            publish(stream, 1)
            assert await numbers(events, 3) == [2, 3, 4]
        finally:
            again.stop()


def test_a_forked_child_leaves_readers_to_the_parent(server: ControlServer, stream: EventStream) -> None:
    with connected(server.path) as connection:
        lines = connection.makefile("rb")
        assert json.loads(lines.readline())["ok"]
        child = os.fork()
        if child == 0:
            stream.after_fork()
            os._exit(0 if len(server._streams or ()) == 0 else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        publish(stream, 1)
        assert json.loads(lines.readline())["data"] == {"number": 1}


async def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        async with ProcessEvents(tmp_path / "1.sock"):
            pass
