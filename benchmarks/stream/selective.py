"""Every reader wants one room: what an event costs, and what readers cost that it does not concern."""

from __future__ import annotations

from benchmarks.report import Spread, Table
from benchmarks.stream import peers
from benchmarks.stream.goals import Found, Goal, at_most
from benchmarks.stream.rounds import Cost, Make, by_turns, ratios, spread

READERS = (10, 100, 1000)
LIVELY_ROOMS = 10
ROUNDS, EVENTS = 15, 4000
QUICK_ROUNDS, QUICK_EVENTS = 3, 1000
OURS = "event stream, readers found by their rooms"
QUEUE, QUEUE_OURS, REPLACED = (
    "asyncio.Queue, every filter asked",
    "asyncio.Queue, every EventFilter asked",
    "lock and tasks, every filter asked",
)
PEERS: dict[str, Make] = {
    OURS: lambda: peers.Stream(selective=True),
    QUEUE: lambda: peers.Queues(peers.five_sets),
    QUEUE_OURS: lambda: peers.Queues(peers.product_filter),
    REPLACED: lambda: peers.LockedTasks(peers.five_sets),
}
_COMPARED = 100
_TIMES, _GROWTH = 5, 2.0
_GOALS = (
    Goal(f"{_COMPARED} readers of a room each, against {QUEUE}", OURS, QUEUE, _TIMES),
    Goal(f"{_COMPARED} readers of a room each, against {QUEUE_OURS}", OURS, QUEUE_OURS, _TIMES),
    Goal(f"the publisher's part of it, against {QUEUE}", OURS, QUEUE, _TIMES, "publishing"),
    Goal(f"the publisher's part of it, against {QUEUE_OURS}", OURS, QUEUE_OURS, _TIMES, "publishing"),
)
_QUIET_GOALS = tuple(
    Goal(f"{_COMPARED} readers of a room each, {LIVELY_ROOMS} rooms of them lively, against {peer}", OURS, peer, _TIMES)
    for peer in (QUEUE, QUEUE_OURS)
)


def run(*, quick: bool) -> Found:
    """All ways by turns, with each number of readers."""
    rounds, count = (QUICK_ROUNDS, QUICK_EVENTS) if quick else (ROUNDS, EVENTS)
    slow = frozenset({REPLACED})
    quiet = {}
    for readers in READERS:
        # To ask a thousand readers takes so long that nobody would; it is left out.
        there = PEERS if readers <= _COMPARED else {OURS: PEERS[OURS]}
        quiet[readers] = by_turns(there, readers, count, rounds, rooms=LIVELY_ROOMS, slow=slow)
    lively = by_turns(PEERS, _COMPARED, count, rounds, rooms=_COMPARED, slow=slow)
    growth = _growth(quiet)
    verdicts = [goal.found(lively) for goal in _GOALS]
    verdicts += [goal.found(quiet[_COMPARED]) for goal in _QUIET_GOALS]
    words = f"one event, from {READERS[0]} readers of a room each to {READERS[-1]:,}, of which most are quiet"
    verdicts.append(at_most(words, _GROWTH, growth, " times"))
    figures = {
        **{f"{readers} readers, {LIVELY_ROOMS} lively rooms": _spreads(costs) for readers, costs in quiet.items()},
        f"{_COMPARED} lively rooms": _spreads(lively),
        "growth": growth,
    }
    return Found(_table(quiet, lively, rounds, count), verdicts, figures)


def _table(quiet: dict[int, dict[str, list[Cost]]], lively: dict[str, list[Cost]], rounds: int, count: int) -> Table:
    rows = []
    for name in PEERS:
        costs = [quiet[readers].get(name) for readers in READERS]
        cells = ["" if found is None else str(spread(found)) for found in costs]
        all_lively = (spread(lively[name], "publishing"), spread(lively[name]), ratios(lively[name], lively[OURS]))
        rows.append((name, *cells, *map(str, all_lively)))
    columns = (
        "",
        *(f"{readers:,} readers, µs" for readers in READERS),
        f"{_COMPARED} lively rooms: published, µs",
        "and read, µs",
        "ratio",
    )
    remarks = (
        "Microseconds of the thread's time for one event, which is for one reader: median (quartiles) of "
        f"{rounds} rounds of {count:,} events, in bursts of 64. First with {LIVELY_ROOMS} lively rooms, whose readers "
        f"find six events when they wake, and quiet ones; then with {_COMPARED} lively rooms, the worst case, in which "
        "each event wakes a reader of its own. A filter is five sets, of which one is given.",
    )
    return Table("One event to readers of a room each", columns, rows, remarks)


def _growth(quiet: dict[int, dict[str, list[Cost]]]) -> Spread:
    return ratios(quiet[READERS[-1]][OURS], quiet[READERS[0]][OURS])


def _spreads(costs: dict[str, list[Cost]]) -> dict[str, dict[str, Spread]]:
    return {name: {"publishing": spread(found, "publishing"), "total": spread(found)} for name, found in costs.items()}
