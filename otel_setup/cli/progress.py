"""A line that says how far long work has come: rewritten in a terminal, and only its last state elsewhere."""

from __future__ import annotations

import sys
import time

SECONDS = 0.2
"""Least time between two states of the line."""


class Progress:
    """Writes to standard error.

    Parameters:
        name: of the command.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._rewrites = sys.stderr.isatty()
        self._shown = 0.0
        self._text = ""

    def show(self, text: str) -> None:
        """A new state."""
        self._text = text
        if self._rewrites and time.monotonic() - self._shown >= SECONDS:
            self._shown = time.monotonic()
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)

    def say(self, text: str) -> None:
        """A sentence of its own, which stays."""
        print(f"{self._start()}{self._name}: {text}", file=sys.stderr, flush=True)

    def end(self) -> None:
        """The last state, which stays."""
        if self._text:
            print(f"{self._start()}{self._text}", file=sys.stderr, flush=True)

    def _start(self) -> str:
        return "\r\x1b[K" if self._rewrites else ""
