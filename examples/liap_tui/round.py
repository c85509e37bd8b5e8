"""One round's table: hands, redeals, declarations, turns. Pure state; the room decides when things happen."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from random import Random
from typing import Any

from examples.liap_tui import rules


class Outcome(StrEnum):
    """What became of an action."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"  # not allowed now
    INVALID = "invalid"  # never allowed


class Round:
    """A round for these players, in seat order.

    Parameters:
        number: from 1.
        players: names in seat order.
        starter: who starts, unless a redeal changes it; None in the first round, where ``general_red`` decides.
    """

    def __init__(self, number: int, players: Sequence[str], starter: str | None) -> None:
        self.number = number
        self.players = list(players)
        self.hands: dict[str, list[str]] = {}
        self.deals = 0
        self.undecided: list[str] = []
        self.declared: dict[str, int] = {}
        self.captured = dict.fromkeys(self.players, 0)
        self.plays: list[tuple[str, list[str]]] = []
        self.current: str | None = None
        self._starter = starter
        self._redeal_for: str | None = None

    @property
    def multiplier(self) -> int:
        """What this round's scores are multiplied by: 1, and 1 more for every redeal."""
        return self.deals

    @property
    def starter(self) -> str:
        """Who starts the round."""
        if self._starter is None:
            return next(player for player, hand in self.hands.items() if rules.FIRST_STARTER in hand)
        return self._starter

    @property
    def required(self) -> int | None:
        """How many pieces the others must play, None before the starter has."""
        return len(self.plays[0][1]) if self.plays else None

    @property
    def to_beat(self) -> list[str]:
        """The best play of this turn so far."""
        return dict(self.plays)[rules.turn_winner(self.plays)] if self.plays else []

    @property
    def all_played(self) -> bool:
        """Whether the hands are empty."""
        return not any(self.hands.values())

    # --- preparation -------------------------------------------------------------------------------------------------
    def deal(self, rng: Random) -> None:
        """Deal, or deal again; afterwards ``undecided`` names those who may ask for a redeal."""
        if self._redeal_for is not None:
            self._starter, self._redeal_for = self._redeal_for, None
        self.hands = dict(zip(self.players, rules.deal(rng), strict=True))
        may_redeal = self.deals < rules.MAX_REDEALS
        self.deals += 1
        self.undecided = [p for p in self.players if may_redeal and rules.is_weak(self.hands[p])]

    def answer_redeal(self, player: str, accept: bool) -> Outcome:
        """A weak hand's owner takes or declines a redeal; the first to take it starts the round."""
        if player not in self.undecided:
            return Outcome.REJECTED
        self.undecided.remove(player)
        if accept and self._redeal_for is None:
            self._redeal_for = player
        return Outcome.ACCEPTED

    @property
    def redeal_wanted(self) -> bool:
        """Whether somebody has taken the redeal."""
        return self._redeal_for is not None

    # --- declaration -------------------------------------------------------------------------------------------------
    def begin_declarations(self) -> None:
        self.current = self.starter

    def declare(self, player: str, piles: object) -> Outcome:
        """A player says how many piles to win, 0 to 8."""
        if player != self.current:
            return Outcome.REJECTED
        if not isinstance(piles, int) or isinstance(piles, bool) or not 0 <= piles <= rules.HAND:
            return Outcome.INVALID
        self.declared[player] = piles
        self.current = self._after(player) if len(self.declared) < rules.SEATS else None
        return Outcome.ACCEPTED

    # --- turns -------------------------------------------------------------------------------------------------------
    def begin_turn(self) -> None:
        """Clear the table; the last turn's winner starts, in the first turn the round's starter."""
        self.current = rules.turn_winner(self.plays) if self.plays else self.starter
        self.plays = []

    def play(self, player: str, pieces: Any) -> Outcome:
        """A player puts pieces down; after the last player's nobody is to act until the next turn."""
        if player != self.current:
            return Outcome.REJECTED
        if not self._may_play(player, pieces):
            return Outcome.INVALID
        for piece in pieces:
            self.hands[player].remove(piece)
        self.plays.append((player, pieces))
        self.current = self._after(player) if len(self.plays) < rules.SEATS else None
        return Outcome.ACCEPTED

    def end_turn(self) -> str:
        """Give the piles to the turn's winner."""
        winner = rules.turn_winner(self.plays)
        self.captured[winner] += len(self.plays[0][1])
        return winner

    def _may_play(self, player: str, pieces: Any) -> bool:
        if not isinstance(pieces, list) or not 1 <= len(pieces) <= rules.MAX_PLAY:
            return False
        if not all(isinstance(piece, str) for piece in pieces) or not rules.holds(self.hands[player], pieces):
            return False
        return len(pieces) == self.required if self.plays else rules.play_type(pieces) is not None

    def _after(self, player: str) -> str:
        return self.players[(self.players.index(player) + 1) % rules.SEATS]
