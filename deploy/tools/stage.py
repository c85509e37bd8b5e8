"""Runs the steps of a build: one line each on the terminal, everything they print in a log file."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from deploy.process import Command

LOG_TAIL_LINES = 15


class ToolError(Exception):
    """A tool could not be built; the message says what failed, where its log is and what to do."""


class ToolchainMissingError(ToolError):
    """What a tool is built with is not on this machine; the message says what to install."""


class Stages:
    """The numbered stages of one build.

    :param label: what is built, in front of every line
    :param total: how many stages there will be
    :param log: file that receives the commands and all they print
    :param out: where progress goes
    :param lock: file descriptor that every child inherits, see :func:`deploy.tools.cache.build_lock`
    """

    def __init__(self, label: str, total: int, log: Path, out: TextIO, lock: int) -> None:
        self.seconds: dict[str, float] = {}
        self._label, self._total, self._log, self._out, self._lock = label, total, log, out, lock
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("")

    def run(self, title: str, argv: Command, cwd: Path, env: Mapping[str, str]) -> None:
        """Run one command as the next stage; raises :class:`ToolError` where it fails."""
        line = f"[{self._label}] {len(self.seconds) + 1}/{self._total} {title} ..."
        print(line, end="", file=self._out, flush=True)
        started = time.monotonic()
        code = self._wait(line, started, argv, cwd, env)
        self.seconds[title] = round(time.monotonic() - started, 1)
        if code == 0:
            print(f"\r{line}" if self._out.isatty() else "", f"{self.seconds[title]:.1f} s", file=self._out, flush=True)
            return
        print(" failed", file=self._out, flush=True)
        lines = self._log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:]
        tail = "".join(f"\n    {text}" for text in lines)
        raise ToolError(f"{self._label}: '{title}' failed with exit code {code}. The last lines of {self._log}:{tail}")

    def _wait(self, line: str, started: float, argv: Command, cwd: Path, env: Mapping[str, str]) -> int:
        """Run the command to its end and return its exit code, keeping the elapsed time visible on a terminal."""
        with open(self._log, "a") as log:
            print("+", *argv, file=log, flush=True)
            child = subprocess.Popen(  # noqa: S603 - the commands of our own recipes
                argv, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=(self._lock,)
            )
        try:
            while True:
                try:
                    return child.wait(timeout=1)
                except subprocess.TimeoutExpired:
                    if self._out.isatty():
                        print(f"\r{line} {time.monotonic() - started:.0f} s", end="", file=self._out, flush=True)
        finally:
            if child.poll() is None:
                child.terminate()
                child.wait()
