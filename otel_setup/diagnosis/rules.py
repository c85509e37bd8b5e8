"""Which rooms, games and players somebody looks at closely, for a while."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from otel_setup.text import clean_id

MAX_RULES = 16
"""Rules at once; a further one is refused."""
MAX_SECONDS = 4 * 3600.0
"""The longest time a rule may last: one that is forgotten must end by itself."""


@dataclass(frozen=True)
class Subject:
    """Whom a rule is about. What is given must all be so; ids in the form in which events keep them.

    Raises:
        ValueError: nothing is given.
    """

    room_id: str | None = None
    game_id: str | None = None
    player_id: str | None = None

    def __post_init__(self) -> None:
        for name in ("room_id", "game_id", "player_id"):
            object.__setattr__(self, name, clean_id(getattr(self, name)) or None)
        if not (self.room_id or self.game_id or self.player_id):
            raise ValueError("a rule needs a room, a game or a player")

    def __str__(self) -> str:
        told = {"room": self.room_id, "game": self.game_id, "player": self.player_id}
        return ", ".join(f"{name} {value}" for name, value in told.items() if value)


@dataclass(frozen=True)
class Rule:
    """A subject and the time until which it is looked at, in seconds of the rules' clock."""

    number: int
    subject: Subject
    ends: float


class DebugRules:
    """The rules of one process. Asked for every span and message, so that asking costs nearly nothing without one.

    Parameters:
        room_of: the room in which a game is played, "" or None where it is not known.
        pseudonym: what a player is called outside. Rules and questions may use either name.
        clock: monotonic seconds.
        changed: called whenever ``active`` may have changed.

    Attributes:
        active: whether there is any rule; it may have run out a moment ago.
    """

    def __init__(
        self,
        room_of: Callable[[str], str | None] = lambda game_id: None,
        pseudonym: Callable[[str], str] = lambda name: name,
        clock: Callable[[], float] = time.monotonic,
        changed: Callable[[], object] = lambda: None,
    ) -> None:
        self._room_of = room_of
        self._pseudonym = pseudonym
        self._clock = clock
        self._changed = changed
        self._rules: tuple[Rule, ...] = ()
        self.active = False
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def _set(self, rules: tuple[Rule, ...]) -> None:
        self._rules = rules
        self.active = bool(rules)
        self._changed()

    def add(self, subject: Subject, seconds: float) -> Rule:
        """Looks at a subject from now on. A rule that it has already ends as late as either would.

        Raises:
            ValueError: the time is not above 0 or too long, or there are too many rules.
        """
        if not 0 < seconds <= MAX_SECONDS:
            raise ValueError(f"a rule lasts more than 0 and at most {MAX_SECONDS:g} seconds")
        with self._lock:
            now = self._clock()
            others = [rule for rule in self._rules if rule.ends > now]
            same = next((rule for rule in others if rule.subject == subject), None)
            if same is not None:
                others.remove(same)
            elif len(others) >= MAX_RULES:
                raise ValueError(f"there are {MAX_RULES} rules already; stop one")
            number = same.number if same else next(self._numbers)
            rule = Rule(number, subject, max(now + seconds, same.ends if same else 0.0))
            self._set((*others, rule))
        return rule

    def stop(self, number: int | None = None) -> list[Rule]:
        """Ends one rule, or all; gives those that were ended."""
        with self._lock:
            ended = [rule for rule in self._rules if number in (None, rule.number)]
            self._set(tuple(rule for rule in self._rules if rule not in ended))
        return ended

    def expire(self) -> list[Rule]:
        """Takes out, and gives, what has run out."""
        with self._lock:
            now = self._clock()
            ended = [rule for rule in self._rules if rule.ends <= now]
            if ended:
                self._set(tuple(rule for rule in self._rules if rule.ends > now))
        return ended

    def listed(self) -> list[tuple[Rule, float]]:
        """The rules, each with the seconds it still lasts."""
        now = self._clock()
        return [(rule, rule.ends - now) for rule in self._rules if rule.ends > now]

    def wants(self, room_id: str | None, game_id: str | None = None, player_id: str | None = None) -> bool:
        """Whether somebody looks at what happens there, now."""
        rules = self._rules
        if not rules:
            return False
        now = self._clock()
        return any(rule.ends > now and self._fits(rule.subject, room_id, game_id, player_id) for rule in rules)

    def _fits(self, subject: Subject, room_id: str | None, game_id: str | None, player_id: str | None) -> bool:
        if subject.game_id and subject.game_id != game_id:
            return False
        if subject.room_id and subject.room_id != (room_id or (self._room_of(game_id) if game_id else None)):
            return False
        if not subject.player_id:
            return True
        return player_id is not None and (
            subject.player_id == player_id or self._pseudonym(subject.player_id) == self._pseudonym(player_id)
        )
