"""What the tests of the commands share: a game process that listens, and commands run as a shell runs them."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import otel_setup.__main__
from otel_setup.catalogue import EventType, Severity
from otel_setup.events.record import SystemEvent
from otel_setup.events.stream import EventStream

PATIENCE = 30.0

GAME = """
import json, sys
from otel_setup.catalogue import EventType, Severity
from otel_setup.control import ControlServer
from otel_setup.diagnosis.close_look import CloseLook
from otel_setup.events.record import SystemEvent
from otel_setup.telemetry import current_core
core = current_core()
server = ControlServer(CloseLook(core), lambda: {"service": sys.argv[1], "instance": "i1"}, core.faults, core.stream)
print("ready", flush=True)
for line in sys.stdin:
    given = json.loads(line)
    for _ in range(given.pop("times", 1)):
        fields = dict(given)
        fields["severity"] = Severity[fields.pop("severity", "INFO")]
        fields["event_type"] = EventType(fields.pop("event_type", "arena.tick"))
        fields["data"] = {"number": core.stream.total_events + 1, **fields.pop("data", {})}
        core.stream.append(SystemEvent(**fields))
    print(core.stream.total_events, flush=True)
"""
"""A process with a command socket that publishes what it is told on standard input."""


class Game:
    """A game process.

    Parameters:
        process: the program above.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.pid = process.pid

    def publish(self, **event: object) -> None:
        """Publishes one event, or several (``times``)."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(event) + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline().strip().isdecimal()

    def end(self) -> None:
        """Ends it."""
        self.process.kill()
        self.process.wait()


@contextmanager
def game(service: str = "mygame") -> Iterator[Game]:
    """A running game process; the environment says where its socket goes."""
    with subprocess.Popen(
        [sys.executable, "-c", GAME, service], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield Game(process)
        finally:
            process.kill()


class Here:
    """A game process that is the test's own.

    Parameters:
        stream: its events.
    """

    def __init__(self, stream: EventStream) -> None:
        self.stream = stream

    def publish(self, times: int = 1, **fields: Any) -> None:
        """As :meth:`Game.publish`."""
        for _ in range(times):
            given = dict(fields)
            given["severity"] = Severity[given.pop("severity", "INFO")]
            given["event_type"] = EventType(given.pop("event_type", "arena.tick"))
            given["data"] = {"number": self.stream.total_events + 1, **given.pop("data", {})}
            self.stream.append(SystemEvent(**given))


class Ran(NamedTuple):
    """What became of a command."""

    returncode: int
    stdout: str
    stderr: str


def run_here(capfd: pytest.CaptureFixture[str], *arguments: str) -> Ran:
    """Runs a command in this process, which is faster."""
    capfd.readouterr()
    try:
        code = otel_setup.__main__.main(list(arguments))
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    return Ran(code, *capfd.readouterr())


def command(*arguments: str) -> list[str]:
    """A command line of the product."""
    return [sys.executable, "-m", "otel_setup", *arguments]


def run(*arguments: str, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end."""
    return subprocess.run(
        command(*arguments),
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env={**os.environ, **(environment or {})},
    )


@contextmanager
def running(*arguments: str, **more: Any) -> Iterator[subprocess.Popen[str]]:
    """A running command, its output in pipes unless told otherwise."""
    # The environment as Python has it: readline, which pytest loads, sets COLUMNS behind its back.
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": dict(os.environ)}
    with subprocess.Popen(command(*arguments), text=True, **{**pipes, **more}) as process:
        try:
            yield process
        finally:
            process.kill()


def read_until(descriptor: int, wanted: Callable[[str], bool]) -> str:
    """What a terminal shows until it is what was waited for."""
    shown = b""
    deadline = time.monotonic() + PATIENCE
    while not wanted(shown.decode(errors="replace")):
        assert time.monotonic() < deadline, f"it did not come; shown: {shown!r}"
        if select.select([descriptor], [], [], 0.2)[0]:
            shown += os.read(descriptor, 65536)
    return shown.decode(errors="replace")


def wait_for(condition: Callable[[], object]) -> None:
    """Waits until something is so."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "what was waited for did not come"
        time.sleep(0.02)


def lines_of(file: Path) -> list[str]:
    """The lines of a file."""
    return file.read_text().splitlines() if file.exists() else []
