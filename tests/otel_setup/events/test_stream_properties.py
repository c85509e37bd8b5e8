"""The stream against a model so simple that it can be trusted, over random sequences of operations."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import hypothesis.strategies as st
from hypothesis import given, settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from otel_setup.events.filter import EventFilter
from otel_setup.events.notices import is_notice
from otel_setup.events.record import SystemEvent
from otel_setup.events.stream import EventStream, EventSubscriber, StreamClosed

from .helpers import event, numbered, numbers, run_without_waiting

HISTORY, QUEUE = 4, 3
NAMES = ("game.started", "game.ended", "phase.started")
ROOMS = ("a", "b", None)
FILTERS: list[tuple[EventFilter | None, Callable[[SystemEvent], bool]]] = [
    (None, lambda _: True),
    (EventFilter(event_types={"game.*"}), lambda each: each.event_type in ("game.started", "game.ended")),
    (EventFilter(event_types={"phase.started"}), lambda each: each.event_type == "phase.started"),
    (EventFilter(room_ids={"a"}), lambda each: each.room_id == "a"),
    (
        EventFilter(event_types={"game.*"}, room_ids={"b"}),
        lambda each: each.event_type != NAMES[2] and each.room_id == "b",
    ),
    (EventFilter(room_ids=set()), lambda _: False),
]
"""Each filter and, written apart from it, what it means."""


@dataclass
class Model:
    """What a reader should have: lists only."""

    reader: EventSubscriber
    wants: Callable[[SystemEvent], bool]
    matched: int = 0
    dropped: int = 0
    delivered: int = 0
    queue: list[SystemEvent] = field(default_factory=list)
    ahead: list[SystemEvent | str] = field(default_factory=list)
    lost: int = 0

    def take(self, count: int) -> list[SystemEvent | str]:
        """What a reader gets who asks for so many: what was fetched ahead, or else the queue, fetched in threes."""
        if not self.ahead:
            fetched = max(count, QUEUE)
            self.ahead = [*([f"{self.lost} lost"] if self.lost else []), *self.queue[:fetched]]
            self.queue, self.lost = self.queue[fetched:], 0
        taken, self.ahead = self.ahead[:count], self.ahead[count:]
        self.delivered += sum(not isinstance(each, str) for each in taken)
        return taken

    @property
    def waiting(self) -> int:
        return len(self.queue) + sum(not isinstance(each, str) for each in self.ahead)

    def publish(self, published: SystemEvent) -> None:
        if self.wants(published):
            self.matched += 1
            self.queue.append(published)
            if len(self.queue) > QUEUE:
                del self.queue[0]
                self.dropped += 1
                self.lost += 1


def shown(events: list[SystemEvent]) -> list[SystemEvent | str]:
    """The events, and gaps by what they say."""
    return [f"{each.data['count']} lost" if is_notice(each) else each for each in events]


class StreamMachine(RuleBasedStateMachine):
    open_models = Bundle("open_models")
    closed_models = Bundle("closed_models")

    def __init__(self) -> None:
        super().__init__()
        self.stream = EventStream(history_size=HISTORY, queue_size=QUEUE)
        self.published: list[SystemEvent] = []
        self.open: list[Model] = []
        self.every: list[Model] = []

    @rule(target=open_models, kind=st.sampled_from(FILTERS))
    def subscribe(self, kind: tuple[EventFilter | None, Callable[[SystemEvent], bool]]) -> Model:
        model = Model(run_without_waiting(self.stream.subscribe(event_filter=kind[0])), kind[1])
        self.open.append(model)
        self.every.append(model)
        return model

    @rule(name=st.sampled_from(NAMES), room=st.sampled_from(ROOMS), count=st.integers(1, 5))
    def publish(self, name: str, room: str | None, count: int) -> None:
        for _ in range(count):
            published = self.stream.append(event(name, room_id=room))
            self.published.append(published)
            for model in self.open:
                model.publish(published)

    @rule(model=open_models, count=st.integers(1, 5))
    def read(self, model: Model, count: int) -> None:
        assert shown(run_without_waiting(model.reader.get_events(count, timeout=0))) == model.take(count)

    @rule(target=closed_models, model=consumes(open_models), by_id=st.booleans())
    def close(self, model: Model, by_id: bool) -> Model:
        if by_id:
            assert run_without_waiting(self.stream.unsubscribe(model.reader.id))
        else:
            model.reader.close()
        self.open.remove(model)
        return model

    @rule(model=closed_models)
    def read_after_close(self, model: Model) -> None:
        try:
            taken = run_without_waiting(model.reader.get_event(timeout=0))
        except StreamClosed:
            assert (model.queue, model.ahead, model.lost) == ([], [], 0)
        else:
            assert shown([taken]) == model.take(1)

    @invariant()
    def every_event_of_every_reader_is_accounted_for(self) -> None:
        for model in self.every:
            assert (model.reader.event_count, model.reader.dropped) == (model.matched, model.dropped)
            assert model.matched == model.delivered + model.dropped + model.waiting
            assert (model.reader.delivered, model.reader.queued) == (model.delivered, model.waiting)

    @invariant()
    def history_and_totals_are_those_of_a_list(self) -> None:
        statistics = self.stream.get_statistics()
        assert self.stream.get_history() == self.published[-HISTORY:]
        assert statistics["total_events"] == len(self.published)
        assert statistics["dropped_history"] == max(0, len(self.published) - HISTORY)
        assert statistics["dropped_subscribers"] == sum(model.dropped for model in self.every)
        assert [told["queued"] for told in statistics["subscribers"]] == [model.waiting for model in self.open]
        assert self.stream.faults == 0


StreamMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
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
