"""How events change players, rooms and sockets."""

from __future__ import annotations

from otel_setup.catalogue import EventType
from otel_setup.events.record import SystemEvent
from otel_setup.game_model import OTHER
from otel_setup.ledger.payload import is_cancelled, milliseconds
from otel_setup.ledger.state import Connection, Facts, SeatState
from otel_setup.ledger.store import Store

# --- actions and errors ---------------------------------------------------------------------------------------------


def action_ended(store: Store, event: SystemEvent, facts: Facts) -> None:
    """An action was executed, or its code raised or was cancelled."""
    failed = event.event_type == EventType.ACTION_FAILED or event.data.get("outcome") == "failed"
    failed = failed and not is_cancelled(event.data)
    game = store.game_of(event, facts)
    if game is not None:
        game.actions += 1
        room = store.rooms.get(game.room_id)
        if room is not None:
            room.total_actions += 1
    player_acted(store, event, facts)
    endpoint = f"action.{store.action(event.data.get('action_type'))}"
    store.add_sample(event.timestamp_ns, endpoint, milliseconds(event.data), error=failed)
    if failed:
        store.count_error(event, facts, game.state if game else OTHER)


def player_acted(store: Store, event: SystemEvent, _facts: Facts) -> None:
    """A player did something."""
    if event.player_id:
        stats = store.player(event.player_id)
        stats.actions_taken += 1
        stats.response_seconds += milliseconds(event.data) / 1000


def error_occurred(store: Store, event: SystemEvent, facts: Facts) -> None:
    """An error, in the phase its game is in, or the one it names itself."""
    if event.data.get("reported_by"):
        return  # the event it names counted it
    game = store.games.get(event.game_id or "")
    store.count_error(event, facts, game.state if game else store.phase(event.data.get("state")))


# --- seats ----------------------------------------------------------------------------------------------------------


def player_joined(store: Store, event: SystemEvent, _facts: Facts) -> None:
    """A player took a seat of a room."""
    _seat_in_room(store, event, +1)


def player_left(store: Store, event: SystemEvent, _facts: Facts) -> None:
    """A player gave a seat of a room up."""
    _seat_in_room(store, event, -1)


def _seat_in_room(store: Store, event: SystemEvent, change: int) -> None:
    room = store.room_for(event)
    if room is not None:
        room.player_count = max(0, room.player_count + change)
        if event.data.get("is_bot"):
            room.bot_count = max(0, room.bot_count + change)


def player_disconnected(store: Store, event: SystemEvent, facts: Facts) -> None:
    """A player's socket was lost during a game."""
    seat = _seat(store, event, facts)
    if seat is not None:
        seat.away_since = store.clock()


def bot_took_over(store: Store, event: SystemEvent, facts: Facts) -> None:
    """A bot plays an absent human's seat."""
    _change_player(store, event, facts, bot_plays=True)


def player_reconnected(store: Store, event: SystemEvent, facts: Facts) -> None:
    """A human is back at the seat."""
    seat = _change_player(store, event, facts, bot_plays=False)
    if seat is not None:
        seat.away_since = None


def _change_player(store: Store, event: SystemEvent, facts: Facts, *, bot_plays: bool) -> SeatState | None:
    seat = _seat(store, event, facts)
    if seat is not None and not seat.is_bot and seat.bot_plays is not bot_plays:
        seat.bot_plays = bot_plays
        room = store.room_for(event)
        if room is not None:
            room.bot_count = max(0, room.bot_count + (1 if bot_plays else -1))
    return seat


def _seat(store: Store, event: SystemEvent, facts: Facts) -> SeatState | None:
    game = store.game_of(event, facts)
    return game.seat(event.player_id) if game and not store.is_superseded(game, event) else None


# --- rooms and sockets ----------------------------------------------------------------------------------------------


def room_created(store: Store, event: SystemEvent, _facts: Facts) -> None:
    """A room was opened; it stays until it is closed."""
    store.open_room(event.room_id or "", event, announced=True)


def room_closed(store: Store, event: SystemEvent, _facts: Facts) -> None:
    """A room was removed."""
    room = store.rooms.get(event.room_id or "")
    if room is not None:
        store.forget_room(room)


def connection_opened(store: Store, event: SystemEvent, facts: Facts) -> None:
    """A socket was opened."""
    connection_id = event.connection_id or ""
    if connection_id in store.connections:
        facts.counted, facts.irregular = False, "connection_opened_twice"
        return
    store.connections[connection_id] = Connection(event.room_id or "", store.clock())
    if len(store.connections) > store.bounds.max_connections:
        store.drop("max_connections")
        store.connections.popitem(last=False)


def connection_closed(store: Store, event: SystemEvent, facts: Facts) -> None:
    """A socket was closed."""
    if store.connections.pop(event.connection_id or "", None) is None:
        facts.irregular = "unknown_connection_closed"
