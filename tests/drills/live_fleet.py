"""Game servers that stop, are killed and begin again, and what Prometheus says of the fleet at that moment."""

from __future__ import annotations

import json
import signal
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from deploy import native
from deploy.collector.roles import standalone
from deploy.process import http_get
from otel_setup.catalogue import M, build
from settings import parse
from tests.drills.fleet_game import facts_of
from tests.drills.live_game import BEGAN, CLOSED, ENDED, OPENED
from tests.e2e.processes import PYTHON, Process, process
from tests.support.peers import free_settings, require, running_prometheus

DEFAULT_LOOKBACK = "5m"
"""Prometheus's own, where nobody sets another."""
POLL_SECONDS = 0.1
CURRENT = "as Prometheus is started here"
"""Of the ways to ask, the one that has to be right."""

_FACTS = {M.GAMES_ACTIVE: (BEGAN, ENDED), M.CONNECTIONS_ACTIVE: (OPENED, CLOSED)}
GAUGES = {built.prometheus: _FACTS[built.declared] for built in build().metrics if built.declared in _FACTS}
"""What is asked for, with the facts of a record that raise and lower it."""

Now = Mapping[str, float]
"""What is so now, by gauge."""


@dataclass(frozen=True)
class Server:
    """A game server that runs, with its record."""

    process: Process
    record: Path

    def live(self) -> Now:
        """By its own record."""
        facts = Counter(fact for fact, _ in facts_of(self.record).elements())
        return {gauge: float(facts[more] - facts[less]) for gauge, (more, less) in GAUGES.items()}


class Fleet:
    """The servers that run now, and the stack they report to."""

    def __init__(self, folder: Path, stack: native.Stack, running: ExitStack) -> None:
        self._folder, self._stack, self._running = folder, stack, running
        self._servers: dict[str, Server] = {}
        self._begun = 0

    def begin(self, name: str, games: int, sockets: int) -> None:
        """Start a server; returns when its games go on."""
        self._begun += 1
        record = self._folder / f"{self._begun}-{name}.jsonl"
        command = (PYTHON, "-m", "tests.drills.live_game", f"--record={record}")
        command += (f"--games={games}", f"--sockets={sockets}")
        collector, environment = self._stack.collector.otlp_http, self._stack.server_environment()
        server = self._running.enter_context(process(command, collector, **environment))
        server.wait_until_it_says("playing")
        self._servers[name] = Server(server, record)

    def stop(self, name: str) -> None:
        """Have a server end in order."""
        ending = self._servers.pop(name).process
        assert ending.end(signal.SIGTERM) == 0, ending.said
        assert "shut down" in ending.said

    def kill(self, name: str) -> None:
        """End a server as a crash would."""
        self._servers.pop(name).process.end(signal.SIGKILL)

    def live(self) -> Now:
        """By the records of the servers that run."""
        records = [server.live() for server in self._servers.values()]
        return {gauge: sum(record[gauge] for record in records) for gauge in GAUGES}

    def seen(self, lookback: str | None = None) -> Now:
        """By Prometheus.

        :param lookback: how long it takes a value for the present one; as it was started, where None
        """
        return {gauge: self._sum(gauge, lookback) for gauge in GAUGES}

    def _sum(self, gauge: str, lookback: str | None) -> float:
        asked = {"query": f"sum({gauge})", **({"lookback_delta": lookback} if lookback else {})}
        answer = json.loads(http_get(f"{self._stack.prometheus.url}/api/v1/query?{urlencode(asked)}")[1])
        assert answer["status"] == "success", answer
        return sum(float(series["value"][1]) for series in answer["data"]["result"])

    def wrong_for(self, since: float, seconds: float) -> dict[str, float]:
        """How long after a moment each way to ask was wrong for the last time.

        :param since: the moment, by the clock of :func:`time.monotonic`
        :param seconds: how long to watch from there; so long was wrong what never came right
        """
        ways = {
            CURRENT: self.seen,
            "with a lookback of five minutes": lambda: self.seen(DEFAULT_LOOKBACK),
        }
        wrong, expected = dict.fromkeys(ways, 0.0), self.live()
        while time.monotonic() < since + seconds:
            for way, ask in ways.items():
                if ask() != expected:
                    wrong[way] = time.monotonic() - since
            time.sleep(POLL_SECONDS)
        return wrong


@contextmanager
def running_fleet(folder: Path, interval: float) -> Iterator[Fleet]:
    """A standalone Collector with a real Prometheus, and no server yet.

    :param interval: seconds between two exports
    """
    require("otelcol")
    settings = free_settings(parse({"metrics": {"export_interval_seconds": interval}, "hub": {"enabled": False}}))
    with (
        running_prometheus(folder, settings=settings) as store,
        native.running_collector(settings, folder / "collector", store.url, role=standalone) as collector,
        ExitStack() as running,
    ):
        yield Fleet(folder, native.Stack(collector, store), running)
        collector.process.kill()  # in order it would first try to reach the stores that are not there
