"""The inner steps of transitions and actions, told while somebody looks closely at their room, and only then."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

import otel_setup
from otel_setup.diagnosis.rules import Subject
from otel_setup.testing import Recording, recording

TRANSITION, ACTION = "state.transition.step", "action.step"


@pytest.fixture
def recorded() -> Iterator[Recording]:
    with recording() as recorded:
        yield recorded


def look_at(recorded: Recording, **subject: str) -> None:
    recorded.monitor.core.debug.rules.add(Subject(**subject), 60)


def steps(recorded: Recording, event_type: str = TRANSITION) -> list[str]:
    return [event.data["step"] for event in recorded.events(event_type)]


async def start(recorded: Recording, game: str = "g1", room: str = "r1") -> None:
    await recorded.monitor.record_game_start(game, room, player_count=2, bot_count=0)


async def test_a_transition_is_told_from_its_entry_to_what_became_of_it(recorded: Recording) -> None:
    await start(recorded)
    look_at(recorded, room_id="r1")
    async with recorded.monitor.monitor_state_transition("g1", "WAITING", "PREPARATION") as handle:
        recorded.clock.advance(0.25)
        handle.step("cards dealt", cards=32, ordinal="mine", player="Ada")
        recorded.clock.advance(0.5)
    told = [event for event in recorded.events() if str(event.event_type).startswith("state.")]
    assert [event.data.get("step") or str(event.event_type) for event in told] == [
        "entered",
        "judged",
        "state.transition.start",
        "body_begun",
        "cards dealt",
        "body_ended",
        "state.transition.complete",
        "applied",
    ]
    for event in told:
        assert (event.game_id, event.room_id) == ("g1", "r1")
        assert (event.data["ordinal"], event.data["legal"]) == (1, True)
        assert event.span_id == told[0].span_id != ""
    dealt = told[4]
    assert dealt.data["elapsed_ms"] == 250.0
    assert (dealt.data["origin"], dealt.data["extra"]) == ("game", {"cards": 32, "ordinal": "mine", "player": "Ada"})
    assert (told[5].data["elapsed_ms"], told[5].data["origin"]) == (750.0, "monitor")


async def test_legality_is_told_as_judged(recorded: Recording) -> None:
    await start(recorded)
    look_at(recorded, game_id="g1")
    async with recorded.monitor.monitor_state_transition("g1", "WAITING", "SCORING"):
        pass
    recorded.assert_event(TRANSITION, step="judged", legal=False)
    recorded.assert_events(TRANSITION, "state.transition.illegal", "state.transition.start", TRANSITION)


async def test_one_that_was_entered_first_and_ends_last_is_overtaken(recorded: Recording) -> None:
    await start(recorded)
    look_at(recorded, room_id="r1")
    monitor = recorded.monitor
    async with (
        monitor.monitor_state_transition("g1", "WAITING", "PREPARATION"),
        monitor.monitor_state_transition("g1", "PREPARATION", "ROUND_START"),
    ):
        pass
    ends = [(event.data["ordinal"], event.data["step"]) for event in recorded.events(TRANSITION)]
    assert ends[-3:] == [(2, "applied"), (1, "body_ended"), (1, "overtaken")]


async def test_what_fails_or_is_cancelled_stays(recorded: Recording) -> None:
    await start(recorded)
    look_at(recorded, room_id="r1")
    for error in (ValueError("no cards"), asyncio.CancelledError()):
        with pytest.raises(type(error)):
            async with recorded.monitor.monitor_state_transition("g1", "WAITING", "PREPARATION"):
                raise error
    assert [step for step in steps(recorded) if step in ("applied", "overtaken", "stayed", "unbound")] == ["stayed"] * 2


async def test_the_transition_in_which_the_game_ends_has_no_game_left(recorded: Recording) -> None:
    await start(recorded)
    look_at(recorded, game_id="g1")
    async with recorded.monitor.monitor_state_transition("g1", "WAITING", "PREPARATION"):
        await recorded.monitor.record_game_end("g1", "Ada", {})
    assert steps(recorded)[-1] == "unbound"


async def test_a_game_names_steps_of_its_actions(recorded: Recording) -> None:
    await start(recorded)
    look_at(recorded, player_id="Ada")
    for player in ("Ada", "Ben"):
        async with recorded.monitor.monitor_action_processing("g1", "play_pieces", player) as handle:
            handle.step("pieces compared", best="general")
    (told,) = recorded.events(ACTION)
    assert (told.player_id, told.game_id, told.room_id) == ("Ada", "g1", "r1")
    assert (told.data["action_type"], told.data["step"]) == ("play_pieces", "pieces compared")
    assert told.data["extra"] == {"best": "general"}


async def test_nothing_is_told_of_others_nor_before_nor_after(recorded: Recording) -> None:
    monitor, rules = recorded.monitor, recorded.monitor.core.debug.rules
    for number in (1, 2):
        await start(recorded, f"g{number}", f"r{number}")

    async def play(game: str) -> None:
        async with monitor.monitor_state_transition(game, "WAITING", "PREPARATION") as handle:
            handle.step("cards dealt")
        async with monitor.monitor_action_processing(game, "declare", "Ada") as handle:
            handle.step("counted")

    await play("g1")
    look_at(recorded, room_id="r1")
    await play("g2")
    assert (steps(recorded), steps(recorded, ACTION)) == ([], [])
    await play("g1")
    assert (len(steps(recorded)), len(steps(recorded, ACTION))) == (6, 1)
    rules.stop()
    await play("g1")
    assert (len(steps(recorded)), len(steps(recorded, ACTION))) == (6, 1)


async def test_the_option_looks_at_everything(recorded: Recording) -> None:
    otel_setup.configure(debug=True)
    await start(recorded)
    async with recorded.monitor.monitor_state_transition("g1", "WAITING", "PREPARATION"):
        await recorded.monitor.record_socket_message("c1", "receive", "play", 12)
    assert steps(recorded)[0] == "entered"
    recorded.assert_event("connection.message", connection_id="c1")
    otel_setup.configure(debug=False, service="another")
    async with recorded.monitor.monitor_state_transition("g1", "PREPARATION", "ROUND_START"):
        pass
    assert len(steps(recorded)) == 5


async def test_odd_steps_do_no_harm(recorded: Recording) -> None:
    class Odd:
        def __str__(self) -> str:
            raise RuntimeError

    await start(recorded)
    look_at(recorded, game_id="g1")
    hostile: Any = "\x1b[31m\u202e" + "x" * 10_000
    async with recorded.monitor.monitor_state_transition("g1", "WAITING", "PREPARATION") as handle:
        handle.step(hostile, **{hostile: hostile, "odd": Odd(), "list": list(range(1000))})
        handle.step(Odd())  # type: ignore[arg-type]
    told = [event for event in recorded.events(TRANSITION) if event.data["origin"] == "game"]
    assert len(told) == 2
    text = told[0].to_json()
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert len(text) < 10_000
    assert recorded.monitor.get_monitoring_status()["internal_errors"]["monitor"] == 0
