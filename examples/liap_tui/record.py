"""The record of Liap Tui: what every room game records, and rounds, turns, redeals, declarations, timeouts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from examples.common.record import Count, Record


class LiapTuiRecord(Record):
    """See ``Record``."""

    counts: ClassVar[Mapping[str, tuple[Count, ...]]] = {
        **Record.counts,
        "round_started": (),
        "round_scored": (Count("rounds_total"),),
        "turn_won": (Count("turns_total"),),
        "redeal": (Count("redeals_total", ("outcome",)),),
        "declaration": (Count("declarations_total", ("outcome",)),),
        "timeout": (Count("action_timeouts_total", ("action_type",)),),
        "bot_takeover": (Count("bot_takeovers_total"),),
    }

    def round_started(self, room: str, number: int, starter: str) -> None:
        self.note("round_started", room=room, number=number, starter=starter)

    def round_scored(self, room: str, number: int, piles: int) -> None:
        self.note("round_scored", room=room, number=number, piles=piles)

    def turn_won(self, room: str, winner: str, piles: int) -> None:
        self.note("turn_won", room=room, winner=winner, piles=piles)

    def redeal(self, room: str, player: str, outcome: str) -> None:
        self.note("redeal", room=room, player=player, outcome=outcome)

    def declaration(self, room: str, player: str, declared: int, captured: int, outcome: str) -> None:
        self.note("declaration", room=room, player=player, declared=declared, captured=captured, outcome=outcome)

    def timeout(self, room: str, player: str, action_type: str) -> None:
        self.note("timeout", room=room, player=player, action_type=action_type)

    def bot_takeover(self, room: str, player: str) -> None:
        self.note("bot_takeover", room=room, player=player)
