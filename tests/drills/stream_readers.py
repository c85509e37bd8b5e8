"""Readers of one stream in threads and event loops that behave badly at random, and the account of what they got."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate, count, pairwise
from typing import Any

from otel_setup.catalogue import EventType
from otel_setup.events.cursor import Cursor
from otel_setup.events.notices import is_notice
from otel_setup.events.record import SystemEvent
from otel_setup.events.ring import EVENT_BYTES
from otel_setup.events.stream import EventReader, EventStream, EventSubscriber, StreamClosed
from tests.otel_setup.events.model import KINDS, NAMES, POLICIES, ROOMS

HISTORY = 2_000
QUEUE = 200
PATIENCE_SECONDS = 120.0
"""Most that anything here may wait for something; it never comes to that."""


@dataclass
class Session:
    """One subscription from its beginning to its end, as its reader saw it."""

    chain: int
    kind: int
    policy: str
    gaps: bool
    begin: int
    resumed: bool
    """Whether it began at a cursor, so that what is not kept any more is told first."""
    past_end: int | None
    """Where it ends if it wants only the past; what it then tells is the place of the last event it wanted."""
    got: list[tuple[int, int, int, str]] = field(default_factory=list)
    """In the order of reading: first and last sequence, count, and why they are lost; '' for an event itself."""
    left: int = -1
    """How many of ``got`` were read before it was closed; the next one goes on from there."""
    cursor: int = -1
    end: int = -1
    closed_at: int | None = None
    statistics: dict[str, Any] = field(default_factory=dict)

    def take(self, event: SystemEvent) -> None:
        if is_notice(event):
            data = event.data
            self.got.append((data["first"], data["last"], data["count"], data["reason"]))
        else:
            self.got.append((event.sequence, event.sequence, 1, ""))


class Hall:
    """A stream, those who publish in it and those who read it."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.lock = threading.RLock()
        self.stream = EventStream(HISTORY, 1000, QUEUE, self.lock, history_bytes=HISTORY * 2 * EVENT_BYTES)
        self.sessions: list[Session] = []
        self.done: Counter[str] = Counter()
        self.wrong_statistics: list[dict[str, Any]] = []
        self._published: list[list[SystemEvent]] = []
        self._chains = count()
        self._over = threading.Event()
        self._failures: list[BaseException] = []

    def published_in_order(self) -> list[SystemEvent]:
        """What the publishers noted, by its sequence, which has no hole and no repeat."""
        found = sorted((each for those in self._published for each in those), key=lambda each: each.sequence)
        assert [each.sequence for each in found] == list(range(1, len(found) + 1))
        return found

    def run(self, publishers: int, published_each: int, threads: int, loops: int, tasks_in_loop: int) -> None:
        """Until everything is published and every reader has come to its end."""
        readers: list[Callable[[], None]] = [partial(self._read_in_thread, number) for number in range(threads)]
        for loop in range(loops):
            tasks = range(loop * tasks_in_loop, (loop + 1) * tasks_in_loop)
            readers.append(partial(self._read_in_loop, tasks))
        reading = self._started(*readers, self._look_on)
        publishing = self._started(*(partial(self._publish, number, published_each) for number in range(publishers)))
        for thread in publishing:
            thread.join()
        self._over.set()
        for thread in reading:
            thread.join(PATIENCE_SECONDS)
            assert not thread.is_alive(), f"{thread.name} is stuck"
        for failure in self._failures:
            raise failure

    def _started(self, *targets: Callable[[], None]) -> list[threading.Thread]:
        def guarded(target: Callable[[], None]) -> None:
            try:
                target()
            except BaseException as failure:
                self._failures.append(failure)

        threads = [threading.Thread(target=guarded, args=(target,), daemon=True) for target in targets]
        for thread in threads:
            thread.start()
        return threads

    def _chooser(self, name: str) -> random.Random:
        return random.Random(f"{self.seed} {name}")  # noqa: S311 - no secret

    def _publish(self, number: int, times: int) -> None:
        choose = self._chooser(f"publisher {number}")
        published: list[SystemEvent] = []
        self._published.append(published)
        for _ in range(times):
            made = SystemEvent(
                event_type=EventType(choose.choice(NAMES)),
                room_id=choose.choice(ROOMS),
                data={"text": "x" * choose.choice([0, 0, 100, 3000])},
            )
            published.append(self.stream.append(made))
            if choose.random() < 0.02:
                time.sleep(choose.choice([0, 0.0005, 0.005]))
        self._note({"publish": times})

    def _look_on(self) -> None:
        """From outside, all along: the account of every reader, other bounds, cleaning up, and closing anybody."""
        choose = self._chooser("onlooker")
        while not self._over.is_set():
            for told in self.stream.get_statistics()["subscribers"]:
                if told["event_count"] != told["delivered"] + told["dropped"] + told["queued"]:
                    self.wrong_statistics.append(told)
                if choose.random() < 0.02:
                    self._now(self.stream.unsubscribe(told["id"]))
                    self._note({"close by another": 1})
            if choose.random() < 0.1:
                self.stream.resize(choose.choice([50, HISTORY]), 1000)
                self._now(self.stream.cleanup_inactive_subscribers(choose.choice([0.0005, 30])))
                self._note({"resize": 1, "clean up": 1})
            self._note({"look at all": 1})
            time.sleep(0.002)

    @staticmethod
    def _now(coroutine: Any) -> None:
        try:
            coroutine.send(None)
        except StopIteration:
            return
        raise AssertionError("it waited")

    def _note(self, done: dict[str, int]) -> None:
        with self.lock:
            self.done.update(done)

    # --- sessions ---------------------------------------------------------------------------------------------------
    def _begin(self, choose: random.Random, before: Session | None) -> tuple[EventReader, Session]:
        kind = choose.randrange(len(KINDS)) if before is None else before.kind
        chain = next(self._chains) if before is None else before.chain
        policy, gaps = choose.choice(POLICIES), choose.random() < 0.85
        wishes: dict[str, Any] = {"policy": policy, "gaps": gaps, "live": choose.random() < 0.95}
        wishes["queue_size"] = choose.choice([1, 5, 50, 500])
        wishes["max_bytes"] = choose.choice([3 * EVENT_BYTES, 100 * EVENT_BYTES, 10**9])
        with self.lock:
            since = None if before is None else Cursor(self.stream.epoch, before.cursor)
            reader = self.stream.reader(None, KINDS[kind][0], since=since, **wishes)
            newest = self.stream.cursor.sequence
        begin = newest if since is None else since.sequence
        past_end = None if wishes["live"] else newest
        session = Session(chain, kind, policy, gaps, begin, since is not None, past_end)
        self._note({"subscribe": 1})
        return reader, session

    def _end(self, choose: random.Random, reader: EventReader, session: Session, *, is_closed: bool) -> None:
        """Closes it, reads what is left, and notes the account."""
        subscriber = reader.subscriber
        if not is_closed:
            with self.lock:
                was_active = subscriber.active
                subscriber.close()
                session.closed_at = self.stream.cursor.sequence if was_active and session.past_end is None else None
        session.left, queued = len(session.got), subscriber.queued
        session.cursor = subscriber.cursor.sequence
        in_past = subscriber.statistics()[
            "lag_events"
        ]  # of the past it counts what it has come to, so no more is known
        try:
            while True:
                for each in reader.get_events(choose.choice([1, 50]), timeout=0):
                    session.take(each)
        except StreamClosed:
            pass
        rest = sum(reason == "" for *_, reason in session.got[session.left :])
        assert rest == queued or (session.resumed and queued <= rest <= queued + in_past)
        session.end, session.statistics = subscriber.cursor.sequence, subscriber.statistics()
        if choose.random() < 0.5:  # the next one goes on after what was left, and not before it
            session.left, session.cursor = len(session.got), session.end
        with self.lock:
            self.sessions.append(session)
            self.done["close"] += 1

    def _read_in_thread(self, number: int) -> None:
        choose = self._chooser(f"thread {number}")
        before: Session | None = None
        while not self._over.is_set():
            reader, session = self._begin(choose, before)
            lazy, closed, reads = choose.choice([0, 0, 0.1, 0.5]), False, 0
            try:
                for reads in range(choose.choice([3, 30, 300])):  # noqa: B007 - counted
                    if choose.random() < lazy:
                        time.sleep(choose.choice([0.001, 0.02]))
                    elif choose.random() < 0.5:
                        if (one := reader.get_event(choose.choice([0, 0.001, 0.01]))) is not None:
                            session.take(one)
                    else:
                        for each in reader.get_events(choose.choice([1, 10, 1000]), choose.choice([0, 0.001, 0.01])):
                            session.take(each)
                    if self._over.is_set():
                        break
            except StreamClosed:
                closed = True
            self._note({"read in a thread": reads + 1})
            self._end(choose, reader, session, is_closed=closed)
            before = session if choose.random() < 0.8 else None

    def _read_in_loop(self, tasks: range) -> None:
        async def read() -> None:
            await asyncio.gather(*(self._read_in_task(number) for number in tasks))

        asyncio.run(read())

    async def _read_in_task(self, number: int) -> None:
        choose = self._chooser(f"task {number}")
        before: Session | None = None
        while not self._over.is_set():
            reader, session = self._begin(choose, before)
            lazy, closed, reads = choose.choice([0, 0, 0.1, 0.5]), False, 0
            try:
                for reads in range(choose.choice([3, 30, 300])):  # noqa: B007 - counted
                    if choose.random() < lazy:
                        await asyncio.sleep(choose.choice([0.001, 0.02]))
                    else:
                        await self._read(choose, reader.subscriber, session)
                    if self._over.is_set():
                        break
            except StreamClosed:
                closed = True
            self._note({"read in a task": reads + 1})
            self._end(choose, reader, session, is_closed=closed)
            await asyncio.sleep(0)
            before = session if choose.random() < 0.8 else None

    async def _read(self, choose: random.Random, reader: EventSubscriber, session: Session) -> None:
        """One read, in one of the ways a task may read; some are cancelled at a moment that nobody chose."""
        way = choose.randrange(4)
        if way == 0:
            if (one := await reader.get_event(choose.choice([0, 0.001, 0.01]))) is not None:
                session.take(one)
        elif way == 1:
            for each in await reader.get_events(choose.choice([1, 10, 1000]), choose.choice([0, 0.001, 0.01])):
                session.take(each)
        elif way == 2:
            task = asyncio.create_task(reader.get_event(choose.choice([None, 0.001])))
            await asyncio.sleep(choose.choice([0, 0.0001, 0.001]))
            task.cancel()
            (outcome,) = await asyncio.gather(task, return_exceptions=True)
            self.done["cancel"] += 1
            if isinstance(outcome, SystemEvent):
                session.take(outcome)
            elif isinstance(outcome, StreamClosed):
                raise outcome
        else:
            one = None
            try:
                async with asyncio.timeout(choose.choice([0, 0.001])):
                    one = await reader.get_event()
            except TimeoutError:
                self.done["cancel"] += 1
            if one is not None:
                session.take(one)


class Account:
    """What each session should have had, counted in the list of what was published."""

    def __init__(self, published: list[SystemEvent]) -> None:
        self._wanted = [[wants(each) for each in published] for _, wants in KINDS]
        self._until = [[0, *accumulate(wanted)] for wanted in self._wanted]
        self.by_policy: dict[str, tuple[int, int, int]] = {}

    def matching(self, kind: int, after: int, last: int) -> int:
        return self._until[kind][last] - self._until[kind][after]

    def check(self, session: Session) -> None:
        """Exactly what matches was delivered, or told or counted as lost; each once and in order."""
        told = session.statistics
        assert session.closed_at in (None, session.end)
        end = session.end if session.past_end is None else session.past_end
        places = [(session.begin, session.begin, 0, ""), *session.got, (end + 1, end + 1, 0, "")]
        assert all(before[1] < after[0] <= after[1] for before, after in pairwise(places))
        events = [first for first, *_, reason in session.got if not reason]
        assert all(self._wanted[session.kind][sequence - 1] for sequence in events)
        lost_in_past = 0
        gaps = [each for each in session.got if each[3]]
        if session.resumed and gaps and session.got[0] == gaps[0] and gaps[0][0] == session.begin + 1:
            first, last, count, reason = gaps[0]
            if reason == "overwritten" and count == last - first + 1:
                lost_in_past = self.matching(session.kind, first - 1, last)
                del gaps[0]
        for first, last, count, _ in gaps:
            among = self.matching(session.kind, first - 1, last)
            assert count == among or (session.policy == "coalesce" and count < among)
        missed = sum(count for *_, count, _ in gaps) + told["coalesced"] if session.gaps else told["dropped"]
        matched = self.matching(session.kind, session.begin, end) - lost_in_past
        assert matched == len(events) + missed
        assert session.gaps or not gaps
        assert (told["event_count"], told["delivered"], told["dropped"], told["queued"]) == (
            matched, len(events), missed, 0,
        )  # fmt: skip
        before = self.by_policy.get(session.policy, (0, 0, 0))
        self.by_policy[session.policy] = (before[0] + matched, before[1] + len(events), before[2] + missed)

    def check_chains(self, sessions: list[Session]) -> int:
        """Those who went on from a cursor got nothing that the one before them got; returns how many chains."""
        chains: dict[int, int] = {}
        for session in sessions:
            if session.resumed:
                assert session.begin == chains[session.chain]
            place = session.begin
            for first, last, *_ in session.got[: session.left]:
                assert place < first
                place = last
            assert place <= session.cursor
            chains[session.chain] = session.cursor
        return len(chains)
