"""Runs of the small game server with a variable set, and what could be seen of them from outside."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from tests.e2e.environment_app import PLAYED, REMEMBERED, REPORT
from tests.e2e.environment_receiver import LONGEST_WAIT, Delivery, Doors
from tests.support.certificates import Certificates

T = TypeVar("T")

ROOT = Path(__file__).parents[2]
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
SIGNALS = ("traces", "metrics", "logs")


class Run:
    """A server that has played and waits, or that ended before; in the end, everything that is known of it.

    Attributes:
        doors: what it exports to.
        environment: all its variables.
        seen: what was looked at while it ran.
        code: its exit code, of a signal negative; -1 while it runs.
        output, errors: what it printed, once it has ended.
    """

    def __init__(self, doors: Doors, environment: Mapping[str, str], arguments: tuple[str, ...]) -> None:
        self.doors = doors
        self.environment = environment
        self.seen: Any = None
        self.code = -1
        self.output = self.errors = ""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.e2e.environment_app", *arguments],
            cwd=ROOT,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
        )
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._readers = [threading.Thread(target=read, daemon=True) for read in (self._read_output, self._read_errors)]
        for reader in self._readers:
            reader.start()
        self.played = self._next(PLAYED)

    def more(self) -> None:
        """Lets it play on."""
        assert self._process.stdin is not None
        self._process.stdin.write("more\n")
        self._process.stdin.flush()
        assert self._next("more"), "it ended instead of playing on"

    def terminate(self) -> None:
        """Ends it by SIGTERM."""
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(LONGEST_WAIT)

    def end(self) -> None:
        """Lets it end, and waits until it has."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it ended before
            self._process.stdin.close()
        try:
            self.code = self._process.wait(LONGEST_WAIT)
        finally:
            self._process.kill()
            for reader in self._readers:
                reader.join()

    # --- what is seen ---------------------------------------------------------------------------------------------

    @property
    def pid(self) -> int:
        return self._process.pid

    def report(self) -> list[str]:
        """The lines of ``telemetry.report()``."""
        return [line.removeprefix(REPORT) for line in self.output.splitlines() if line.startswith(REPORT)]

    def remembered(self, what: str) -> int:
        """What the server answers whoever asks it."""
        line = next(line for line in self.output.splitlines() if line.startswith(REMEMBERED))
        return int(json.loads(line.removeprefix(REMEMBERED))[what])

    def by_signal(self, seen: Callable[[Delivery], T]) -> dict[str, T]:
        """Something of the first export of every signal that arrived."""
        return {signal: seen(arrived[0]) for signal in SIGNALS if (arrived := self.doors.of(signal))}

    def arrived(self) -> set[str]:
        """Signals of which anything arrived."""
        return set(self.by_signal(str))

    def resource(self) -> dict[str, Any]:
        """The attributes of the resource, which must be the same of all signals."""
        seen = self.by_signal(_resource)
        assert set(seen) == set(SIGNALS), f"only {set(seen)} arrived"
        assert seen["traces"] == seen["metrics"] == seen["logs"]
        return seen["traces"]

    def batches(self, signal: str) -> list[int]:
        """How many spans or log records each export brought."""
        return [sum(1 for _ in items(delivery)) for delivery in self.doors.of(signal)]

    def items(self, signal: str) -> list[Any]:
        """Spans, metrics or log records."""
        return [item for delivery in self.doors.of(signal) for item in items(delivery)]

    def bytes_of(self, *signals: str) -> bytes:
        """All bodies."""
        return b"".join(delivery.body for signal in signals or SIGNALS for delivery in self.doors.of(signal))

    # ----------------------------------------------------------------------------------------------------------------

    def _read_output(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.output += line
            self._lines.put(line)
        self._lines.put(None)

    def _read_errors(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self.errors += line

    def _next(self, wanted: str) -> bool:
        """Waits for a line; False where the output ends without it."""
        while (line := self._lines.get(timeout=LONGEST_WAIT)) is not None:
            if line.strip() == wanted:
                return True
        return False


def items(delivery: Delivery) -> Iterator[Any]:
    """Spans, metrics or log records of an export."""
    resources, scopes, things = {
        "traces": ("resource_spans", "scope_spans", "spans"),
        "metrics": ("resource_metrics", "scope_metrics", "metrics"),
        "logs": ("resource_logs", "scope_logs", "log_records"),
    }[delivery.signal]
    for resource in getattr(delivery.message, resources):
        for scope in getattr(resource, scopes):
            yield from getattr(scope, things)


def _resource(delivery: Delivery) -> dict[str, Any]:
    (first, *_) = delivery.message.ListFields()[0][1]
    return {item.key: getattr(item.value, item.value.WhichOneof("value")) for item in first.resource.attributes}


@dataclass(frozen=True, kw_only=True)
class Row:
    """A variable, and what it changes.

    Parameters:
        value: of the variable; names in braces are doors, see :class:`Doors`.
        observe: what is looked at, once the server has ended.
        with_it, without: what that is with the variable and without.
        base: variables of both runs: the address, and whatever the variable has no meaning without.
        meanwhile: is called while the server, having played, waits. What it gives becomes ``seen``.
        meanwhile_without: the same for the run without, where it has to be another.
        arguments: of the server.
        reported: the value with which the report is looked at, where ``value`` is one that is refused.
    """

    variable: str
    value: str
    observe: Callable[[Run], object]
    with_it: object
    without: object
    base: Mapping[str, str] = field(default_factory=lambda: {ENDPOINT: "{http}"})
    meanwhile: Callable[[Run], object] = lambda run: None
    meanwhile_without: Callable[[Run], object] | None = None
    arguments: tuple[str, ...] = ()
    reported: str | None = None


@dataclass(frozen=True)
class Surroundings:
    """What all runs have in common."""

    certificates: Certificates
    home: Path

    def run(self, row: Row, value: str | None, port: int) -> Run:
        """Runs a server, with the variable or, where there is no value, without."""
        doors = Doors(self.certificates, port)
        try:
            chosen = {**row.base, **({} if value is None else {row.variable: value})}
            environment = {name: text.format_map(doors) for name, text in chosen.items()}
            # Nothing else of the environment of whoever runs the tests: that is what "alone" says.
            places = dict.fromkeys(("HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"), str(self.home))
            own = {"PATH": os.environ["PATH"], **places}
            run = Run(doors, {**own, **environment}, row.arguments)
            try:
                if run.played:
                    run.seen = (row.meanwhile if value or not row.meanwhile_without else row.meanwhile_without)(run)
            finally:
                run.end()
            return run
        finally:
            doors.close()
