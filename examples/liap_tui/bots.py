"""What a bot does when something is waited for."""

from __future__ import annotations

from random import Random
from typing import Any

from examples.liap_tui import strategy
from examples.liap_tui.round import Round
from examples.liap_tui.rules import Phase

TAKES_REDEAL = 0.5
"""Share of weak hands for which a bot takes the redeal."""


def choose(phase: Phase, table: Round, name: str, rng: Random) -> tuple[str, dict[str, Any]] | None:
    """The action of the seat of that name, with its data; None if nothing is waited for from there."""
    if phase is Phase.PREPARATION and name in table.undecided:
        return "redeal_response", {"accept": rng.random() < TAKES_REDEAL}
    if phase is Phase.DECLARATION and name == table.current:
        return "declare", {"piles": strategy.declaration(table.hands[name], starts=name == table.starter)}
    if phase is Phase.TURN and name == table.current:
        wanted = table.declared[name] - table.captured[name]
        pieces = strategy.choose_play(table.hands[name], table.required, table.to_beat, wanted)
        return "play_pieces", {"pieces": pieces}
    return None
