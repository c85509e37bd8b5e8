"""Faults inside monitoring: kept from the game, counted, and logged once a kind."""

from __future__ import annotations

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
        self._lock = threading.Lock()

    def count(self, component: str, fault: BaseException) -> None:
        """Takes note of an exception that must not reach the game."""
        try:
            with self._lock:
                self.counts[component] = self.counts.get(component, 0) + 1
            if self._first((component, type(fault).__name__)):
                _logger.error(
                    "monitoring fault in %s, kept from the game; further ones of its kind are only counted "
                    "in otel_setup.internal.errors",
                    component,
                    exc_info=fault,
                )
        except Exception:  # noqa: BLE001, S110 - a logging handler of the application may raise; nothing is left to tell
            pass

    def note(self, kind: str, message: str) -> None:
        """Logs a warning about odd input, the first time its kind is seen."""
        if self._first(("note", kind)):
            _logger.warning("%s (logged once; every case is counted)", message)

    def guard(self, component: str) -> Guard:
        """A context that keeps exceptions of its block from the caller."""
        return Guard(self, component)

    def _first(self, kind: tuple[str, ...]) -> bool:
        with self._lock:
            if kind in self._seen or len(self._seen) >= MAX_KINDS_LOGGED:
                return False
            self._seen.add(kind)
            return True


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
