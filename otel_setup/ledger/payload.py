"""What an event's data say, whoever made the event.

Events reach the ledger from the monitor, which has cleaned them, but also from anybody who publishes one. Nothing here
raises, and nothing it returns is NaN, infinite or negative where that makes no sense.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from otel_setup.catalogue.attributes import BOT, HUMAN
from otel_setup.events.record import SystemEvent
from otel_setup.ledger.state import Facts, LiveGame, SeatState
from otel_setup.text import clean_id

_NUMBERS = (int, float)
_LARGEST = 1e15
"""Larger numbers than any count, score or duration of a game; they would spoil every sum they enter."""

LATE = "late"
"""Entry of an event's metadata: events that followed it have been taken in before it."""


def is_late(event: SystemEvent) -> bool:
    """Whether events that followed it have been taken in before it."""
    return event.metadata.get(LATE) is True


def number(value: object) -> float | None:
    """A number from 0 on, as durations are; None for anything else, NaN included."""
    return value if isinstance(value, _NUMBERS) and value is not True and 0 <= value <= _LARGEST else None


def score(value: object) -> float | None:
    """A finite number; None for anything else."""
    return value if isinstance(value, _NUMBERS) and value is not True and -_LARGEST <= value <= _LARGEST else None


def count(value: object) -> int:
    """A whole number from 0 on; 0 for anything else."""
    return int(number(value) or 0)


def milliseconds(data: Mapping[str, Any]) -> float:
    """How long it took, by the event."""
    return number(data.get("duration_ms")) or 0.0


def is_cancelled(data: Mapping[str, Any]) -> bool:
    """Whether work ended because it was cancelled, which is nobody's error."""
    return data.get("outcome") == "cancelled" or data.get("error_type") == "CancelledError"


def winners_of(winner_id: object) -> tuple[str, ...]:
    """The winners of a game, from one id, several, or none."""
    if winner_id is None or winner_id == "":
        return ()
    if isinstance(winner_id, Sequence | AbstractSet) and not isinstance(winner_id, str | bytes):
        return tuple(dict.fromkeys(clean_id(winner) for winner in winner_id))
    return (clean_id(winner_id),)


def scores_of(final_scores: object) -> dict[str, float]:
    """Points by player; 0 for a score that is no number."""
    if not isinstance(final_scores, Mapping):
        return {}
    return {clean_id(player): score(points) or 0 for player, points in final_scores.items()}


def seating(data: Mapping[str, Any], facts: Facts) -> tuple[tuple[SeatState, ...], int, int]:
    """Seats, players and bots of a game. Named seats are believed before counts."""
    players, bots = count(data.get("player_count")), count(data.get("bot_count"))
    named = data.get("players")
    seats = tuple(
        SeatState(
            clean_id(seat.get("player")), bool(seat.get("is_bot")), bool(seat.get("bot_plays", seat.get("is_bot")))
        )
        for seat in (named if isinstance(named, Sequence) else ())
        if isinstance(seat, Mapping)
    )
    if seats:
        counts = (len(seats), sum(seat.is_bot for seat in seats))
        if counts != (players, bots):
            facts.irregular = "seats_contradict_counts"
        return seats, *counts
    if bots > players:
        facts.irregular = "seats_contradict_counts"
    return (), players, min(bots, players)


def only_type(game: LiveGame) -> str | None:
    """The type all seats have, if the counts alone say so."""
    if game.start_unseen and not game.corrected_ns:
        return None  # nobody has told the counts
    if game.player_count and game.bot_count == 0:
        return HUMAN
    return BOT if game.player_count and game.bot_count == game.player_count else None
