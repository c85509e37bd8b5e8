"""A game server as a process, told what to do while its Collector fails, and the comparison of all accounts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.faulty_collector import FaultyCollector

ROOT = Path(__file__).parents[2]
BATCH = 50
OPTIONS: Mapping[str, Any] = {
    "service": "faults",
    "batch_size": BATCH,
    "batch_delay": 0.02,
    # Longer than a busy machine takes for an answer while all is well: one that comes later is asked for again.
    "export_timeout": 3.0,
    "metric_interval": 3600.0,
    "pseudonym_key": "a key of these tests, long enough to be one",
    "log_level": False,
    "control_socket": False,
}
ANSWER_SECONDS = 120.0


class Game:
    """A running game server."""

    def __init__(self, child: subprocess.Popen[str], log: Path) -> None:
        self.child = child
        self._log = log

    def tell(self, what: str, **how: Any) -> dict[str, Any]:
        """Has it do something, and waits for the answer."""
        self.send(what, **how)
        return self.answer()

    def send(self, what: str, **how: Any) -> None:
        """Has it do something."""
        assert self.child.stdin is not None
        self.child.stdin.write(json.dumps({"do": what, **how}) + "\n")
        self.child.stdin.flush()

    def answer(self) -> dict[str, Any]:
        """What it says next."""
        assert self.child.stdout is not None
        watchdog = threading.Timer(ANSWER_SECONDS, self.child.kill)
        watchdog.start()
        line = self.child.stdout.readline()
        watchdog.cancel()
        assert line, f"the game ended, or did not answer in {ANSWER_SECONDS:g} s:\n{self.log}"
        answer: dict[str, Any] = json.loads(line)
        return answer

    def play(self, actions: int, pause: float = 0.0) -> float:
        """Plays; the seconds the game's thread spent in monitoring."""
        return float(self.tell("play", actions=actions, pause=pause)["seconds"])

    def counts(self) -> dict[str, dict[str, int]]:
        """The product's own account of spans and log records."""
        told = self.tell("counts")
        return {"traces": told["traces"], "logs": told["logs"]}

    def end(self) -> tuple[int, float]:
        """Waits for its end: the exit code and the seconds it took."""
        began = time.monotonic()
        return self.child.wait(ANSWER_SECONDS), time.monotonic() - began

    @property
    def log(self) -> str:
        """What it has written to standard error."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def said(self, what: str) -> list[str]:
        """The lines of its log with a text in them."""
        return [line for line in self.log.splitlines() if what in line]


@contextmanager
def running_game(folder: Path, collector: str, **options: Any) -> Iterator[Game]:
    """A game server that exports to ``collector``.

    Parameters:
        options: of ``configure()`` beyond :data:`OPTIONS`; ``root_level`` configures Python's logging.
    """
    log = folder / "game.log"
    arguments = json.dumps({**OPTIONS, "collector": collector, **options})
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    with (
        log.open("w", encoding="utf-8") as standard_error,
        subprocess.Popen(
            [sys.executable, "-m", "tests.e2e.fault_game", arguments],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=standard_error,
            text=True,
        ) as child,
    ):
        try:
            yield Game(child, log)
        finally:
            child.kill()


@dataclass(frozen=True)
class Given:
    """How many different items a receiver has taken, and how many of them it has more than once."""

    different: Mapping[str, int]
    repeated: Mapping[str, int]


def with_the_end(given: Mapping[str, int]) -> dict[str, int]:
    """After a shutdown: one more event, which says that the server ends."""
    return {**given, "logs": given["logs"] + 1}


def taken_by(collector: FaultyCollector) -> Given:
    """What a receiver's own record holds: events by their uid, spans by their id."""
    events = Counter(
        attribute.value.string_value
        for record in collector.log_records()
        for attribute in record.attributes
        if attribute.key == "log.record.uid"
    )
    spans = Counter(span.span_id for span in collector.spans())
    kept = {"traces": spans, "logs": events}
    return Given(
        {signal: len(items) for signal, items in kept.items()},
        {signal: items.total() - len(items) for signal, items in kept.items()},
    )


def lost(account: Mapping[str, int]) -> int:
    """What one signal's account calls lost, whatever the reason."""
    return sum(items for reason, items in account.items() if reason != "accepted")
