"""How a snapshot corrects what is known of a game, where events of it were lost or have not come yet.

A process's own ledger needs none: it has seen everything. With nothing lost, a snapshot changes nothing.
"""

from __future__ import annotations

from otel_setup.events.record import SystemEvent
from otel_setup.ledger.payload import count, is_late, seating
from otel_setup.ledger.state import Facts, LiveGame
from otel_setup.ledger.store import Store


def game_snapshot(store: Store, event: SystemEvent, facts: Facts) -> None:
    """A game is live, and this is how it stands."""
    if is_late(event):
        return  # what has been heard since says more
    ordinal = count(event.data.get("ordinal"))
    game = store.games.get(event.game_id or "")
    if game is not None and ordinal < game.ordinal:
        store.close_unseen(game)  # transitions are counted upwards: this is another game under the same id
        game = None
    seats, player_count, bot_count = seating(event.data, facts)
    if game is None:
        game = _live(store, event, ordinal)
        game.player_count = player_count
        store.enter_room(game, event, bots=sum(seat.bot_plays for seat in seats) if seats else bot_count)
    elif event.room_id and event.room_id != game.room_id:
        store.leave_room(game)
        game.room_id = event.room_id
        store.enter_room(game, event, bots=bot_count)
    for seat in seats:  # since when a player is away, no snapshot tells
        known = game.seat(seat.player_id)
        seat.away_since = known.away_since if known else None
    game.seats, game.player_count, game.bot_count = seats, player_count, bot_count
    game.ordinal = ordinal
    game.round_number, game.turns = count(event.data.get("round_number")), count(event.data.get("turns"))
    state = store.phase(event.data.get("state"))
    if state != game.state:
        store.move_game(game, state)
    game.seen_ns = max(game.seen_ns, event.timestamp_ns)
    game.corrected_ns = event.timestamp_ns


def _live(store: Store, event: SystemEvent, ordinal: int) -> LiveGame:
    """The game made live: one that was taken for ended, or one whose start was not seen."""
    game_id = event.game_id or ""
    ended = store.ended.get(game_id)
    if ended is not None and ended.closed is not None and ended.closed.ordinal <= ordinal:
        store.ends_unseen -= 1
        game = ended.closed
    else:
        store.started += 1
        store.starts_unseen += 1
        game = store.new_game(event, start_unseen=True)
    store.add_game(game)
    return game
