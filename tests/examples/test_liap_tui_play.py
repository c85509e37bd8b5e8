"""Games of Liap Tui over real sockets: what their record must obey, whatever happened in them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from fastapi import FastAPI

import otel_setup
from examples.common.client import get_text
from examples.common.record import expected
from examples.common.serving import running
from examples.liap_tui.players import Crowd, simulate
from examples.liap_tui.record import LiapTuiRecord
from examples.liap_tui.server import build_app
from examples.liap_tui.services import Settings
from examples.reconcile import Reconciliation, from_exposition, reconcile
from otel_setup.testing import fresh_telemetry
from tests.examples.support import (
    Fact,
    by_room,
    check_events_follow_the_record,
    check_everyone_counted_once,
    check_paths,
    check_returns_follow_losses,
    of,
    read_facts,
)
from tests.examples.test_liap_tui_rules import LEGAL

SETTINGS = Settings(speed=1000, seed=5, target=25, illegal=0.3)
CROWD = Crowd(games=8, speed=1000, seed=5, drop=0.4, abandon=0.4, concurrency=4)


@dataclass
class Played:
    """A run that is over: its facts, its record, what /metrics said, and the event stream's history."""

    facts: list[Fact]
    record: LiapTuiRecord
    reconciliation: Reconciliation
    events: list[otel_setup.SystemEvent]
    failures: list[Exception]

    @property
    def rooms(self) -> dict[str, list[Fact]]:
        return {room: facts for room, facts in by_room(self.facts).items() if room != "lobby"}


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    path = tmp_path_factory.mktemp("liap_tui") / "record.jsonl"
    with fresh_telemetry() as telemetry:
        otel_setup.configure(service="liap-tui", collector=False, history_size=200_000)
        record = LiapTuiRecord(path)
        app = build_app(telemetry.monitor, record, SETTINGS)
        exposition = asyncio.run(_play(app))
        result = reconcile(expected(record), {"/metrics": from_exposition(exposition, "liap_tui_")})
        failures = app.state.lobby.services.failures
        yield Played(read_facts(path), record, result, telemetry.events(), failures)


async def _play(app: FastAPI) -> str:
    async with running(app) as address, asyncio.timeout(240):
        await simulate(address, CROWD)
        await app.state.lobby.wait_quiet()
        return await get_text(address, "/metrics")


def test_the_run_had_everything_that_can_happen(played: Played) -> None:
    """Else the laws below hold of nothing."""
    happened = Counter(fact["fact"] for fact in played.facts)
    for kind in ("game_completed", "game_abandoned", "player_disconnected", "player_reconnected", "redeal"):
        assert happened[kind], kind
    assert happened["illegal_transition"]
    assert {fact["code"] for fact in of(played.facts, "socket_closed")} >= {1000, 1001, 1006}
    assert {fact["actor"] for fact in of(played.facts, "action")} == {"human", "bot"}
    assert {fact["outcome"] for fact in of(played.facts, "action")} == {"accepted", "rejected", "invalid"}
    assert played.failures == []


def test_what_begins_ends_once(played: Played) -> None:
    check_everyone_counted_once(played.facts)
    assert played.record.total("games_started_total") == CROWD.games


def test_transitions_form_legal_paths(played: Played) -> None:
    check_paths(played.rooms, "waiting", "game_over", LEGAL)
    attempts = {(fact["from"], fact["to"]) for fact in of(played.facts, "illegal_transition")}
    assert not attempts & LEGAL


def test_every_phase_but_the_wait_is_left_with_its_duration(played: Played) -> None:
    for facts in played.rooms.values():
        left = [fact["from"] for fact in of(facts, "transition") if fact["from"] != "waiting"]
        assert [fact["phase"] for fact in of(facts, "phase_left")] == left
        assert all(fact["seconds"] >= 0 for fact in of(facts, "phase_left"))


def test_each_round_gives_away_eight_piles_and_four_declarations(played: Played) -> None:
    for facts in played.rooms.values():
        piles = captured = 0
        declarations: list[Fact] = []
        for fact in of(facts, "turn_won", "declaration", "round_scored"):
            if fact["fact"] == "turn_won":
                piles += fact["piles"]
            elif fact["fact"] == "declaration":
                declarations.append(fact)
                captured += fact["captured"]
            else:
                assert piles == captured == fact["piles"] == 8
                assert len(declarations) == 4
                piles, captured, declarations = 0, 0, []


def test_declaration_outcomes_follow_from_the_numbers(played: Played) -> None:
    for fact in of(played.facts, "declaration"):
        kept = "hit" if fact["declared"] else "zero_kept"
        assert fact["outcome"] == (kept if fact["declared"] == fact["captured"] else "missed")


def test_a_completed_game_has_four_plays_a_turn_four_seats_and_a_winner(played: Played) -> None:
    for facts in played.rooms.values():
        if not of(facts, "game_completed"):
            assert not of(facts, "seat_completed", "win")
            continue
        plays = [f for f in of(facts, "action") if (f["action_type"], f["outcome"]) == ("play_pieces", "accepted")]
        assert len(plays) == 4 * len(of(facts, "turn_won"))
        seats = {fact["player"]: fact["type"] for fact in of(facts, "seat_completed")}
        [started] = of(facts, "game_started")
        assert Counter(seats.values()) == +Counter({"human": started["humans"], "bot": started["bots"]})
        assert 1 <= len(of(facts, "win")) <= 4
        assert all(seats[fact["player"]] == fact["type"] for fact in of(facts, "win"))


def test_each_disconnection_brings_a_bot_until_the_return(played: Played) -> None:
    check_returns_follow_losses(played.facts)
    for facts in played.rooms.values():
        lost = [fact["player"] for fact in of(facts, "player_disconnected")]
        assert [fact["player"] for fact in of(facts, "bot_takeover")] == lost


def test_metrics_agree_with_the_record(played: Played) -> None:
    assert played.reconciliation.equal, played.reconciliation.render()


def test_transitions_overlap_as_in_the_real_game(played: Played) -> None:
    """Without a weak hand ROUND_START begins, and is reached, while PREPARATION is still being entered."""
    overlapped = 0
    for room, facts in played.rooms.items():
        before_first_round = facts[: next((i for i, f in enumerate(facts) if f["fact"] == "round_started"), 0)]
        if not before_first_round or of(before_first_round, "redeal", "timeout"):
            continue
        completed = [
            event.data["to_state"]
            for event in played.events
            if event.game_id == room and event.event_type == "state.transition.complete"
        ]
        assert completed[:2] == ["round_start", "preparation"]
        overlapped += 1
    assert overlapped


def test_games_and_phases_begin_as_the_record_says(played: Played) -> None:
    check_events_follow_the_record(played.events, played.rooms)


def test_game_over_completes_after_the_game_ended_though_its_task_is_cancelled(played: Played) -> None:
    for room, facts in played.rooms.items():
        if not of(facts, "game_completed"):
            continue
        kinds = [(event.event_type, event.data.get("to_state")) for event in played.events if event.game_id == room]
        ended = next(i for i, (kind, _) in enumerate(kinds) if kind == "game.ended")
        assert ("state.transition.complete", "game_over") in kinds[ended:]
    assert not [event for event in played.events if event.event_type == "state.transition.failed"]
