"""How much the ledger may keep. Each bound is a setting, and what it pushes out is counted under its name."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """Limits of what is remembered.

    Parameters:
        max_live_games: games being played at once; past it the longest quiet one is given up.
        game_idle_timeout: seconds without any event after which a game is given up.
        max_players: players with statistics; the least recently seen is forgotten first.
        max_rooms: rooms; the longest quiet one is forgotten first.
        max_connections: open sockets.
        max_error_kinds: (phase, error type) pairs of the heat map.
        retention_hours: hours of the hourly report, of the mean duration and of the heat map.
    """

    max_live_games: int = 10_000
    game_idle_timeout: float = 6 * 3600.0
    max_players: int = 10_000
    max_rooms: int = 10_000
    max_connections: int = 50_000
    max_error_kinds: int = 200
    retention_hours: int = 24
