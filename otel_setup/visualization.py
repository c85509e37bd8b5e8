"""The views behind the names of the API this product succeeds.

Views are computed from the ledger, so nothing has to be told to them; the two writers below record facts that no other
call of the monitor records.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from otel_setup import clock, views
from otel_setup.catalogue import EventType
from otel_setup.core import Core
from otel_setup.events.record import SystemEvent
from otel_setup.text import clean_id

RECENT_EVENTS = 1000
"""Events of the stream that a view may look at."""


class StateVisualizationProvider:
    """JSON-ready views of what is going on.

    Parameters:
        core: gives what the process observes with.
    """

    def __init__(self, core: Callable[[], Core]) -> None:
        self._core = core

    def get_view(self, name: str | None = None) -> dict[str, Any]:
        """A view by name; all of them where the name is None or unknown."""
        core = self._core()
        return views.get_view(name, core.ledger, lambda: core.stream.get_history(RECENT_EVENTS))

    def get_state_diagram(self) -> dict[str, Any]:
        """Phases with their live games, legal and observed transitions with counts and times."""
        return views.state_diagram(self._core().ledger)

    def get_room_status(self) -> dict[str, Any]:
        """Every room with its state and health."""
        return views.room_status(self._core().ledger)

    def get_performance_metrics(self, window_minutes: int = 60) -> dict[str, Any]:
        """Times of transitions and actions in the last minutes."""
        return views.performance_metrics(self._core().ledger, window_minutes)

    def get_error_heatmap(self) -> dict[str, Any]:
        """Errors by phase and type."""
        return views.error_heatmap(self._core().ledger)

    def record_performance_sample(self, endpoint: str, response_time_ms: float, error: bool = False) -> None:
        """Adds a time of the game's own to the performance view, in milliseconds."""
        core = self._core()
        with core.faults.guard("monitor"), core.lock:
            core.ledger.add_sample(clock.time_ns(), clean_id(endpoint), response_time_ms, error=bool(error))

    def record_error(self, state: str, error_type: str) -> None:
        """An error in a phase."""
        data = {"state": state, "error_type": clean_id(error_type)}
        self._core().publish(SystemEvent(event_type=EventType.ERROR_OCCURRED, data=data))

    def update_state_transition(self, from_state: str, to_state: str, duration_ms: float, success: bool = True) -> None:
        """A transition of no game in particular that took ``duration_ms`` milliseconds."""
        ended = EventType.STATE_TRANSITION_COMPLETE if success else EventType.STATE_TRANSITION_FAILED
        data = {"from_state": from_state, "to_state": to_state, "duration_ms": duration_ms, "success": bool(success)}
        self._core().publish(SystemEvent(event_type=ended, data=data))

    def update_state_node(
        self,
        state: str,
        active_games_delta: int = 0,
        duration_sample: float | None = None,
        error_occurred: bool = False,
    ) -> None:
        """A phase of ``duration_sample`` seconds, or an error in one. Live games are counted by themselves: the delta
        is accepted for callers that pass it, and changes nothing.
        """
        if duration_sample is not None:
            data = {"phase": state, "duration_seconds": duration_sample}
            self._core().publish(SystemEvent(event_type=EventType.PHASE_COMPLETED, data=data))
        if error_occurred:
            self.record_error(state, "Error")

    def update_room_visualization(
        self,
        room_id: str,
        game_id: str | None = None,
        current_state: str | None = None,
        player_count: int | None = None,
        action_occurred: bool = False,
        error_occurred: bool = False,
    ) -> None:
        """A room, which is announced if nobody did, or an error in it. Its state, players and actions follow its game:
        those arguments are accepted for callers that pass them, and change nothing.
        """
        core, room = self._core(), clean_id(room_id)
        if room not in core.ledger.rooms:
            core.publish(SystemEvent(event_type=EventType.ROOM_CREATED, room_id=room))
        if error_occurred:
            data = {"state": current_state, "error_type": "Error"}
            ids = {"room_id": room, "game_id": clean_id(game_id) or None}
            core.publish(SystemEvent(event_type=EventType.ERROR_OCCURRED, data=data, **ids))  # type: ignore[arg-type]

    def cleanup_old_data(self, hours: float = 24) -> None:
        """Gives up idle games now. Windows forget by themselves, by the option ``retention_hours``; ``hours`` is
        accepted for callers that pass it.
        """
        self._core().ledger.sweep()
