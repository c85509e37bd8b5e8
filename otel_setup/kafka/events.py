"""A reader of events from Kafka: one member of a consumer group, with the interface of a subscriber."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Literal, Self

from otel_setup.clients.arriving import DEFAULT_QUEUE_SIZE, ReadableEvents
from otel_setup.events.cursor import Cursor
from otel_setup.events.filter import EventFilter, concerns
from otel_setup.events.record import SystemEvent
from otel_setup.events.stream import EventStream, EventSubscriber, StreamClosed
from otel_setup.hub.accounts import AccountBounds
from otel_setup.hub.otlp import Limits
from otel_setup.kafka.feed import Feed, FeedOptions

DEFAULT_COMMIT_SECONDS = 1.0
"""How often the broker is told up to where the reader is done."""
_NO_BOUND = 1 << 40


class KafkaEvents(ReadableEvents):
    """Reads the events of a topic that Collectors fill (``kafka-producer.yaml``), as one member of a consumer group.

    The members of a group share the topic's partitions, and each server process has all its events in one of them.
    They are read as from ``EventStream.subscribe()``::

        async with KafkaEvents("127.0.0.1:9092", "otel-events", "my-analysis") as events:
            async for event in events:
                ...

    Each event comes in the order of its server. What Kafka brings twice is left out; what a server sent and Kafka did
    not bring is told by ``stream.gap``, as from the hub. What is older than Kafka keeps is told by a ``stream.gap``
    whose metadata name the offsets; how many events they held, nobody knows.

    An event counts as done once the reader asks for the next one, or closes: then the group does not read it again.
    What a crash or a rebalance interrupts is read again, by whoever has the partition then. A reader that asks for
    nothing for ``max_poll_interval_ms`` (aiokafka's, 5 minutes) loses its partitions to others until it asks again.

    Parameters:
        bootstrap_servers: ``host:port``, several with commas between.
        topic: where the events are.
        group_id: the consumer group.
        event_filter: which events; None is all. Gaps always come.
        start: where a group begins that has read nothing yet: with the ``"oldest"`` that Kafka has, or ``"now"``.
        queue_size: events that wait for the reader; while there are as many, nothing is fetched. The rest waits in
            Kafka.
        commit_seconds: how often the broker is told up to where the reader is done.
        bounds: how long and how much is remembered of each server's numbers.
        limits: how much one message may hold; a message beyond is left out and counted.
        client_options: further ones of ``aiokafka.AIOKafkaConsumer``, for TLS and passwords.

    Raises:
        ImportError: aiokafka is missing.
        TypeError: ``event_filter`` is no ``EventFilter``.
        ValueError: a number makes no sense, or ``start`` is neither.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        topic: str,
        group_id: str,
        *,
        event_filter: EventFilter | None = None,
        start: Literal["oldest", "now"] = "oldest",
        queue_size: int = DEFAULT_QUEUE_SIZE,
        commit_seconds: float = DEFAULT_COMMIT_SECONDS,
        bounds: AccountBounds | None = None,
        limits: Limits | None = None,
        client_options: Mapping[str, Any] | None = None,
    ) -> None:
        if queue_size < 1 or not commit_seconds > 0:
            raise ValueError(f"queue_size={queue_size}, commit_seconds={commit_seconds}: at least 1, and above 0")
        if start not in ("oldest", "now"):
            raise ValueError(f"start is {start!r:.80}; it is 'oldest' or 'now'")
        if event_filter is not None and not isinstance(event_filter, EventFilter):
            raise TypeError(f"event_filter is {event_filter!r:.80}; pass an EventFilter or None")
        try:
            import aiokafka  # type: ignore[import-untyped]
        except ImportError as missing:
            raise ImportError(
                "KafkaEvents needs aiokafka: pip install 'otel-setup[kafka]'", name="aiokafka"
            ) from missing
        self._kafka = aiokafka
        self.topic = topic
        self.group_id = group_id
        self.filter = event_filter
        self._options = FeedOptions(
            topic=topic,
            from_oldest=start == "oldest",
            commit_seconds=commit_seconds,
            bounds=bounds or AccountBounds(),
            limits=limits or Limits(),
            client={**(client_options or {}), "bootstrap_servers": bootstrap_servers, "group_id": group_id},
        )
        self._queue_size = queue_size
        # Bounded by what is fetched, not by dropping: there are never more events in it than the reader has room for.
        self._stream = EventStream(queue_size, 1, queue_size, history_bytes=_NO_BOUND, queue_bytes=_NO_BOUND)
        self._room = asyncio.Event()
        self._published = self._given = self._done = 0
        self._subscriber: EventSubscriber | None = None
        self._feed: Feed | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._ending: asyncio.Task[None] | None = None
        self._failure: BaseException | None = None

    # --- beginning and ending -----------------------------------------------------------------------------------------
    async def start(self) -> Self:
        """Join the group; ``async with`` does it.

        Raises:
            ConnectionError: no broker answers.
            RuntimeError: it was started before.
        """
        if self._feed is not None:
            raise RuntimeError("it was started before; make another one")
        self._feed = feed = Feed(self._kafka, self._options, self._publish, lambda: self._done)
        await feed.start()
        self._subscriber = await self._stream.subscribe(self.group_id)
        self._tasks = [asyncio.create_task(feed.run()), asyncio.create_task(feed.commit_regularly())]
        for task in self._tasks:
            task.add_done_callback(self._task_ended)
        return self

    def close(self) -> None:
        """Stop fetching, and leave the group in the background. Whoever waits wakes; what is here can still be read.

        What was read counts as done; what is read from now on comes again to whoever has the partition then.
        """
        if self._ending is None:
            self._done = self._given
            self._begin_to_end()

    async def aclose(self) -> None:
        """As ``close()``, and wait until the group was left."""
        self.close()
        if self._ending is not None:
            await asyncio.shield(self._ending)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None:
            self._begin_to_end()  # the last event may be what failed: it is to come again
        await self.aclose()

    def _begin_to_end(self) -> None:
        if self._ending is None and self._subscriber is not None and self._feed is not None:
            self._subscriber.close()
            self._ending = asyncio.get_running_loop().create_task(self._end(self._feed))

    async def _end(self, feed: Feed) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await feed.stop()

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (failure := task.exception()) is not None:
            self._failure = failure
            self._begin_to_end()

    # --- reading ------------------------------------------------------------------------------------------------------
    async def get_events(self, max_n: int = 100, timeout: float | None = None) -> list[SystemEvent]:  # noqa: ASYNC109
        """As :meth:`ReadableEvents.get_events`; what was given before counts as done."""
        if self._subscriber is None:
            raise RuntimeError("start it first: async with KafkaEvents(...) as events")
        if self._ending is None:
            self._done = self._given
        try:
            events = await self._subscriber.get_events(max_n, timeout)
        except StreamClosed as closed:
            raise closed from self._failure
        if events:
            self._given = events[-1].sequence
            self._room.set()
        return events

    @property
    def cursor(self) -> Cursor:
        """Where the reader stands in what came here. Kafka keeps the group's place, so it is of no use elsewhere."""
        return Cursor(self._stream.epoch, self._given)

    def statistics(self) -> dict[str, Any]:
        """What came, what was left out and how far each partition is read, in JSON values.

        To what a subscriber says are added ``messages``, ``refused_messages`` (not OTLP, or too large), ``rejected``
        (broken records), ``ignored`` (records that are no events), ``lost_messages`` (older than Kafka keeps),
        ``commits``, ``kafka_errors`` and ``partitions``: of each the offsets ``fetched`` and ``committed``, the
        messages it is ``behind``, and the ``duplicates`` that were left out.
        """
        of_reader = {} if self._subscriber is None else self._subscriber.statistics()
        of_feed = {} if self._feed is None else self._feed.statistics()
        return {**of_reader, "topic": self.topic, "group": self.group_id, **of_feed}

    async def _publish(self, event: SystemEvent) -> int:
        if not concerns(self.filter, event):
            return 0
        while self._published - self._given >= self._queue_size:
            self._room.clear()
            await self._room.wait()
        self._published = self._stream.append(event).sequence
        return self._published
