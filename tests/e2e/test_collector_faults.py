"""A Collector that fails: the game does not wait, memory keeps its bound, and what is lost is counted to the item.

The game is a process of its own. It plays some actions while its Collector is well, by which the receiver's record
tells what one action gives, and then more while it fails. The long and exact measurements of time are drills.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy.native import Collector
from tests.e2e.support import event_records, retried
from tests.support.fault_runs import BATCH, Game, Given, lost, running_game, taken_by, with_the_end
from tests.support.faulty_collector import HANGING, LOGS, OK, TRACES, Answer, FaultyCollector, faulty_collector
from tests.support.peers import free_settings, running_collector

pytestmark = pytest.mark.slow

FEW = 10
ACTIONS = 300
QUEUE = 100
"""Less than is played while the Collector fails."""
PATIENT_QUEUE = 8192
SIGNALS = ("traces", "logs")
MANY_TIMES = 20
"""By how much calls may be slower than while all is well, on a machine that does other work, too. One call that waited
for the Collector would take as long as thousands."""
FLUSH_SECONDS = 60.0
SHUTDOWN_SECONDS = 1.0

Fault = Callable[[FaultyCollector], None]


@pytest.fixture
def collector() -> Iterator[FaultyCollector]:
    with faulty_collector() as running:
        yield running


def play_well_then(fault: Fault, game: Game, collector: FaultyCollector) -> Given:
    """Both halves: what the game gave in all. The game's thread did not wait in the second one."""
    game.play(FEW)
    assert game.tell("flush", timeout=FLUSH_SECONDS)["all"]
    few = taken_by(collector).different
    assert few["traces"] == FEW
    well = game.play(ACTIONS)
    game.tell("flush", timeout=FLUSH_SECONDS)
    fault(collector)
    assert game.play(ACTIONS) < MANY_TIMES * well
    return Given({kind: few[kind] * (FEW + 2 * ACTIONS) // FEW for kind in SIGNALS}, {})


def assert_exact(game: Game, collector: FaultyCollector, given: Given) -> None:
    """Nothing waits any more: given = taken by the Collector's own record + lost by the game's account.

    A shutdown returns when its time is up, and what it left is counted in the moment after.
    """

    def accounts() -> tuple[dict[str, dict[str, int]], Given]:
        return game.counts(), taken_by(collector)

    def exact(told: dict[str, dict[str, int]], taken: Given) -> bool:
        return all(taken.different[kind] + lost(told[kind]) == given.different[kind] for kind in SIGNALS)

    told, taken = retried(accounts, lambda found: exact(*found))
    assert taken.repeated == dict.fromkeys(SIGNALS, 0)
    for kind in SIGNALS:
        assert told[kind]["accepted"] == taken.different[kind]
        assert taken.different[kind] + lost(told[kind]) == given.different[kind], told


def gone(collector: FaultyCollector) -> None:
    collector.stop()


def answers(answer: Answer) -> Fault:
    def fault(collector: FaultyCollector) -> None:
        collector.answer = answer

    return fault


@pytest.mark.parametrize(
    "fault",
    [gone, answers(HANGING), answers(Answer(503)), answers(Answer(429, headers=(("Retry-After", "3600"),)))],
    ids=["gone", "hanging", "503", "429"],
)
def test_while_it_is_away_the_queue_keeps_its_bound_and_the_rest_is_counted(
    fault: Fault, collector: FaultyCollector, tmp_path: Path
) -> None:
    with running_game(tmp_path, collector.url, queue_size=QUEUE) as game:
        given = play_well_then(fault, game, collector)
        told = game.counts()
        for kind in SIGNALS:
            waiting = given.different[kind] - told[kind]["accepted"] - lost(told[kind])
            assert 0 < waiting <= QUEUE + BATCH
        game.tell("shutdown", timeout=SHUTDOWN_SECONDS)
        assert_exact(game, collector, Given(with_the_end(given.different), given.repeated))
        assert game.counts()["logs"]["queue_size"] > 0


@pytest.mark.parametrize("status", [400, 500])
def test_what_it_refuses_for_good_is_counted_and_not_sent_again(
    status: int, collector: FaultyCollector, tmp_path: Path
) -> None:
    with running_game(tmp_path, collector.url, queue_size=PATIENT_QUEUE) as game:
        given = play_well_then(answers(Answer(status)), game, collector)
        game.tell("flush", timeout=FLUSH_SECONDS)
        assert_exact(game, collector, given)
        told = game.counts()
        assert all(told[kind]["failed"] == lost(told[kind]) > 0 for kind in SIGNALS)
        requests = sum(collector.seen.values())
        assert collector.seen[TRACES] <= 2 * ACTIONS
        game.tell("shutdown", timeout=SHUTDOWN_SECONDS)
        assert collector.seen[TRACES] + collector.seen[LOGS] <= requests


@pytest.mark.parametrize("fault", [gone, answers(Answer(503))], ids=["gone", "overloaded"])
def test_an_absence_shorter_than_the_queue_loses_nothing(
    fault: Fault, collector: FaultyCollector, tmp_path: Path
) -> None:
    def back() -> None:
        collector.answer = OK
        if fault is gone:
            collector.start()

    with running_game(tmp_path, collector.url, queue_size=PATIENT_QUEUE) as game:
        given = play_well_then(fault, game, collector)
        collector.wait_for(lambda: len(game.said("do not reach")) >= 2)
        back()
        assert game.tell("flush", timeout=FLUSH_SECONDS)["all"]
        assert_exact(game, collector, given)
        assert all(lost(account) == 0 for account in game.counts().values())
        for kind in SIGNALS:
            assert len(game.said(f"{kind} do not reach")) == 1
            assert len(game.said(f"{kind} reach ")) == 1


def test_slower_than_the_game_it_gets_what_it_can_take(collector: FaultyCollector, tmp_path: Path) -> None:
    with running_game(tmp_path, collector.url, queue_size=QUEUE) as game:
        given = play_well_then(answers(Answer(after=0.2)), game, collector)
        assert game.tell("flush", timeout=FLUSH_SECONDS)["all"]
        assert_exact(game, collector, given)
        told = game.counts()
        assert told["logs"]["queue_size"] == lost(told["logs"]) > 0


def test_what_it_takes_and_does_not_say_in_time_is_never_called_accepted_too_often(
    collector: FaultyCollector, tmp_path: Path
) -> None:
    """An answer after the timeout leaves open whether it was taken: it is repeated, so that it may be there twice."""
    with running_game(tmp_path, collector.url, queue_size=PATIENT_QUEUE, export_timeout=0.5) as game:
        given = play_well_then(answers(Answer(after=0.8)), game, collector)
        collector.wait_for(lambda: taken_by(collector).repeated["logs"])
        collector.answer = OK
        assert game.tell("flush", timeout=FLUSH_SECONDS)["all"]
        assert taken_by(collector).different == given.different
        assert all(lost(account) == 0 for account in game.counts().values())


def test_one_signal_that_fails_leaves_the_other_alone(collector: FaultyCollector, tmp_path: Path) -> None:
    def fault(collector: FaultyCollector) -> None:
        collector.answers[TRACES] = HANGING

    with running_game(tmp_path, collector.url, queue_size=QUEUE) as game:
        given = play_well_then(fault, game, collector)
        collector.wait_for(
            lambda: game.counts()["logs"]["accepted"] + lost(game.counts()["logs"]) == given.different["logs"]
        )
        game.tell("shutdown", timeout=SHUTDOWN_SECONDS)
        assert_exact(game, collector, Given(with_the_end(given.different), given.repeated))
        assert game.counts()["logs"]["failed"] == 0


def test_a_collector_that_was_never_there(tmp_path: Path) -> None:
    with (
        faulty_collector(running=False) as nobody,
        running_game(tmp_path, nobody.url, queue_size=QUEUE) as game,
    ):
        game.play(ACTIONS)
        game.tell("shutdown", timeout=SHUTDOWN_SECONDS)
        told = retried(game.counts, lambda told: lost(told["traces"]) == ACTIONS)
        assert told["traces"]["accepted"] == told["logs"]["accepted"] == 0
        assert lost(told["traces"]) == ACTIONS
        assert len(game.said("do not reach")) <= 3  # once a signal


def test_logging_of_everything_makes_no_loop_while_exports_fail(collector: FaultyCollector, tmp_path: Path) -> None:
    """Exporters and what is below them log each attempt, at DEBUG; none of it becomes something to export."""
    records = 20
    collector.answer = Answer(503)
    with running_game(tmp_path, collector.url, log_level="DEBUG", root_level="DEBUG") as game:
        game.tell("log", records=records)
        collector.wait_for(lambda: collector.seen[LOGS] >= 3)
        assert game.said("urllib3.connectionpool|")  # it was said, and written where the application writes
        collector.answer = OK
        assert game.tell("flush", timeout=FLUSH_SECONDS)["all"]
        game.tell("log", records=records)
        assert game.tell("flush", timeout=FLUSH_SECONDS)["all"]
        bodies = [record.body.string_value for record in collector.log_records()]
        ours = [f"the game says {number}" for number in range(records)]
        assert [body for body in bodies if body.startswith("the game says")] == 2 * ours
        foreign = [body for body in bodies if not body.startswith("the game says")]
        assert not [body for body in foreign if "POST" in body or "HTTP" in body or "export" in body.lower()], foreign


@pytest.mark.parametrize(("way", "code"), [("exit", 3), ("exception", 1), ("interrupt", -signal.SIGINT), ("end", 0)])
def test_a_process_ends_though_its_collector_hangs(
    way: str, code: int, collector: FaultyCollector, tmp_path: Path
) -> None:
    """The SDK alone would go on for a minute. How exactly the deadline is kept is measured in the drills."""
    collector.answer = HANGING
    with running_game(tmp_path, collector.url, export_timeout=30.0, shutdown_timeout=SHUTDOWN_SECONDS) as game:
        game.play(ACTIONS)
        game.send("leave", way=way)
        if way == "interrupt":
            game.answer()
            game.child.send_signal(signal.SIGINT)
        ended, seconds = game.end()
        assert ended == code, game.log
        assert seconds < 15.0
        assert ("RuntimeError: the game is broken" in game.log) == (way == "exception")


def in_the_files_of(collector: Collector) -> Given:
    """What the real Collector wrote: events by their uid, spans by their id."""
    events = [record.attributes["log.record.uid"] for record in event_records(collector)]
    spans = [span.data["spanId"] for span in collector.spans()]
    kept = {"traces": spans, "logs": events}
    return Given(
        {kind: len(set(items)) for kind, items in kept.items()},
        {kind: len(items) - len(set(items)) for kind, items in kept.items()},
    )


@pytest.mark.peer("otelcol")
def test_the_real_collector_hangs_is_killed_and_comes_back(tmp_path: Path) -> None:
    """Nothing is lost: every absence is shorter than the queue. What it took while it hung it may have twice."""
    settings = free_settings()
    with (
        running_collector(tmp_path, settings=settings) as collector,
        running_game(tmp_path, collector.otlp_http, queue_size=PATIENT_QUEUE) as game,
    ):
        game.play(FEW)
        assert game.tell("flush", timeout=FLUSH_SECONDS)["all"]
        few = retried(lambda: in_the_files_of(collector).different, lambda taken: taken["traces"] == FEW)
        each = {kind: items // FEW for kind, items in few.items()}
        assert each["traces"] == 1
        well = game.play(ACTIONS)

        def written(actions: int) -> Callable[[Given], bool]:
            wanted = {kind: each[kind] * actions for kind in SIGNALS}
            return lambda taken: taken.different == wanted

        collector.process.child.send_signal(signal.SIGSTOP)
        try:
            assert game.play(ACTIONS) < MANY_TIMES * well
            retried(lambda: len(game.said("do not reach")), lambda lines: lines >= 2)
        finally:
            collector.process.child.send_signal(signal.SIGCONT)
        assert game.tell("flush", timeout=FLUSH_SECONDS)["all"]
        hung = retried(lambda: in_the_files_of(collector), written(FEW + 2 * ACTIONS))
        assert written(FEW + 2 * ACTIONS)(hung), hung

        collector.process.kill()
        assert game.play(ACTIONS) < MANY_TIMES * well
        retried(lambda: len(game.said("do not reach")), lambda lines: lines >= 4)
        with running_collector(tmp_path, settings=settings) as back:
            assert game.tell("flush", timeout=FLUSH_SECONDS)["all"]
            everything = retried(lambda: in_the_files_of(back), written(FEW + 3 * ACTIONS))
            assert written(FEW + 3 * ACTIONS)(everything), everything
            assert everything.repeated == hung.repeated  # nobody answered while it was gone
        told = game.counts()
        for kind in SIGNALS:
            assert told[kind]["accepted"] == everything.different[kind]
            assert lost(told[kind]) == 0
            assert len(game.said(f"{kind} do not reach")) == len(game.said(f"{kind} reach ")) == 2
