"""Streams of events over real sockets: nothing lost or repeated that is not told, and nobody is held up by a reader."""

from __future__ import annotations

import asyncio
import socket
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from otel_setup.catalogue import EventType
from otel_setup.events.record import SystemEvent
from otel_setup.hub import sse
from tests.otel_setup.hub.app_client import Served, served
from tests.otel_setup.hub.app_support import sent


async def play(hub: Served, first: int, last: int, **fields: Any) -> None:
    """Sends events in batches, and waits until the hub has them."""
    for start in range(first, last + 1, 100):
        batch = [sent(number, **fields) for number in range(start, min(start + 100, last + 1))]
        assert (await hub.send(*batch)).status_code == 200


async def test_a_reader_gets_what_happens_as_it_comes() -> None:
    async with served(None) as hub, hub.stream() as reader:
        await play(hub, 1, 3)
        frames = await reader.events(3)
        epoch = hub.hub.stream.epoch
        assert [frame.id for frame in frames] == [f"{epoch}-1", f"{epoch}-2", f"{epoch}-3"]
        assert {frame.event for frame in frames} == {"game.started"}
        assert [frame.json["game_id"] for frame in frames] == ["game1", "game2", "game3"]
        assert reader.retry == 2000


async def test_the_head_says_what_proxies_and_browsers_must_know() -> None:
    async with served(None) as hub:
        async with hub.stream() as reader:
            headers = reader.response.headers
        head = await hub.client.head("/events/stream")
    for found in (headers, head.headers):
        assert found["content-type"] == "text/event-stream; charset=utf-8"
        assert found["cache-control"] == "no-store"
        assert found["x-accel-buffering"] == "no"
        assert found["x-content-type-options"] == "nosniff"
    assert (head.status_code, head.content) == (200, b"")


async def test_filters_leave_out_what_is_not_wanted() -> None:
    async with served(None) as hub, hub.stream("room=b,c&type=game.*") as reader:
        for number, room in enumerate("abcab", start=1):
            await hub.send(sent(number, room_id=room))
        await reader.events(3)
        assert reader.numbers() == [2, 3, 5]


# --- beginning in the past --------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("since", "gets"), [("oldest", [1, 2, 3, 4, 5]), ("-2", [4, 5]), ("{epoch}-3", [4, 5]), ("2023-11-14", [1, 2])]
)
async def test_a_reader_may_begin_in_the_past(since: str, gets: list[int]) -> None:
    async with served(None) as hub:
        await play(hub, 1, 5)
        query = f"since={since.format(epoch=hub.hub.stream.epoch)}&live=0"
        async with hub.stream(query) as reader:
            await reader.end()
            assert reader.numbers()[: len(gets)] == gets


async def test_last_event_id_wins_over_since() -> None:
    async with served(None) as hub:
        await play(hub, 1, 5)
        cursor = f"{hub.hub.stream.epoch}-4"
        async with hub.stream("since=oldest&live=0", **{"last-event-id": cursor}) as reader:
            await reader.end()
            assert reader.numbers() == [5]


@pytest.mark.parametrize("history_size", [10, 100_000], ids=["most from the log", "all from memory"])
async def test_the_past_and_the_present_join_without_hole_or_repeat(history_size: int, tmp_path: Path) -> None:
    async with served(tmp_path, history_size=history_size, viewer_events=10_000) as hub:
        await play(hub, 1, 3000)
        playing = asyncio.create_task(play(hub, 3001, 6000))
        readers = [hub.stream("since=oldest") for _ in range(3)]
        streams = [await reader.__aenter__() for reader in readers]
        await playing
        for stream, reader in zip(streams, readers, strict=True):
            await stream.events(6000)
            assert stream.numbers() == list(range(1, 6001))
            assert [int(frame.id.rpartition("-")[2]) for frame in stream.told()] == list(range(1, 6001))
            await reader.__aexit__(None, None, None)


async def test_a_reader_that_comes_back_goes_on_where_it_was_also_after_a_restart(tmp_path: Path) -> None:
    got: list[int] = []
    cursor = "oldest"
    for round_number in range(4):
        async with served(tmp_path, history_size=50, segment_bytes=20_000, rebuild_bytes=30_000) as hub:
            await play(hub, round_number * 200 + 1, round_number * 200 + 200)
            async with hub.stream(f"since={cursor}&live=0") as reader:
                await reader.end()
                got += reader.numbers()[:-7]  # its last ones got lost on the way
                cursor = [frame.id for frame in reader.frames if frame.event == "game.started"][-8]
    assert got == list(range(1, 794))


async def test_a_cursor_older_than_what_is_kept_is_told_what_it_missed() -> None:
    async with served(None, history_size=10, viewer_events=10) as hub:
        await play(hub, 1, 100)
        async with hub.stream(f"since={hub.hub.stream.epoch}-5&live=0") as reader:
            await reader.end()
            gap = reader.frames[0]
            assert gap.event == "stream.gap"
            assert {key: gap.json["data"][key] for key in ("first", "last", "count", "reason")} == {
                "first": 6,
                "last": 90,
                "count": 85,
                "reason": "overwritten",
            }
            assert reader.numbers() == list(range(91, 101))


async def test_what_is_damaged_in_the_log_is_told_in_its_place(tmp_path: Path) -> None:
    small: dict[str, Any] = {"segment_bytes": 5_000, "history_size": 10, "viewer_events": 10}
    async with served(tmp_path, **small) as hub:
        for number in range(1, 101):
            await hub.send(sent(number))
    (file,) = [path for path in tmp_path.glob("*.log") if sent(30).event_id.encode() + b'"' in path.read_bytes()]
    written = file.read_bytes()
    place = written.rindex(sent(30).event_id.encode() + b'"')
    file.write_bytes(written[:place] + b"~" + written[place + 1 :])
    async with served(tmp_path, **small) as hub, hub.stream("since=oldest&live=0") as reader:
        await reader.end()
        (gap,) = [frame for frame in reader.frames if frame.event == "stream.gap"]
        first, last = gap.json["data"]["first"], gap.json["data"]["last"]
        assert first == 30  # and perhaps what stood behind it in the same file
        assert reader.numbers() == [*range(1, 30), *range(last + 1, 101)]
        places = [frame.id.rpartition("-")[2] for frame in reader.frames]
        assert places[28:31] == ["29", str(last), str(last + 1)]
        page = (await hub.get("/events?since=oldest")).json()
        assert (page["complete"], len(page["events"])) == (False, len(reader.numbers()))


@pytest.mark.parametrize("cursor", ["00000000-3", "{epoch}-999"])
async def test_a_cursor_of_another_stream_begins_anew_and_says_so(cursor: str) -> None:
    async with served(None) as hub:
        await play(hub, 1, 3)
        asked = cursor.format(epoch=hub.hub.stream.epoch)
        async with hub.stream(f"since={asked}&live=0") as reader:
            await reader.end()
            assert reader.frames[0].event == "stream.reset"
            assert reader.frames[0].json["data"]["cursor"] == asked
            assert reader.numbers() == [1, 2, 3]


async def test_what_is_finished_says_so_and_does_not_begin_again() -> None:
    async with served(None) as hub:
        await play(hub, 1, 3)
        async with hub.stream("since=oldest&live=0") as reader:
            await reader.end()
            end = reader.frames[-1]
            assert end.event == "end"
            assert end.json == {"reason": "finished", "cursor": f"{hub.hub.stream.epoch}-3"}
            assert reader.error is None
        again = await hub.get("/events/stream?since=oldest&live=0", **{"last-event-id": end.id})
        assert (again.status_code, again.content) == (204, b"")
        async with hub.stream("since=oldest", **{"last-event-id": end.id}) as live:
            await play(hub, 4, 4)
            assert [frame.number for frame in await live.events(1)] == [4]


# --- at the speed at which it happened --------------------------------------------------------------------------------
@pytest.mark.parametrize("history_size", [2, 1000], ids=["from the log", "from memory"])
async def test_a_replay_keeps_the_times_between_events(history_size: int, tmp_path: Path) -> None:
    async with served(tmp_path, history_size=history_size, viewer_events=2, write_seconds=0.0) as hub:
        await play(hub, 1, 5)  # one second between each
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with hub.stream("since=oldest&speed=10&live=0") as reader:
            for count in range(1, 6):
                await reader.events(count)
                # A machine that does other work may be late, but nothing comes before its time.
                assert loop.time() - began >= (count - 1) * 0.1
            await reader.end()
            assert reader.numbers() == [1, 2, 3, 4, 5]


async def test_a_replay_goes_over_into_what_happens_now() -> None:
    async with served(None) as hub:
        await play(hub, 1, 3)
        async with hub.stream("since=oldest&speed=100") as reader:
            await reader.events(3)
            await play(hub, 4, 6)
            await reader.events(6)
            assert reader.numbers() == [1, 2, 3, 4, 5, 6]


# --- many, slow and gone readers --------------------------------------------------------------------------------------
async def test_writes_are_coalesced_but_the_first_event_goes_at_once() -> None:
    interval = 2.0
    async with served(None, write_seconds=interval) as hub, hub.stream() as reader:
        await asyncio.sleep(1.1 * interval)  # idle for longer than the interval
        loop = asyncio.get_running_loop()
        began = loop.time()
        await play(hub, 1, 1)
        await reader.events(1)
        assert loop.time() - began < interval
        writes = reader.writes
        for number in range(2, 102):
            await hub.send(sent(number))
        await reader.events(101)
        assert reader.writes - writes <= (loop.time() - began) / interval + 1
        assert reader.numbers() == list(range(1, 102))


async def test_what_is_too_large_for_one_write_is_cut_and_reads_back_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Anywhere, within a frame too: what follows goes on where it was cut."""
    monkeypatch.setattr(sse, "MAX_WRITE_BYTES", 100)
    async with served(None) as hub, hub.stream() as reader:
        await play(hub, 1, 250, data={"text": "x" * 300})
        frames = await reader.events(250)
        assert reader.numbers() == list(range(1, 251))
        assert {frame.json["data"]["text"] for frame in frames} == {"x" * 300}
        await play(hub, 251, 251)
        await reader.events(251)
        assert reader.numbers()[-1] == 251


async def test_an_event_is_encoded_once_for_all_readers(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    original = SystemEvent.to_dict

    def counted(event: SystemEvent) -> dict[str, Any]:
        made.append(1)
        return original(event)

    async with served(None) as hub:
        readers = [hub.stream() for _ in range(10)]
        streams = [await reader.__aenter__() for reader in readers]
        monkeypatch.setattr(SystemEvent, "to_dict", counted)
        await play(hub, 1, 50)
        for stream, reader in zip(streams, readers, strict=True):
            await stream.events(50)
            await reader.__aexit__(None, None, None)
        assert len(made) == 50


def stalled_socket(port: int, query: str) -> socket.socket:
    """A reader that asks and then takes nothing; its window is as small as the system lets it be."""
    reader = socket.socket()
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
    reader.connect(("127.0.0.1", port))
    reader.sendall(f"GET /events/stream?{query} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    return reader


async def test_a_reader_that_takes_nothing_is_disconnected_and_the_others_lose_nothing() -> None:
    async with served(None, stall_seconds=0.5, history_size=50_000, viewer_events=50_000) as hub:
        async with hub.stream() as good:
            with closing(await asyncio.to_thread(stalled_socket, hub.port, "")):
                async with asyncio.timeout(20):
                    while len(hub.hub.viewers) < 2:
                        await asyncio.sleep(0.01)
                first = 1
                async with asyncio.timeout(60):
                    while not hub.hub.counters.disconnected["stalled"]:
                        await play(hub, first, first + 499, data={"text": "x" * 2000})
                        first += 500
                assert len(hub.hub.viewers) == 1
                async with asyncio.timeout(20):  # it is cut, and not waited for until it takes what is under way
                    while len(hub.server.server_state.connections) > 2:
                        await asyncio.sleep(0.01)
            await good.events(first - 1)
            assert good.numbers() == list(range(1, first))
        assert hub.hub.stream.get_statistics()["subscriber_count"] in (0, 1)


async def test_a_slow_reader_may_ask_to_be_disconnected_with_the_cursor_to_go_on_from() -> None:
    async with served(None, viewer_events=10, write_seconds=1.0) as hub:
        async with hub.stream("policy=disconnect") as reader:
            await play(hub, 1, 1)
            await reader.events(1)
            await play(hub, 2, 60)  # within one interval of writing
            await reader.end()
            got, end = reader.numbers(), reader.frames[-1]
            assert (end.event, end.json["reason"]) == ("end", "slow")
            assert end.json["cursor"] == f"{hub.hub.stream.epoch}-{got[-1]}"
        assert hub.hub.counters.disconnected["slow"] == 1
        async with hub.stream(f"since={end.json['cursor']}&live=0") as reader:
            await reader.end()
            assert got + reader.numbers() == list(range(1, 61))


async def test_past_a_readers_bound_the_gap_is_told_in_its_place() -> None:
    async with (
        served(None, viewer_events=10, history_size=1000, write_seconds=1.0) as hub,
        hub.stream("type=game.started") as reader,
    ):
        await play(hub, 1, 1)
        await reader.events(1)
        await play(hub, 2, 60)
        await reader.until(lambda: 60 in reader.numbers())
        (gap,) = [frame for frame in reader.frames if frame.event == "stream.gap"]
        assert gap.json["data"]["reason"] == "queue_full"
        assert len(reader.numbers()) + gap.json["data"]["count"] == 60
        assert hub.hub.stream.dropped()["dropped_subscribers"] == gap.json["data"]["count"]


async def test_a_reader_that_goes_away_leaves_nothing_behind() -> None:
    async with served(None) as hub:
        for _ in range(20):
            async with hub.stream() as reader:
                await reader.until(lambda: reader.retry)
        async with asyncio.timeout(20):
            while len(hub.hub.viewers):
                await asyncio.sleep(0.01)
        assert hub.hub.stream.get_statistics()["subscriber_count"] == 0
        assert hub.hub.counters.disconnected["client"] == 20
        names = [task.get_coro().__qualname__ for task in asyncio.all_tasks()]  # type: ignore[union-attr]
        assert not [name for name in names if "Viewer" in name]


async def test_past_the_bound_of_streams_a_reader_is_told_to_come_again() -> None:
    async with served(None, max_viewers=2) as hub, hub.stream(), hub.stream():
        refused = await hub.get("/events/stream")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert "all 2 streams are taken" in refused.json()["error"]["message"]
        assert hub.hub.counters.refused["viewers"] == 1


async def test_an_idle_stream_shows_that_it_lives_and_moves_its_readers_cursor_on() -> None:
    async with served(None, heartbeat_seconds=0.2) as hub, hub.stream("type=nothing.of.this") as reader:
        await reader.until(lambda: reader.comments)
        await play(hub, 1, 5)
        await reader.until(lambda: reader.frames)
        bookmark = reader.frames[0]
        assert (bookmark.event, bookmark.id) == ("stream.bookmark", f"{hub.hub.stream.epoch}-5")
        comments = reader.comments
        await reader.until(lambda: reader.comments > comments)
        assert len(reader.frames) == 1  # nothing happened since, so nothing is said of it


async def test_at_the_end_of_the_hub_readers_are_told_and_nobody_is_waited_for() -> None:
    async with served(None, shutdown_seconds=2.0) as hub:
        async with hub.stream() as reader:
            await play(hub, 1, 1)
            await reader.events(1)
            hub.hub.end()
            await reader.end()
            assert reader.frames[-1].event == "end"
            assert reader.frames[-1].json["reason"] == "shutdown"
            assert reader.error is None
            refused = await hub.get("/events/stream")
            assert refused.status_code == 503
        assert hub.hub.counters.disconnected["shutdown"] == 1


async def test_hostile_text_stays_within_its_frame() -> None:
    name = "evil\r\n\r\nevent: end\ndata: x\u2028\u202e<script>"
    async with served(None) as hub, hub.stream() as reader:
        await hub.send(sent(1, room_id=name, event_type=EventType("strange\nid: 7\n\n")), sent(2))
        frames = await reader.events(2)
        assert [frame.id.rpartition("-")[2] for frame in frames] == ["1", "2"]
        assert "\n" not in frames[0].event
        assert "\r" not in frames[0].json["room_id"]
