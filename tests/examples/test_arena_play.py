"""Matches of the arena over real sockets: what their record must obey, whatever happened in them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from fastapi import FastAPI

import otel_setup
from examples.arena.match import Settings
from examples.arena.model import ARENA, BUSINESS_METRICS, CATALOGUE
from examples.arena.players import Crowd, simulate
from examples.arena.record import ArenaRecord
from examples.arena.server import build_app
from examples.arena.world import WEAPONS
from examples.common.client import get_text
from examples.common.record import expected
from examples.common.serving import running
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

CROWD = Crowd(games=12, speed=200, seed=3, drop=0.4, abandon=0.4, concurrency=6)
LEGAL = {
    ("warmup", "fighting"),
    ("fighting", "overtime"),
    ("fighting", "podium"),
    ("overtime", "podium"),
    ("podium", "closed"),
}


@dataclass
class Played:
    """A run that is over: its facts, its record, what /metrics said, and what broke."""

    facts: list[Fact]
    record: ArenaRecord
    reconciliation: Reconciliation
    events: list[otel_setup.SystemEvent]
    failures: list[Exception]


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    path = tmp_path_factory.mktemp("arena") / "record.jsonl"
    with fresh_telemetry() as telemetry:
        otel_setup.configure(
            service="arena", model=ARENA, business_metrics=BUSINESS_METRICS, collector=False, history_size=200_000
        )
        record = ArenaRecord(path)
        app = build_app(telemetry.monitor, record, Settings(speed=CROWD.speed, seed=3, illegal=0.5))
        exposition = asyncio.run(_play(app))
        assert "liap" not in exposition.lower()
        result = reconcile(expected(record), {"/metrics": from_exposition(exposition, "arena_")})
        yield Played(read_facts(path), record, result, telemetry.events(), app.state.arena.services.failures)


async def _play(app: FastAPI) -> str:
    async with running(app) as address, asyncio.timeout(240):
        await simulate(address, CROWD)
        await app.state.arena.wait_quiet()
        return await get_text(address, "/metrics")


def test_the_run_had_everything_that_can_happen(played: Played) -> None:
    """Else the laws below hold of nothing."""
    happened = Counter(fact["fact"] for fact in played.facts)
    for kind in ("game_completed", "game_abandoned", "player_disconnected", "player_reconnected", "hit"):
        assert happened[kind], kind
    assert happened["illegal_transition"]
    assert {fact["weapon"] for fact in of(played.facts, "shot")} == set(WEAPONS)
    assert {fact["outcome"] for fact in of(played.facts, "action")} == {"accepted", "rejected", "invalid"}
    assert played.failures == []


def test_what_begins_ends_once(played: Played) -> None:
    check_everyone_counted_once(played.facts)
    assert played.record.total("rooms_created_total") == CROWD.games


def test_transitions_form_legal_paths(played: Played) -> None:
    check_paths(by_room(played.facts), "warmup", "closed", LEGAL)
    attempts = {(fact["from"], fact["to"]) for fact in of(played.facts, "illegal_transition")}
    assert not attempts & LEGAL


def test_every_accepted_shot_is_a_shot_and_hits_do_the_weapons_damage_at_most(played: Played) -> None:
    for facts in by_room(played.facts).values():
        fired = [f for f in of(facts, "action") if (f["action_type"], f["outcome"]) == ("fire", "accepted")]
        assert len(fired) == len(of(facts, "shot"))
        for hit in of(facts, "hit"):
            assert 0 < hit["damage"] <= WEAPONS[hit["weapon"]].damage


def test_returns_follow_losses(played: Played) -> None:
    check_returns_follow_losses(played.facts)


def test_metrics_agree_with_the_record(played: Played) -> None:
    assert played.reconciliation.equal, played.reconciliation.render()


def test_matches_and_phases_begin_as_the_record_says(played: Played) -> None:
    check_events_follow_the_record(played.events, by_room(played.facts))


def test_overtime_runs_out_where_its_tie_stands(played: Played) -> None:
    for room, facts in by_room(played.facts).items():
        overtime = "overtime" in [fact["to"] for fact in of(facts, "transition")]
        stands = overtime and len(of(facts, "win")) > 1
        timeouts = [
            event.data["phase"]
            for event in played.events
            if event.game_id == room and event.event_type == "phase.timeout"
        ]
        assert timeouts.count("overtime") == stands, room
        assert set(timeouts) <= {"warmup", "overtime"}


def test_nothing_of_the_arena_names_another_game() -> None:
    import examples.arena

    for source in Path(next(iter(examples.arena.__path__))).glob("*.py"):
        assert "liap" not in source.read_text(encoding="utf-8").lower(), source
    names = [metric.prometheus for metric in CATALOGUE.metrics]
    assert {"arena_shots_fired_total", "arena_hit_damage"} <= set(names)
    assert not [name for name in names if "liap" in name]
