"""What a queued action takes along: when it was queued, for which request, in which trace.

A game queues an action in one task and executes it in another. ``capture()`` where it is queued and ``token=`` where
it is executed carry correlation and trace across and measure the wait.
"""

from __future__ import annotations

import weakref

from opentelemetry import context as context_api
from opentelemetry.context import Context

from otel_setup import clock
from otel_setup.correlation import get_correlation_id


class QueueToken:
    """A captured moment: its correlation, its OpenTelemetry context, its time."""

    __slots__ = ("__weakref__", "_captured_at", "context", "correlation_id")

    def __init__(self) -> None:
        self.correlation_id: str | None = get_correlation_id()
        self.context: Context = context_api.get_current()
        self._captured_at = clock.monotonic()

    @property
    def wait_seconds(self) -> float:
        """Seconds since the capture."""
        return clock.monotonic() - self._captured_at


class QueueTokens:
    """Counts tokens that wait. One that the game drops with its queue no longer counts: references are weak."""

    def __init__(self) -> None:
        self._waiting: weakref.WeakSet[QueueToken] = weakref.WeakSet()

    def capture(self) -> QueueToken:
        """A token of this moment."""
        token = QueueToken()
        self._waiting.add(token)
        return token

    def take(self, token: QueueToken) -> float | None:
        """Takes a token out of the count.

        Returns:
            Seconds it waited; None if it was taken before.
        """
        if token not in self._waiting:
            return None
        self._waiting.discard(token)
        return token.wait_seconds

    def __len__(self) -> int:
        return len(self._waiting)
