"""The benchmarks of the stream run, count what they say they count, and tell a gross loss from noise."""

from __future__ import annotations

import asyncio

import pytest

from benchmarks.report import Spread
from benchmarks.stream import fanout, latency, peers, resume, selective, stalled
from benchmarks.stream.goals import Goal, at_most, table_of
from benchmarks.stream.rounds import NOT_INSTALLED, Cost, Make, by_turns, once

_ROUNDS, _EVENTS = 5, 512


def least(costs: list[Cost]) -> float:
    """The lowest: whatever else the machine does can only make a round slower."""
    return min(cost.total for cost in costs)


@pytest.mark.parametrize("name", fanout.PEERS)
def test_every_reader_of_every_peer_gets_every_event(name: str) -> None:
    make = fanout.PEERS[name]
    if make is None:
        pytest.skip(f"{name} is not installed")
    cost = asyncio.run(once(make(), readers=3, count=130))  # which raises where somebody got too few or too many
    assert 0 < cost.publishing < cost.total


@pytest.mark.parametrize("name", selective.PEERS)
def test_every_reader_of_a_room_gets_the_events_of_that_room(name: str) -> None:
    make = selective.PEERS[name]
    assert make is not None
    asyncio.run(once(make(), readers=6, count=120, rooms=4))


class _Forgetful(peers.Queues):
    async def publish(self, events: peers.Sequence[peers.SystemEvent]) -> None:
        await super().publish(events)
        self._received[-1] -= 1

    def received(self) -> list[int]:
        return [*self._received[:-1], self._received[-1] - 1]


def test_a_peer_whose_readers_got_too_little_is_refused() -> None:
    with pytest.raises(RuntimeError, match="_Forgetful"):
        asyncio.run(once(_Forgetful(), readers=2, count=64))


def test_a_peer_that_is_not_installed_is_said_to_be_so() -> None:
    assert peers.optional("no_such_package_anywhere", lambda package: peers.Queues()) is None
    there: dict[str, Make] = {"ours": peers.Stream, "theirs": None}
    measured = by_turns(there, readers=1, count=64, rounds=1, slow=frozenset())
    verdict = Goal("to be better", "ours", "theirs", 2).found(measured)
    assert not verdict.met
    assert NOT_INSTALLED in verdict.row()


def test_a_goal_is_met_by_the_median() -> None:
    ours, theirs = [Cost(1, 1), Cost(1, 1), Cost(1, 1)], [Cost(1, 1), Cost(1, 2), Cost(1, 9)]
    assert Goal("", "a", "b", 2).found({"a": ours, "b": theirs}).met
    assert not Goal("", "a", "b", 2.1).found({"a": ours, "b": theirs}).met
    assert not Goal("", "a", "b", 2, "publishing").found({"a": ours, "b": theirs}).met
    assert at_most("", 3, Spread(3, 1, 9)).met
    assert not at_most("", 2.9, Spread(3, 1, 9)).met
    rows = table_of("", [at_most("much", 3, Spread(3, 1, 9)), at_most("little", 2, Spread(3, 1, 9))]).rows
    assert [row[-1] for row in rows] == ["met", "NOT MET"]


@pytest.mark.slow
@pytest.mark.alone
def test_a_hundred_readers_cost_less_than_a_hundred_queues() -> None:
    """The goals are 1.8 times one by one, and 5 times in batches."""
    there = {name: fanout.PEERS[name] for name in (fanout.ONE, fanout.BATCH, fanout.QUEUE, fanout.REPLACED)}
    measured = by_turns(there, 100, _EVENTS, _ROUNDS, slow=frozenset({fanout.REPLACED}))
    assert least(measured[fanout.QUEUE]) > 1.2 * least(measured[fanout.ONE])
    assert least(measured[fanout.QUEUE]) > 2.5 * least(measured[fanout.BATCH])
    assert least(measured[fanout.REPLACED]) > 10 * least(measured[fanout.ONE])


@pytest.mark.slow
@pytest.mark.alone
def test_readers_that_an_event_does_not_concern_cost_nothing() -> None:
    """The goal is below twice. Asked one by one, three hundred take thirty times what ten do."""
    there = {selective.OURS: selective.PEERS[selective.OURS]}
    few, many = (
        by_turns(there, readers, _EVENTS, _ROUNDS, rooms=selective.LIVELY_ROOMS, slow=frozenset())[selective.OURS]
        for readers in (10, 300)
    )
    assert least(many) < 3 * least(few)


@pytest.mark.slow
@pytest.mark.parametrize("name", [stalled.ONE_STALLED, stalled.FILTER_STALLED])
def test_a_reader_that_reads_nothing_costs_others_nothing(name: str) -> None:
    figures = stalled.measure(name, 4000)
    assert figures["lost"] == 0
    assert figures["grown"] < 8  # the bound of what waits for one reader, in MiB


@pytest.mark.slow
def test_what_it_is_compared_with_waits_for_its_slowest_reader() -> None:
    assert stalled.measure(stalled.REPLACED, 2000)["published"] == 1000  # as many as its queue takes


def test_resuming_misses_nothing_untold_and_repeats_nothing() -> None:
    account, _ = asyncio.run(resume.cycles(500, seed=7))
    assert account.read
    assert account.told_lost
    assert (account.undetected, account.repeated) == (0, 0)


@pytest.mark.slow
def test_latency_is_told_of_every_way() -> None:
    found = latency.run(quick=True)
    assert {verdict.unit for verdict in found.verdicts} == {" ms"}
    assert all(spreads["p50_ms"].median <= spreads["p99_ms"].median for spreads in found.figures.values())
