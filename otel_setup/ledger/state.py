"""What the ledger keeps of each live thing. Plain data; :mod:`otel_setup.ledger.fold` says what changes it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

RECENT_SAMPLES = 1000
"""Samples kept per phase for its p95."""


@dataclass(frozen=True, slots=True)
class Seat:
    """Who sits where when a game starts.

    Parameters:
        player_id: the player's name.
        is_bot: whether a bot plays it. Say so here: names do not tell.
    """

    player_id: str
    is_bot: bool = False


@dataclass(slots=True)
class SeatState:
    """A seat during a game: declared as human or bot, played by a bot while its human is away."""

    player_id: str
    is_bot: bool
    bot_plays: bool
    away_since: float | None = None


@dataclass(slots=True)
class LiveGame:
    """A game being played. Times: ``started_at`` and ``last_activity_at`` are monotonic seconds.

    ``seen_ns`` is the time of the last event that shows it alive, ``corrected_ns`` that of its last snapshot; a game
    with ``start_unseen`` was first heard of when it had begun already.
    """

    game_id: str
    room_id: str
    state: str
    started_at: float
    started_ns: int
    last_activity_at: float
    player_count: int
    bot_count: int
    seats: tuple[SeatState, ...] = ()
    ordinal: int = 0
    round_number: int = 0
    turns: int = 0
    actions: int = 0
    phase_seconds: dict[str, float] = field(default_factory=dict)
    seen_ns: int = 0
    corrected_ns: int = 0
    start_unseen: bool = False

    def seat(self, player_id: str | None) -> SeatState | None:
        """The seat of a player, if the game told its seats."""
        return next((seat for seat in self.seats if seat.player_id == player_id), None)


class Ended(NamedTuple):
    """What is remembered of a game that is over.

    ``closed`` is the game itself where its end was not told but concluded, which may turn out to be wrong.
    """

    start_unseen: bool = False
    closed: LiveGame | None = None


@dataclass(slots=True)
class Room:
    """A room. ``announced`` ones stay until they are closed, others live as long as their game.

    ``games`` counts those started in it.
    """

    room_id: str
    created_ns: int
    announced: bool
    state: str
    game_id: str | None = None
    games: int = 0
    last_activity_ns: int = 0
    player_count: int = 0
    bot_count: int = 0
    total_actions: int = 0
    error_count: int = 0
    phase_seconds: dict[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class Connection:
    """An open socket; ``opened_at`` in monotonic seconds."""

    room_id: str
    opened_at: float


@dataclass(slots=True)
class PlayerStats:
    """One player over the games that were recorded."""

    games_played: int = 0
    games_won: int = 0
    total_score: float = 0
    actions_taken: int = 0
    response_seconds: float = 0

    def include(self, other: PlayerStats) -> None:
        """Adds what was recorded of the same player elsewhere."""
        self.games_played += other.games_played
        self.games_won += other.games_won
        self.total_score += other.total_score
        self.actions_taken += other.actions_taken
        self.response_seconds += other.response_seconds


@dataclass(slots=True)
class PhaseStats:
    """Durations of one phase, in seconds."""

    count: int = 0
    total: float = 0
    smallest: float = 0
    largest: float = 0
    recent: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT_SAMPLES))

    def add(self, seconds: float) -> None:
        """Takes one more duration in."""
        self.smallest = seconds if self.count == 0 else min(self.smallest, seconds)
        self.largest = max(self.largest, seconds)
        self.count += 1
        self.total += seconds
        self.recent.append(seconds)

    def include(self, other: PhaseStats) -> None:
        """Adds durations that were recorded elsewhere, but for the recent ones: these have an order of their own."""
        if other.count:
            self.smallest = min(self.smallest, other.smallest) if self.count else other.smallest
            self.largest = max(self.largest, other.largest)
            self.count += other.count
            self.total += other.total


@dataclass(slots=True)
class EdgeStats:
    """One edge of the state diagram. ``illegal_attempts`` may have been executed or not."""

    count: int = 0
    failures: int = 0
    illegal_attempts: int = 0
    total_ms: float = 0
    last_ns: int = 0

    def include(self, other: EdgeStats) -> None:
        """Adds what was recorded of the same edge elsewhere."""
        self.count += other.count
        self.failures += other.failures
        self.illegal_attempts += other.illegal_attempts
        self.total_ms += other.total_ms
        self.last_ns = max(self.last_ns, other.last_ns)


class PerformanceSample(NamedTuple):
    """How long one thing took, for the performance view."""

    timestamp_ns: int
    endpoint: str
    response_time_ms: float
    error: bool


@dataclass(slots=True)
class Facts:
    """What the ledger knows about an event that the event does not say. Metrics are made of both.

    ``counted`` is False where the event must not count (a game ended twice); ``irregular`` says what was odd;
    ``error_state`` is the phase in which an error happened, if the event is one.
    """

    counted: bool = True
    irregular: str | None = None
    error_state: str | None = None
    seats: dict[str, int] = field(default_factory=dict)
    wins: dict[str, int] = field(default_factory=dict)
    unattributed_wins: int = 0
    seat_wins: tuple[int, ...] = ()
