"""A ledger with hands on both clocks, and events written as a game would tell them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from otel_setup.catalogue import EVENTS, EventType
from otel_setup.events.record import SystemEvent
from otel_setup.game_model import LIAP_TUI, GameModel
from otel_setup.ledger import Bounds, Facts, Ledger

NOON = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
_NS = 1_000_000_000
_DECLARED = {event.name: {attribute.data_key for attribute in event.attributes} for event in EVENTS}


class World:
    """A ledger whose time stands still until ``wait()``. It is noon, UTC."""

    def __init__(self, model: GameModel = LIAP_TUI, **bounds: Any) -> None:
        self.monotonic = 5_000.0
        self.now_ns = int(NOON.timestamp()) * _NS
        self.ledger = Ledger(model, Bounds(**bounds), clock=lambda: self.monotonic)

    def wait(self, seconds: float) -> None:
        self.monotonic += seconds
        self.now_ns += round(seconds * _NS)

    def event(
        self,
        event_type: str,
        game: str | None = None,
        room: str | None = None,
        player: str | None = None,
        connection: str | None = None,
        **data: Any,
    ) -> SystemEvent:
        """An event of now. Its data may only have keys that the catalogue declares for it."""
        undeclared = data.keys() - _DECLARED[event_type]
        assert not undeclared, f"{event_type} does not declare {undeclared}"
        return SystemEvent(
            event_type=EventType(event_type),
            timestamp_ns=self.now_ns,
            game_id=game,
            room_id=room,
            player_id=player,
            connection_id=connection,
            data=data,
        )

    def tell(self, event_type: str, game: str | None = None, room: str | None = None, **more: Any) -> Facts:
        return self.ledger.apply(self.event(event_type, game, room, **more))

    # --- the moments most tests need ------------------------------------------------------------------------------

    def start(self, game: str = "g", *, humans: str = "ann bea cid dan", bots: str = "", room: str = "") -> Facts:
        """A game whose seats are named, humans first."""
        seats = [{"player": name, "is_bot": False} for name in humans.split()]
        seats += [{"player": name, "is_bot": True} for name in bots.split()]
        return self.tell(
            EventType.GAME_STARTED,
            game,
            room or game,
            player_count=len(seats),
            bot_count=len(bots.split()),
            players=seats,
        )

    def start_by_counts(self, game: str = "g", *, players: int = 4, bots: int = 0) -> Facts:
        """A game as the API of four arguments tells it."""
        return self.tell(EventType.GAME_STARTED, game, game, player_count=players, bot_count=bots)

    def end(
        self, game: str = "g", winner: Any = None, scores: dict[str, float] | None = None, *, abandoned: bool = False
    ) -> Facts:
        return self.tell(
            EventType.GAME_ENDED,
            game,
            winner_id=winner,
            final_scores=scores or {},
            abandoned=abandoned,
            game_seconds=self.ledger.game_seconds(game),
        )

    def moved(self, left: str, entered: str, ordinal: int, game: str = "g", ms: float = 5.0) -> Facts:
        return self.tell(
            EventType.STATE_TRANSITION_COMPLETE,
            game,
            from_state=left,
            to_state=entered,
            ordinal=ordinal,
            success=True,
            duration_ms=ms,
        )

    def failed(self, left: str, entered: str, ordinal: int, game: str = "g", error: str = "ValueError") -> Facts:
        return self.tell(
            EventType.STATE_TRANSITION_FAILED,
            game,
            from_state=left,
            to_state=entered,
            ordinal=ordinal,
            success=False,
            error_type=error,
            error="no",
            duration_ms=1.0,
        )

    def acted(self, player: str, game: str = "g", action: str = "declare", ms: float = 2.0, **data: Any) -> Facts:
        return self.tell(
            EventType.ACTION_COMPLETED,
            game,
            player=player,
            action_type=action,
            duration_ms=ms,
            **{"outcome": "accepted", **data},
        )

    def error(self, error_type: str = "ValueError", game: str | None = "g", room: str | None = None) -> Facts:
        return self.tell(EventType.ERROR_OCCURRED, game, room, error_type=error_type, error_message="no")


def as_json(value: Any) -> Any:
    """The value as a reader of the JSON sees it; NaN and infinities are refused."""
    return json.loads(json.dumps(value, allow_nan=False))
