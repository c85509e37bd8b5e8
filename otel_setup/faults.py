"""Faults inside monitoring: kept from the game, counted, and logged once a kind."""

from __future__ import annotations

import contextlib
import logging
import threading
from types import TracebackType

from otel_setup.catalogue.attributes import COMPONENTS

_logger = logging.getLogger("otel_setup")
MAX_KINDS_LOGGED = 100
"""Different faults and odd inputs that are logged; further kinds are only counted."""


class Faults:
    """Counts faults by component and logs the first of each kind.

    ``counts`` has every component from the start, so that the metric exists before the first fault.
    """

    def __init__(self) -> None:
        self.counts: dict[str, int] = dict.fromkeys(COMPONENTS, 0)
        self._seen: set[tuple[str, ...]] = set()
        self._lock = threading.RLock()  # re-entrant: a signal handler or a finalizer may come here in the middle

    def count(self, component: str, fault: BaseException) -> None:
        """Takes note of an exception that must not reach the game."""
        with self._lock:
            self.counts[component] = self.counts.get(component, 0) + 1
        self._log_first(
            (component, type(fault).__name__),
            logging.ERROR,
            "monitoring fault in %s, kept from the game; further ones of its kind are only counted in "
            "otel_setup.internal.errors",
            component,
            fault,
        )

    def note(self, kind: str, message: str) -> None:
        """Logs a warning about odd input, the first time its kind is seen."""
        self._log_first(("note", kind), logging.WARNING, "%s (logged once; every case is counted)", message)

    def guard(self, component: str) -> Guard:
        """A context that keeps exceptions of its block from the caller."""
        return Guard(self, component)

    def _log_first(
        self, kind: tuple[str, ...], level: int, text: str, argument: str, fault: BaseException | None = None
    ) -> None:
        with self._lock:
            if kind in self._seen or len(self._seen) >= MAX_KINDS_LOGGED:
                return
            self._seen.add(kind)
        with contextlib.suppress(Exception):  # a logging handler of the application may raise: nobody is left to tell
            _logger.log(level, text, argument, exc_info=fault)


class Guard:
    """Swallows and counts any ``Exception``; cancellation and exits pass."""

    __slots__ = ("_component", "_faults")

    def __init__(self, faults: Faults, component: str) -> None:
        self._faults = faults
        self._component = component

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, _trace: TracebackType | None
    ) -> bool:
        if not isinstance(fault, Exception):
            return False
        self._faults.count(self._component, fault)
        return True
