"""The anti-cheat counter: whom it reports, whom it does not, and what it holds."""

from __future__ import annotations

import asyncio
import json
import random
import sys

import pytest

from examples.subscribers.anti_cheat import WANTED, AntiCheat, Limits, Suspicion, main, watch
from otel_setup.testing import EventStreamTester


@pytest.fixture
def tester() -> EventStreamTester:
    return EventStreamTester()


def act(tester: EventStreamTester, counter: AntiCheat, player: str = "Ada", **data: object) -> list[Suspicion]:
    told = {"action_type": "fire", "outcome": "accepted", "actor": "human", "duration_ms": 0.0, **data}
    return counter.take(tester.publish("action.completed", player=player, game="g1", room="r1", **told))


def test_whoever_acts_faster_than_people_can_is_reported(tester: EventStreamTester) -> None:
    counter, told = AntiCheat(Limits(fastest=0.08, fast=3)), []
    for _ in range(4):
        told += act(tester, counter)
        tester.advance(0.05)
    (suspicion,) = told
    assert (suspicion.rule, suspicion.player, suspicion.game, suspicion.room) == ("too_fast", "Ada", "g1", "r1")
    assert (suspicion.count, suspicion.missing) == (3, 0)


def test_people_are_not_reported(tester: EventStreamTester) -> None:
    counter, chance = AntiCheat(), random.Random(7)  # noqa: S311 - simulated people
    for _ in range(500):
        assert act(tester, counter, outcome=chance.choice(["accepted", "accepted", "rejected"])) == []
        tester.advance(chance.uniform(0.3, 3.0))


def test_a_busy_server_makes_nobody_a_suspect(tester: EventStreamTester) -> None:
    """It executes at once what people did one after the other; how long each waited is taken off."""
    counter = AntiCheat()
    for waited in (4000.0, 3000.0, 2000.0, 1000.0, 0.0):
        assert act(tester, counter, queue_wait_ms=waited, duration_ms=5.0) == []


def test_the_same_actions_in_another_order_give_the_same_count(tester: EventStreamTester) -> None:
    counter, told = AntiCheat(Limits(fast=3)), []
    for waited in (0.0, 150.0, 50.0, 100.0):
        told += act(tester, counter, queue_wait_ms=waited)
    assert [(suspicion.rule, suspicion.count) for suspicion in told] == [("too_fast", 3)]


def test_too_many_actions_in_a_window_are_reported_and_old_ones_are_not_counted(tester: EventStreamTester) -> None:
    counter = AntiCheat(Limits(actions=5, window=10))
    for _ in range(3):
        for _ in range(5):
            assert act(tester, counter) == []
            tester.advance(1)
        tester.advance(10)
    told = []
    for _ in range(6):
        told += act(tester, counter)
        tester.advance(1)
    assert [(suspicion.rule, suspicion.count) for suspicion in told] == [("too_many", 6)]


def test_illegal_moves_are_counted_and_moves_out_of_turn_are_not(tester: EventStreamTester) -> None:
    counter, told = AntiCheat(Limits(illegal=2)), []
    for outcome in ("invalid", "rejected", "rejected", "invalid", "accepted", "invalid"):
        told += act(tester, counter, outcome=outcome)
        tester.advance(1)
    assert [(suspicion.rule, suspicion.count) for suspicion in told] == [("illegal", 3)]


def test_bots_may_be_as_fast_as_they_like(tester: EventStreamTester) -> None:
    counter = AntiCheat()
    for _ in range(100):
        assert act(tester, counter, actor="bot") == []


def test_players_are_counted_apart_and_reported_once_in_a_while(tester: EventStreamTester) -> None:
    counter, told = AntiCheat(Limits(fast=2, quiet=60)), []
    for _ in range(2):
        for _ in range(10):
            told += act(tester, counter, player="Ada")
            told += act(tester, counter, player="Ben") if len(told) else []
        tester.advance(61)
    assert [suspicion.player for suspicion in told] == ["Ada", "Ben", "Ada", "Ben"]


def test_what_is_missing_is_said(tester: EventStreamTester) -> None:
    counter = AntiCheat(Limits(fast=1))
    counter.take(tester.gap(12))
    (suspicion,) = [*act(tester, counter), *act(tester, counter)]
    assert suspicion.missing == 12


def test_memory_is_bounded_by_players_and_by_what_can_be_counted(tester: EventStreamTester) -> None:
    counter = AntiCheat(Limits(players=50, actions=20, quiet=1e9))
    for number in range(200):
        act(tester, counter, player=f"player {number}", outcome="invalid")
    assert (len(counter._players), counter.forgotten) == (50, 150)
    for _ in range(1000):
        act(tester, counter, player="busy", outcome="invalid")
    assert all(len(player.acted) <= 21 and len(player.illegal) <= 21 for player in counter._players.values())
    sizes = [sys.getsizeof(player.acted) + sys.getsizeof(player.illegal) for player in counter._players.values()]
    assert max(sizes) < 1000


async def test_it_prints_lines_that_no_terminal_obeys(
    tester: EventStreamTester, capsys: pytest.CaptureFixture[str]
) -> None:
    hostile = "\x1b[31m\u202eAda"
    async with await tester.stream.subscribe("watch", WANTED) as subscriber:
        watching = asyncio.create_task(watch(subscriber, AntiCheat(Limits(illegal=1))))
        for _ in range(2):
            tester.publish("action.completed", player=hostile, outcome="invalid", actor="human", duration_ms=1.0)
        await tester.settle()
        watching.cancel()
    line = capsys.readouterr().out
    assert json.loads(line)["player"] == hostile
    assert line.isascii()
    assert "\x1b" not in line


async def test_what_it_lost_by_being_slow_is_in_the_account(tester: EventStreamTester) -> None:
    counter = AntiCheat()
    async with await tester.stream.subscribe("watch", WANTED) as subscriber:
        watching = asyncio.create_task(watch(subscriber, counter))
        await tester.settle()
        tester.overwhelm("action.completed", lost=9, player="Ada", actor="bot")
        await tester.settle()
        watching.cancel()
    assert counter.missing == 9


def test_limits_make_sense(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="window, illegal: all limits are above 0"):
        Limits(window=0, illegal=-1)
    assert main(["--window", "0"]) == 1
    assert "window: all limits are above 0" in capsys.readouterr().err
