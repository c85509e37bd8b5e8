"""What the hub knows of one producer: its ledger, whether it is heard of, and what of it is not known for sure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from threading import RLock
from typing import Any

from otel_setup.catalogue import EventType
from otel_setup.catalogue import attributes as a
from otel_setup.events.record import SystemEvent
from otel_setup.game_model import GameModel
from otel_setup.hub.uids import split_producer
from otel_setup.ledger import Bounds, Ledger
from otel_setup.ledger.payload import LATE, count, number

_NS = 1e9
_NEVER = float("inf")
_SNAPSHOT_ROUNDS = 2
"""Rounds of snapshots that a game may be absent from before it is taken for ended; then one must have told of it."""


class State(StrEnum):
    """How a producer stands."""

    LIVE = "live"
    LOST = "lost"
    """It has been silent for too long."""
    STOPPED = "stopped"
    """It said that its epoch ends."""


class Reason(StrEnum):
    """Why what is known of a producer is not complete."""

    UNHEARD = "unheard"
    """The log knows it; since the hub's start it has not been heard of."""
    LOST = "lost"
    """It is silent: what it does is not known."""
    BEHIND = "behind"
    """What comes of it is old: more of the past is on its way."""
    AWAITED = "awaited"
    """An event of it is awaited, and those behind it with it."""
    GAP = "gap"
    """Events of it are missing, and its snapshots have not corrected yet what depends on them."""
    COUNT = "count"
    """It says that it has more, or fewer, live games than are known here."""


class Lag:
    """How much later than told a producer's events arrive, against the least it has been.

    Its clock and the hub's may differ by anything, so that only differences mean something. The least is that of a
    window of time, so that a clock that is set does not spoil it for ever.

    Parameters:
        window: seconds; the least is that of one to two of them.
    """

    def __init__(self, window: float) -> None:
        self._window = window
        self._least = self._least_before = float("inf")
        self._since = float("-inf")
        self._newest = float("inf")
        self._caught_up = 0.0

    def note(self, lag: float) -> None:
        """An event arrived; ``lag`` is in seconds, from any zero that stays the same."""
        self._newest = min(self._newest, lag)

    def late_by(self, lag: float) -> float:
        """By how many seconds an event with that lag is later than the least; 0 where no other is known."""
        least = min(self._least, self._least_before)
        return 0.0 if least == float("inf") else lag - least

    def excess(self, now: float) -> float | None:
        """By how many seconds the newest of what was noted since the last call was late; None where nothing was.

        While each is less late than any before, as when what has piled up comes in to a hub that has never seen the
        producer punctual, it is what was caught up with so far.
        """
        newest, self._newest = self._newest, float("inf")
        if newest == float("inf"):
            return None
        if now - self._since > self._window:
            self._least_before, self._least, self._since = self._least, float("inf"), now
        least = min(self._least, self._least_before)
        self._least = min(self._least, newest)
        if least == float("inf"):
            return 0.0
        self._caught_up = self._caught_up + least - newest if newest < least else 0.0
        return self._caught_up or newest - least


class Producer:
    """One epoch of one server.

    Parameters:
        name: ``instance-epoch``; of events that no producer has numbered, what their resource calls itself.
        model: the game.
        bounds: of its ledger.
        lock: guards the ledger; the fleet's.
        lag_window: see :class:`Lag`; seconds.

    Attributes:
        heard: when it was last heard of, in monotonic seconds; None before it was since the hub's start.
        finished: when it was stopped or lost; None where that is not known yet.
        time_ns: of its newest event, nanoseconds since 1970 by its own clock.
        lost_games: those that were told to be lost with it.
        behind: whether the newest that came of it was late by so much that more is on its way.
    """

    def __init__(self, name: str, model: GameModel, bounds: Bounds, lock: RLock, lag_window: float) -> None:
        self.name = name
        self.state = State.LIVE
        self.metadata: Mapping[str, Any] = {}
        self.heard: float | None = None
        self.finished: float | None = None
        self.heartbeat_seconds: float | None = None
        self.last_number = 0
        self.time_ns = 0
        self.lag = Lag(lag_window)
        self.lost_games: set[str] = set()
        self.behind = False
        # Its time is the producer's, so that it is the same whenever the log is read.
        self.ledger = Ledger(model, bounds, lock, lambda: self.time_ns / _NS, lossy=True)
        self._unconfirmed: set[str] | None = None
        self._missing = 0
        self._agrees = True

    @property
    def service(self) -> str:
        """What its resource calls itself."""
        return str(self.metadata.get("service", ""))

    @property
    def epoch(self) -> str:
        """The last part of its name."""
        return split_producer(self.name)[1]

    # --- what comes ---------------------------------------------------------------------------------------------------

    def note(self, event: SystemEvent, number: int) -> None:
        """An event comes that is not late; afterwards it goes to the ledger."""
        self.time_ns = max(self.time_ns, event.timestamp_ns)
        self.last_number = max(self.last_number, number)
        self.metadata = event.metadata

    def confirm(self, event: SystemEvent) -> None:
        """What an event that is not late says of the others, after the ledger has taken it in."""
        if event.event_type in (EventType.GAME_SNAPSHOT, EventType.GAME_STARTED):
            if self._unconfirmed is not None:
                self._unconfirmed.discard(event.game_id or "")
        elif event.event_type == EventType.PRODUCER_HEARTBEAT:
            self._take_heartbeat(event)

    def _take_heartbeat(self, event: SystemEvent) -> None:
        self.heartbeat_seconds = number(event.data.get(a.HEARTBEAT_SECONDS.data_key)) or self.heartbeat_seconds
        if self.heartbeat_seconds and self.ledger.bounds.game_idle_timeout != _NEVER:
            # It tells which games live. How long they may be quiet is its own affair.
            self.ledger.bounds = replace(self.ledger.bounds, game_idle_timeout=_NEVER)
        told, ledger = count(event.data.get(a.LIVE_GAMES.data_key)), self.ledger
        snapshot_seconds = number(event.data.get(a.SNAPSHOT_SECONDS.data_key))
        if told < len(ledger.games) and snapshot_seconds and self.heartbeat_seconds:
            silence = _SNAPSHOT_ROUNDS * snapshot_seconds + self.heartbeat_seconds
            ledger.forget_unseen(event.timestamp_ns - round(silence * _NS))
        self._agrees = told == len(ledger.games)
        if self._agrees and self._unconfirmed is not None and not self._unconfirmed & ledger.games.keys():
            self._unconfirmed, self._missing = None, 0

    def miss(self, events: int) -> None:
        """So many events of it are missing; whatever is known of its games may be wrong."""
        self._missing += events
        self._unconfirmed = set(self.ledger.games)

    def fill(self, events: int) -> None:
        """Some have come after all. Where nobody sends snapshots, nothing else can close a gap."""
        self._missing -= events
        if self._missing <= 0 and self.heartbeat_seconds is None:
            self._unconfirmed = None

    # --- what is known ------------------------------------------------------------------------------------------------

    def reasons(self) -> list[Reason]:
        """Why what is known of it is not complete; nothing where it is."""
        if self.state is State.STOPPED:
            return []
        if self.state is State.LOST:
            return [Reason.LOST]
        found = {
            # Who never promised a heartbeat, and has no game, need not be heard of.
            Reason.UNHEARD: self.heard is None and bool(self.heartbeat_seconds or self.ledger.games),
            Reason.BEHIND: self.behind,
            Reason.GAP: self._unconfirmed is not None,
            Reason.COUNT: not self._agrees,
        }
        return [reason for reason, holds in found.items() if holds]

    def report(self, now: float) -> dict[str, Any]:
        """What is known of it, for people.

        Parameters:
            now: monotonic seconds.
        """
        return {
            "state": self.state.value,
            **{key: value for key, value in self.metadata.items() if key != LATE},
            "epoch": self.epoch,
            "last_sequence": self.last_number,
            "live_games": len(self.ledger.games),
            "heartbeat_seconds": self.heartbeat_seconds,
            "silent_seconds": None if self.heard is None else max(0.0, now - self.heard),
        }
