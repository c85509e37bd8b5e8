"""Every reader wants everything: what one event costs with 1, 10 and 100 readers, beside other ways to hand it over."""

from __future__ import annotations

from benchmarks.report import Table
from benchmarks.stream import peers
from benchmarks.stream.goals import Found, Goal
from benchmarks.stream.rounds import NOT_INSTALLED, Make, by_turns, ratios, spread

READERS = (1, 10, 100)
ROUNDS, EVENTS = 15, 2048
QUICK_ROUNDS, QUICK_EVENTS = 3, 512
ONE, BATCH, QUEUE, REPLACED = "event stream, one by one", "event stream, batches", "asyncio.Queue", "lock and tasks"
BLINKER, PSYGNAL, BROADCASTER = "blinker", "psygnal", "broadcaster"
PEERS: dict[str, Make] = {
    ONE: peers.Stream,
    BATCH: lambda: peers.Stream(batch=True),
    QUEUE: peers.Queues,
    BLINKER: peers.optional("blinker", peers.Blinker),
    PSYGNAL: peers.optional("psygnal", peers.Psygnal),
    BROADCASTER: peers.optional("broadcaster", peers.Broadcaster),
    REPLACED: peers.LockedTasks,
}
_GOALS = (
    Goal(f"100 readers, one event at a time, against {QUEUE}", ONE, QUEUE, 1.8),
    Goal(f"100 readers, one event at a time, against {BLINKER}", ONE, BLINKER, 2),
    Goal(f"100 readers, one event at a time, against {REPLACED}", ONE, REPLACED, 25),
    Goal(f"100 readers, batches, against {QUEUE}", BATCH, QUEUE, 5),
    Goal(f"100 readers, batches, against {PSYGNAL}", BATCH, PSYGNAL, 2),
)


def run(*, quick: bool) -> Found:
    """All peers by turns, with each number of readers."""
    rounds, count = (QUICK_ROUNDS, QUICK_EVENTS) if quick else (ROUNDS, EVENTS)
    measured = {
        readers: by_turns(PEERS, readers, count, rounds, slow=frozenset({REPLACED, BROADCASTER})) for readers in READERS
    }
    rows = []
    for name, make in PEERS.items():
        if make is None:
            rows.append((name, NOT_INSTALLED, *[""] * len(READERS)))
            continue
        costs = [spread(measured[readers][name]) for readers in READERS]
        ratio = ratios(measured[READERS[-1]][name], measured[READERS[-1]][ONE])
        rows.append((name, *map(str, costs), str(ratio)))
    columns = ("", *(f"{readers} reader{'s'[: readers > 1]}, µs" for readers in READERS), "ratio at 100")
    remarks = (
        f"Microseconds of the thread's time for one event until every reader has it: median (quartiles) of {rounds} "
        f"rounds of {count} events, published in bursts of 64. The receivers of {BLINKER} and {PSYGNAL} run in the "
        "publisher's call and wake nobody.",
    )
    goals = [goal.found(measured[READERS[-1]]) for goal in _GOALS]
    figures = {
        str(readers): {name: spread(costs) for name, costs in found.items()} for readers, found in measured.items()
    }
    return Found(Table("One event to readers that want everything", columns, rows, remarks), goals, figures)
