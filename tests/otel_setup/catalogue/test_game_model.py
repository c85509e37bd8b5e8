"""The default game, typed from its rules; what a game model refuses; how it takes other spellings."""

from __future__ import annotations

from enum import StrEnum
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_setup.game_model import LIAP_TUI, GameModel

PHASES = ("waiting", "preparation", "round_start", "declaration", "turn", "turn_results", "scoring", "game_over")
LEGAL = {
    ("waiting", "preparation"),
    ("preparation", "round_start"),
    ("round_start", "declaration"),
    ("declaration", "turn"),
    ("turn", "turn_results"),
    ("turn_results", "turn"),
    ("turn_results", "scoring"),
    ("scoring", "preparation"),
    ("scoring", "game_over"),
}
ACTIONS = {
    "redeal_request",
    "redeal_response",
    "declare",
    "play_pieces",
    "player_disconnect",
    "player_reconnect",
    "timeout",
    "phase_transition",
    "game_state_update",
    "view_scores",
    "continue_round",
}
MESSAGES_IN = {
    "ping",
    "request_room_list",
    "client_ready",
    "create_room",
    "join_room",
    "add_bot",
    "remove_player",
    "leave_room",
    "start_game",
    "declare",
    "play",
    "request_redeal",
    "accept_redeal",
    "decline_redeal",
    "leave_game",
    "ack",
    "sync_request",
}
MESSAGES_OUT = {
    "phase_change",
    "game_started",
    "game_ended",
    "turn_complete",
    "player_disconnected",
    "player_reconnected",
    "host_changed",
    "play_rejected",
    "error",
    "pong",
}


def model(**changes: Any) -> GameModel:
    """A sound two-phase game, with changes."""
    sound: dict[str, Any] = {
        "name": "duel",
        "title": "Duel",
        "phases": ("bow", "fight"),
        "initial": "bow",
        "terminal": frozenset({"fight"}),
        "transitions": frozenset({("bow", "fight")}),
        "action_types": ("strike",),
    }
    return GameModel(**(sound | changes))


def test_the_default_game_has_the_games_phases_in_their_order() -> None:
    assert LIAP_TUI.phases == PHASES
    assert LIAP_TUI.initial == "waiting"
    assert LIAP_TUI.terminal == {"game_over"}


@pytest.mark.parametrize("edge", list(product(PHASES, PHASES)), ids="->".join)
def test_the_default_game_allows_its_own_transitions_alone(edge: tuple[str, str]) -> None:
    assert LIAP_TUI.is_legal(*edge) == (edge in LEGAL)


def test_the_default_game_has_the_games_actions_seats_and_messages() -> None:
    assert set(LIAP_TUI.action_types) == ACTIONS
    assert LIAP_TUI.seats == 4
    assert set(LIAP_TUI.messages_in) == MESSAGES_IN
    # The rules give the rooms' own messages as room_* only.
    assert {message for message in LIAP_TUI.messages_out if not message.startswith("room_")} == MESSAGES_OUT
    assert any(message.startswith("room_") for message in LIAP_TUI.messages_out)


def test_what_the_healthy_game_does_is_not_slow() -> None:
    # Measured: the play that ends a turn pauses 5 or 12 s, other actions take 5 ms; waiting→preparation takes 2 s.
    assert LIAP_TUI.slow_seconds("play_pieces") > 12
    assert 0.005 < LIAP_TUI.slow_seconds("declare") < 1
    assert LIAP_TUI.slow_transition_seconds > 2


@pytest.mark.parametrize("spelling", ["PREPARATION", "Preparation", " preparation ", "preparation"])
def test_a_phase_is_found_in_any_case(spelling: str) -> None:
    assert LIAP_TUI.phase(spelling) == "preparation"


@pytest.mark.parametrize("spelling", ["play_piece", "PLAY_PIECE", "play", "Play_Pieces", "play_pieces"])
def test_an_action_is_found_in_any_case_and_by_its_aliases(spelling: str) -> None:
    assert LIAP_TUI.action(spelling) == "play_pieces"


HOSTILE = [
    "",
    "x" * 10_000,
    "turn\x00",
    "turn\nscoring",
    "\u202enrut",
    '"}} malicious',
    "tu rn",
    None,
    7,
    b"turn",
    ["turn"],
    {"turn": 1},
    float("nan"),
    "other",
]


@pytest.mark.parametrize("name", HOSTILE, ids=lambda name: ascii(name)[:20])
def test_what_is_no_name_of_the_game_is_other(name: object) -> None:
    assert LIAP_TUI.phase(name) == "other"
    assert LIAP_TUI.action(name) == "other"


@given(st.text())
def test_whatever_the_text_lookups_stay_inside_the_closed_sets(name: str) -> None:
    assert LIAP_TUI.phase(name) in {*PHASES, "other"}
    assert LIAP_TUI.action(name) in {*ACTIONS, "other"}


@pytest.mark.parametrize(
    ("changes", "culprit"),
    [
        ({"name": "My Game"}, "name 'My Game'"),
        ({"phases": ("bow", "fight", "Rest")}, "phase 'Rest'"),
        ({"phases": ("bow", "fight", "other")}, "phase 'other' is reserved"),
        ({"phases": ("bow", "fight", "bow")}, "phase 'bow' is named twice"),
        ({"action_types": ("strike", "other")}, "action type 'other' is reserved"),
        ({"action_types": ("strike", "strike")}, "action type 'strike' is named twice"),
        ({"messages_in": ("hit me",)}, "message type 'hit me'"),
        ({"messages_out": ("Hit",)}, "message type 'Hit'"),
        ({"initial": "dawn"}, "initial names the unknown phase 'dawn'"),
        ({"terminal": frozenset({"dusk"})}, "terminal names the unknown phase 'dusk'"),
        ({"transitions": frozenset({("bow", "flight")})}, "transitions names the unknown phase 'flight'"),
        ({"transitions": frozenset({("fight", "bow")})}, "terminal phase 'fight' has a way out, to 'bow'"),
        ({"action_aliases": {"hit": "smite"}}, "unknown action type 'smite'"),
        ({"slow_action_seconds": {"smite": 1.0}}, "unknown action type 'smite'"),
        ({"seats": 0}, "seats is 0"),
    ],
)
def test_an_inconsistent_model_is_refused_by_name(changes: dict[str, Any], culprit: str) -> None:
    assert model().phases == ("bow", "fight")
    with pytest.raises(ValueError, match="GameModel") as caught:
        model(**changes)
    assert culprit in str(caught.value)


def test_everything_inconsistent_is_said_in_one_error() -> None:
    with pytest.raises(ValueError, match="GameModel 'duel'") as caught:
        model(initial="dawn", seats=-1, action_aliases={"hit": "smite"}, phases=("bow", "fight", "Rest"))
    for culprit in ("'dawn'", "-1", "'smite'", "'Rest'"):
        assert culprit in str(caught.value)


def test_a_model_may_be_declared_with_enumerations() -> None:
    class Phase(StrEnum):
        CALM = "calm"
        STORM = "storm"

    model = GameModel(
        name="weather",
        title="Weather",
        phases=tuple(Phase),
        initial=Phase.CALM,
        terminal=frozenset({Phase.STORM}),
        transitions=frozenset({(Phase.CALM, Phase.STORM)}),
        action_types=("wait",),
    )
    assert {type(phase) for phase in (*model.phases, model.initial, *model.terminal)} == {str}
    assert model.is_legal("calm", "storm")
    assert repr(sorted(model.transitions)) == "[('calm', 'storm')]"
