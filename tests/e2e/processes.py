"""The servers and scripts of the lifecycle tests as processes, and what of theirs arrived at a receiver."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from otel_setup.catalogue import Metric, build
from otel_setup.catalogue import attributes as a
from tests.otel_setup.receiver import Receiver

ROOT = Path(__file__).parents[2]
SERVER = "tests.e2e.lifecycle_app"
SCRIPT = "tests.e2e.lifecycle_script"
PYTHON = sys.executable
EVENING = "evening-"
"""What the names of games begin with that a server plays by itself."""
SERVERS: dict[str, tuple[str, ...]] = {
    "before": (PYTHON, "-m", SERVER),
    "within": (PYTHON, "-m", "uvicorn", f"{SERVER}:app", "--port", "0"),
}
"""How a server is started: with monitoring configured before uvicorn takes the signals over, and within."""


class Process:
    """A running process and what it says."""

    def __init__(self, command: Sequence[str], collector: str, **environment: str) -> None:
        self.popen = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": collector, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.said: list[str] = []
        self._more = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.popen.stdout is not None
        for line in self.popen.stdout:
            with self._more:
                self.said.append(line.rstrip("\n"))
                self._more.notify_all()
        with self._more:
            self.said.append("")  # that was all
            self._more.notify_all()

    def wait_until_it_says(self, pattern: str, timeout: float = 60.0) -> re.Match[str]:
        """The first line that matches, now or later."""

        def found() -> re.Match[str] | None:
            return next((match for line in self.said if (match := re.search(pattern, line))), None)

        with self._more:
            self._more.wait_for(lambda: found() or not self._reader.is_alive(), timeout)
            match = found()
        assert match is not None, "\n".join(self.said)
        return match

    @property
    def port(self) -> int:
        """Where a server listens."""
        return int(self.wait_until_it_says(r"http://127\.0\.0\.1:(\d+)")[1])

    def tell(self, line: str) -> None:
        """Writes a line to its input."""
        assert self.popen.stdin is not None
        self.popen.stdin.write(f"{line}\n")
        self.popen.stdin.flush()

    def end(self, signal_number: int | None = None, timeout: float = 60.0) -> int:
        """Its status once it has ended: a negative one is the signal it died of, which a shell adds to 128."""
        if signal_number is not None:
            self.popen.send_signal(signal_number)
        status = self.popen.wait(timeout)
        self._reader.join(timeout)
        return status


@contextmanager
def process(command: Sequence[str], collector: str, **environment: str) -> Iterator[Process]:
    """A process that is gone at the end of the block, whatever happened."""
    running = Process(command, collector, **environment)
    try:
        yield running
    finally:
        running.popen.kill()
        running.popen.communicate()


def script(name: str, shutdown_timeout: float = 30.0) -> tuple[str, ...]:
    """The command of a script; the time is the one its shutdown may take."""
    return (PYTHON, "-m", SCRIPT, name, str(shutdown_timeout))


# --- what arrived ----------------------------------------------------------------------------------------------------
def games_of(receiver: Receiver, event_name: str) -> list[str]:
    """The games that events of a name are about, sorted; each as often as it arrived."""
    return sorted(
        attribute.value.string_value
        for record in receiver.log_records()
        if record.event_name == event_name
        for attribute in record.attributes
        if attribute.key == a.GAME_ID.name
    )


def uids(receiver: Receiver) -> Counter[str]:
    """How often each event arrived."""
    return Counter(
        attribute.value.string_value
        for record in receiver.log_records()
        for attribute in record.attributes
        if attribute.key == "log.record.uid"
    )


def last_values(receiver: Receiver, metric: Metric) -> dict[str, float]:
    """Of each instance the sum of a counter's series, as last exported; instances that counted nothing left out."""
    name = next(built.name for built in build().metrics if built.declared is metric)
    last: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for request in receiver.requests["/v1/metrics"]:
        for resource in request.resource_metrics:
            identity = {item.key: item.value.string_value for item in resource.resource.attributes}
            series = last.setdefault(identity["service.instance.id"], {})
            for found in (found for scope in resource.scope_metrics for found in scope.metrics):
                if found.name == name:
                    for point in found.sum.data_points:
                        labels = tuple((item.key, item.value.string_value) for item in point.attributes)
                        series[labels] = point.as_double or float(point.as_int)
    totals = {instance: sum(series.values()) for instance, series in last.items()}
    return {instance: total for instance, total in totals.items() if total}
