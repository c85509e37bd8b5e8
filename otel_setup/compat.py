"""The parts of the API this product succeeds that programs reach through the monitor's attributes.

``monitor.game_metrics`` and ``monitor.metrics_collector`` keep their names and meanings; both end where every call of
the monitor ends, so nothing is counted in two places.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from otel_setup import clock
from otel_setup.catalogue import EventType, Kind
from otel_setup.ledger import reports
from otel_setup.recorder import Recorder
from otel_setup.text import clean_id

_NANOSECONDS = 1_000_000_000


class GameMetricType(StrEnum):
    """Kinds of game metrics by the names of the API this product succeeds; the catalogue has the metrics themselves."""

    GAMES_STARTED = "games.started"
    GAMES_COMPLETED = "games.completed"
    GAMES_ABANDONED = "games.abandoned"
    GAME_DURATION = "game.duration"
    PLAYER_ACTIONS = "player.actions"
    PLAYER_WINS = "player.wins"
    PLAYER_DISCONNECTS = "player.disconnects"
    PLAYER_RECONNECTS = "player.reconnects"
    STATE_TRANSITIONS = "state.transitions"
    STATE_DURATION = "state.duration"
    STATE_ERRORS = "state.errors"
    PHASE_DURATION = "phase.duration"
    TURN_DURATION = "turn.duration"
    DECLARATION_TIME = "declaration.time"
    WEBSOCKET_CONNECTIONS = "websocket.connections"
    WEBSOCKET_MESSAGES = "websocket.messages"
    WEBSOCKET_BROADCAST_TIME = "websocket.broadcast_time"
    WEBSOCKET_BROADCAST_FAILURES = "websocket.broadcast_failures"
    ACTION_QUEUE_DEPTH = "action.queue_depth"
    ACTION_PROCESSING_TIME = "action.processing_time"
    MEMORY_USAGE_MB = "memory.usage_mb"
    GC_COLLECTIONS = "gc.collections"


@dataclass(frozen=True, slots=True)
class GameStats:
    """One live game. Times are UTC; durations are seconds; what only an end tells is None until then."""

    game_id: str
    room_id: str
    start_time: datetime
    player_count: int
    bot_count: int
    duration_seconds: float
    end_time: datetime | None = None
    total_turns: int = 0
    winner_id: str | None = None
    final_scores: Mapping[str, float] = field(default_factory=dict)
    phase_durations: Mapping[str, float] = field(default_factory=dict)

    @property
    def is_completed(self) -> bool:
        """Whether the game has ended."""
        return self.end_time is not None

    @property
    def average_turn_time(self) -> float | None:
        """Seconds per turn so far; None before the first is over."""
        return self.duration_seconds / self.total_turns if self.total_turns else None


class GameMetricsCollector:
    """Records single facts about games, and reads what has come of them.

    Parameters:
        recorder: where everything is recorded.
    """

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self.record_game_start = recorder.record_game_start
        self.record_game_end = recorder.record_game_end
        self.record_phase_duration = recorder.record_phase_duration

    async def record_player_action(
        self, player_id: str, action_type: str, response_time_ms: float, game_id: str | None = None
    ) -> None:
        """A player did something outside the queue of actions, within ``response_time_ms`` milliseconds."""
        await self._recorder.record_event(
            EventType.PLAYER_ACTION,
            player_id=player_id,
            game_id=game_id,
            action_type=action_type,
            duration_ms=response_time_ms,
            actor=self._recorder.core.ledger.actor(clean_id(game_id), clean_id(player_id)),
        )

    async def record_state_transition(
        self, game_id: str, from_state: str, to_state: str, transition_time_ms: float
    ) -> None:
        """A transition that took ``transition_time_ms`` milliseconds has succeeded."""
        await self._recorder.record_event(
            EventType.STATE_TRANSITION_COMPLETE,
            game_id=game_id,
            from_state=from_state,
            to_state=to_state,
            duration_ms=transition_time_ms,
            success=True,
        )

    async def record_websocket_connection(self, connection_id: str, connected: bool) -> None:
        """A socket was opened, or closed."""
        await self._recorder.record_websocket_event(connection_id, "connect" if connected else "disconnect")

    async def record_websocket_broadcast(
        self, room_id: str, recipient_count: int, broadcast_time_ms: float, success: bool = True
    ) -> None:
        """A message was queued for ``recipient_count`` sockets within ``broadcast_time_ms`` milliseconds."""
        data = {"recipient_count": recipient_count, "broadcast_time_ms": broadcast_time_ms, "success": success}
        await self._recorder.record_websocket_event("", "broadcast", room_id, data)

    def get_hourly_metrics(self, hours: int = 24) -> dict[str, dict[str, int]]:
        """Games started, completed, abandoned, players and turns of the last hours, by hour (UTC)."""
        return reports.hourly_metrics(self._recorder.core.ledger, hours)

    def get_player_metrics(self, player_id: str | None = None) -> dict[str, Any]:
        """One player's games, wins, score, actions and mean response time, or the figures of all."""
        player = None if player_id is None else clean_id(player_id)
        return reports.player_metrics(self._recorder.core.ledger, player)

    def get_phase_metrics(self) -> dict[str, dict[str, float]]:
        """Mean, minimum, maximum and p95 of each phase, in seconds."""
        return reports.phase_metrics(self._recorder.core.ledger)

    def get_game_stats(self, game_id: str) -> GameStats | None:
        """A live game; None where there is none of that id."""
        ledger = self._recorder.core.ledger
        with ledger.lock:
            game = ledger.games.get(clean_id(game_id))
            if game is None:
                return None
            return GameStats(
                game_id=game.game_id,
                room_id=game.room_id,
                start_time=datetime.fromtimestamp(game.started_ns / _NANOSECONDS, UTC),
                player_count=game.player_count,
                bot_count=game.bot_count,
                duration_seconds=ledger.clock() - game.started_at,
                total_turns=game.turns,
                phase_durations=dict(game.phase_seconds),
            )

    def get_game_analytics(self) -> dict[str, Any]:
        """Games in all, active, completed, abandoned, and their averages."""
        return reports.game_analytics(self._recorder.core.ledger)


class MetricsCollector:
    """Records the game's own metrics, each as the kind it was declared with.

    Of calls with another name or another kind the first is logged, each counted.

    Parameters:
        recorder: where everything is recorded.
    """

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    async def increment(self, name: str, value: float = 1, tags: Mapping[str, str] | None = None) -> None:
        """Adds to a counter."""
        self._record(Kind.COUNTER, name, value, tags)

    async def gauge(self, name: str, value: float, tags: Mapping[str, str] | None = None) -> None:
        """Sets a gauge."""
        self._record(Kind.GAUGE, name, value, tags)

    async def histogram(self, name: str, value: float, tags: Mapping[str, str] | None = None) -> None:
        """Records a value of a histogram."""
        self._record(Kind.HISTOGRAM, name, value, tags)

    @contextmanager
    def timer(self, name: str, tags: Mapping[str, str] | None = None) -> Iterator[None]:
        """Records the block's duration, in seconds, in a histogram."""
        started = clock.monotonic()
        try:
            yield
        finally:
            self._record(Kind.HISTOGRAM, name, clock.monotonic() - started, tags)

    def _record(self, kind: Kind, name: str, value: float, tags: Mapping[str, str] | None) -> None:
        with self._recorder.core.faults.guard("monitor"):
            built = self._recorder.core.catalogue.business(name) if isinstance(name, str) else None
            if built is not None and built.declared.kind is not kind:
                self._recorder.refuse("undeclared_metric", f"metric {name!r} is a {built.declared.kind}, not a {kind}")
            else:
                self._recorder.record_metric_now(name, value, tags or {})

    def get_metrics(self) -> list[str]:
        """Names of the metrics the game declared."""
        return [built.declared.name for built in self._recorder.core.catalogue.metrics if built.business]
