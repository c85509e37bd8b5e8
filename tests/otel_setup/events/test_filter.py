"""EventFilter: which events match, and which arguments are refused."""

from __future__ import annotations

from typing import Any

import pytest

from otel_setup.catalogue import EventType, Severity
from otel_setup.events.filter import EventFilter

from .helpers import event


def with_set(argument: str, values: Any) -> EventFilter:
    return EventFilter(**{argument: values})


def test_without_sets_everything_matches() -> None:
    assert EventFilter().matches(event("anything.at.all"))


def test_event_types_may_be_members_or_text() -> None:
    for wanted in (EventType.GAME_STARTED, "game.started"):
        wants = EventFilter(event_types={wanted})
        assert wants.matches(event("game.started"))
        assert not wants.matches(event("game.ended"))


def test_a_foreign_name_can_be_wanted() -> None:
    wants = EventFilter(event_types={"arena.storm.closing"})
    assert wants.matches(event("arena.storm.closing"))
    assert not wants.matches(event("arena.storm"))


@pytest.mark.parametrize("name", ["game.started", "game.ended", "game.phase.deep.down"])
def test_a_wildcard_matches_at_any_depth(name: str) -> None:
    assert EventFilter(event_types={"game.*"}).matches(event(name))


@pytest.mark.parametrize("name", ["game", "games.started", "gamestarted", "phase.game.started"])
def test_a_wildcard_stops_at_its_dot(name: str) -> None:
    assert not EventFilter(event_types={"game.*"}).matches(event(name))


def test_wildcards_and_names_go_together() -> None:
    wants = EventFilter(event_types={"game.*", "state.transition.*", "redeal"})
    matching = ["game.started", "state.transition.failed", "redeal"]
    others = ["state.other", "redeals", "player.joined"]
    assert [name for name in [*matching, *others] if wants.matches(event(name))] == matching


def test_a_star_alone_is_every_name() -> None:
    for wanted in ("*", ">"):
        for name in ("redeal", "game.started", "a.b.c.d", "line\nbreak.\x1b"):
            assert EventFilter(event_types={wanted}).matches(event(name))


@pytest.mark.parametrize(
    ("wanted", "matching", "others"),
    [
        ("*.transition.failed", ["state.transition.failed"], ["transition.failed", "a.b.transition.failed"]),
        ("state.*.failed", ["state.transition.failed"], ["state.failed", "state.a.b.failed", "state..failed"]),
        ("state.*.*", ["state.transition.failed", "state.a.b.c"], ["state.transition", "states.a.b"]),
        ("*.*", ["game.started", "a.b.c"], ["redeal"]),
        ("game.>", ["game.started", "game.a.b"], ["game", "games.started"]),
        ("*.started.>", ["game.started.late"], ["game.started", "a.game.started.late"]),
        ("a+.*", ["a+.b"], ["aa.b", "a.b"]),
    ],
)
def test_a_star_before_the_end_is_one_word(wanted: str, matching: list[str], others: list[str]) -> None:
    wants = EventFilter(event_types={wanted})
    assert [name for name in [*matching, *others] if wants.matches(event(name))] == matching
    assert [name for name in [*matching, *others] if wants.matches_type(name)] == matching


IDS = [
    ("game_ids", "game_id"),
    ("room_ids", "room_id"),
    ("player_ids", "player_id"),
    ("correlation_ids", "correlation_id"),
    ("trace_ids", "trace_id"),
]


@pytest.mark.parametrize(("argument", "field"), IDS)
def test_each_set_looks_at_its_own_id(argument: str, field: str) -> None:
    wants = with_set(argument, {"a", "b"})
    assert wants.matches(event(**{field: "a"}))
    assert wants.matches(event(**{field: "b"}))
    assert not wants.matches(event(**{field: "c"}))
    for _, other in IDS:
        if other != field:
            assert not wants.matches(event(**{other: "a"}))


@pytest.mark.parametrize("argument", ["event_types", *(argument for argument, _ in IDS)])
def test_an_empty_set_matches_nothing(argument: str) -> None:
    ids = dict.fromkeys((field for _, field in IDS), "a")
    assert not with_set(argument, set()).matches(event(**ids))
    assert not with_set(argument, set()).matches(event())


@pytest.mark.parametrize("argument", [argument for argument, _ in IDS])
def test_an_event_without_the_id_is_in_no_set(argument: str) -> None:
    assert not with_set(argument, {"", "None"}).matches(event())


def test_all_given_sets_have_to_match() -> None:
    wants = EventFilter(event_types={"game.*"}, room_ids={"r"}, player_ids={"p"})
    assert wants.matches(event("game.started", room_id="r", player_id="p"))
    assert not wants.matches(event("phase.started", room_id="r", player_id="p"))
    assert not wants.matches(event("game.started", room_id="x", player_id="p"))
    assert not wants.matches(event("game.started", room_id="r", player_id="x"))


def test_ids_are_compared_as_events_keep_them() -> None:
    hostile = "eve\x00\u202e" + "x" * 10_000
    kept = event(player_id="eve\ufffd\ufffd")  # clean_id replaces control and direction characters
    assert EventFilter(player_ids={"eve\x00\u202e"}).matches(kept)
    assert EventFilter(player_ids={hostile}).matches(event(player_id=hostile))
    assert not EventFilter(player_ids={hostile}).matches(event(player_id=hostile + "x"))


def test_later_changes_to_the_callers_set_change_nothing() -> None:
    rooms = {"r"}
    wants = EventFilter(room_ids=rooms)
    rooms.add("other")
    assert not wants.matches(event(room_id="other"))


def test_equal_filters_are_equal_and_hash_alike() -> None:
    one, same = EventFilter(room_ids={"a", "b"}), EventFilter(room_ids={"b", "a"})
    assert one == same
    assert hash(one) == hash(same)


@pytest.mark.parametrize("argument", ["event_types", *(argument for argument, _ in IDS)])
@pytest.mark.parametrize("value", ["game.started", b"x", 5, {"a": 1}])
def test_what_is_no_set_is_refused_and_told_what_to_pass(argument: str, value: Any) -> None:
    with pytest.raises(TypeError, match=f"^{argument} is .*pass a set of"):
        with_set(argument, value)


@pytest.mark.parametrize(("argument", "value"), [("event_types", {None}), ("event_types", {7}), ("game_ids", {None})])
def test_what_can_be_no_name_or_id_is_refused(argument: str, value: Any) -> None:
    with pytest.raises(TypeError, match=f"^{argument} holds"):
        with_set(argument, value)


@pytest.mark.parametrize("name", ["game*", "**", "game.**", "game.>.x", "a*b.c", "game.s*"])
def test_a_wildcard_in_the_wrong_place_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="stands for one whole word"):
        EventFilter(event_types={name})


# --- traces, severity, data ------------------------------------------------------------------------------------------


def test_trace_ids_may_be_written_in_capitals() -> None:
    wants = EventFilter(trace_ids={"0AF7651916CD43DD8448EB211C80319C"})
    assert wants.matches(event(trace_id="0af7651916cd43dd8448eb211c80319c"))
    assert not wants.matches(event(trace_id="0af7651916cd43dd8448eb211c80319d"))
    assert not wants.matches(event())


@pytest.mark.parametrize("least", [Severity.WARN, "WARN", "warn"])
def test_severity_is_that_or_above(least: Any) -> None:
    wants = EventFilter(severity_at_least=least)
    assert [each.name for each in Severity if wants.matches(event(severity=each))] == [
        each.name
        for each in Severity
        if each.value >= 13  # as the log data model numbers WARN
    ]
    assert not wants.matches(event(severity=Severity.INFO))


def test_values_of_the_data_each_have_to_be_among_the_wanted() -> None:
    wants = EventFilter(attributes={"action_type": {"declare", "play"}, "legal": True})
    assert wants.matches(event(data={"action_type": "play", "legal": True, "more": 1}))
    assert not wants.matches(event(data={"action_type": "pass", "legal": True}))
    assert not wants.matches(event(data={"action_type": "play", "legal": False}))
    assert not wants.matches(event(data={"action_type": "play"}))


def test_values_are_numbers_texts_and_none_as_events_have_them() -> None:
    data = {"number": 5, "ratio": 0.5, "text": "eve\ufffd", "winner": None, "winners": ["a", "b"]}
    for name, value in [
        ("number", 5),
        ("ratio", 0.5),
        ("text", "eve\x00"),
        ("winner", None),
        ("winners", [["a", "b"]]),
    ]:
        assert EventFilter(attributes={name: value}).matches(event(data=data)), name
    assert not EventFilter(attributes={"number": "5"}).matches(event(data=data))
    assert not EventFilter(attributes={"number": set()}).matches(event(data=data))
    assert EventFilter(attributes={}).matches(event(data=data))


@pytest.mark.parametrize(
    ("one", "same"),
    [
        ({"a": {0, 8}}, {"a": {8, 0}}),  # sets whose order depends on how they were filled
        ({"a": 1}, {"a": [1]}),
        ({"a": 1}, {"a": 1.0}),
        ({"a": "x", "b": None}, {"b": (None,), "a": {"x"}}),
    ],
)
def test_filters_of_equal_attributes_are_equal_and_hash_alike(one: dict[str, Any], same: dict[str, Any]) -> None:
    assert EventFilter(attributes=one) == EventFilter(attributes=same)
    assert len({EventFilter(attributes=one), EventFilter(attributes=same)}) == 1
    assert EventFilter(attributes=one) != EventFilter(attributes={"a": 2})


@pytest.mark.parametrize(
    ("argument", "error", "told"),
    [
        ({"severity_at_least": "loud"}, ValueError, "severity_at_least is 'loud'; it is one of DEBUG"),
        ({"severity_at_least": 13}, ValueError, "severity_at_least is 13"),
        ({"attributes": {"legal"}}, TypeError, "pass a map of names to sets of values"),
        ({"attributes": "legal=true"}, TypeError, "pass a map of names"),
    ],
)
def test_what_says_no_severity_or_data_is_refused(argument: Any, error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told):
        EventFilter(**argument)


# --- what tells most -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        ({}, None),
        ({"event_types": {"a"}, "severity_at_least": "WARN", "attributes": {"a": 1}}, None),
        ({"room_ids": {"r"}}, "room_id"),
        ({"room_ids": {"r"}, "game_ids": {"g"}}, "game_id"),
        ({"room_ids": {"r"}, "game_ids": {"g"}, "player_ids": {"p"}}, "player_id"),
        ({"room_ids": {"r"}, "player_ids": {"p"}, "trace_ids": {"t"}}, "trace_id"),
        ({"player_ids": {"p"}, "trace_ids": {"t"}, "correlation_ids": {"c"}}, "correlation_id"),
        ({"room_ids": set(), "event_types": {"a"}}, "room_id"),
    ],
)
def test_a_filter_is_looked_up_by_what_fewest_events_share(wanted: dict[str, Any], index: str | None) -> None:
    """One request concerns fewer events than a player, a player fewer than a game, a game fewer than a room."""
    found = EventFilter(**wanted).index
    assert (found and found[0]) == index
    assert found is None or found[1] == frozenset(wanted[f"{index}s"])
