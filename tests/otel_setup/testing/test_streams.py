"""The stream that a test fills: what it says of a reader is what the reader did, and its failures say why."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import pytest

from otel_setup import EventFilter, EventStream, EventSubscriber, EventType, Policy, SlowSubscriber, SystemEvent
from otel_setup.catalogue import EVENTS
from otel_setup.testing import EventStreamTester


class Reader:
    """What users write: a task that reads a stream, and comes back where it ended."""

    def __init__(self, stream: EventStream, event_filter: EventFilter | None = None, **wishes: Any) -> None:
        self.stream, self.filter, self.wishes = stream, event_filter, wishes
        self.seen: list[SystemEvent] = []
        self.subscribed = asyncio.Event()
        self.broken: Exception | None = None
        self.comes_back = True

    async def run(self) -> None:
        since = self.wishes.pop("since", None)
        while True:
            async with await self.stream.subscribe("chat", self.filter, since=since, **self.wishes) as subscriber:
                self.subscribed.set()
                with suppress(SlowSubscriber):
                    async for event in subscriber:
                        self.seen.append(event)
                since = subscriber.cursor
            if not self.comes_back:
                return


@pytest.fixture
def tester() -> EventStreamTester:
    return EventStreamTester(queue_size=5)


Start = Callable[..., Any]


@pytest.fixture
async def start(tester: EventStreamTester) -> AsyncIterator[Start]:
    tasks = []

    async def start(event_filter: EventFilter | None = None, **wishes: Any) -> Reader:
        reader = Reader(tester.stream, event_filter, **wishes)
        tasks.append(asyncio.create_task(reader.run()))
        await reader.subscribed.wait()
        return reader

    yield start
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_what_a_reader_got_is_what_it_saw(tester: EventStreamTester, start: Start) -> None:
    reader = await start()
    tester.publish("game.started", room="r1", game="g1", player_count=4)
    tester.publish("game.ended", room="r2", winner_id="Ada")
    await tester.settle()
    assert tester.received() == reader.seen
    event = tester.assert_received("game.started", room="r1", player_count=4)
    assert (event.room_id, event.game_id, event.data) == ("r1", "g1", {"player_count": 4})
    tester.assert_received("game.ended", room_id="r2")
    tester.assert_received_in_order("game.started", "game.ended")
    tester.assert_nothing_missed()


async def test_the_readers_are_the_engines_own(tester: EventStreamTester) -> None:
    subscriber = await tester.stream.subscribe("chat")
    assert isinstance(subscriber, EventSubscriber)
    tester.publish("game.started")
    tester.publish("game.ended")
    assert [event.event_type for event in await subscriber.get_events(10)] == ["game.started", "game.ended"]
    assert await subscriber.get_event(timeout=0) is None
    tester.publish("game.error")
    assert (await subscriber.get_event()).event_type == "game.error"  # type: ignore[union-attr]
    assert len(tester.received("chat")) == 3
    assert subscriber.statistics()["delivered"] == 3


async def test_it_has_the_time_of_the_test(tester: EventStreamTester, start: Start) -> None:
    await start()
    tester.advance(90)
    tester.publish("game.started")
    await tester.settle()
    assert tester.assert_received("game.started").timestamp.isoformat() == "2030-01-01T12:01:30+00:00"


async def test_every_event_of_the_catalogue_has_an_example(tester: EventStreamTester) -> None:
    subscriber = await tester.stream.subscribe("all", queue_size=1000)
    for kind in EVENTS:
        tester.publish_example(kind.name)
    read = await subscriber.get_events(1000)
    assert [event.event_type for event in read] == [kind.name for kind in EVENTS]
    for event, declared in zip(read, EVENTS, strict=True):
        carried = {attribute.data_key for attribute in declared.attributes} - {"log.record.uid", "extra"}
        ids = {key for key in carried if key.endswith("_id") and key not in ("winner_id",)} & {
            "game_id",
            "room_id",
            "player_id",
            "connection_id",
            "correlation_id",
        }
        assert set(event.data) == carried - ids
        assert all(getattr(event, key) for key in ids)
        assert event.severity is declared.severity
    ended = tester.publish_example("game.ended", room="r9", winner_id="Ben")
    assert (ended.room_id, ended.data["winner_id"], ended.data["abandoned"]) == ("r9", "Ben", False)


def test_a_name_that_does_not_exist_is_refused(tester: EventStreamTester) -> None:
    with pytest.raises(
        ValueError, match=r"'game\.startd' is no event of the catalogue; did you mean 'game\.started'\?"
    ):
        tester.publish("game.startd")
    assert tester.publish(EventType("chess.castled"), room="r1").event_type == "chess.castled"


# --- what goes wrong --------------------------------------------------------------------------------------------------


async def test_a_gap_of_the_hub_is_read_and_counts_as_missed(tester: EventStreamTester, start: Start) -> None:
    reader = await start()
    tester.publish("game.started")
    tester.gap(3, producer="server-9f", first=7)
    await tester.settle()
    gap = tester.assert_received("stream.gap", count=3, reason="upstream", producer="server-9f", first=7, last=9)
    assert gap in reader.seen
    with pytest.raises(AssertionError) as failure:
        tester.assert_nothing_missed()
    assert "'chat' missed 0 of 2 events" in str(failure.value)
    assert "was told of: stream.gap at 12:00:00.000000 producer='server-9f' first=7 last=9 count=3" in str(
        failure.value
    )


@pytest.mark.parametrize(
    ("policy", "lost"), [(Policy.DROP_OLDEST, [0, 1]), (Policy.DROP_NEWEST, [5, 6]), (Policy.COALESCE, [])]
)
@pytest.mark.parametrize("filtered", [False, True])
async def test_too_much_is_lost_by_the_policy_of_the_reader(
    tester: EventStreamTester, start: Start, policy: Policy, lost: list[int], filtered: bool
) -> None:
    wanted = EventFilter(event_types={"player.action"}) if filtered else None
    key = {"coalesce_key": lambda event: event.sequence} if policy is Policy.COALESCE else {}
    reader = await start(wanted, policy=policy, **key)
    await tester.settle()
    assert tester.overwhelm("player.action", lost=2, room="r1") == 7
    await tester.settle()
    (gap,) = [event for event in reader.seen if event.event_type == "stream.gap"]
    assert gap.data["count"] == 2
    told = [event.sequence for event in reader.seen if event is not gap]
    assert len(told) == 5
    if lost:
        assert told == [number + 1 for number in range(7) if number not in lost]
    with pytest.raises(AssertionError, match="'chat' missed 2 of 7 events"):
        tester.assert_nothing_missed()


async def test_a_slow_reader_that_comes_back_misses_nothing(tester: EventStreamTester, start: Start) -> None:
    reader = await start(policy=Policy.DISCONNECT)
    tester.overwhelm("player.action", room="r1")
    await tester.settle()
    tester.publish("game.ended")
    await tester.settle()
    assert len(reader.seen) == 7
    tester.assert_nothing_missed()


async def test_what_the_reader_does_not_want_cannot_be_too_much(tester: EventStreamTester, start: Start) -> None:
    await start(EventFilter(event_types={"game.ended"}))
    with pytest.raises(
        ValueError, match=r"'chat' does not want player\.action .*; name an event that its filter lets in"
    ):
        tester.overwhelm("player.action")


async def test_a_held_reader_gets_nothing_until_it_is_let_go(tester: EventStreamTester, start: Start) -> None:
    reader = await start()
    tester.publish("game.created")
    await tester.settle()
    with tester.held():
        tester.publish("game.started")  # it waits already, so this one still reaches it
        tester.publish("game.error")
        tester.publish("game.ended")
        with pytest.raises(AssertionError, match="'chat': the test holds it"):
            await tester.settle(0.05)
        assert "game.ended" not in [event.event_type for event in reader.seen]
    await tester.settle()
    tester.assert_received_in_order("game.created", "game.started", "game.error", "game.ended")
    tester.assert_nothing_missed()


async def test_whoever_polls_while_held_is_told_there_is_nothing(tester: EventStreamTester) -> None:
    subscriber = await tester.stream.subscribe("poller")
    tester.publish("game.started")
    with tester.held():
        assert await subscriber.get_event(timeout=0) is None
        assert await subscriber.get_events(3, timeout=0.02) == []
    assert len(await subscriber.get_events(3, timeout=0)) == 1


async def test_a_disconnected_reader_that_resumes_misses_nothing(tester: EventStreamTester, start: Start) -> None:
    reader = await start()
    tester.publish("game.started")
    tester.disconnect()
    tester.publish("game.error")
    await tester.settle()
    tester.publish("game.ended")
    await tester.settle()
    assert [event.event_type for event in reader.seen] == ["game.started", "game.error", "game.ended"]
    tester.assert_nothing_missed()


async def test_a_disconnected_reader_that_does_not_resume_has_missed_something(
    tester: EventStreamTester, start: Start
) -> None:
    reader = await start()
    reader.comes_back = False
    tester.disconnect()
    await tester.settle()
    tester.publish("game.ended")
    with pytest.raises(AssertionError, match=r"missed: game\.ended at 12:00:00\.000000 sequence=1"):
        tester.assert_nothing_missed()
    with pytest.raises(AssertionError, match="though one was published: it was closed, or too slow"):
        tester.assert_received("game.ended")


async def test_whoever_begins_again_from_the_oldest_repeats_itself(tester: EventStreamTester) -> None:
    for _ in range(2):
        async with await tester.stream.subscribe("chat", since="oldest") as subscriber:
            tester.publish("game.started")
            while await subscriber.get_event(timeout=0):
                pass
    with pytest.raises(AssertionError, match=r"missed 0 of 2 events\n    received again: game\.started"):
        tester.assert_nothing_missed()


async def test_after_a_restart_no_cursor_is_known(tester: EventStreamTester, start: Start) -> None:
    reader = await start()
    tester.publish("game.started")
    await tester.settle()
    tester.restart()
    await tester.settle()
    tester.publish("game.ended")
    await tester.settle()
    assert [event.event_type for event in reader.seen] == ["game.started", "stream.reset", "game.ended"]
    with pytest.raises(AssertionError, match=r"missed 0 of 2 events\n    was told of: stream\.reset"):
        tester.assert_nothing_missed()


async def test_a_replay_goes_by_the_clock_of_the_test(tester: EventStreamTester, start: Start) -> None:
    tester.publish("game.started")
    tester.advance(60)
    tester.publish("game.ended")
    tester.advance(5)
    reader = await start(since="oldest", speed=2.0)
    await tester.settle()
    assert len(reader.seen) == 1
    tester.advance(29)
    await tester.settle()
    assert len(reader.seen) == 1
    tester.advance(1)
    await tester.settle()
    assert len(reader.seen) == 2


def test_readers_in_threads_are_watched_too(tester: EventStreamTester) -> None:
    seen: list[SystemEvent] = []
    subscribed = threading.Event()

    def read() -> None:
        with tester.stream.reader("recorder") as reader:
            subscribed.set()
            seen.extend(reader)

    thread = threading.Thread(target=read)
    thread.start()
    subscribed.wait(5)
    tester.publish("game.started", room="r1")
    tester.settled()
    tester.assert_received("game.started", reader="recorder", room="r1")
    tester.publish("game.ended")
    tester.disconnect()
    thread.join(5)
    assert not thread.is_alive()
    assert tester.received() == seen
    tester.assert_nothing_missed()


# --- what failures say ------------------------------------------------------------------------------------------------


async def test_each_failure_says_why(tester: EventStreamTester, start: Start) -> None:
    tester.publish("room.created", room="r0")
    await start(EventFilter(room_ids={"r0", "r1"}))
    tester.publish("game.started", room="r1", player_count=4)
    tester.publish("game.started", room="r2")
    await tester.settle()
    wanted = {
        (
            "game.started",
            "r3",
        ): "'chat' received no event 'game.started' that has room_id='r3'; the nearest:\n"
        "    game.started at 12:00:00.000000: room_id='r1'",
        (
            "game.ended",
            None,
        ): "'chat' received no event 'game.ended', and none like that was published; it received: game.started",
        ("game.startd", None): "did you mean 'game.started'?",
        ("room.created", "r0"): "because it was published before it subscribed",
    }
    for (event_type, room), words in wanted.items():
        with pytest.raises(AssertionError) as failure:
            tester.assert_received(event_type, **({"room": room} if room else {}))
        assert words in str(failure.value)
    tester.assert_not_received("game.started", room="r2")
    with pytest.raises(AssertionError, match=r"'chat' received game\.started at 12:00:00\.000000: .*room_id='r1'"):
        tester.assert_not_received("game.started")
    with pytest.raises(ValueError, match=r"no event 'game\.ended' like that was published; .*nobody could receive it"):
        tester.assert_not_received("game.ended")
    with pytest.raises(AssertionError, match=r"no event 'game\.created'"):
        tester.assert_received_in_order("game.started", "game.created")


async def test_the_filter_is_named_where_it_is_the_reason(tester: EventStreamTester, start: Start) -> None:
    await start(EventFilter(event_types={"game.ended"}))
    tester.publish("game.started")
    await tester.settle()
    with pytest.raises(AssertionError, match=r"because its filter leaves game\.started at 12:00:00\.000000 out"):
        tester.assert_received("game.started")


async def test_who_never_asks_is_named(tester: EventStreamTester) -> None:
    await tester.stream.subscribe("lazy")
    with pytest.raises(AssertionError, match="'lazy': it does not ask for more"):
        await tester.settle(0.02)
    tester.publish("game.started")
    with pytest.raises(AssertionError, match="'lazy': 1 events wait for it"):
        await tester.settle(0.02)
    with pytest.raises(AssertionError, match="1 events still wait for it, see settle"):
        tester.assert_received("game.started")
    with pytest.raises(AssertionError, match="1 still wait for it"):
        tester.assert_nothing_missed()


async def test_of_several_readers_one_is_named(tester: EventStreamTester) -> None:
    with pytest.raises(ValueError, match="say which reader; subscribed have: nobody"):
        tester.received()
    for name in ("chat", "dashboard"):
        await tester.stream.subscribe(name)
    with pytest.raises(ValueError, match="say which reader; subscribed have: 'chat', 'dashboard'"):
        tester.received()
    with pytest.raises(ValueError, match="no reader 'chatt' has subscribed; did you mean 'chat'"):
        tester.received("chatt")
    assert tester.received("chat") == []
