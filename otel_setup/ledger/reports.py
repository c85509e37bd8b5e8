"""What the ledger says when it is asked: readings for gauges, and the reports of the game metrics API.

Each function holds the ledger's lock only to copy what it needs. Values are ready for JSON; no value is NaN. What
cannot be known is absent or None.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from otel_setup import clock
from otel_setup.catalogue.attributes import BOT, HUMAN, ROOM_HEALTH
from otel_setup.game_model import OTHER
from otel_setup.ledger.fold import Ledger
from otel_setup.ledger.state import PhaseStats, PlayerStats, Room
from otel_setup.ledger.store import HOUR
from otel_setup.text import clean_id

PORTION = 1000
"""Rooms that are counted at a time."""
_MOMENT = 0.00005
CRITICAL_ERRORS = 10
"""A room with more errors than this is critical."""
WARNING_ERRORS = 5
"""A room with more errors than this deserves a warning."""
IDLE_SECONDS = 300
"""A room that has been quiet for longer is idle."""

HEALTHY, IDLE, WARNING, CRITICAL = ROOM_HEALTH
_NS = 1_000_000_000
_MINUTE = 60

# --- readings for gauges --------------------------------------------------------------------------------------------


def games_active(ledger: Ledger) -> int:
    """Games being played."""
    with ledger.lock:
        return len(ledger.games)


def games_by_state(ledger: Ledger) -> dict[str, int]:
    """Games in every phase of the model, 0 included; ``other`` once a game was in a phase the model does not know."""
    with ledger.lock:
        return dict.fromkeys(_phases(ledger), 0) | ledger.games_by_state


def games_per_hour(ledger: Ledger, now_ns: int | None = None) -> int:
    """Games completed in the trailing 60 minutes."""
    with ledger.lock:
        return int(ledger.completions.total("games", _seconds(now_ns), HOUR))


def mean_game_minutes(ledger: Ledger, now_ns: int | None = None) -> float | None:
    """Mean duration of the games completed in the retention window, in minutes; None without any."""
    now_s = _seconds(now_ns)
    with ledger.lock:
        games = ledger.completed_durations.total("games", now_s)
        seconds = ledger.completed_durations.total("seconds", now_s)
    return seconds / games / _MINUTE if games else None


def win_rates(ledger: Ledger) -> dict[str, float]:
    """Wins per seat of humans and of bots in completed games; a type that had no seat is absent."""
    with ledger.lock:
        seats, wins = dict(ledger.seats_total), dict(ledger.wins_total)
    return {kind: wins[kind] / seats[kind] for kind in (HUMAN, BOT) if seats[kind]}


def rooms_by_state(ledger: Ledger) -> dict[str, int]:
    """Rooms in every phase of the model, 0 included."""
    counts = dict.fromkeys(_phases(ledger), 0)
    for portion in _portions(_rooms(ledger)):
        for state, rooms in Counter([room.state for room in portion]).items():
            counts[state] = counts.get(state, 0) + rooms
    return counts


def rooms_by_health(ledger: Ledger, now_ns: int | None = None) -> dict[str, int]:
    """Rooms of every health, 0 included."""
    now_ns = clock.time_ns() if now_ns is None else now_ns
    counts = dict.fromkeys(ROOM_HEALTH, 0)
    for portion in _portions(_rooms(ledger)):
        for health, rooms in Counter([room_health(room, now_ns) for room in portion]).items():
            counts[health] += rooms
    return counts


def connections_active(ledger: Ledger) -> int:
    """Open sockets."""
    with ledger.lock:
        return len(ledger.connections)


def room_health(room: Room, now_ns: int) -> str:
    """A room's health by its errors and, where these are few, by its quiet."""
    if room.error_count > CRITICAL_ERRORS:
        return CRITICAL
    if room.error_count > WARNING_ERRORS:
        return WARNING
    return IDLE if now_ns - room.last_activity_ns > IDLE_SECONDS * _NS else HEALTHY


# --- reports --------------------------------------------------------------------------------------------------------


def hourly_metrics(ledger: Ledger, hours: int = 24, now_ns: int | None = None) -> dict[str, dict[str, int]]:
    """What happened in each of the last hours (UTC, ``"2026-11-23-14"``), this one included.

    Hours in which nothing happened are absent, and so are those older than the ledger's retention.
    """
    with ledger.lock:
        buckets = list(ledger.hourly.items(_seconds(now_ns), max(0, hours) * HOUR))
    return {
        datetime.fromtimestamp(start, UTC).strftime("%Y-%m-%d-%H"): {name: int(value) for name, value in sums.items()}
        for start, sums in buckets
    }


def player_metrics(ledger: Ledger, player_id: str | None = None) -> dict[str, Any]:
    """One player's statistics, or those of all players who are remembered.

    Parameters:
        player_id: whose; all players' where not given.

    Returns:
        Of one player: games, wins, score, actions and ``avg_response_time`` in milliseconds. Of all: averages, and
        win rates that are None where they are not known. Empty where no such player, or none at all, is remembered.
    """
    if player_id:
        with ledger.lock:
            stats = ledger.players.get(clean_id(player_id))
            return _one_player(stats) if stats else {}
    with ledger.lock:
        players = list(ledger.players.values())
    if not players:
        return {}
    played, won = sum(player.games_played for player in players), sum(player.games_won for player in players)
    rates = win_rates(ledger)
    return {
        "total_players": len(players),
        "average_games_per_player": played / len(players),
        "overall_win_rate": won / played if played else None,
        "bot_win_rate": rates.get(BOT),
        "human_win_rate": rates.get(HUMAN),
    }


def _one_player(stats: PlayerStats) -> dict[str, Any]:
    actions = stats.actions_taken
    return {
        "games_played": stats.games_played,
        "games_won": stats.games_won,
        "total_score": stats.total_score,
        "actions_taken": actions,
        "avg_response_time": stats.response_seconds * 1000 / actions if actions else 0.0,
    }


def phase_metrics(ledger: Ledger) -> dict[str, dict[str, float]]:
    """Durations by phase, in seconds. The 95th percentile is that of the most recent ones (1,000 a phase)."""
    with ledger.lock:
        phases = {phase: (_extremes(stats), list(stats.recent)) for phase, stats in ledger.phases.items()}
    return {phase: extremes | {"p95_seconds": percentile(recent, 95)} for phase, (extremes, recent) in phases.items()}


def _extremes(stats: PhaseStats) -> dict[str, float]:
    return {
        "avg_seconds": stats.total / stats.count,
        "min_seconds": stats.smallest,
        "max_seconds": stats.largest,
    }


def percentile(samples: Sequence[float], percent: int) -> float:
    """The nearest-rank percentile: the smallest sample that at least ``percent`` % of the samples do not exceed.

    Raises:
        ValueError: there are no samples.
    """
    if not samples:
        raise ValueError("no samples, no percentile")
    rank = -(-len(samples) * percent // 100)
    return sorted(samples)[max(rank, 1) - 1]


def game_analytics(ledger: Ledger, now_ns: int | None = None) -> dict[str, Any]:
    """Games since the start and, of those completed in the retention window, averages.

    ``completion_rate`` is the share of the ended games that were completed. Averages are None where no game was
    completed in the window. Before any game has ended, the keys are fewer and the averages 0.
    """
    now_s = _seconds(now_ns)
    with ledger.lock:
        active, total = len(ledger.games), ledger.started
        completed, abandoned = ledger.completed, ledger.abandoned
        games, seconds, players = (
            ledger.completed_durations.total(field, now_s) for field in ("games", "seconds", "players")
        )
        per_hour = int(ledger.completions.total("games", now_s, HOUR))
    if not completed + abandoned:
        nothing = dict.fromkeys(("avg_duration", "avg_players", "completion_rate"), 0.0)
        return {"total_games": total, "active_games": active, **nothing}
    return {
        "total_games": total,
        "active_games": active,
        "completed_games": completed,
        "abandoned_games": abandoned,
        "avg_duration_minutes": seconds / games / _MINUTE if games else None,
        "avg_players": players / games if games else None,
        "completion_rate": completed / (completed + abandoned),
        "games_per_hour": per_hour,
    }


# --- shared ---------------------------------------------------------------------------------------------------------


def _phases(ledger: Ledger) -> tuple[str, ...]:
    """The label values that exist: a series once begun does not vanish."""
    return (*ledger.model.phases, OTHER) if OTHER in ledger.games_by_state else ledger.model.phases


def _rooms(ledger: Ledger) -> list[Room]:
    """The rooms there are. They are read without the lock: each field is one value, and thousands take a while."""
    with ledger.lock:
        return list(dict.values(ledger.rooms))  # an OrderedDict's own values() would take nine times as long


def _portions(rooms: list[Room]) -> Iterator[list[Room]]:
    """The rooms some at a time: between portions the interpreter is given away, so that thousands hold up nobody."""
    for start in range(0, len(rooms), PORTION):
        yield rooms[start : start + PORTION]
        time.sleep(_MOMENT)


def _seconds(now_ns: int | None) -> float:
    return (clock.time_ns() if now_ns is None else now_ns) / _NS
