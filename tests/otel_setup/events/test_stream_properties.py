"""The stream against a model so simple that it can be trusted, over random sequences of operations."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import hypothesis.strategies as st
from hypothesis import given, settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from otel_setup.events.cursor import Cursor
from otel_setup.events.filter import EventFilter
from otel_setup.events.record import SystemEvent
from otel_setup.events.ring import EVENT_BYTES
from otel_setup.events.stream import EventStream, StreamClosed

from .helpers import event, numbered, numbers, read, read_all, subscribed
from .model import KINDS, NAMES, POLICIES, ROOMS, Model, World

SIZES = st.integers(1, 5)
WEIGHTS = st.sampled_from([EVENT_BYTES, 3 * EVENT_BYTES, 10**9])
WISHES = st.fixed_dictionaries(
    {
        "policy": st.sampled_from(POLICIES),
        "queue_size": SIZES,
        "max_bytes": WEIGHTS,
        "gaps": st.sampled_from([True, True, False]),
        "live": st.sampled_from([True, True, True, False]),
    }
)
BEGINNINGS = st.one_of(
    st.none(),
    st.none(),
    st.just("oldest"),
    st.integers(0, 4),  # the last so many
    st.tuples(st.sampled_from(["cursor", "time"]), st.integers(-2, 8)),  # so many events ago
    st.just(Cursor("f", 1)),
)


class StreamMachine(RuleBasedStateMachine):
    models = Bundle("models")
    closed = Bundle("closed")

    @initialize(history=st.integers(0, 6), queue=SIZES, history_bytes=WEIGHTS, last=st.sampled_from([0, 41]))
    def begin(self, history: int, queue: int, history_bytes: int, last: int) -> None:
        self.world = World(history, queue, history_bytes, last)

    @rule(target=models, kind=st.sampled_from(range(len(KINDS))), since=BEGINNINGS, wishes=WISHES)
    def subscribe(self, kind: int, since: Any, wishes: dict[str, Any]) -> Model:
        if isinstance(since, tuple) and not isinstance(since, Cursor):
            by, ago = since
            sequence = max(self.world.last - ago, 0)
            since = Cursor("e", sequence) if by == "cursor" else float(sequence)
        return self.world.subscribe(kind, since, **wishes)

    @rule(
        name=st.sampled_from(NAMES),
        room=st.sampled_from(ROOMS),
        lengths=st.lists(st.sampled_from([0, 0, 1, EVENT_BYTES, 3 * EVENT_BYTES]), min_size=1, max_size=5),
    )
    def publish(self, name: str, room: str | None, lengths: list[int]) -> None:
        for length in lengths:
            self.world.publish(name, room, length)

    @rule(model=models, count=st.integers(1, 6), how=st.sampled_from(["one", "several", "thread"]))
    def read(self, model: Model, count: int, how: str) -> None:
        self.world.read(model, count, how)

    @rule(target=closed, model=consumes(models))
    def close(self, model: Model) -> Model:
        self.world.close(model)
        return model

    @rule(model=closed, count=st.integers(1, 6), how=st.sampled_from(["one", "several", "thread"]))
    def read_after_close(self, model: Model, count: int, how: str) -> None:
        self.world.read(model, count, how)

    @rule(target=models, model=models, kind_of_rest=st.sampled_from(POLICIES), live=st.booleans())
    def go_on_from_its_cursor(self, model: Model, kind_of_rest: str, live: bool) -> Model:
        """Another reader takes over: it gets all that the first did not, and nothing that it got."""
        kind = next(number for number, (_, wants) in enumerate(KINDS) if wants is model.wants)
        return self.world.subscribe(
            kind, model.reader.cursor, policy=kind_of_rest, queue_size=3, max_bytes=10**9, gaps=True, live=live
        )

    @rule(minutes=st.sampled_from([1, 20, 40]))
    def clean_up(self, minutes: int) -> None:
        self.world.clock.pass_minutes(minutes)
        self.world.clean_up(30)

    @rule(history=st.integers(0, 6), history_bytes=WEIGHTS)
    def resize(self, history: int, history_bytes: int) -> None:
        self.world.resize(history, history_bytes)

    @invariant()
    def everything_is_accounted_for(self) -> None:
        if hasattr(self, "world"):
            self.world.check()


StreamMachine.TestCase.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)
TestStreamAgainstModel = StreamMachine.TestCase


STEPS = st.lists(st.sampled_from(["publish", "wait", "wait a moment", "cancel", "turn"]), max_size=60)


@given(steps=STEPS)
@settings(max_examples=150, deadline=None)
def test_waits_and_cancellations_in_any_order_deliver_each_event_once(steps: list[str]) -> None:
    """Each published event ends in exactly one wait or is still queued, in order within each."""

    async def run() -> None:
        stream = EventStream()
        reader = await stream.subscribe()
        waits: list[asyncio.Task[SystemEvent | None]] = []
        published = 0
        for step in steps:
            if step == "publish":
                published += 1
                stream.append(numbered(published))
            elif step.startswith("wait"):
                waits.append(asyncio.create_task(reader.get_event(timeout=None if step == "wait" else 1e-6)))
            elif step == "cancel" and waits:
                waits[published % len(waits)].cancel()
            else:
                await asyncio.sleep(0)
        reader.close()
        outcomes = await asyncio.wait_for(asyncio.gather(*waits, return_exceptions=True), 60)
        taken = [outcome for outcome in outcomes if isinstance(outcome, SystemEvent)]
        others = {type(outcome) for outcome in outcomes if not isinstance(outcome, SystemEvent)}
        assert others <= {type(None), asyncio.CancelledError, StreamClosed}
        left: list[SystemEvent] = []
        async for each in reader:
            left.append(each)
        assert numbers(left) == sorted(numbers(left))
        assert sorted(numbers(taken) + numbers(left)) == list(range(1, published + 1))
        assert len(reader._waiters) == 0

    asyncio.run(run())


@given(
    rooms=st.lists(st.sampled_from("ab"), max_size=40),
    reads=st.lists(st.integers(0, 5), max_size=40),
    wanted=st.sampled_from([None, EventFilter(), EventFilter(room_ids={"a"})]),
    since=st.sampled_from([None, "oldest", 3, "e-2"]),
    policy=st.sampled_from(POLICIES),
)
@settings(max_examples=150, deadline=None)
def test_at_every_moment_whoever_goes_on_from_the_cursor_gets_exactly_the_rest(
    rooms: list[str], reads: list[int], wanted: EventFilter | None, since: Any, policy: str
) -> None:
    """Of a reader that keeps up: whatever it has read, what its cursor leads to begins with the next event."""
    stream = EventStream(epoch="e")
    for room in "abab":
        stream.append(event(room_id=room))
    wishes = {"coalesce_key": lambda each: each.sequence} if policy == "coalesce" else {}
    reader = subscribed(stream, None, wanted, since=since, policy=policy, **wishes)
    begun = {None: 4, "oldest": 0, "e-2": 2, 3: 0 if wanted and wanted.room_ids else 1}[since]
    got: list[int | str] = []
    for room, count in itertools.zip_longest(rooms, reads):
        if room is not None:
            stream.append(event(room_id=room))
        if count:
            got += read(reader, count)
        rest = read_all(subscribed(stream, None, wanted, since=reader.cursor, live=False))
        everything = [each for each in stream.get_history() if each.sequence > begun]
        assert got + rest == [each.sequence for each in everything if wanted is None or wanted.matches(each)]
