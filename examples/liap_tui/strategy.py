"""How bots and simulated people play: simple, but good enough that a declaration is often kept."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from examples.liap_tui.rules import HAND, play_type, points

_STRONG = 11
"""Points from which a single piece usually wins its turn."""
_LONG = 3
"""Pieces from which a play usually wins its turn."""


def declaration(hand: Sequence[str], starts: bool) -> int:
    """How many piles to declare, 0 to 8."""
    strong = sum(points(piece) >= _STRONG for piece in hand)
    longest = len(best_play(hand, HAND)) if starts else 1
    return min(HAND, strong + (longest if longest >= _LONG else 0))


def choose_play(hand: Sequence[str], required: int | None, to_beat: Sequence[str], wanted: int) -> list[str]:
    """The pieces to put down.

    Parameters:
        hand: the player's pieces.
        required: how many pieces the starter played, or None for the starter.
        to_beat: the best play of this turn so far; empty for the starter.
        wanted: piles still missing to what was declared; none or fewer than none means to avoid winning.
    """
    weakest = sorted(hand, key=points)
    if required is None:
        return best_play(hand, max(1, wanted)) if wanted > 0 else weakest[:1]
    if wanted > 0:
        answer = _cheapest_winner(hand, to_beat)
        if answer:
            return answer
        return weakest[:required]
    return _losing(hand, required, to_beat)


def best_play(hand: Sequence[str], most: int) -> list[str]:
    """The longest valid play of at most ``most`` pieces, the strongest of those."""
    for size in range(min(most, 6, len(hand)), 1, -1):
        valid = _valid_plays(hand, size)
        if valid:
            return max(valid, key=_total)
    return [max(hand, key=points)]


def _cheapest_winner(hand: Sequence[str], to_beat: Sequence[str]) -> list[str]:
    kind, total = play_type(to_beat), _total(to_beat)
    winning = [play for play in _valid_plays(hand, len(to_beat)) if play_type(play) == kind and _total(play) > total]
    return min(winning, key=_total, default=[])


def _losing(hand: Sequence[str], required: int, to_beat: Sequence[str]) -> list[str]:
    """The most valuable pieces that do not win, so that they are gone."""
    strongest = sorted(hand, key=points, reverse=True)
    for start in range(len(strongest) - required + 1):
        pieces = strongest[start : start + required]
        if play_type(pieces) != play_type(to_beat) or _total(pieces) <= _total(to_beat):
            return pieces
    return strongest[-required:]


def _valid_plays(hand: Sequence[str], size: int) -> list[list[str]]:
    if size == 1:
        return [[piece] for piece in hand]
    return [list(pieces) for pieces in combinations(hand, size) if play_type(pieces)]


def _total(pieces: Sequence[str]) -> int:
    return sum(points(piece) for piece in pieces)
