"""The ring against a list, and what an event is taken to weigh."""

from __future__ import annotations

from itertools import accumulate

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from otel_setup.events.record import SystemEvent
from otel_setup.events.ring import EVENT_BYTES, Ring, size_of

from .helpers import event, weighing

WEIGHTS = st.integers(EVENT_BYTES, EVENT_BYTES + 5)
BYTES = st.integers(1, 8 * EVENT_BYTES)


def kept_of(events: list[SystemEvent], weights: dict[int, int], size: int, max_bytes: int) -> list[SystemEvent]:
    """The newest that fit by number and by weight, and the very newest in any case."""
    kept = events[-size:]
    while len(kept) > 1 and sum(weights[each.sequence] for each in kept) > max_bytes:
        del kept[0]
    return kept


@settings(max_examples=200, deadline=None)
@given(
    st.integers(1, 9),
    BYTES,
    st.sampled_from([0, 1, 12]),
    st.lists(st.one_of(WEIGHTS, st.tuples(st.integers(1, 9), BYTES)), max_size=40),
)
def test_it_holds_what_a_list_would(size: int, max_bytes: int, last: int, steps: list[int | tuple[int, int]]) -> None:
    """Weights to append, and sizes to go on with."""
    ring, kept, weights = Ring(size, max_bytes, last), list[SystemEvent](), dict[int, int]()
    for step in steps:
        if isinstance(step, tuple):
            size, max_bytes = step
            ring = ring.resized(size, max_bytes)
        else:
            last += 1
            weights[last] = step
            kept.append(weighing(step, sequence=last))
            ring.append(kept[-1], step)
        kept = kept_of(kept, weights, size, max_bytes)
        assert (ring.first, ring.last) == (last - len(kept) + 1, last)
        assert ring.weight == sum(weights[each.sequence] for each in kept)
        for after in range(last - size - 2, last + 2):
            following = [each for each in kept if each.sequence > after]
            assert ring.after(after) == following
            assert ring.after(after, 2) == following[:2]
            assert ring.bytes_after(after) == sum(weights[each.sequence] for each in following)
        for limit in (0, EVENT_BYTES, 3 * EVENT_BYTES + 2, 10**9):
            from_newest = accumulate(weights[each.sequence] for each in reversed(kept))
            fitting = max(sum(weight <= limit for weight in from_newest), min(1, len(kept)))
            assert ring.fits(limit) == last - fitting


def test_it_lets_go_of_what_left() -> None:
    ring = Ring(10, 3 * EVENT_BYTES)
    for sequence in range(1, 6):
        ring.append(weighing(EVENT_BYTES, sequence=sequence), EVENT_BYTES)
    ring.append(weighing(10 * EVENT_BYTES, sequence=6), 10 * EVENT_BYTES)
    assert [each.sequence for each in ring._events if each is not None] == [6]


@pytest.mark.parametrize(
    ("data", "more"),
    [
        ({}, 0),
        ({"number": 5, "none": None, "flag": True}, 0),
        ({"text": "x" * 1000}, 1000),
        ({"texts": ["x" * 1000, "y" * 500]}, 1500),
        ({"deep": {"er": [{"text": "x" * 1000}]}}, 1000),
    ],
)
def test_an_event_weighs_its_texts_and_something_for_itself(data: dict[str, object], more: int) -> None:
    """Something: for an entry of a nested map or list 64 bytes, and no more than two for each of these."""
    weight = size_of(event(data=data))
    assert EVENT_BYTES + more <= weight <= EVENT_BYTES + more + 500
