"""Frames that several readers get are joined once, and nobody gets those of another."""

from __future__ import annotations

from dataclasses import replace

import pytest

from otel_setup.catalogue import EventType
from otel_setup.events.notices import GapReason, gap
from otel_setup.events.record import SystemEvent
from otel_setup.hub.frames import Frames, Runs

EPOCH = "0a0b0c0d"


def events(first: int, last: int) -> list[SystemEvent]:
    """Events as they stand in the stream."""
    return [
        SystemEvent(event_type=EventType("arena.tick"), sequence=number, event_id=f"e-{number}", timestamp_ns=number)
        for number in range(first, last + 1)
    ]


class Counting(Frames):
    """Counts what is made."""

    def __init__(self) -> None:
        super().__init__(EPOCH, 1_000_000)
        self.asked = 0

    def of(self, event: SystemEvent) -> bytes:
        self.asked += 1
        return super().of(event)


@pytest.fixture
def frames() -> Counting:
    """Frames that count how often they are asked for one."""
    return Counting()


def ids(run: bytes) -> list[str]:
    """The ids of the frames in a run, as a browser would find them."""
    return [line.removeprefix("id: ") for line in run.decode().splitlines() if line.startswith("id: ")]


def test_a_second_reader_of_the_same_events_costs_no_further_frames(frames: Counting) -> None:
    runs, shared = Runs(frames, 1_000_000), events(1, 3)
    first = runs.of(shared)
    assert ids(first) == [f"{EPOCH}-{number}" for number in (1, 2, 3)]
    assert runs.of(list(shared)) is first
    assert frames.asked == 3


def test_readers_at_other_places_and_with_other_filters_get_their_own(frames: Counting) -> None:
    runs, kept = Runs(frames, 1_000_000), events(1, 5)
    assert ids(runs.of(kept)) == [f"{EPOCH}-{number}" for number in (1, 2, 3, 4, 5)]
    assert ids(runs.of(kept[1:])) == [f"{EPOCH}-{number}" for number in (2, 3, 4, 5)]
    # As many of them, with the same ends.
    assert ids(runs.of([kept[0], kept[1], kept[4]])) == [f"{EPOCH}-{number}" for number in (1, 2, 5)]
    assert ids(runs.of([kept[0], kept[3], kept[4]])) == [f"{EPOCH}-{number}" for number in (1, 4, 5)]


def test_a_gap_of_one_reader_is_not_told_to_another(frames: Counting) -> None:
    runs, kept = Runs(frames, 1_000_000), events(3, 4)
    slow = [gap(1, 3, 3, GapReason.QUEUE_FULL), kept[1]]
    assert b"stream.gap" in runs.of(slow)
    assert b"stream.gap" not in runs.of(kept)
    assert b'"count":3' in runs.of(slow)
    assert b'"count":2' in runs.of([gap(2, 3, 2, GapReason.QUEUE_FULL), kept[1]])


def test_what_is_remembered_is_bounded_and_what_was_forgotten_is_made_anew(frames: Counting) -> None:
    one = len(Runs(frames, 1).of(events(1, 1)))
    runs, kept = Runs(frames, 2 * one), events(1, 4)
    made = [runs.of([each]) for each in kept]
    frames.asked = 0
    assert runs.of([kept[3]]) is made[3]
    assert frames.asked == 0
    assert runs.of([kept[0]]) == made[0]
    assert frames.asked == 1
    assert len(runs._kept) == 2
    assert runs._bytes <= 2 * one
    large = [replace(each, data={"text": "x" * one}) for each in kept]
    assert len(runs.of(large)) > 2 * one
    assert (len(runs._kept), runs._bytes) == (0, 0), "a run larger than all that is remembered is not kept"
