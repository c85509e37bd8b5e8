"""SIGTERM: each case in a process of its own, which prints what happened to it and ends as it would in production.

``stop`` stands for exporting everything. The servers here do what uvicorn does: they put their handler over what is
there, finish, put back what was there, and raise the signal again.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import NamedTuple

import pytest

from otel_setup import signals
from otel_setup.signals import Sigterm

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM that a process could handle")
ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what waits for a thread")

# The module alone: the whole package takes fifty times longer to import.
SETUP = f"""
    import asyncio, atexit, importlib.util, os, signal, sys, threading, time
    spec = importlib.util.spec_from_file_location("signals", {str(Path(signals.__file__))!r})
    signals = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(signals)

    def say(*words):
        os.write(1, (" ".join(map(str, words)) + chr(10)).encode())  # whole, from whatever thread and handler

    def sigterm_to_myself():
        '''As from somebody else: any thread may take it; the first time its handler has run before this returns.'''
        os.kill(os.getpid(), signal.SIGTERM)

    def stop():
        say("stopped")

    def wait():
        while True:
            time.sleep(60)

    class Server:
        def __init__(self):
            self.before = signal.signal(signal.SIGTERM, self.handle)
            self.asked = 0

        def handle(self, number, frame):
            self.asked += 1
            say("the server is asked to stop")

        def finish(self):
            say("the server has finished")
            signal.signal(signal.SIGTERM, self.before)
            for _ in range(self.asked):
                signal.raise_signal(signal.SIGTERM)

    sigterm = signals.Sigterm(stop)
    atexit.register(sigterm.leave)
    """


class Ended(NamedTuple):
    status: int
    said: list[str]


def run(code: str) -> Ended:
    """How a process that runs the code ends, and what it said."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SETUP) + textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return Ended(done.returncode, done.stdout.splitlines())


BY_SIGTERM = -signal.SIGTERM
"""What a shell calls 143."""


# --- over the system's default ---------------------------------------------------------------------------------------
def test_everything_is_exported_before_the_process_dies_of_the_signal() -> None:
    assert run("sigterm.install(); sigterm_to_myself(); wait()") == (BY_SIGTERM, ["stopped"])


def test_the_main_thread_does_nothing_more_while_an_export_takes_its_usual_time() -> None:
    ended = run(
        """
        def stop():
            time.sleep(0.2)  # time enough for a main thread that is not kept
            say("stopped")

        signals.HOLD_SECONDS = 30
        sigterm = signals.Sigterm(stop)
        sigterm.install()
        sigterm_to_myself()
        say("went on")
        """
    )
    assert ended == (BY_SIGTERM, ["stopped"])


def test_an_export_that_needs_a_lock_of_the_interrupted_thread_gets_it() -> None:
    ended = run(
        """
        lock = threading.Lock()

        def stop():
            with lock:
                say("stopped")

        sigterm = signals.Sigterm(stop)
        sigterm.install()
        with lock:  # as inside configure(), which goes on and installs its handler
            sigterm_to_myself()
            say(sigterm.install(), signal.getsignal(signal.SIGTERM).name)
        wait()
        """
    )
    assert ended == (BY_SIGTERM, ["False SIG_DFL", "stopped"])


@pytest.mark.parametrize("served", [False, pytest.param(True, marks=ON_LINUX)])
def test_the_status_is_right_too_where_the_interpreter_ends_first(served: bool) -> None:
    """The main thread was let go, comes to its end, and exporting ends there."""
    ended = run(
        f"""
        stopping, over = threading.Event(), threading.Event()
        server = Server() if {served} else None

        def stop():
            stopping.set()
            over.wait()
            time.sleep(60)  # the main thread is faster

        def stop_at_exit():
            over.set()
            say("stopped")
            sigterm.leave()

        sigterm = signals.Sigterm(stop)
        atexit.register(stop_at_exit)
        sigterm.install()
        sigterm_to_myself()
        if server:
            server.finish()
        stopping.wait()
        sys.exit(0)
        """
    )
    assert ended.status == BY_SIGTERM
    assert ended.said[-1] == "stopped"


def test_a_second_signal_ends_the_process_at_once() -> None:
    ended = run(
        """
        def stop():
            say("stopping")
            sigterm_to_myself()
            wait()

        sigterm = signals.Sigterm(stop)
        sigterm.install()
        sigterm_to_myself()
        wait()
        """
    )
    assert ended == (BY_SIGTERM, ["stopping"])


def test_a_stop_that_fails_does_not_keep_the_process_alive() -> None:
    ended = run(
        """
        def stop():
            threading.excepthook = lambda _: None
            raise OSError("no way out")

        sigterm = signals.Sigterm(stop)
        sigterm.install()
        sigterm_to_myself()
        wait()
        """
    )
    assert ended == (BY_SIGTERM, [])


def test_a_system_without_another_thread_does_not_keep_the_process_alive() -> None:
    ended = run(
        """
        def start(thread):
            raise RuntimeError("can't start new thread")

        sigterm.install()
        threading.Thread.start = start
        sigterm_to_myself()
        wait()
        """
    )
    assert ended == (BY_SIGTERM, [])


# --- together with handlers of others --------------------------------------------------------------------------------
@ON_LINUX
def test_a_server_that_took_the_signal_over_before_finishes_and_then_everything_is_exported() -> None:
    """As ``configure()`` in a lifespan, or in a module that uvicorn imports."""
    ended = run(
        """
        server = Server()
        sigterm.install()
        sigterm_to_myself()
        server.finish()
        wait()
        """
    )
    assert ended == (BY_SIGTERM, ["the server is asked to stop", "the server has finished", "stopped"])


def test_a_server_that_takes_the_signal_over_afterwards_finishes_and_then_everything_is_exported() -> None:
    """As ``configure()`` before ``uvicorn.run()``."""
    ended = run(
        """
        sigterm.install()
        server = Server()
        sigterm_to_myself()
        server.finish()
        wait()
        """
    )
    assert ended == (BY_SIGTERM, ["the server is asked to stop", "the server has finished", "stopped"])


@ON_LINUX
def test_configured_before_a_server_and_again_within_it() -> None:
    ended = run(
        """
        assert sigterm.install()
        server = Server()
        assert sigterm.install() and sigterm.install()
        sigterm_to_myself()
        server.finish()
        wait()
        """
    )
    assert ended == (BY_SIGTERM, ["the server is asked to stop", "the server has finished", "stopped"])


@ON_LINUX
def test_a_server_that_is_told_twice_ends_no_other_way() -> None:
    ended = run(
        """
        server = Server()
        sigterm.install()
        sigterm_to_myself()
        sigterm_to_myself()
        while server.asked < 2:
            time.sleep(0.01)
        server.finish()
        wait()
        """
    )
    asked = "the server is asked to stop"
    assert ended == (BY_SIGTERM, [asked, asked, "the server has finished", "stopped"])


@ON_LINUX
def test_the_end_of_the_interpreter_comes_before_the_thread_that_watches() -> None:
    ended = run(
        """
        signals._POLL_SECONDS = 60
        server = Server()
        sigterm.install()
        sigterm_to_myself()
        server.finish()
        """
    )
    assert ended.status == BY_SIGTERM
    assert ended.said[:2] == ["the server is asked to stop", "the server has finished"]


@ON_LINUX
def test_what_a_server_raises_reaches_the_handler_it_put_back_once() -> None:
    """The application's own handler, over which uvicorn had put its own: it decides, and here it goes on."""
    ended = run(
        """
        called = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: (say("the application's handler"), called.set()))
        server = Server()
        sigterm.install()
        sigterm_to_myself()
        server.finish()
        called.wait()
        say("goes on")
        """
    )
    said = ["the server is asked to stop", "the server has finished", "the application's handler", "goes on"]
    assert ended == (0, said)


@ON_LINUX
def test_a_process_that_survived_one_signal_survives_the_next_and_dies_when_it_wants_to() -> None:
    """A server that runs again after it has finished, under a handler of the application's."""
    ended = run(
        """
        calls = []
        signal.signal(signal.SIGTERM, lambda *_: calls.append(1))
        for times in (1, 2):
            server = Server()
            sigterm.install()
            sigterm_to_myself()
            server.finish()
            while len(calls) < times:
                time.sleep(0.01)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        server = Server()
        sigterm.install()
        sigterm_to_myself()
        server.finish()
        wait()
        """
    )
    assert ended == (BY_SIGTERM, ["the server is asked to stop", "the server has finished"] * 3 + ["stopped"])


def test_a_handler_that_exits_itself_gives_its_own_status() -> None:
    ended = run(
        """
        def leave(number, frame):
            say("leaves")
            sys.exit(3)

        signal.signal(signal.SIGTERM, leave)
        sigterm.install()
        sigterm_to_myself()
        wait()
        """
    )
    assert ended == (3, ["leaves"])


def test_a_handler_that_only_takes_note_is_called_every_time() -> None:
    ended = run(
        """
        signal.signal(signal.SIGTERM, lambda *_: say("noted"))
        sigterm.install()
        sigterm_to_myself()
        sigterm_to_myself()
        """
    )
    assert ended == (0, ["noted", "noted"])


def test_a_handler_installed_later_that_passes_on_to_ours() -> None:
    ended = run(
        """
        sigterm.install()
        ours = signal.getsignal(signal.SIGTERM)
        signal.signal(signal.SIGTERM, lambda *arguments: (say("theirs"), ours(*arguments)))
        sigterm_to_myself()
        wait()
        """
    )
    assert ended == (BY_SIGTERM, ["theirs", "stopped"])


@pytest.mark.parametrize("first", ["application", "monitoring"])
def test_a_handler_of_the_event_loop_is_called(first: str) -> None:
    ended = run(
        f"""
        async def main():
            asked = asyncio.Event()
            if {first == "monitoring"}:
                sigterm.install()
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asked.set)
            if {first == "application"}:
                sigterm.install()
            sigterm_to_myself()
            await asked.wait()
            say("finishes")

        asyncio.run(main())
        """
    )
    assert ended == (0, ["finishes"])


@ON_LINUX
def test_only_the_main_thread_holds_the_signal_back() -> None:
    """Whatever others send reaches the process; and a child made meanwhile can be ended as usual."""
    ended = run(
        """
        server = Server()
        sigterm.install()
        os.register_at_fork(after_in_child=sigterm.after_fork)
        sigterm_to_myself()
        child = os.fork()
        if child == 0:
            say(sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])))
            os._exit(0)
        os.waitpid(child, 0)

        def blocked_in(thread):
            status = open(f"/proc/self/task/{thread.native_id}/status").read()
            (blocked,) = (line.split()[1] for line in status.splitlines() if line.startswith("SigBlk:"))
            return blocked.strip("0")

        while blocked_in(sigterm._thread):  # it has only just begun
            time.sleep(0.01)
        say(blocked_in(threading.main_thread()))
        """
    )
    assert ended == (0, ["the server is asked to stop", "[]", format(1 << signal.SIGTERM - 1, "x").strip("0")])


# --- where it must not be --------------------------------------------------------------------------------------------
def test_a_signal_that_the_application_ignores_stays_ignored() -> None:
    ended = run(
        """
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        say(sigterm.install())
        sigterm_to_myself()
        say("goes on")
        """
    )
    assert ended == (0, ["False", "goes on"])


def test_the_first_process_of_a_container_ignores_the_signal_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getpid", lambda: 1)
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        assert not Sigterm(list).install()
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)


def test_outside_the_main_thread_nothing_is_installed() -> None:
    before = signal.getsignal(signal.SIGTERM)
    installed = []
    thread = threading.Thread(target=lambda: installed.append(Sigterm(list).install()))
    thread.start()
    thread.join()
    assert installed == [False]
    assert signal.getsignal(signal.SIGTERM) is before


# --- taken away ------------------------------------------------------------------------------------------------------
def test_what_was_there_before_is_put_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    sigterm = Sigterm(list)
    for _ in range(2):
        assert sigterm.install()
        ours = signal.getsignal(signal.SIGTERM)
        assert ours is not before
        assert sigterm.install()
        assert signal.getsignal(signal.SIGTERM) is ours
        sigterm.uninstall()
        assert signal.getsignal(signal.SIGTERM) is before


def test_the_handler_of_somebody_who_came_later_stays() -> None:
    before = signal.getsignal(signal.SIGTERM)
    sigterm = Sigterm(list)
    sigterm.install()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        sigterm.uninstall()
        assert signal.getsignal(signal.SIGTERM) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("where", ["sigterm.uninstall()", "t = threading.Thread(target=sigterm.uninstall); t.start()"])
def test_one_that_others_hold_only_passes_on(where: str) -> None:
    ended = run(
        f"""
        sigterm.install()
        server = Server()
        {where}
        sigterm_to_myself()
        server.finish()
        wait()
        """
    )
    assert ended == (BY_SIGTERM, ["the server is asked to stop", "the server has finished"])
