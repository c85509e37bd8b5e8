"""Between a Kafka consumer group and one reader: fetching, accounts, and telling the broker what is done."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from otel_setup import clock
from otel_setup.catalogue import EVENTS, EventType
from otel_setup.catalogue import attributes as a
from otel_setup.events.notices import GapReason
from otel_setup.events.record import SystemEvent
from otel_setup.hub.accounts import AccountBounds, Accounts
from otel_setup.hub.otlp import PROTOBUF, Limits, Refused, decode
from otel_setup.kafka.partition import Partition

MESSAGES_AT_A_TIME = 100
IDLE_SECONDS = 1.0
RETRY_SECONDS = 1.0
STOP_SECONDS = 5.0

_SEVERITY = {event.name: event.severity for event in EVENTS}[EventType.STREAM_GAP]
_log = logging.getLogger(__name__)

Publish = Callable[[SystemEvent], Awaitable[int]]
"""Publishes an event, when there is room for it; its place in the local stream, 0 where nobody wants it."""
Key = Any
"""aiokafka's TopicPartition; the library has no types."""


@dataclass(frozen=True, kw_only=True)
class FeedOptions:
    """How a feed reads.

    Parameters:
        topic: where the events are.
        from_oldest: whether a group that has read nothing yet begins with what there is, and not with what comes.
        commit_seconds: how often the broker is told up to where the reader is done.
        bounds: how long and how much is remembered of each server's numbers.
        limits: how much one message may hold.
        client: for ``aiokafka.AIOKafkaConsumer``.
    """

    topic: str
    from_oldest: bool
    commit_seconds: float
    bounds: AccountBounds
    limits: Limits
    client: Mapping[str, Any]


class Feed:
    """One member of a consumer group.

    Parameters:
        kafka: the library.
        options: how it reads.
        publish: takes the events.
        done: the place in the local stream up to which the reader is done.
    """

    def __init__(self, kafka: Any, options: FeedOptions, publish: Publish, done: Callable[[], int]) -> None:
        self._kafka = kafka
        self._options = options
        self._publish = publish
        self._done = done
        self._partitions: dict[Key, Partition] = {}
        self._lost: list[tuple[Key, SystemEvent]] = []
        self._in_trouble = False
        self._beginning = asyncio.Lock()
        self._counts = dict.fromkeys(
            ("messages", "refused_messages", "rejected", "ignored", "lost_messages", "commits", "kafka_errors"), 0
        )
        self._consumer = kafka.AIOKafkaConsumer(**options.client, enable_auto_commit=False, auto_offset_reset="none")
        self._consumer.subscribe([options.topic], listener=self._listener())

    async def start(self) -> None:
        """Join the group; raises ConnectionError where no broker answers."""
        try:
            await self._consumer.start()
        except self._kafka.errors.KafkaConnectionError as problem:
            await self._consumer.stop()
            raise ConnectionError(f"no Kafka at {self._options.client['bootstrap_servers']}: {problem}") from problem

    async def stop(self) -> None:
        """Tell the broker what is done, and leave the group; not for longer than a broker is worth waiting for."""
        await _tried(self.commit())
        await _tried(self._consumer.stop())
        # Where a fetch is under way, aiokafka 0.14 ends before it comes to its connections.
        await _tried(self._consumer._client.close())

    def statistics(self) -> dict[str, Any]:
        """What came, what was left out and how far each partition is read, in JSON values."""
        partitions = {}
        assigned = self._consumer.assignment()
        for key, partition in sorted(self._partitions.items()):
            end = self._consumer.highwater(key) if key in assigned else None
            partitions[str(key.partition)] = {
                "fetched": partition.fetched,
                "committed": partition.committed,
                "behind": None if end is None else max(0, end - partition.fetched),
                "duplicates": partition.duplicates,
            }
        return {**self._counts, "partitions": partitions}

    # --- fetching -----------------------------------------------------------------------------------------------------
    async def run(self) -> None:
        """Fetch and publish until cancelled."""
        while True:
            try:
                fetched = await self._consumer.getmany(
                    timeout_ms=int(1000 * self._pause()), max_records=MESSAGES_AT_A_TIME
                )
            except self._kafka.errors.OffsetOutOfRangeError as lost:
                await self._begin_all(lost.args[0])
                continue
            except self._kafka.errors.NoOffsetForPartitionError as unknown:
                await self._begin_all({unknown.args[0]: None})
                continue
            except self._kafka.errors.KafkaError as problem:
                await self._trouble(problem)
                continue
            self._in_trouble = False
            # Noted before anything else can run, so that a rebalance meanwhile knows what is here already.
            batch = [(key, self._of(key, messages), messages) for key, messages in fetched.items()]
            for _, partition, messages in batch:
                partition.fetched = messages[-1].offset + 1
            await self._publish_lost()
            for key, partition, messages in batch:
                await self._take(key, partition, messages)
            for key, partition in list(self._partitions.items()):
                for event in partition.due(clock.monotonic()):
                    partition.published(event, await self._publish(event))
                    if self._partitions.get(key) is not partition:
                        break

    def _pause(self) -> float:
        """Seconds until something has to be done even if nothing comes."""
        now = clock.monotonic()
        due = [moment for p in self._partitions.values() if (moment := p.accounts.next_due()) is not None]
        return max(0.001, min([IDLE_SECONDS, *(moment - now for moment in due)]))

    async def _take(self, key: Key, partition: Partition, messages: Collection[Any]) -> None:
        for message in messages:
            if self._partitions.get(key) is not partition:
                return  # it was given to another reader meanwhile, who reads the rest
            self._counts["messages"] += 1
            for event in partition.take(message.offset, self._decoded(message), clock.monotonic()):
                partition.published(event, await self._publish(event))

    def _decoded(self, message: Any) -> list[SystemEvent]:
        if not message.value:
            return []
        try:
            decoded = decode(message.value, PROTOBUF, "", self._options.limits)
        except Refused as refused:
            self._counts["refused_messages"] += 1
            if self._counts["refused_messages"] == 1:
                place = f"{message.topic}/{message.partition} at {message.offset}"
                _log.warning("A message of %s is left out: %s. Further ones are only counted.", place, refused.message)
            return []
        self._counts["rejected"] += decoded.rejected
        self._counts["ignored"] += decoded.ignored
        return decoded.events

    async def _publish_lost(self) -> None:
        while self._lost:
            key, event = self._lost.pop(0)
            if key in self._partitions:
                self._partitions[key].published(event, await self._publish(event))

    async def _trouble(self, problem: BaseException) -> None:
        self._counts["kafka_errors"] += 1
        if not self._in_trouble:
            self._in_trouble = True
            _log.warning("Kafka: %r. It is tried again; further troubles are only counted.", problem)
        await asyncio.sleep(RETRY_SECONDS)

    # --- partitions ---------------------------------------------------------------------------------------------------
    def _of(self, key: Key, messages: Sequence[Any]) -> Partition:
        """The partition that brought these messages: a new one where the broker failed us when it was assigned."""
        return self._partitions.setdefault(key, Partition(Accounts(self._options.bounds), messages[0].offset))

    def _listener(self) -> Any:
        feed = self

        class Listener(self._kafka.ConsumerRebalanceListener):  # type: ignore[misc, name-defined]
            async def on_partitions_revoked(self, revoked: Any) -> None:
                await feed.commit()

            async def on_partitions_assigned(self, assigned: Any) -> None:
                await feed._assigned(assigned)

        return Listener()

    async def _assigned(self, assigned: Collection[Key]) -> None:
        """Partitions that stay go on where they are, and with their accounts; of others nothing is kept."""
        async with self._beginning:
            self._partitions = {key: kept for key, kept in self._partitions.items() if key in assigned}
            for key in assigned:
                committed = await self._consumer.committed(key)
                kept = self._partitions.get(key)
                if kept is not None and (committed or 0) <= kept.fetched:
                    self._consumer.seek(key, kept.fetched)
                else:
                    await self._begin(key, committed)

    async def _begin_all(self, offsets: Mapping[Key, int | None]) -> None:
        """Begin the partitions for which the broker has no such offset, unless that is settled already."""
        try:
            async with self._beginning:
                for key, offset in offsets.items():
                    known = self._partitions.get(key)
                    if known is None or (offset is not None and offset >= known.fetched):
                        await self._begin(key, offset)
        except self._kafka.errors.KafkaError as problem:
            await self._trouble(problem)

    async def _begin(self, key: Key, offset: int | None) -> None:
        """Read a partition from this offset on or, where that is None or gone, from where there is something."""
        first = (await self._consumer.beginning_offsets([key]))[key]
        end = (await self._consumer.end_offsets([key]))[key]
        if offset is None:
            begin = first if self._options.from_oldest else end
        else:
            begin = offset if first <= offset <= end else first
        self._partitions[key] = Partition(Accounts(self._options.bounds), begin)
        self._consumer.seek(key, begin)
        if offset is not None and begin > offset:
            self._note_lost(key, offset, begin - 1)
        elif offset is not None and offset > end:
            self._note_lost(key, end, offset - 1)

    def _note_lost(self, key: Key, first: int, last: int) -> None:
        """Messages are gone that were to be read; nobody knows how many events they held."""
        self._counts["lost_messages"] += last - first + 1
        event = SystemEvent(
            event_type=EventType.STREAM_GAP,
            severity=_SEVERITY,
            data={a.GAP_REASON.data_key: GapReason.OVERWRITTEN.value},
            metadata={"topic": key.topic, "partition": key.partition, "first_offset": first, "last_offset": last},
        )
        self._lost.append((key, event))

    # --- committing ---------------------------------------------------------------------------------------------------
    async def commit_regularly(self) -> None:
        """Commit from time to time until cancelled."""
        while True:
            await asyncio.sleep(self._options.commit_seconds)
            await self.commit()

    async def commit(self) -> None:
        """Tell the broker up to where the reader is done; what fails is told with the next."""
        done = self._done()
        offsets = {key: offset for key, p in self._partitions.items() if (offset := p.done(done)) is not None}
        if not offsets:
            return
        try:
            await self._consumer.commit(offsets)
        except self._kafka.errors.KafkaError as problem:
            self._counts["kafka_errors"] += 1
            _log.debug("Kafka: %r. The next commit tells the same.", problem)
            return
        self._counts["commits"] += 1
        for key, offset in offsets.items():
            if (partition := self._partitions.get(key)) is not None:
                partition.committed = max(partition.committed, offset)


async def _tried(step: Coroutine[Any, Any, None]) -> None:
    """Carry out a step of the end, whatever becomes of it: the next one must follow."""
    await asyncio.gather(asyncio.wait_for(step, STOP_SECONDS), return_exceptions=True)
