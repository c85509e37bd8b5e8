"""The rules of the arena, pure: fighters on a line, weapons, damage, frags. Time is the game's, in seconds.

Everybody may act at any moment; a weapon or a dash has to cool down before the next. A fighter without health is out
until respawning. Whoever has most frags when the time is up wins; ties go into overtime, and may stand after it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from random import Random
from typing import NamedTuple


class Phase(StrEnum):
    """The phases of a match."""

    WARMUP = "warmup"
    FIGHTING = "fighting"
    OVERTIME = "overtime"
    PODIUM = "podium"
    CLOSED = "closed"


NEXT: dict[Phase, frozenset[Phase]] = {
    Phase.WARMUP: frozenset({Phase.FIGHTING}),
    Phase.FIGHTING: frozenset({Phase.OVERTIME, Phase.PODIUM}),
    Phase.OVERTIME: frozenset({Phase.PODIUM}),
    Phase.PODIUM: frozenset({Phase.CLOSED}),
    Phase.CLOSED: frozenset(),
}
"""The phases that may follow each phase."""


class Outcome(StrEnum):
    """What became of an action."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"  # not allowed now
    INVALID = "invalid"  # never allowed


class Weapon(NamedTuple):
    """Damage in points of health, range in metres, cooling in seconds."""

    damage: int
    range: float
    cooling: float


WEAPONS = {"blaster": Weapon(10, 30, 0.4), "hammer": Weapon(25, 8, 0.8), "lance": Weapon(40, 60, 2.0)}

LENGTH = 100.0
HEALTH = 100
DASH, DASH_COOLING = 10.0, 0.5
RESPAWN = 3.0


class Shot(NamedTuple):
    """A shot: the weapon, the damage done (0 for a miss), and whether its target fell."""

    weapon: str
    damage: int
    frag: bool


@dataclass
class Fighter:
    """One fighter. Times are moments of the match's clock."""

    position: float
    health: int = HEALTH
    frags: int = 0
    ready: dict[str, float] = field(default_factory=dict)
    fell: float = 0.0

    @property
    def up(self) -> bool:
        """Whether the fighter stands."""
        return self.health > 0


class World:
    """A match's fighters.

    Parameters:
        rng: for where fighters begin.
    """

    def __init__(self, rng: Random) -> None:
        self.clock = 0.0
        self.fighters: dict[str, Fighter] = {}
        self._rng = rng

    def enter(self, name: str) -> None:
        """A new fighter somewhere on the line."""
        self.fighters[name] = Fighter(self._place())

    def fire(self, name: str, weapon: object, target: object) -> tuple[Outcome, Shot | None]:
        """A shot at another fighter; it hurts if the target is in range and stands."""
        if not isinstance(weapon, str) or not isinstance(target, str):
            return Outcome.INVALID, None
        if weapon not in WEAPONS or target not in self.fighters or target == name:
            return Outcome.INVALID, None
        fighter, other, arm = self.fighters[name], self.fighters[target], WEAPONS[weapon]
        if not self._cooled(fighter, weapon, arm.cooling):
            return Outcome.REJECTED, None
        if not other.up or abs(fighter.position - other.position) > arm.range:
            return Outcome.ACCEPTED, Shot(weapon, 0, frag=False)
        damage = min(arm.damage, other.health)
        other.health -= damage
        if not other.up:
            other.fell = self.clock
            fighter.frags += 1
        return Outcome.ACCEPTED, Shot(weapon, damage, frag=not other.up)

    def dash(self, name: str, direction: object) -> Outcome:
        """A jump to the left (-1) or the right (1)."""
        if direction not in (-1, 1):
            return Outcome.INVALID
        fighter = self.fighters[name]
        if not self._cooled(fighter, "dash", DASH_COOLING):
            return Outcome.REJECTED
        fighter.position = min(LENGTH, max(0.0, fighter.position + (DASH if direction == 1 else -DASH)))
        return Outcome.ACCEPTED

    def respawn(self, name: str) -> Outcome:
        """Stand up again, some time after falling."""
        fighter = self.fighters[name]
        if fighter.up or self.clock < fighter.fell + RESPAWN:
            return Outcome.REJECTED
        fighter.health, fighter.position = HEALTH, self._place()
        return Outcome.ACCEPTED

    def leaders(self) -> list[str]:
        """Everyone with the most frags."""
        best = max(fighter.frags for fighter in self.fighters.values())
        return [name for name, fighter in self.fighters.items() if fighter.frags == best]

    def scores(self) -> dict[str, int]:
        """Frags by name."""
        return {name: fighter.frags for name, fighter in self.fighters.items()}

    def view(self) -> dict[str, object]:
        """Where everybody is and how they are, for a snapshot."""
        fighters = {n: {"at": f.position, "health": f.health, "frags": f.frags} for n, f in self.fighters.items()}
        return {"clock": round(self.clock, 3), "fighters": fighters}

    def _cooled(self, fighter: Fighter, what: str, cooling: float) -> bool:
        """Whether a standing fighter may do this now; if so, it has to cool down again."""
        if not fighter.up or self.clock < fighter.ready.get(what, 0.0):
            return False
        fighter.ready[what] = self.clock + cooling
        return True

    def _place(self) -> float:
        return round(self._rng.uniform(0, LENGTH), 1)
