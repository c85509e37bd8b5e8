"""A forked child that uses monitoring: it never waits for a thread it does not have, and is an instance of its own.

Each test runs in a process of its own, because a test runner has threads that a child of it would miss.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")

SETUP = """
    import asyncio, os, signal, sys, threading, warnings
    warnings.simplefilter("ignore", DeprecationWarning)  # Python warns of forking with threads, which is the point here
    import otel_setup
    from otel_setup import Seat, get_enterprise_monitor
    from tests.otel_setup.receiver import receiving

    monitor = get_enterprise_monitor()

    async def play(game):
        await monitor.record_game_start(game, "r", 2, 1, players=[Seat("ann"), Seat("Bot 2", is_bot=True)])
        async with monitor.monitor_state_transition(game, "WAITING", "PREPARATION"):
            pass
        await monitor.record_phase_duration(game, "NO SUCH PHASE", 1.0)
        await monitor.record_game_end(game, "ann", {"ann": 50})

    def in_a_child(work):
        '''Its exit status: what work() returns, 14 if it does not return.'''
        pid = os.fork()
        if pid == 0:
            signal.alarm(60)
            try:
                os._exit(work() or 0)
            except BaseException:
                sys.excepthook(*sys.exc_info())
                os._exit(99)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def value(name):
        from prometheus_client.parser import text_string_to_metric_families
        families = text_string_to_metric_families(otel_setup.PrometheusExporter().export_metrics())
        return next(s.value for family in families for s in family.samples if s.name == name and not s.labels)
"""


def run(code: str) -> str:
    """What the code prints."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SETUP) + textwrap.dedent(code)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("configured", [False, True])
def test_a_child_never_waits_for_a_lock_that_a_thread_of_the_parent_held(configured: bool) -> None:
    """The core's, that of faults, those of the SDK's metrics, and the one for configuring are all held at the fork."""
    printed = run(
        f"""
        from otel_setup.telemetry import _state
        if {configured}:
            otel_setup.configure(collector="http://127.0.0.1:9", shutdown_timeout=0.1)
        asyncio.run(play("before"))
        core = monitor.core
        consumer = _state._providers.meters._measurement_consumer
        locks = [core.lock, core.faults._lock, core.exports._lock, _state._lock, consumer._lock]
        for storage in consumer._reader_storages.values():
            locks.append(storage._lock)
            locks += [m._lock for matches in storage._instrument_view_instrument_matches.values() for m in matches]
        held, go_on = threading.Event(), threading.Event()

        def hold():
            for lock in locks:
                lock.acquire()
            held.set()
            go_on.wait()
            for lock in reversed(locks):
                lock.release()

        thread = threading.Thread(target=hold)
        thread.start()
        held.wait()

        def child():
            asyncio.run(play("after"))
            monitor.get_monitoring_status()
            monitor.get_visualization_data()
            assert value("liap_tui_games_started_total") == 1

        print(in_a_child(child))
        go_on.set()
        thread.join()
        """
    )
    assert printed == "0"


def test_a_child_in_the_middle_of_a_block_leaves_it_and_goes_on() -> None:
    printed = run(
        """
        async def parent():
            await monitor.record_game_start("g", "r", 4, 0)
            async with monitor.monitor_state_transition("g", "WAITING", "PREPARATION"):
                pid = os.fork()
            if pid == 0:
                await play("of the child")
                os._exit(0 if monitor.core.ledger.state_of("g") is None else 1)
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

        print(asyncio.run(parent()), monitor.core.ledger.state_of("g"))
        """
    )
    assert printed == "0 preparation"


def test_a_child_is_an_instance_of_its_own_and_repeats_nothing_of_its_parent() -> None:
    printed = run(
        """
        with receiving() as receiver:
            handle = otel_setup.configure(collector=receiver.url, metric_interval=3600, batch_delay=3600)
            asyncio.run(play("parent"))  # still waits for export when the child is made

            def child():
                asyncio.run(play("child"))
                from otel_setup.telemetry import current_telemetry
                return 0 if current_telemetry().flush(20) and value("liap_tui_games_started_total") == 1 else 1

            status = in_a_child(child)
            receiver.wait_for(lambda: len(receiver.events()) >= 6)
            first = len(receiver.events())
            handle.flush(20)
            games, instances, uids = {}, set(), []
            for request in receiver.requests["/v1/logs"]:
                for resource in request.resource_logs:
                    ids = {item.key: item.value.string_value for item in resource.resource.attributes}
                    instances.add(ids["service.instance.id"])
                    for record in (r for scope in resource.scope_logs for r in scope.log_records if r.event_name):
                        found = {item.key: item.value.string_value for item in record.attributes}
                        games.setdefault(found["game.id"], []).append(ids["service.instance.id"])
                        uids.append(found["log.record.uid"])
            print(status, first, {game: len(ids) for game, ids in games.items()}, len(instances), len(set(uids)))
        """
    )
    # of each: start, snapshot, two of the transition, phase, end
    assert printed == "0 6 {'child': 6, 'parent': 6} 2 12"


def test_exporting_imports_nothing_in_its_threads() -> None:
    """A child forked while a thread of its parent imports a module can never import that module itself."""
    printed = run(
        """
        class Spy:
            def find_spec(self, name, path=None, target=None):
                if threading.current_thread() is not threading.main_thread():
                    imported.append(name)

        imported = []
        sys.meta_path.insert(0, Spy())
        with receiving() as receiver:
            handle = otel_setup.configure(collector=receiver.url)
            asyncio.run(play("g"))
            handle.flush(20)
            value("liap_tui_games_started_total")
            handle.shutdown(20)
        print(len(receiver.events()), imported)
        """
    )
    assert printed == "7 []", "the game's, and the end of the epoch"


def test_a_given_instance_id_stays_recognisable_and_is_not_shared() -> None:
    printed = run(
        """
        otel_setup.configure(collector=False, instance_id="game-7")

        def child():
            return 0 if monitor.core.settings.instance_id == f"game-7-{os.getpid()}" else 1

        print(in_a_child(child), monitor.core.settings.instance_id)
        """
    )
    assert printed == "0 game-7"


def test_a_child_that_does_not_use_monitoring_starts_nothing_of_it() -> None:
    printed = run(
        """
        otel_setup.configure(collector=False)
        asyncio.run(play("parent"))

        def child():
            return len([thread for thread in threading.enumerate() if thread.name.startswith("otel_setup")])

        print(in_a_child(child))
        """
    )
    assert printed == "0"


def test_a_childs_copy_of_the_parents_exporter_says_nothing() -> None:
    """The SDK starts the parent's periodic export again in the child, where it would repeat the parent's counts."""
    printed = run(
        """
        import time
        with receiving() as receiver:
            handle = otel_setup.configure(collector=receiver.url, metric_interval=0.25)
            asyncio.run(play("parent"))
            exports = len(receiver.requests["/v1/metrics"])
            receiver.wait_for(lambda: len(receiver.requests["/v1/metrics"]) > exports)  # so that none is under way now
            end, of_parent = os.pipe()
            pid = os.fork()
            if pid == 0:
                os.close(of_parent)
                os.read(end, 1)  # until the parent has closed its end
                os._exit(0)
            handle.shutdown(20)
            before = len(receiver.requests["/v1/metrics"])
            time.sleep(1)  # some intervals, in which only the child could export
            print(before > 0, len(receiver.requests["/v1/metrics"]) - before)
            os.close(of_parent)
            os.waitpid(pid, 0)
        """
    )
    assert printed == "True 0"


def test_a_child_of_a_child_works_too() -> None:
    printed = run(
        """
        otel_setup.configure(collector=False)

        def grandchild():
            asyncio.run(play("grandchild"))
            return 0 if value("liap_tui_games_completed_total") == 1 else 1

        def child():
            asyncio.run(play("child"))
            return in_a_child(grandchild)

        print(in_a_child(child))
        """
    )
    assert printed == "0"


def test_a_child_may_configure_itself() -> None:
    printed = run(
        """
        with receiving() as receiver:
            otel_setup.configure(collector=False)
            asyncio.run(play("parent"))

            def child():
                handle = otel_setup.configure(collector=receiver.url, metric_interval=3600)
                asyncio.run(play("child"))
                return 0 if handle.shutdown(20) else 1

            print(in_a_child(child), len(receiver.events()))
        """
    )
    assert printed == "0 7", "the game's, and the end of the child's epoch"
