"""Names of events: a fixed list that stays open for others, each with one declaration."""

from __future__ import annotations

import copy
import json
import pickle
from collections import Counter

import pytest

from otel_setup.catalogue import EVENTS, EventType
from otel_setup.catalogue.types import Event

PROMISED = {
    "state.transition.start",
    "state.transition.complete",
    "state.transition.failed",
    "action.queued",
    "action.processing",
    "action.completed",
    "action.failed",
    "phase.started",
    "phase.completed",
    "phase.timeout",
    "game.created",
    "game.started",
    "game.ended",
    "game.error",
    "player.joined",
    "player.left",
    "player.action",
    "player.timeout",
    "broadcast.sent",
    "broadcast.failed",
    "connection.opened",
    "connection.closed",
    "error.occurred",
}
"""The names of the API that this product succeeds, typed from its description."""


def test_every_promised_name_is_an_event_type() -> None:
    assert len(PROMISED) == 23
    assert {event_type.value for event_type in EventType} >= PROMISED


def test_each_event_type_has_one_declaration_and_each_declaration_a_type() -> None:
    declared = Counter(str(event.name) for event in EVENTS)
    assert declared == Counter({event_type.value: 1 for event_type in EventType})


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: str(event.name))
def test_an_events_attributes_do_not_hide_one_another(event: Event) -> None:
    # As attributes of a log record and as keys of SystemEvent.data, equal names would overwrite each other.
    names = [attribute.name for attribute in event.attributes]
    keys = [attribute.data_key for attribute in event.attributes]
    assert len(set(names)) == len(names)
    assert len(set(keys)) == len(keys)


DATA_KEYS = {
    "state.transition.complete": {"from_state", "to_state", "success"},
    "state.transition.failed": {"from_state", "to_state", "success", "error"},
    "action.completed": {"action_type", "status", "duration_ms"},
    "action.failed": {"action_type", "status", "error"},
    "game.started": {"player_count", "bot_count"},
    "game.ended": {"winner_id", "final_scores", "abandoned"},
    "error.occurred": {"error_type", "error_message", "stack_trace"},
}
"""The data fields that the promised events have by the same description."""


@pytest.mark.parametrize("name", DATA_KEYS)
def test_promised_events_carry_the_promised_data(name: str) -> None:
    [event] = [event for event in EVENTS if event.name == name]
    assert {attribute.data_key for attribute in event.attributes} >= DATA_KEYS[name]


def test_a_foreign_name_is_an_event_type_without_becoming_a_member() -> None:
    members = list(EventType)
    foreign = EventType("arena.storm.closing")
    assert isinstance(foreign, EventType)
    assert foreign.value == foreign.name == str(foreign) == "arena.storm.closing"
    assert list(EventType) == members
    assert "arena.storm.closing" not in EventType.__members__


def test_foreign_names_compare_and_hash_as_their_text() -> None:
    first, second = EventType("arena.storm.closing"), EventType("arena.storm.closing")
    assert first == second == "arena.storm.closing"
    assert len({first, second, "arena.storm.closing"}) == 1
    assert first != EventType("arena.storm.closed")


def test_a_known_name_gives_the_member_itself() -> None:
    assert EventType("game.started") is EventType.GAME_STARTED
    assert EventType.GAME_STARTED in {"game.started"}


@pytest.mark.parametrize("name", ["game.started", "arena.storm.closing"])
def test_names_survive_pickling_copying_and_json(name: str) -> None:
    event_type = EventType(name)
    assert pickle.loads(pickle.dumps(event_type)) == event_type  # noqa: S301 - written one line above
    assert copy.deepcopy(event_type) == event_type
    assert json.loads(json.dumps(event_type)) == name


@pytest.mark.parametrize("value", [None, 7, b"game.started", ("game", "started")])
def test_what_is_no_text_is_no_event_type(value: object) -> None:
    with pytest.raises(ValueError, match="not a valid EventType"):
        EventType(value)  # type: ignore[arg-type]
