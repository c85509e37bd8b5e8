"""The views of the whole fleet, each made once for all who ask at the time; and the list of what there is at all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from otel_setup import clock
from otel_setup.hub.fleet import Fleet
from otel_setup.ledger import Ledger
from otel_setup.text import clean_id
from otel_setup.views import error_heatmap, flow_diagram, performance_metrics, room_status, state_diagram

VIEWS: Mapping[str, Callable[[Ledger], dict[str, Any]]] = {
    "state_diagram": state_diagram,
    "rooms": room_status,
    "performance": performance_metrics,
    "errors": error_heatmap,
    "flows": flow_diagram,
}
"""The views by their paths below ``/views/``."""

PATHS: Mapping[str, str] = {
    "POST /v1/logs": "takes events in: OTLP logs over HTTP, as protobuf or JSON",
    "GET /events/stream": "events as they come (Server-Sent Events), and what was before: since=, filters, speed=",
    "GET /events": "a page of events; the same query, and limit=",
    **{f"GET /views/{name}": "a view of the whole fleet" for name in VIEWS},
    "GET /views/rooms/ID": "one room",
    "GET /producers": "the account of each server: what it sent, what arrived, what is missing",
    "GET /metrics": "the hub's own metrics, for Prometheus",
    "GET /health": "whether the hub takes events",
}
"""Everything there is, as the page ``/`` lists it."""


class NoSuchRoom(LookupError):
    """The room is not known."""


class Views:
    """The views of a fleet, made in a thread. Who asks while one is made, or soon after, gets the same.

    Parameters:
        fleet: what they are views of.
        seconds: how long one is good for.
    """

    def __init__(self, fleet: Fleet, seconds: float) -> None:
        self._fleet = fleet
        self._seconds = seconds
        self._made: dict[str, tuple[float, asyncio.Task[dict[str, Any]]]] = {}

    async def view(self, name: str) -> dict[str, Any]:
        """A view by its path below ``/views/``, with whether it shows everything.

        Raises:
            KeyError: there is none of this name.
        """
        make = VIEWS[name]
        since, task = self._made.get(name, (0.0, None))
        now = clock.monotonic()
        if task is None or task.cancelled() or (task.done() and now - since > self._seconds):
            task = asyncio.create_task(asyncio.to_thread(self._make, make))
            self._made[name] = now, task
        return await asyncio.shield(task)  # others may wait for it, too

    async def room(self, room_id: str) -> dict[str, Any]:
        """One room, as the view of all has it.

        Raises:
            NoSuchRoom: it is not known, or no longer.
        """
        status = await self.view("rooms")
        wanted = clean_id(room_id)
        for row in status["rooms"]:
            if row["room_id"] == wanted:
                shared = ("timestamp", "complete", "since", "producers", "incomplete")
                return {"type": "room", "room": row, **{key: status[key] for key in shared}}
        raise NoSuchRoom(f"no room {wanted!r}; /views/rooms lists those there are")

    def _make(self, make: Callable[[Ledger], dict[str, Any]]) -> dict[str, Any]:
        # Asked first: what is told to be complete then was so when the view was made, or became so since.
        known = completeness(self._fleet)
        return make(self._fleet.ledger()) | known | {"producers": self._fleet.states()}


def completeness(fleet: Fleet) -> dict[str, Any]:
    """Whether all that is live is known, since when that is so, and for which servers not and why."""
    known = fleet.completeness()
    return {
        "complete": known.complete,
        "since": known.since.isoformat(),
        "incomplete": {name: [reason.value for reason in reasons] for name, reasons in known.reasons.items()},
    }
