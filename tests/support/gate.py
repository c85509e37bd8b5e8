"""Holds the requests of a receiver up, so that an export is under way for as long as a test needs it to be."""

from __future__ import annotations

import threading
from typing import Any

GATE_SECONDS = 60.0


class Gate(list[Any]):
    """A receiver's requests of one path (``receiver.requests[path] = gate``), answered only when the gate is open.

    Attributes:
        arrived: set when there is one.
        open: to be set by the test.
    """

    def __init__(self) -> None:
        super().__init__()
        self.arrived, self.open = threading.Event(), threading.Event()

    def append(self, request: Any) -> None:
        """Keeps the receiver from answering until the gate is open."""
        self.arrived.set()
        self.open.wait(GATE_SECONDS)
        super().append(request)
