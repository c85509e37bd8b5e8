"""What a hub knows after a restart: it is what its log says, no more and no less."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

from otel_setup.catalogue import EventType
from otel_setup.events.stream import EventStream
from otel_setup.hub.frames import Frames, payload_of
from otel_setup.hub.history import History
from otel_setup.hub.metrics import Counters
from otel_setup.hub.segments import Kind, SegmentLog
from tests.otel_setup.hub.app_client import SOON, Served, served
from tests.otel_setup.hub.app_support import numbers, sent


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(SOON):
        while not condition():
            await asyncio.sleep(0.01)


def shown(hub: Served) -> list[int]:
    return numbers(hub.hub.stream.read(0))


async def test_an_event_from_before_what_is_read_again_is_still_known_to_have_come(tmp_path: Path) -> None:
    """The checkpoint at the beginning of a file says so."""
    async with served(tmp_path, segment_bytes=5_000) as hub:
        for number in range(1, 101):
            await hub.send(sent(number))
    async with served(tmp_path, rebuild_bytes=1_000) as hub:
        assert 1 not in shown(hub)  # it is not read again
        assert (await hub.send(sent(1), sent(2), sent(101))).status_code == 200
        assert shown(hub)[-1] == 101
        account = hub.hub.producers()["producers"]["server1-0a1b2c3d"]
        assert (account["delivered"], account["duplicates"], account["missing"]) == (101, 2, 0)


async def test_an_event_that_waited_still_waits_for_the_one_before_it(tmp_path: Path) -> None:
    async with served(tmp_path, hole_seconds=60) as hub:
        await hub.send(sent(1), sent(3))
        assert shown(hub) == [1]
    async with served(tmp_path, hole_seconds=60) as hub:
        await hub.send(sent(2))
        assert shown(hub) == [1, 2, 3]


async def test_gaps_that_were_told_can_still_be_filled(tmp_path: Path) -> None:
    async with served(tmp_path) as hub:
        await hub.send(sent(1), sent(3))
        await until(lambda: hub.hub.stream.cursor.sequence == 3)
    async with served(tmp_path) as hub:
        await hub.send(sent(2))
        account = hub.hub.producers()["producers"]["server1-0a1b2c3d"]
        assert (account["delivered"], account["missing"], account["filled"]) == (3, 0, 1)


async def test_the_views_are_rebuilt_and_say_that_servers_have_not_been_heard_of(tmp_path: Path) -> None:
    async with served(tmp_path) as hub:
        await hub.send(sent(1, room_id="one"))
    async with served(tmp_path, view_seconds=0) as hub:
        rooms = (await hub.get("/views/rooms")).json()
        assert [row["room_id"] for row in rooms["rooms"]] == ["one"]
        assert (rooms["complete"], rooms["incomplete"]) == (False, {"server1-0a1b2c3d": ["unheard"]})
        await hub.send(sent(2, event_type=EventType.ROOM_CREATED, room_id="two"))
        assert (await hub.get("/views/rooms")).json()["complete"] is True


async def test_memory_begins_with_the_newest_of_the_log(tmp_path: Path) -> None:
    async with served(tmp_path) as hub:
        await hub.send(*[sent(number) for number in range(1, 101)])
        before = [event.to_dict() for event in hub.hub.stream.read(90)]
        cursor = hub.hub.stream.cursor
    async with served(tmp_path, history_size=10, viewer_events=10) as hub:
        assert hub.hub.stream.cursor == cursor
        assert hub.hub.stream.oldest == 91
        assert [event.to_dict() for event in hub.hub.stream.read(0)] == before
        assert hub.hub.history.oldest == 1


async def test_an_entry_that_is_no_event_is_left_out_and_counted(tmp_path: Path) -> None:
    log = SegmentLog(tmp_path, lambda: json.dumps(served_state()).encode())
    for _ in log.open():
        pass
    log.append(
        [(Kind.EVENT, 1, payload_of(sent(1), 1)), (Kind.EVENT, 2, b"{}"), (Kind.EVENT, 3, payload_of(sent(3), 3))]
    )
    log.close()
    async with served(tmp_path) as hub:
        assert hub.hub.counters.unreadable == 1
        assert next(event.sequence for event in hub.hub.stream.read(0)) == 3
        page = (await hub.get("/events?since=oldest")).json()
        assert (page["complete"], [event["sequence"] for event in page["events"]][:2]) == (False, [1, 3])


def served_state() -> dict[str, object]:
    """The accounts of a hub that has heard of nobody, as a hub of an earlier time may have written them."""
    return {
        "accounts": {},
        "foreign": [],
        "forgotten": {},
        "producers_forgotten": 0,
        "foreign_delivered": 0,
        "foreign_duplicates": 0,
    }


async def test_nobody_is_shown_what_the_log_has_and_the_stream_has_not_yet(tmp_path: Path) -> None:
    """Between the two, a reader that joined the stream after what it read would begin in the stream's future."""
    log = SegmentLog(tmp_path, lambda: b"{}")
    for _ in log.open():
        pass
    log.append([(Kind.EVENT, number, payload_of(sent(number), number)) for number in range(1, 6)])
    stream = EventStream(1, queue_size=1, epoch=log.epoch)
    for number in (1, 2, 3):
        stream.append(sent(number))
    assert stream.oldest == 3
    history = History(stream, log, Frames(stream.epoch, 1000), Counters())
    assert [stored.event.sequence for stored in await history.after(0, 100)] == [1, 2, 3]
    history.close()
    log.close()
