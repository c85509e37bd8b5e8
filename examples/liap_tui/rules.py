"""The rules of Liap Tui, pure: phases, pieces, plays, turns and scores.

32 pieces, eight for each of four players. A play is 1 to 6 pieces: a single; a pair of one kind and colour; three,
four or five soldiers of one colour; a straight of one colour (general-advisor-elephant or chariot-horse-cannon); or a
double straight (two chariots, two horses, two cannons). The real game also has straights extended by doubles; they
are left out here. The starter's play must be one of these; the others put down as many pieces, any they like, and
beat it only with the same kind of play worth more points.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from enum import StrEnum
from random import Random

SEATS = 4
HAND = 8
MAX_PLAY = 6
TARGET = 50
WEAK_HAND = 9
"""A hand without a piece of more points than this is weak."""
MAX_REDEALS = 2
"""Redeals a round; the real game sets no bound, an example should end."""


class Phase(StrEnum):
    """The phases, as the server prints them."""

    WAITING = "WAITING"
    PREPARATION = "PREPARATION"
    ROUND_START = "ROUND_START"
    DECLARATION = "DECLARATION"
    TURN = "TURN"
    TURN_RESULTS = "TURN_RESULTS"
    SCORING = "SCORING"
    GAME_OVER = "GAME_OVER"


NEXT: Mapping[Phase, frozenset[Phase]] = {
    Phase.WAITING: frozenset({Phase.PREPARATION}),
    Phase.PREPARATION: frozenset({Phase.ROUND_START}),
    Phase.ROUND_START: frozenset({Phase.DECLARATION}),
    Phase.DECLARATION: frozenset({Phase.TURN}),
    Phase.TURN: frozenset({Phase.TURN_RESULTS}),
    Phase.TURN_RESULTS: frozenset({Phase.TURN, Phase.SCORING}),
    Phase.SCORING: frozenset({Phase.PREPARATION, Phase.GAME_OVER}),
    Phase.GAME_OVER: frozenset(),
}
"""The phases that may follow each phase."""

_POINTS = {
    "general": (14, 13),
    "advisor": (12, 11),
    "elephant": (10, 9),
    "chariot": (8, 7),
    "horse": (6, 5),
    "cannon": (4, 3),
    "soldier": (2, 1),
}
_COPIES = {"general": 1, "soldier": 5}
_PAIR = 2
_STRAIGHTS = (("general", "advisor", "elephant"), ("chariot", "horse", "cannon"))

POINTS: dict[str, int] = {
    f"{kind}_{colour}": points
    for kind, both in _POINTS.items()
    for colour, points in zip(("red", "black"), both, strict=True)
}
"""Points by piece, e.g. ``general_red`` → 14."""

ALL_PIECES: tuple[str, ...] = tuple(piece for piece in POINTS for _ in range(_COPIES.get(piece.split("_")[0], _PAIR)))
FIRST_STARTER = "general_red"
"""Whoever holds this piece starts the first round."""


def deal(rng: Random) -> list[list[str]]:
    """Four hands of eight pieces each."""
    pieces = list(ALL_PIECES)
    rng.shuffle(pieces)
    return [sorted(pieces[i::SEATS], key=points, reverse=True) for i in range(SEATS)]


def points(piece: str) -> int:
    """What a piece is worth."""
    return POINTS[piece]


def is_weak(hand: Sequence[str]) -> bool:
    """Whether the hand's owner may ask for a redeal: no piece over nine points."""
    return all(points(piece) <= WEAK_HAND for piece in hand)


def play_type(pieces: Sequence[str]) -> str | None:
    """The kind of play these pieces make, or None where they make none."""
    if len(pieces) == 1:
        return "single"
    kinds = Counter(piece.split("_")[0] for piece in pieces)
    if len({piece.split("_")[1] for piece in pieces}) != 1:
        return None
    if len(kinds) == 1:
        if len(pieces) == _PAIR:
            return "pair"
        return f"{len(pieces)}_soldiers" if "soldier" in kinds else None
    for straight in _STRAIGHTS:
        if kinds == Counter(straight):
            return "straight"
    return "double_straight" if kinds == Counter(_STRAIGHTS[1] * 2) else None


def holds(hand: Sequence[str], pieces: Sequence[str]) -> bool:
    """Whether all these pieces are in the hand."""
    return not Counter(pieces) - Counter(hand)


def turn_winner(plays: Sequence[tuple[str, Sequence[str]]]) -> str:
    """Who wins a turn, given ``(player, pieces)`` in the order played; the starter's play is the one to beat."""
    winner, best = plays[0]
    kind = play_type(best)
    for player, pieces in plays[1:]:
        if play_type(pieces) == kind and _total(pieces) > _total(best):
            winner, best = player, pieces
    return winner


def score(declared: int, captured: int, multiplier: int = 1) -> int:
    """Points for a round: hit x+5, zero kept +3, missed −|difference|, times the redeal multiplier."""
    if declared != captured:
        return -abs(declared - captured) * multiplier
    return (declared + 5 if declared else 3) * multiplier


def declaration_outcome(declared: int, captured: int) -> str:
    """``hit``, ``zero_kept`` or ``missed``."""
    if declared != captured:
        return "missed"
    return "hit" if declared else "zero_kept"


def winners(scores: Mapping[str, int], target: int = TARGET) -> list[str]:
    """Who has won: the best of those at or above the target, all of them if they tie; nobody while none is there."""
    best = max(scores.values())
    return [player for player, total in scores.items() if total == best] if best >= target else []


def _total(pieces: Sequence[str]) -> int:
    return sum(points(piece) for piece in pieces)
