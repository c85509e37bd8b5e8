"""The ledger: a fold over events that knows the live games, rooms, connections and outcomes.

One lock guards it (the stream's, so that an event's place in the stream and its effect on the ledger are one step).
``apply`` never looks at a clock for what the event says itself; durations come in the event, measured by its producer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from otel_setup import clock
from otel_setup.catalogue import EventType
from otel_setup.catalogue.attributes import BOT, HUMAN, UNKNOWN
from otel_setup.events.record import SystemEvent
from otel_setup.ledger import games, people, snapshots
from otel_setup.ledger.payload import only_type
from otel_setup.ledger.state import Facts
from otel_setup.ledger.store import Store

_NS = 1_000_000_000
_HANDLERS: Mapping[str, Callable[[Store, SystemEvent, Facts], None]] = {
    EventType.GAME_STARTED: games.game_started,
    EventType.GAME_ENDED: games.game_ended,
    EventType.GAME_SNAPSHOT: snapshots.game_snapshot,
    EventType.STATE_TRANSITION_COMPLETE: games.transition_completed,
    EventType.STATE_TRANSITION_FAILED: games.transition_failed,
    EventType.STATE_TRANSITION_ILLEGAL: games.transition_illegal,
    EventType.PHASE_COMPLETED: games.phase_completed,
    EventType.ROUND_STARTED: games.round_started,
    EventType.TURN_COMPLETED: games.turn_completed,
    EventType.ACTION_COMPLETED: people.action_ended,
    EventType.ACTION_FAILED: people.action_ended,
    EventType.PLAYER_ACTION: people.player_acted,
    EventType.PLAYER_JOINED: people.player_joined,
    EventType.PLAYER_LEFT: people.player_left,
    EventType.PLAYER_DISCONNECTED: people.player_disconnected,
    EventType.PLAYER_RECONNECTED: people.player_reconnected,
    EventType.BOT_TAKEOVER: people.bot_took_over,
    EventType.ROOM_CREATED: people.room_created,
    EventType.ROOM_CLOSED: people.room_closed,
    EventType.CONNECTION_OPENED: people.connection_opened,
    EventType.CONNECTION_CLOSED: people.connection_closed,
    EventType.ERROR_OCCURRED: people.error_occurred,
    EventType.GAME_ERROR: people.error_occurred,
}


_NOTHING_KNOWN = Facts()


class Ledger(Store):
    """What is true now, and what has come of it. See :class:`~otel_setup.ledger.store.Store` for its parameters."""

    def apply(self, event: SystemEvent) -> Facts:
        """Takes an event in.

        Returns:
            What the ledger knows about it, for the metrics.
        """
        handler = _HANDLERS.get(event.event_type)
        with self.lock:
            if handler is None:
                self.touch(event)
                return _NOTHING_KNOWN
            facts = Facts()
            handler(self, event, facts)
            if event.event_type != EventType.GAME_SNAPSHOT:  # in which nothing happens
                self.touch(event)
        return facts

    def sweep(self, now_ns: int | None = None) -> None:
        """Gives up what has been idle for too long, forgets what is older than the retention; background work calls it.

        Parameters:
            now_ns: nanoseconds since 1970; the product's clock where not given.
        """
        now_s = (clock.time_ns() if now_ns is None else now_ns) / _NS
        with self.lock:
            self.give_up_idle_games()
            self.forget_the_past(now_s)

    def forget_unseen(self, before_ns: int) -> None:
        """Closes games of which nothing has been heard for so long that their end must have been lost.

        Parameters:
            before_ns: games whose last event or snapshot is older; nanoseconds since 1970, by their server's clock.
        """
        with self.lock:
            for game in [game for game in self.games.values() if game.seen_ns < before_ns]:
                self.close_unseen(game)

    # --- questions a producer asks before it publishes ------------------------------------------------------------

    def room_of(self, game_id: str) -> str | None:
        """The room a live game is played in."""
        with self.lock:
            game = self.games.get(game_id)
            return game.room_id if game else None

    def game_seconds(self, game_id: str) -> float | None:
        """Seconds since a live game started."""
        with self.lock:
            game = self.games.get(game_id)
            return self.clock() - game.started_at if game else None

    def away_seconds(self, game_id: str, player_id: str) -> float | None:
        """Seconds since a player of a live game disconnected."""
        with self.lock:
            game = self.games.get(game_id)
            seat = game.seat(player_id) if game else None
            return self.clock() - seat.away_since if seat and seat.away_since is not None else None

    def connection_seconds(self, connection_id: str) -> float | None:
        """Seconds since a socket was opened."""
        with self.lock:
            connection = self.connections.get(connection_id)
            return self.clock() - connection.opened_at if connection else None

    def state_of(self, game_id: str) -> str | None:
        """The phase a live game is in."""
        with self.lock:
            game = self.games.get(game_id)
            return game.state if game else None

    def actor(self, game_id: str, player_id: str) -> str:
        """Who plays for a player now: ``human``, ``bot``, or ``unknown`` where nobody said."""
        with self.lock:
            game = self.games.get(game_id)
            if game is None:
                return UNKNOWN
            seat = game.seat(player_id)
            if seat is not None:
                return BOT if seat.bot_plays else HUMAN
            return UNKNOWN if game.seats else only_type(game) or UNKNOWN
