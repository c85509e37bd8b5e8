"""Who plays, who is away, and what each player did last."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any

from otel_setup.catalogue import EventType
from otel_setup.catalogue.attributes import BOT, HUMAN, UNKNOWN
from otel_setup.events.record import SystemEvent
from otel_setup.ledger import Ledger
from otel_setup.ledger.payload import milliseconds
from otel_setup.ledger.state import LiveGame
from otel_setup.text import clean_data, clean_id
from otel_setup.views.copying import copied, iso, or_now

GAMES_SHOWN = 100
"""Games the view shows, the most recently active ones."""
PLAYERS_SHOWN = 16
"""Players it shows of a game: seats first, then others who acted."""

_ACTIONS = frozenset({EventType.ACTION_COMPLETED, EventType.ACTION_FAILED, EventType.PLAYER_ACTION})


def player_activity(ledger: Ledger, events: Iterable[SystemEvent], now_ns: int | None = None) -> dict[str, Any]:
    """Players of the most recently active games.

    Parameters:
        events: recent events, oldest first; ``recent_actions`` and ``last_action`` are of these alone, while a game's
            ``actions`` count all.
        now_ns: the view's time, nanoseconds since 1970.
    """
    games = copied(
        ledger, lambda: islice(reversed(ledger.games.values()), GAMES_SHOWN), lambda game: _game(ledger, game)
    )
    players = {game["game_id"]: {player["player_id"]: player for player in game["players"]} for game in games}
    considered = 0
    for event in events:
        considered += 1
        seats = players.get(event.game_id or "")
        if seats is not None and event.player_id and event.event_type in _ACTIONS:
            _add_action(seats, event.player_id, event)
    for game in games:
        everybody = list(players[game["game_id"]].values())
        game["players"] = everybody[:PLAYERS_SHOWN]
        game["players_hidden"] = len(everybody) - len(game["players"])
    return {
        "type": "player_activity",
        "games": games,
        "games_hidden": max(0, len(ledger.games) - len(games)),
        "events_considered": considered,
        "timestamp": iso(or_now(now_ns)),
    }


def _game(ledger: Ledger, game: LiveGame) -> dict[str, Any]:
    now = ledger.clock()
    return {
        "game_id": game.game_id,
        "room_id": game.room_id,
        "state": game.state,
        "round": game.round_number,
        "turns": game.turns,
        "actions": game.actions,
        "quiet_seconds": now - game.last_activity_at,
        "away": [seat.player_id for seat in game.seats if seat.away_since is not None],
        "players": [
            _player(
                seat.player_id,
                BOT if seat.bot_plays else HUMAN,
                None if seat.away_since is None else now - seat.away_since,
                is_bot=seat.is_bot,
            )
            for seat in game.seats
        ],
    }


def _player(player_id: str, actor: str, away_seconds: float | None, *, is_bot: bool | None) -> dict[str, Any]:
    return {
        "player_id": player_id,
        "is_bot": is_bot,
        "played_by": actor,
        "away_seconds": away_seconds,
        "recent_actions": 0,
        "last_action": None,
    }


def _add_action(seats: dict[str, dict[str, Any]], player_id: str, event: SystemEvent) -> None:
    player = seats.get(player_id)
    if player is None:
        # A game that told no seats: whoever acts is a player.
        player = seats[player_id] = _player(player_id, clean_id(event.data.get("actor")) or UNKNOWN, None, is_bot=None)
    player["recent_actions"] += 1
    player["last_action"] = {
        "action_type": clean_data(event.data.get("action_type")),
        "outcome": clean_data(event.data.get("outcome")),
        "duration_ms": milliseconds(event.data),
        "timestamp": iso(event.timestamp_ns),
    }
