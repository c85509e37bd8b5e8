"""The end of a process waits for what is under way. Whole processes are ended in tests/e2e/test_lifecycle.py."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

import otel_setup
from otel_setup.exits import Shutdowns
from otel_setup.telemetry import _state
from otel_setup.testing import Recorded
from tests.otel_setup.receiver import receiving
from tests.support.gate import Gate


def test_every_shutdown_under_way_is_waited_for() -> None:
    shutdowns, begun, go_on = Shutdowns(), threading.Event(), threading.Event()

    def work() -> bool:
        begun.set()
        return go_on.wait(60)

    threading.Thread(target=shutdowns.run, args=(work, 60), daemon=True).start()
    begun.wait()
    threading.Timer(0.1, go_on.set).start()
    shutdowns.wait()
    assert go_on.is_set()
    shutdowns.wait()  # nothing is left


def test_one_that_does_not_keep_its_deadline_is_not_waited_for() -> None:
    shutdowns, begun, go_on = Shutdowns(), threading.Event(), threading.Event()

    def work() -> bool:
        begun.set()
        return go_on.wait(60)

    threading.Thread(target=shutdowns.run, args=(work, 0.0), daemon=True).start()
    begun.wait()
    shutdowns.wait()
    assert not go_on.is_set()
    go_on.set()


def test_one_that_fails_is_over() -> None:
    shutdowns = Shutdowns()

    def work() -> bool:
        raise OSError("no way out")

    with pytest.raises(OSError, match="no way out"):
        shutdowns.run(work, 60)
    shutdowns.wait()


async def test_a_configuration_that_was_replaced_is_waited_for(telemetry: Recorded) -> None:
    with receiving() as receiver:
        gate = receiver.requests["/v1/logs"] = Gate()
        otel_setup.configure(collector=receiver.url, batch_delay=3600, shutdown_timeout=30)
        await telemetry.monitor.record_game_start("g", "r", 4, 0)
        otel_setup.configure(collector=False)
        assert gate.arrived.wait(30)
        threading.Timer(0.1, gate.open.set).start()
        _state.stop_completely()
        assert gate.open.is_set()
        assert len(gate) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no signal is held back")
def test_a_child_that_is_made_while_a_server_drains_takes_signals() -> None:
    code = """
        import os, signal
        import otel_setup

        def blocked():
            return signal.SIGTERM in signal.pthread_sigmask(signal.SIG_BLOCK, [])

        signal.signal(signal.SIGTERM, lambda *_: None)  # a server that drains now
        otel_setup.configure(collector=False)
        os.kill(os.getpid(), signal.SIGTERM)
        child = os.fork()
        if child == 0:
            os._exit(blocked())
        print(blocked(), os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stdout.strip() == "True 0", done.stderr
