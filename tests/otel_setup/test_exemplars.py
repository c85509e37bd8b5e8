"""Measurements of failed, slow and illegal work point to their traces, which are marked to be kept."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

import otel_setup
from otel_setup.testing import Recording, recording

ACTIONS, TRANSITIONS = "liap_tui.action.duration", "liap_tui.state.transition.duration"


@pytest.fixture
def told() -> Iterator[Recording]:
    with recording({"exemplar_ratio": 0.0}) as told:
        yield told


def pointed_to(told: Recording, name: str) -> set[int]:
    points: list[Any] = told.points(name)
    return {exemplar.trace_id for point in points for exemplar in point.exemplars}


def kept(told: Recording) -> dict[str, int]:
    """Names and trace ids of the spans marked to be kept."""
    return {
        span.name: span.context.trace_id
        for span in told.spans()
        if span.context is not None and (span.attributes or {}).get("otel_setup.trace.kept")
    }


def test_ordinary_work_points_nowhere(told: Recording) -> None:
    async def play() -> None:
        async with told.monitor.monitor_action_processing("g", "declare", "p"):
            told.clock.advance(0.01)
        async with told.monitor.monitor_state_transition("g", "WAITING", "PREPARATION"):
            told.clock.advance(0.01)

    asyncio.run(play())
    assert pointed_to(told, ACTIONS) | pointed_to(told, TRANSITIONS) == set()
    assert kept(told) == {}


def test_a_failed_action_is_kept_and_pointed_to(told: Recording) -> None:
    async def play() -> None:
        with pytest.raises(LookupError):
            async with told.monitor.monitor_action_processing("g", "declare", "p"):
                raise LookupError

    asyncio.run(play())
    assert pointed_to(told, ACTIONS) == set(kept(told).values()) != set()


def test_an_action_is_slow_by_its_own_measure(told: Recording) -> None:
    """Of the default game a play may pause for 12 s on purpose; anything else is slow after a quarter of a second."""

    async def play() -> None:
        async with told.monitor.monitor_action_processing("g", "play", "p"):
            told.clock.advance(12)
        async with told.monitor.monitor_action_processing("g", "declare", "p"):
            told.clock.advance(0.3)

    asyncio.run(play())
    assert list(kept(told)) == ["action.declare"]
    assert pointed_to(told, ACTIONS) == set(kept(told).values())


def test_an_illegal_and_a_slow_transition_are_kept(told: Recording) -> None:
    async def play() -> None:
        async with told.monitor.monitor_state_transition("g", "WAITING", "SCORING"):
            pass
        async with told.monitor.monitor_state_transition("g", "WAITING", "PREPARATION"):
            told.clock.advance(3.5)

    asyncio.run(play())
    assert set(kept(told)) == {"state_transition.waiting_to_scoring", "state_transition.waiting_to_preparation"}
    assert pointed_to(told, TRANSITIONS) == set(kept(told).values())


def test_of_ordinary_traces_a_share_is_kept_and_every_exemplar_points_to_one_of_them() -> None:
    with recording({"exemplar_ratio": 0.3}) as told:

        async def play() -> None:
            for _ in range(200):
                async with told.monitor.monitor_action_processing("g", "declare", "p"):
                    told.clock.advance(0.001)

        asyncio.run(play())
        marked = {
            span.context.trace_id
            for span in told.spans()
            if span.context is not None and (span.attributes or {}).get("otel_setup.trace.kept")
        }
        assert pointed_to(told, ACTIONS) <= marked


def test_the_mark_is_declared() -> None:
    assert all(
        "otel_setup.trace.kept" in {attribute.name for attribute in span.attributes}
        for span in otel_setup.build().spans
    )
