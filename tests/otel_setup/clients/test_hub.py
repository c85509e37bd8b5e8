"""HubEvents against a stand-in that breaks off wherever it likes: nothing is lost, nothing comes twice."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from typing import Any

import pytest

from otel_setup.catalogue import EventType, Severity
from otel_setup.clients import hub
from otel_setup.clients.hub import HubError, HubEvents, checked_url
from otel_setup.events.cursor import Cursor
from otel_setup.events.filter import EventFilter
from otel_setup.events.subscriber import StreamClosed
from tests.support.sse import EPOCH, Plan, ending, frame, refusing, serving, staying, stub_of

QUICKLY = 20.0
TOKEN = "a-token-of-these-tests"  # noqa: S105


async def numbers(events: HubEvents, count: int | None = None) -> list[int]:
    """The numbers of what comes, to the end or so many."""
    found: list[int] = []
    async with asyncio.timeout(QUICKLY):
        async for event in events:
            found.append(event.data["number"])
            if len(found) == count:
                break
    return found


async def test_everything_comes_once_in_order_whatever_breaks() -> None:
    cuts = (0, 3, 12, 40, 200)
    async with stub_of(*(serving(7, cut) for cut in cuts), ending()) as stub:
        stub.add(50)
        async with HubEvents(stub.url, since="oldest", live=False) as events:
            assert await numbers(events) == list(range(1, 51))
            with pytest.raises(StreamClosed):
                await events.get_event()
        places = [request.headers.get("last-event-id") for request in stub.streams]
        assert places == [None, *(f"{EPOCH}-{7 * n}" for n in range(1, 6))]


async def test_a_reader_from_now_on_misses_nothing_that_happens_before_its_first_event() -> None:
    async with stub_of(serving(0), staying()) as stub:
        stub.add(5)
        async with HubEvents(stub.url) as events:
            assert events.cursor == Cursor(EPOCH, 5)
            stub.add(3)  # the connection broke off without a word
            assert await numbers(events, 3) == [6, 7, 8]
            assert events.cursor == Cursor(EPOCH, 8)


async def test_the_last_so_many_are_the_same_after_a_break() -> None:
    async with stub_of(serving(0), staying()) as stub:
        stub.add(5)
        async with HubEvents(stub.url, since=2) as events:
            stub.add(9)
            assert await numbers(events, 11) == list(range(4, 15))


async def test_the_cursor_follows_what_was_read_and_not_what_arrived() -> None:
    async with stub_of(staying()) as stub:
        stub.add(10)
        async with HubEvents(stub.url, since="oldest") as events:
            assert (await events.get_event()).data["number"] == 1  # type: ignore[union-attr]
            assert events.cursor == Cursor(EPOCH, 1)
        async with HubEvents(stub.url, since=events.cursor) as events:
            assert await numbers(events, 9) == list(range(2, 11))


async def test_a_cancelled_wait_takes_no_event_with_it() -> None:
    async with stub_of(staying()) as stub:
        async with HubEvents(stub.url) as events:
            assert await events.get_event(0) is None
            assert await events.get_events(5, 0.01) == []
            waiting = asyncio.create_task(events.get_event())
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
        stub.add(2)
        async with HubEvents(stub.url, since="oldest") as events:
            assert [event.data["number"] for event in await events.get_events(1)] == [1]
            assert [event.data["number"] for event in await events.get_events(9, QUICKLY)] == [2]


async def test_no_more_is_held_than_the_queue_takes() -> None:
    async with stub_of(ending()) as stub:
        stub.add(500)
        async with HubEvents(stub.url, since="oldest", queue_size=10) as events:
            first = await events.get_event(QUICKLY)
            await asyncio.sleep(0.1)
            assert len(events._waiting) <= 10
            assert first is not None
            assert await numbers(events) == list(range(2, 501))


async def test_closing_wakes_who_waits() -> None:
    async with stub_of(staying()) as stub, HubEvents(stub.url) as events:
        waiting = asyncio.create_task(events.get_event())
        await asyncio.sleep(0.01)
        events.close()
        with pytest.raises(StreamClosed):
            await asyncio.wait_for(waiting, QUICKLY)


@pytest.mark.parametrize("last", [refusing(204), ending()], ids=["204", "event: end"])
async def test_it_ends_where_there_is_no_more(last: Plan) -> None:
    async with stub_of(serving(3), last) as stub:
        stub.add(3)
        async with HubEvents(stub.url, since="oldest", live=False) as events:
            assert await numbers(events) == [1, 2, 3]


@pytest.mark.parametrize("reason", ["shutdown", "slow"])
async def test_another_end_is_an_interruption(reason: str) -> None:
    said: list[str] = []
    async with stub_of(ending(reason), staying()) as stub:
        stub.add(3)
        async with HubEvents(stub.url, since="oldest", on_status=said.append) as events:
            assert await numbers(events, 3) == [1, 2, 3]
            while len(stub.streams) < 2:
                await asyncio.sleep(0.01)
            stub.add(1)
            assert stub.streams[1].headers["last-event-id"] == f"{EPOCH}-3"
    assert reason in said[0]
    assert said[1].endswith("is back")


async def test_a_hub_that_is_not_ready_is_asked_again() -> None:
    busy = json.dumps({"error": {"status": 503, "message": "the log is being read: 40 %"}})
    said: list[str] = []
    async with stub_of(refusing(503, busy, "application/json", "retry-after: 0"), ending()) as stub:
        stub.add(2)
        reader = HubEvents(stub.url, since="oldest", live=False, on_status=said.append)
        reader._reconnect_seconds = 0.01
        async with reader as events:
            assert await numbers(events) == [1, 2]
    assert "the log is being read: 40 %" in said[0]


def test_waits_grow_are_bounded_and_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    events = HubEvents("http://127.0.0.1:1")
    monkeypatch.setattr(hub.random, "uniform", lambda low, high: high)
    assert [events._pause(0) for _ in range(6)] == [2, 4, 8, 16, 30, 30]
    assert events._pause(45) == 45
    monkeypatch.undo()
    assert len({events._pause(0) for _ in range(20)}) > 10


# --- what is asked for ------------------------------------------------------------------------------------------------


async def test_the_wishes_and_the_token_reach_the_hub() -> None:
    wanted = EventFilter(
        event_types={"game.*", "error.occurred"},
        room_ids={"room 1&x=1"},
        player_ids={"p_0123456789abcdef"},
        severity_at_least=Severity.WARN,
        attributes={"phase": {"scoring"}},
    )
    async with stub_of(ending()) as stub:
        async with HubEvents(
            stub.url, wanted, token=TOKEN, since=7, live=False, speed=2.5, policy="coalesce"
        ) as events:
            await numbers(events)
        (request,) = stub.streams
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert {name: sorted(values) for name, values in request.query.items()} == {
        "type": ["error.occurred", "game.*"],
        "room": ["room 1&x=1"],
        "player": ["p_0123456789abcdef"],
        "severity": ["WARN"],
        "attr": ["phase:scoring"],
        "since": ["-7"],
        "live": ["0"],
        "speed": ["2.5"],
        "policy": ["coalesce"],
    }


def test_what_cannot_be_asked_for_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="comma"):
        HubEvents("http://h", EventFilter(room_ids={"a,b"}))
    with pytest.raises(ValueError, match="nothing would match"):
        HubEvents("http://h", EventFilter(room_ids=set()))


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("127.0.0.1:4380", "no address"),
        ("ftp://h", "no address"),
        ("http://", "no address"),
        ("http://h:port", "no address"),
        ("http://h/events/stream", "has a path"),
        ("http://user:word@h", "token goes by itself"),
    ],
)
def test_a_wrong_address_is_told(url: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        checked_url(url)


# --- errors say what to do --------------------------------------------------------------------------------------------


async def failure(plan: Plan, **more: Any) -> str:
    async with stub_of(plan) as stub:
        with pytest.raises(HubError) as failed:
            async with HubEvents(stub.url, since="oldest", **more):
                pass
        assert stub.url in str(failed.value)
        return str(failed.value)


async def test_a_missing_or_wrong_token_is_told() -> None:
    assert "needs a token" in await failure(refusing(401))
    said = await failure(refusing(401), token=TOKEN)
    assert "refuses this token" in said
    assert "--token-file" in said
    assert TOKEN not in said


async def test_a_refusal_is_told_in_the_hubs_words() -> None:
    body = json.dumps({"error": {"status": 400, "message": "since is 'x'; write a cursor\x1b[2J"}})
    said = await failure(refusing(400, body))
    assert "since is 'x'; write a cursor" in said
    assert "\x1b" not in said


@pytest.mark.parametrize(
    "plan",
    [
        refusing(404),
        refusing(301, "", "text/html", "location: https://elsewhere.example/"),
        refusing(200, "<html>", "text/html"),
    ],
    ids=["404", "redirection", "a page"],
)
async def test_what_is_no_hub_is_told(plan: Plan) -> None:
    assert "no events hub" in await failure(plan)


async def test_frames_that_hold_no_event_are_told() -> None:
    async def plan(stub: Any, request: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\nid: e-1\ndata: 5\n\n")
        await writer.drain()

    async with stub_of(plan) as stub, HubEvents(stub.url, since="oldest") as events:
        with pytest.raises(HubError, match="no event"):
            await events.get_event(QUICKLY)


async def test_where_nobody_listens_it_is_told() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(HubError, match=r"no hub answers at .*python -m otel_setup hub"):
            async with HubEvents(url):
                pass


@pytest.mark.parametrize("missing", ["httpx", "httpx_sse"])
def test_a_missing_extra_is_named(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ImportError, match=r"otel-setup\[hub\]"):
        HubEvents("http://127.0.0.1:1")


def test_the_stand_in_speaks_as_the_hub_does() -> None:
    """Else these tests would show nothing: its frames are what the hub's own code makes."""
    from otel_setup.events.record import SystemEvent
    from otel_setup.hub.frames import frame as of_hub
    from otel_setup.hub.frames import payload_of

    event = SystemEvent(event_type=EventType("arena.tick"), data={"name": "象"}, event_id="i-e-3")
    stored = {**event.to_dict(), "sequence": 3}
    made = of_hub(SystemEvent.from_dict(stored), Cursor(EPOCH, 3), payload_of(SystemEvent.from_dict(stored), 3))
    lines = [made.split(b"\n"), frame(stored).split(b"\n")]
    assert lines[0][:2] == lines[1][:2]
    assert [json.loads(each[2].removeprefix(b"data: ")) for each in lines] == [stored, stored]
