"""What people look at, computed from the ledger when they look: JSON-ready, and costing what it shows."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Any

from otel_setup.events.record import SystemEvent
from otel_setup.ledger import Ledger
from otel_setup.views.activity import player_activity
from otel_setup.views.copying import iso, or_now
from otel_setup.views.errors import error_heatmap
from otel_setup.views.flow import flow_diagram
from otel_setup.views.mermaid import mermaid
from otel_setup.views.performance import performance_metrics
from otel_setup.views.rooms import room_status
from otel_setup.views.states import state_diagram

__all__ = [
    "VisualizationType",
    "all_views",
    "error_heatmap",
    "flow_diagram",
    "get_view",
    "mermaid",
    "performance_metrics",
    "player_activity",
    "room_status",
    "state_diagram",
]


class VisualizationType(StrEnum):
    """The views there are. ``"performance"`` and ``"errors"`` are short for two of them."""

    STATE_DIAGRAM = "state_diagram"
    ROOM_STATUS = "room_status"
    PERFORMANCE_METRICS = "performance_metrics"
    ERROR_HEATMAP = "error_heatmap"
    PLAYER_ACTIVITY = "player_activity"
    FLOW_DIAGRAM = "flow_diagram"

    @classmethod
    def _missing_(cls, value: object) -> VisualizationType | None:
        return {"performance": cls.PERFORMANCE_METRICS, "errors": cls.ERROR_HEATMAP}.get(str(value))


def get_view(
    name: str | None,
    ledger: Ledger,
    events: Callable[[], Iterable[SystemEvent]] = tuple,
    now_ns: int | None = None,
) -> dict[str, Any]:
    """One view by its name; all of ``all_views()`` for no name or an unknown one.

    Parameters:
        name: a value of :class:`VisualizationType`, or ``"performance"`` or ``"errors"``.
        ledger: what they are views of.
        events: gives recent events, oldest first; asked only by the view that needs them.
        now_ns: the view's time, nanoseconds since 1970; now where not given.
    """
    try:
        wanted = VisualizationType(name) if name is not None else None
    except ValueError:
        wanted = None
    match wanted:
        case VisualizationType.STATE_DIAGRAM:
            return state_diagram(ledger, now_ns)
        case VisualizationType.ROOM_STATUS:
            return room_status(ledger, now_ns)
        case VisualizationType.PERFORMANCE_METRICS:
            return performance_metrics(ledger, now_ns=now_ns)
        case VisualizationType.ERROR_HEATMAP:
            return error_heatmap(ledger, now_ns)
        case VisualizationType.PLAYER_ACTIVITY:
            return player_activity(ledger, events(), now_ns)
        case VisualizationType.FLOW_DIAGRAM:
            return flow_diagram(ledger, now_ns)
        case None:
            return all_views(ledger, now_ns)


def all_views(ledger: Ledger, now_ns: int | None = None) -> dict[str, Any]:
    """The four views an overview needs."""
    now_ns = or_now(now_ns)
    return {
        "state_diagram": state_diagram(ledger, now_ns),
        "room_status": room_status(ledger, now_ns),
        "performance_metrics": performance_metrics(ledger, now_ns=now_ns),
        "error_heatmap": error_heatmap(ledger, now_ns),
        "generated_at": iso(now_ns),
    }
