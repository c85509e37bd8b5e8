"""Routes find the readers that asking every one of them finds."""

from __future__ import annotations

import asyncio
from collections.abc import Set as AbstractSet

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_setup.catalogue import EventType, Severity
from otel_setup.events.filter import EventFilter
from otel_setup.events.record import SystemEvent, make_event
from otel_setup.events.routes import MAX_NAMES, Routes
from otel_setup.events.stream import EventStream

from .helpers import event, run_without_waiting, subscribed

NAMES = ("game.started", "game.ended", "action.queued", "my.own", "my.own.deep")
IDS = ("a", "b", "long-" * 40, "c\x00d")


def sets(values: tuple[str, ...]) -> st.SearchStrategy[AbstractSet[str] | None]:
    return st.one_of(st.none(), st.none(), st.sets(st.sampled_from(values), max_size=2))


FILTERS = st.one_of(
    st.none(),
    st.builds(
        EventFilter,
        event_types=sets((*NAMES, "game.*", "*", "*.own", "my.>")),
        game_ids=sets(IDS),
        room_ids=sets(IDS),
        player_ids=sets(IDS),
        correlation_ids=sets(IDS),
        trace_ids=sets(("aa", "BB")),
        severity_at_least=st.sampled_from([None, None, "WARN"]),
        attributes=st.sampled_from([None, None, {"number": 1}]),
    ),
)
SOME_ID = st.one_of(st.none(), st.sampled_from(IDS))
EVENTS = st.builds(
    SystemEvent,
    event_type=st.sampled_from(NAMES).map(EventType),
    game_id=SOME_ID,
    room_id=SOME_ID,
    player_id=SOME_ID,
    correlation_id=SOME_ID,
    trace_id=st.sampled_from(["", "aa", "bb"]),
    severity=st.sampled_from([Severity.INFO, Severity.ERROR]),
    data=st.sampled_from([{}, {"number": 1}]),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(FILTERS, max_size=8), EVENTS)
def test_the_readers_found_are_those_whose_filter_matches(
    filters: list[EventFilter | None], published: SystemEvent
) -> None:
    stream = EventStream()
    readers = [
        run_without_waiting(stream.subscribe(f"{number}", wanted, policy="drop_newest"))
        for number, wanted in enumerate(filters)
    ]
    found = Routes(readers).of(published)
    matching = [reader.id for reader in readers if reader.filter is None or reader.filter.matches(published)]
    assert sorted(reader.id for reader in found) == matching  # each once


def test_names_whose_readers_are_remembered_are_bounded_and_the_others_are_found_all_the_same() -> None:
    """Names may come from players, and each remembered one takes memory."""
    stream = EventStream()
    subscribed(stream, "own", EventFilter(event_types={"my.*"}))
    routes = stream._routes
    for number in range(2 * MAX_NAMES):
        assert [reader.id for reader in routes.of(event(f"my.{number}"))] == ["own"]
        assert routes.of(event(f"other.{number}")) == []
    assert len(routes._by_name) == MAX_NAMES


def test_an_event_asks_nothing_of_readers_of_other_rooms(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = EventStream()
    for number in range(50):
        subscribed(stream, None, EventFilter(event_types={"game.*"}, room_ids={f"r{number}"}))
    asked: list[SystemEvent] = []

    def matches(_: EventFilter, each: SystemEvent) -> bool:
        asked.append(each)
        return True

    monkeypatch.setattr(EventFilter, "matches", matches)
    assert len(stream._routes.of(event(room_id="r7"))) == 1
    assert len(asked) == 1


async def test_a_reader_that_came_or_went_is_found_or_not() -> None:
    stream = EventStream()
    started = SystemEvent(event_type=EventType.GAME_STARTED, room_id="r")
    early = await stream.subscribe("early", EventFilter(room_ids={"r"}))
    stream.append(started)
    late = await stream.subscribe("late", EventFilter(room_ids={"r"}))
    early.close()
    stream.append(SystemEvent(event_type=EventType.GAME_ENDED, room_id="r"))
    assert [e.event_type for e in await asyncio.wait_for(early.get_events(9, 0), 5)] == ["game.started"]
    assert [e.event_type for e in await asyncio.wait_for(late.get_events(9, 0), 5)] == ["game.ended"]


def test_an_event_made_the_fast_way_is_the_same() -> None:
    slow = SystemEvent(
        event_type=EventType.GAME_STARTED,
        timestamp_ns=1,
        game_id="g",
        room_id="r",
        player_id="p",
        connection_id="c",
        correlation_id="k",
        trace_id="t",
        span_id="s",
        severity=Severity.WARN,
        data={"a": 1},
        metadata={"b": 2},
    )
    fields = (EventType.GAME_STARTED, 1, "g", "r", "p", "c", "k", "t", "s", Severity.WARN, {"a": 1}, {"b": 2})
    fast = make_event(*fields)
    assert type(fast) is SystemEvent
    assert fast == slow
    assert fast.to_json() == slow.to_json()
