"""Reading events from a real Kafka broker."""

from __future__ import annotations

import asyncio
import itertools
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiokafka
import aiokafka.admin
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from deploy import native
from deploy.collector.roles import kafka_producer
from otel_setup.catalogue import EventType
from otel_setup.events.filter import EventFilter
from otel_setup.events.record import SystemEvent
from otel_setup.events.stream import StreamClosed
from otel_setup.hub.accounts import AccountBounds
from otel_setup.kafka import KafkaEvents
from otel_setup.kafka.feed import Feed
from tests.support.kafka import running_kafka
from tests.support.kafka_otlp import record, request, send_events, uid, uids
from tests.support.peers import free_settings, require

pytestmark = pytest.mark.peer("kafka")

ADA, BEN, CAT, DAN = (f"{name}-0000000a" for name in ("ada", "ben", "cat", "dan"))
NAMES = itertools.count(1)
PATIENCE = 90.0
"""Seconds that a busy machine may take for anything; only a failure takes so long."""


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[native.Kafka]:
    with running_kafka(tmp_path_factory.mktemp("broker")) as running:
        yield running


class Topic:
    """A topic of its own, and what writes to it as a Collector does."""

    def __init__(self, brokers: str, producer: Any) -> None:
        self.brokers = brokers
        self.name = f"topic-{next(NAMES)}"
        self.producer = producer

    async def create(self, partitions: int) -> None:
        async with admin(self.brokers) as client:
            await client.create_topics([aiokafka.admin.NewTopic(self.name, partitions, 1)])

    async def write(self, producer: str, *numbers: int, partition: int = 0, **attributes: str) -> None:
        """One message with events of these numbers."""
        body = request(producer, [record(producer, number, **attributes) for number in numbers])
        await self.write_bytes(body.SerializeToString(), partition)

    async def write_bytes(self, value: bytes, partition: int = 0) -> None:
        await self.producer.send_and_wait(self.name, value, partition=partition)

    def read(self, group: str = "readers", **options: Any) -> KafkaEvents:
        """A reader that hears of other members soon and leaves no commit for later."""
        quick = {"heartbeat_interval_ms": 200, "session_timeout_ms": 6000, "retry_backoff_ms": 50}
        return KafkaEvents(
            self.brokers, self.name, group, **{"commit_seconds": 0.05, "client_options": quick, **options}
        )

    async def committed(self, group: str = "readers", partition: int = 0) -> int:
        """Up to where the broker knows the group to be done."""
        async with admin(self.brokers) as client:
            offsets = await client.list_consumer_group_offsets(group)
        found = offsets.get(aiokafka.TopicPartition(self.name, partition))
        return found.offset if found else 0


@asynccontextmanager
async def admin(brokers: str) -> AsyncIterator[Any]:
    client = aiokafka.admin.AIOKafkaAdminClient(bootstrap_servers=brokers)
    await client.start()
    try:
        yield client
    finally:
        await client.close()


@asynccontextmanager
async def new_topic(brokers: str, partitions: int = 1) -> AsyncIterator[Topic]:
    producer = aiokafka.AIOKafkaProducer(bootstrap_servers=brokers, acks="all", enable_idempotence=True)
    await producer.start()
    try:
        topic = Topic(brokers, producer)
        await topic.create(partitions)
        yield topic
    finally:
        await producer.stop()


@pytest.fixture
async def topic(broker: native.Kafka) -> AsyncIterator[Topic]:
    async with new_topic(broker.brokers) as made:
        yield made


async def ids(events: KafkaEvents, count: int, timeout: float = PATIENCE) -> list[str]:
    """The uids of so many events."""
    found: list[str] = []
    async with asyncio.timeout(timeout):
        while len(found) < count:
            found += [event.event_id for event in await events.get_events(count - len(found))]
    return found


async def until(condition: Callable[[], Any], timeout: float = PATIENCE) -> None:
    """Wait until the condition, or what it awaits, is true."""
    async with asyncio.timeout(timeout):
        while True:
            answer = condition()
            if await answer if asyncio.iscoroutine(answer) else answer:
                return
            await asyncio.sleep(0.02)


# --- as a subscriber reads


async def test_events_come_in_order_and_whole(topic: Topic) -> None:
    await topic.write(ADA, 1, 2)
    one = record(ADA, 3, **{"game.id": "g1"})
    one.trace_id, one.span_id, one.severity_number = bytes(range(16)), bytes(range(8)), 17
    await topic.write_bytes(request(ADA, [one]).SerializeToString())
    async with topic.read() as events:
        assert await ids(events, 2) == uids(ADA, range(1, 3))
        event = await events.get_event(timeout=30)
    assert event is not None
    assert event.event_id == uid(ADA, 3)
    assert event.event_type == "game.started"
    assert event.game_id == "g1"
    assert event.trace_id == "000102030405060708090a0b0c0d0e0f"
    assert event.span_id == "0001020304050607"
    assert event.severity.name == "ERROR"
    assert event.timestamp_ns == one.time_unix_nano
    assert event.metadata["instance"] == "ada"


async def test_a_poll_returns_at_once_and_a_wait_ends_in_time(topic: Topic) -> None:
    async with topic.read() as events:
        assert await events.get_event(timeout=0) is None
        assert await events.get_events(10, timeout=0.05) == []
        await topic.write(ADA, 1)
        await until(lambda: events.statistics()["queued"])
        event = await events.get_event(timeout=0)
        assert event is not None
        assert event.event_id == uid(ADA, 1)


async def test_a_cancelled_wait_loses_nothing(topic: Topic) -> None:
    found: list[str] = []
    async with topic.read() as events:
        for number in range(1, 41):
            waiting = asyncio.create_task(events.get_event())
            await asyncio.sleep(0)
            await topic.write(ADA, number)
            waiting.cancel()
            try:
                event = await waiting
            except asyncio.CancelledError:
                continue
            assert event is not None
            found.append(event.event_id)
        found += await ids(events, 40 - len(found))
    assert found == uids(ADA, range(1, 41))


async def test_close_wakes_who_waits_and_what_is_here_can_still_be_read(topic: Topic) -> None:
    events = await topic.read().start()
    await topic.write(ADA, 1, 2)
    assert await ids(events, 1) == [uid(ADA, 1)]
    waiting = asyncio.create_task(events.get_events(5, timeout=None))
    assert [event.event_id for event in await waiting] == [uid(ADA, 2)]
    waiting = asyncio.create_task(events.get_event())
    await asyncio.sleep(0)
    await topic.write(ADA, 3)
    await until(waiting.done)
    await topic.write(ADA, 4)
    await until(lambda: events.statistics()["queued"])
    events.close()
    assert [event.event_id async for event in events] == [uid(ADA, 4)]
    with pytest.raises(StreamClosed):
        await events.get_event()
    await events.aclose()


async def test_a_loop_over_it_ends_when_it_is_closed(topic: Topic) -> None:
    events = await topic.read().start()
    loop = asyncio.create_task(anext(events, None))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    events.close()
    assert await asyncio.wait_for(loop, 10) is None
    await events.aclose()


async def test_a_filter_leaves_out_and_the_rest_counts_as_done(topic: Topic) -> None:
    async with topic.read(event_filter=EventFilter(game_ids={"mine"})) as events:
        for number in range(1, 21):
            await topic.write(ADA, number, **{"game.id": "mine" if number % 10 == 0 else "other"})
        assert await ids(events, 2) == [uid(ADA, 10), uid(ADA, 20)]
        assert await events.get_event(timeout=0) is None
        await until(lambda: committed_is(topic, 20))


async def committed_is(topic: Topic, offset: int) -> bool:
    try:
        return await topic.committed() == offset
    except aiokafka.errors.KafkaError as problem:
        if not problem.retriable:
            raise
        return False  # a broker that has just started does not know yet


async def test_a_slow_reader_loses_nothing(topic: Topic) -> None:
    for first in range(1, 501, 50):
        await topic.write(ADA, *range(first, first + 50))
    async with topic.read(queue_size=10) as events:
        await until(lambda: events.statistics()["queued"] == 10)
        assert await ids(events, 500) == uids(ADA, range(1, 501))
        assert events.statistics()["dropped"] == 0


# --- accounts


async def test_what_comes_twice_or_too_early_is_put_right_and_what_is_missing_is_told(topic: Topic) -> None:
    await topic.write(ADA, 1, 2)
    await topic.write(ADA, 1, 2, 4)
    await topic.write(ADA, 3)
    await topic.write(ADA, 7)
    async with topic.read(bounds=AccountBounds(hole_seconds=0.2)) as events:
        assert await ids(events, 4) == uids(ADA, range(1, 5))
        told = await events.get_event(timeout=30)
        assert told is not None
        assert told.event_type is EventType.STREAM_GAP
        assert {key: told.data[key] for key in ("producer", "first", "last", "count", "reason")} == {
            "producer": ADA, "first": 5, "last": 6, "count": 2, "reason": "upstream",
        }  # fmt: skip
        assert await ids(events, 1) == [uid(ADA, 7)]


async def test_what_is_no_event_is_left_out_and_counted(topic: Topic) -> None:
    await topic.write_bytes(b"\xff\xff nonsense")
    await topic.write_bytes(request(ADA, [record(ADA, 1), record("log-0000000a", 1, "")]).SerializeToString())
    await topic.write_bytes(ExportLogsServiceRequest().SerializeToString())
    async with topic.read() as events:
        assert await ids(events, 1) == [uid(ADA, 1)]
        await until(lambda: events.statistics()["messages"] == 3)
        statistics = events.statistics()
        assert (statistics["refused_messages"], statistics["ignored"]) == (1, 1)
        assert await events.get_event(timeout=0) is None  # says that the event is done
        await until(lambda: committed_is(topic, 3))


# --- what the group has done


async def test_a_group_goes_on_after_what_it_has_done(topic: Topic) -> None:
    for number in range(1, 11):
        await topic.write(ADA, number)
    async with topic.read() as events:
        assert await ids(events, 4) == uids(ADA, range(1, 5))
    assert await topic.committed() == 4
    async with topic.read(bounds=AccountBounds(hole_seconds=0.1)) as events:
        assert await ids(events, 6) == uids(ADA, range(5, 11)), "and no gap for what an earlier reader had"


async def test_what_fails_in_the_readers_hands_comes_again(topic: Topic) -> None:
    for number in range(1, 4):
        await topic.write(ADA, number)

    async def crash() -> None:
        async with topic.read() as events:
            async for event in events:
                if event.event_id == uid(ADA, 2):
                    raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await crash()
    async with topic.read(bounds=AccountBounds(hole_seconds=0.1)) as events:
        assert await ids(events, 2) == uids(ADA, range(2, 4))


async def test_another_group_gets_everything_and_a_new_one_only_what_comes_if_it_wants(topic: Topic) -> None:
    await topic.write(ADA, 1)
    async with topic.read("first") as first, topic.read("second") as second:
        assert await ids(first, 1) == await ids(second, 1) == [uid(ADA, 1)]
    async with topic.read("third", start="now", bounds=AccountBounds(hole_seconds=0.1)) as third:
        await until(lambda: third.statistics()["partitions"])
        await topic.write(ADA, 2)
        assert await ids(third, 1) == [uid(ADA, 2)]


async def test_what_kafka_no_longer_has_is_told(topic: Topic) -> None:
    for number in range(1, 11):
        await topic.write(ADA, number)
    async with topic.read() as events:
        assert await ids(events, 2) == uids(ADA, range(1, 3))
    partition = aiokafka.TopicPartition(topic.name, 0)
    async with admin(topic.brokers) as client:
        await client.delete_records({partition: aiokafka.admin.RecordsToDelete(before_offset=7)})
    async with topic.read(bounds=AccountBounds(hole_seconds=0.1), event_filter=EventFilter(game_ids=set())) as events:
        told = await events.get_event(timeout=30)
        assert told is not None
        assert (told.event_type, told.data) == (EventType.STREAM_GAP, {"reason": "overwritten"})
        assert told.metadata == {"topic": topic.name, "partition": 0, "first_offset": 2, "last_offset": 6}
        assert events.statistics()["lost_messages"] == 5


async def test_what_is_deleted_while_it_is_being_read_is_told(topic: Topic) -> None:
    body = "x" * 20_000
    for number in range(1, 101):
        await topic.write(ADA, number, text=body)
    # So little is fetched ahead that the deletion overtakes it.
    small = {"max_partition_fetch_bytes": 30_000, "fetch_max_bytes": 30_000}
    async with topic.read(queue_size=1, client_options=small, bounds=AccountBounds(hole_seconds=0.1)) as events:
        found = await ids(events, 1)
        async with admin(topic.brokers) as client:
            end = {aiokafka.TopicPartition(topic.name, 0): aiokafka.admin.RecordsToDelete(before_offset=90)}
            await client.delete_records(end)
        gaps: list[SystemEvent] = []
        async with asyncio.timeout(30):
            while uid(ADA, 100) not in found:
                event = await events.get_event()
                assert event is not None
                if event.event_type is EventType.STREAM_GAP:
                    gaps.append(event)
                else:
                    found.append(event.event_id)
    (gap,) = gaps
    assert gap.metadata["last_offset"] == 89
    first = gap.metadata["first_offset"]
    assert found == uids(ADA, range(1, first + 1)) + uids(ADA, range(91, 101))


# --- several readers


async def test_the_members_of_a_group_share_partitions_and_hand_them_over(broker: native.Kafka) -> None:
    owners = {ADA: 0, BEN: 1, CAT: 2, DAN: 3}
    seen: Counter[str] = Counter()
    gaps: list[SystemEvent] = []

    async def collect(events: KafkaEvents) -> None:
        async for event in events:
            if event.event_type is EventType.STREAM_GAP:
                gaps.append(event)
            else:
                seen[event.event_id] += 1

    async with new_topic(broker.brokers, partitions=4) as topic:

        async def write(numbers: range) -> None:
            for number in numbers:
                for producer, partition in owners.items():
                    await topic.write(producer, number, partition=partition)

        def all_seen(last: int) -> bool:
            return len(seen) == len(owners) * last

        bounds = AccountBounds(hole_seconds=0.3)
        first = await topic.read(bounds=bounds).start()
        tasks = [asyncio.create_task(collect(first))]
        await write(range(1, 21))
        await until(lambda: all_seen(20))

        second = await topic.read(bounds=bounds).start()
        tasks.append(asyncio.create_task(collect(second)))
        for reader in (first, second):
            await until(lambda reader=reader: len(reader.statistics()["partitions"]) == 2)  # type: ignore[misc]
        await write(range(21, 41))
        await until(lambda: all_seen(40))
        assert second.statistics()["delivered"] > 0, "both have a share"

        await first.aclose()
        await write(range(41, 61))
        await until(lambda: all_seen(60))
        await second.aclose()
        await asyncio.gather(*tasks)
    assert not gaps, "a partition that changes hands is no gap"
    assert set(seen) == {name for producer in owners for name in uids(producer, range(1, 61))}
    # What was read when a partition changed hands may come again, and no more than that.
    assert sum(seen.values()) - len(seen) <= 4 * len(owners)


# --- trouble


async def test_a_broker_that_crashes_loses_and_repeats_nothing(tmp_path: Path) -> None:
    settings = free_settings()
    with ExitStack() as brokers:
        broker = brokers.enter_context(running_kafka(tmp_path, settings))
        async with new_topic(broker.brokers) as topic, topic.read() as events:
            for number in range(1, 21):
                await topic.write(ADA, number)
            assert await ids(events, 10) == uids(ADA, range(1, 11))
            await until(lambda: events.statistics()["queued"] == 10)
            broker.process.kill()
            assert await ids(events, 10) == uids(ADA, range(11, 21))
            assert await events.get_event(timeout=0.2) is None
            # In a thread: the reader goes on meanwhile, and looks for its broker.
            await asyncio.to_thread(brokers.enter_context, running_kafka(tmp_path, settings))
            await topic.write(ADA, *range(21, 31))
            assert await ids(events, 10) == uids(ADA, range(21, 31))
            assert await events.get_event(timeout=0) is None
            await until(lambda: committed_is(topic, 21))
        async with topic.read() as events:
            assert await events.get_events(timeout=1) == [], "everything is done"


async def test_closing_does_not_wait_for_a_broker_that_is_gone(tmp_path: Path) -> None:
    with running_kafka(tmp_path) as broker:
        async with new_topic(broker.brokers) as topic:
            events = await topic.read().start()
            await topic.write(ADA, 1)
            assert await ids(events, 1) == [uid(ADA, 1)]
        broker.process.kill()
        await asyncio.wait_for(events.aclose(), 200)
        assert not [task for task in asyncio.all_tasks() if task is not asyncio.current_task()], "nothing runs on"


async def test_an_end_that_nobody_asked_for_is_raised_to_the_loop(
    topic: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(feed: Feed) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Feed, "run", broken)
    events = await topic.read().start()
    with pytest.raises(StreamClosed) as closed:
        await asyncio.wait_for(anext(events), 30)
    assert isinstance(closed.value.__cause__, ZeroDivisionError)
    await events.aclose()


async def test_no_broker_is_a_clear_error() -> None:
    port = free_settings().kafka.port
    with pytest.raises(ConnectionError, match=f"no Kafka at 127.0.0.1:{port}"):
        await KafkaEvents(f"127.0.0.1:{port}", "topic", "group").start()


async def test_without_the_library_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aiokafka", None)
    with pytest.raises(ImportError, match=r"pip install 'otel-setup\[kafka\]'"):
        KafkaEvents("127.0.0.1:9092", "topic", "group")


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"queue_size": 0}, ValueError),
        ({"commit_seconds": 0}, ValueError),
        ({"start": "latest"}, ValueError),
        ({"event_filter": {"game.started"}}, TypeError),
    ],
)
async def test_a_wrong_argument_is_refused(wrong: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        KafkaEvents("127.0.0.1:9092", "topic", "group", **wrong)


async def test_reading_before_it_was_started_is_a_clear_error() -> None:
    with pytest.raises(RuntimeError, match="start it first"):
        await KafkaEvents("127.0.0.1:9092", "topic", "group").get_event(timeout=0)


# --- through a Collector


async def test_what_a_collector_writes_is_read(broker: native.Kafka, tmp_path: Path) -> None:
    require("otelcol")
    settings = replace(free_settings(), kafka=broker.settings)
    with native.running_collector(settings, tmp_path, role=kafka_producer) as collector:
        async with KafkaEvents(broker.brokers, settings.kafka.topic, "readers") as events:
            for number in range(1, 101):
                await asyncio.to_thread(send_events, collector.otlp_http, ADA, range(number, number + 1))
                await asyncio.to_thread(send_events, collector.otlp_http, BEN, range(number, number + 1))
            found = await ids(events, 200)
    for producer in (ADA, BEN):
        assert [name for name in found if name.startswith(producer)] == uids(producer, range(1, 101))
