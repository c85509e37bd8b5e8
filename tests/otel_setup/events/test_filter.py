"""EventFilter: which events match, and which arguments are refused."""

from __future__ import annotations

from typing import Any

import pytest

from otel_setup.catalogue import EventType
from otel_setup.events.filter import EventFilter

from .helpers import event


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
    assert EventFilter(event_types={"*"}).matches(event("redeal"))


IDS = [
    ("game_ids", "game_id"),
    ("room_ids", "room_id"),
    ("player_ids", "player_id"),
    ("correlation_ids", "correlation_id"),
]


@pytest.mark.parametrize(("argument", "field"), IDS)
def test_each_set_looks_at_its_own_id(argument: str, field: str) -> None:
    wants = EventFilter(**{argument: {"a", "b"}})
    assert wants.matches(event(**{field: "a"}))
    assert wants.matches(event(**{field: "b"}))
    assert not wants.matches(event(**{field: "c"}))
    for _, other in IDS:
        if other != field:
            assert not wants.matches(event(**{other: "a"}))


@pytest.mark.parametrize("argument", ["event_types", *(argument for argument, _ in IDS)])
def test_an_empty_set_matches_nothing(argument: str) -> None:
    ids = dict.fromkeys((field for _, field in IDS), "a")
    assert not EventFilter(**{argument: set()}).matches(event(**ids))
    assert not EventFilter(**{argument: set()}).matches(event())


@pytest.mark.parametrize("argument", [argument for argument, _ in IDS])
def test_an_event_without_the_id_is_in_no_set(argument: str) -> None:
    assert not EventFilter(**{argument: {"", "None"}}).matches(event())


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
        EventFilter(**{argument: value})


@pytest.mark.parametrize(("argument", "value"), [("event_types", {None}), ("event_types", {7}), ("game_ids", {None})])
def test_what_can_be_no_name_or_id_is_refused(argument: str, value: Any) -> None:
    with pytest.raises(TypeError, match=f"^{argument} holds"):
        EventFilter(**{argument: value})


@pytest.mark.parametrize("name", ["game*", "**", "game.**", "game.>.x", "a*b.c", "game.s*"])
def test_a_wildcard_in_the_wrong_place_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="stands for one whole word"):
        EventFilter(event_types={name})
