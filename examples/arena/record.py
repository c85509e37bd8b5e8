"""The arena's record: what every room game records, and shots with their damage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from examples.common.record import Count, Record


class ArenaRecord(Record):
    """See ``Record``."""

    counts: ClassVar[Mapping[str, tuple[Count, ...]]] = {
        **Record.counts,
        "shot": (Count("shots_fired_total", ("weapon",)),),
        "hit": (
            Count("hit_damage_count", ("weapon",)),
            Count("hit_damage_sum", ("weapon",), amount="damage"),
        ),
    }

    def shot(self, match: str, player: str, weapon: str) -> None:
        self.note("shot", room=match, player=player, weapon=weapon)

    def hit(self, match: str, player: str, weapon: str, damage: int) -> None:
        self.note("hit", room=match, player=player, weapon=weapon, damage=damage)
