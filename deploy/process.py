"""Runs one program as a child process: started, waited for until it answers, stopped by its id."""

from __future__ import annotations

import http.client
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

READY_SECONDS = 60.0
STOP_SECONDS = 30.0
POLL_SECONDS = 0.05
REQUEST_SECONDS = 10.0
LOG_TAIL_LINES = 20
SEEN_CHARACTERS = 2000

T = TypeVar("T")
Command = Sequence[str | Path]


class ProcessError(RuntimeError):
    """A program did not become ready; the message holds the end of its log."""


class QueryError(RuntimeError):
    """A program refused a question that was put to it."""


@dataclass(frozen=True)
class Process:
    """A running program and the file that its output goes to.

    :param ready: the URL that answers 200 where it is well; empty where it has none
    """

    name: str
    log: Path
    child: subprocess.Popen[bytes]
    ready: str = ""

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.child.pid

    def log_tail(self, lines: int = LOG_TAIL_LINES) -> str:
        """The last lines of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def stop(self, timeout: float = STOP_SECONDS) -> int:
        """Ask it to end (SIGTERM), make it end after ``timeout`` seconds; returns its exit code."""
        self.child.terminate()
        try:
            return self.child.wait(timeout)
        except subprocess.TimeoutExpired:
            return self.kill()

    def kill(self) -> int:
        """End it at once, as a crash would; returns its exit code."""
        self.child.kill()
        return self.child.wait()


@contextmanager
def running(
    name: str,
    argv: Command,
    log: Path,
    ready: str | Callable[[], object],
    environment: Mapping[str, str] | None = None,
) -> Iterator[Process]:
    """Start a program, wait until it is ready, and stop it at the end.

    :param ready: a URL that then answers 200, or what then returns something true; OSError means not yet

    It gets a session of its own: Ctrl-C reaches only the caller, who stops its programs in order.

    :raises ProcessError: where it ends, or does not answer within :data:`READY_SECONDS`
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        child = subprocess.Popen(  # noqa: S603 - the programs that this project built
            argv,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    process = Process(name, log, child, ready if isinstance(ready, str) else "")
    try:
        _await_ready(process, ready)
        yield process
    finally:
        process.stop()


def _await_ready(process: Process, ready: str | Callable[[], object]) -> None:
    def answers() -> bool:
        if (code := process.child.poll()) is not None:
            raise ProcessError(f"{process.name} ended with exit code {code}. {process.log} ends:\n{process.log_tail()}")
        try:
            return bool(http_get(ready)[0] == http.client.OK if isinstance(ready, str) else ready())
        except OSError:
            return False

    try:
        wait_until(answers, bool, READY_SECONDS, f"{process.name} answers{f' at {ready}' * isinstance(ready, str)}")
    except TimeoutError as problem:
        raise ProcessError(f"{problem}. {process.log} ends:\n{process.log_tail()}") from problem


def wait_until(probe: Callable[[], T], accept: Callable[[T], object], timeout: float, what: str) -> T:
    """Call ``probe`` until ``accept`` says yes to what it returns, and return that.

    :param timeout: seconds to go on trying
    :param what: what is waited for, for the error
    :raises TimeoutError: with the last value seen
    """
    deadline = time.monotonic() + timeout
    while True:
        seen = probe()
        if accept(seen):
            return seen
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout:g} s in vain until {what}; last seen: {repr(seen)[:SEEN_CHARACTERS]}")
        time.sleep(POLL_SECONDS)


def http_get(url: str, headers: Mapping[str, str] | None = None) -> tuple[int, bytes]:
    """GET a URL of this machine, past any proxy; returns status and body. Raises OSError where nobody answers."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=REQUEST_SECONDS)
    try:
        path = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
        connection.request("GET", path, headers=dict(headers or {}))
        answer = connection.getresponse()
        return answer.status, answer.read()
    except http.client.HTTPException as problem:
        raise ConnectionError(f"{url}: {problem!r}") from problem
    finally:
        connection.close()
