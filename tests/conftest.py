"""Shared by all tests: the telemetry fixture, the gate that lets nothing be skipped unnoticed in CI, and the turns of
tests that must run alone."""

from __future__ import annotations

import fcntl
import os
import signal
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from otel_setup.testing import Recorded, fresh_telemetry

pytest_plugins = ["otel_setup.testing", "pytester"]

ALLOWED_SKIPS = Path(__file__).parent / "allowed_skips.txt"
"""Tests that CI may skip: one a line, the test's id, then ``:``, then why."""


@pytest.fixture
def telemetry() -> Iterator[Recorded]:
    """Not the plugin's: these tests are about the way out, so they begin as a process does, by the real clock."""
    with fresh_telemetry() as recorded:
        yield recorded


def pytest_configure(config: pytest.Config) -> None:
    """Keys and sockets that tests make are the tests' own, and not those of whoever runs them; nor are signals."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell lets its jobs in the background ignore Ctrl-C, and with them every program that a test starts.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    folder = tempfile.TemporaryDirectory(prefix="otel-setup-tests-")
    config.add_cleanup(folder.cleanup)
    os.environ["XDG_CONFIG_HOME"] = folder.name
    os.environ["OTEL_SETUP_RUNTIME_DIR"] = str(Path(folder.name) / "run")  # the sockets, too
    if hasattr(config, "workerinput"):  # one of several processes; the folder above its own is theirs together
        config.pluginmanager.register(Turns(Path(config.getoption("basetemp")).parent))


class Turns:
    """Between the processes of a run: while a test marked ``alone`` runs, no other does.

    Parameters:
        folder: which they have in common.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._door, self._room = ((folder / name).open("w") for name in ("door.lock", "room.lock"))

    @pytest.hookimpl(wrapper=True, tryfirst=True)  # outside of the time that a test may take
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        alone = item.get_closest_marker("alone") is not None
        fcntl.flock(self._door, fcntl.LOCK_EX)  # whoever waits to be alone stands in the door
        fcntl.flock(self._room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(self._door, fcntl.LOCK_UN)
        try:
            return (yield)
        finally:
            fcntl.flock(self._room, fcntl.LOCK_UN)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--proof", action="store_true", help="write the results of drills to docs/proof/")


def allowed_skips() -> set[str]:
    """Ids of the tests that CI may skip."""
    lines = ALLOWED_SKIPS.read_text().splitlines()
    entries = [line for line in lines if line.strip() and not line.startswith("#")]
    return {entry.rsplit(": ", 1)[0].strip() for entry in entries}


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Under ``CI=true`` a skip that is not allowed fails the run: a missing peer must not look like a pass."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") != "true" or reporter is None:
        return
    skipped = {report.nodeid for report in reporter.stats.get("skipped", ())}
    forbidden = sorted(skipped - allowed_skips())
    if forbidden:
        reporter.write_sep("=", "skipped, but not listed in tests/allowed_skips.txt", red=True)
        for nodeid in forbidden:
            reporter.write_line(nodeid)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
