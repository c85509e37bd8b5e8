"""Simulated fighters: they run, shoot, err, vanish, come back or walk out, over real WebSockets."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from random import Random

from websockets.exceptions import InvalidHandshake

from examples.arena.world import WEAPONS, Phase
from examples.common.chance import seeded
from examples.common.client import Client, Data, Gone, connected, post
from examples.common.pace import Pace
from examples.common.tables import play_all

THINKS = (0.1, 0.5)
"""Seconds between a snapshot and what a fighter does about it."""
MISTAKES = 0.02
"""Share of shots with a weapon that does not exist."""
RETURNS = 0.75
"""Share of those who lost the connection that come back."""
RETURN_TRIES = 5
EAGERNESS, AGGRESSION = 0.5, 0.7
"""Share of snapshots that a fighter reacts to, and of the reactions that are shots."""

_WORDS = ("Ember", "Flint", "Quartz", "Slate", "Basalt", "Cobalt", "Garnet", "Onyx")


@dataclass(frozen=True)
class Crowd:
    """Who fights, and how.

    Parameters:
        games: how many matches.
        speed: how many times faster than real people they react, as the server's speed.
        seed: every choice follows from it, as far as the network's timing leaves the choice to the fighters.
        drop: probability, 0 to 1, that a fighter loses the connection during a match; three in four come back.
        abandon: probability that a match is abandoned: all but one walk out, or everybody vanishes.
        concurrency: matches at the same time.
    """

    games: int = 1
    speed: float = 1.0
    seed: int = 0
    drop: float = 0.0
    abandon: float = 0.0
    concurrency: int = 8


@dataclass(frozen=True)
class Fate:
    """What will happen to a fighter, by snapshots seen: vanish, come back after seconds, or walk out."""

    vanishes_after: int | None = None
    away: float | None = None
    leaves_after: int | None = None


async def simulate(address: str, crowd: Crowd) -> None:
    """Play all matches on the server at ``host:port``."""
    await play_all(crowd.games, crowd.concurrency, lambda number: _play_match(address, crowd, number))


async def _play_match(address: str, crowd: Crowd, number: int) -> None:
    rng = seeded(crowd.seed, number)
    size = rng.randint(2, 6)
    abandoned = rng.choice(("walk out", "vanish")) if rng.random() < crowd.abandon else None
    match_id = (await post(address, "/matches", size=size))["match_id"]
    async with asyncio.TaskGroup() as group:
        for place in range(size):
            fate = _fate(rng, crowd, place, abandoned)
            name = f"{rng.choice(_WORDS)} {number}-{place}"
            fighter = Fighter(address, match_id, name, seeded(rng.random()), Pace(crowd.speed), fate)
            group.create_task(fighter.play())


def _fate(rng: Random, crowd: Crowd, place: int, abandoned: str | None) -> Fate:
    moment = rng.randint(2, 12)
    if abandoned == "vanish":
        return Fate(vanishes_after=moment)
    if abandoned == "walk out":
        return Fate(leaves_after=moment) if place else Fate()
    if rng.random() < crowd.drop:
        return Fate(vanishes_after=moment, away=rng.uniform(1, 5) if rng.random() < RETURNS else None)
    return Fate()


class Fighter:
    """One person in one match.

    Parameters:
        address: the server's ``host:port``.
        match_id: where to fight.
        name: unique in the match.
        rng: this fighter's whims.
        pace: how fast time passes.
        fate: see ``Fate``.
    """

    def __init__(self, address: str, match_id: str, name: str, rng: Random, pace: Pace, fate: Fate) -> None:
        self.name = name
        self._address, self._path = address, f"/ws/{match_id}"
        self._rng, self._pace, self._fate = rng, pace, fate
        self._phase = Phase.WARMUP
        self._seen = 0
        self._vanished = False

    async def play(self) -> None:
        """Fight to the end, or to this fighter's own."""
        await self._connect()
        if not self._vanished or self._fate.away is None:
            return
        await self._pace.pause(self._fate.away)
        self._vanished = False
        for _ in range(RETURN_TRIES):
            try:
                if await self._connect():
                    return
            except (OSError, InvalidHandshake):
                return  # the server is gone
            await asyncio.sleep(0.02)  # the server had not yet noticed the loss

    async def _connect(self) -> bool:
        """Play until the match or the connection ends. False if the match did not take this fighter."""
        taken = False
        async with connected(self._address, self._path, leave_with=self._rng.choice((1000, 1001))) as match:
            await match.send("join", name=self.name)
            try:
                while not self._vanished:
                    event, data = await match.receive()
                    taken = taken or event == "welcome"
                    if event in ("welcome", "phase_change"):
                        self._phase = Phase(data["phase"])
                    elif event == "snapshot":
                        await self._see(match, data)
                    elif event == "match_ended":
                        return True
            except Gone:
                pass
        return taken

    async def _see(self, match: Client, data: Data) -> None:
        self._seen += 1
        if self._seen == self._fate.vanishes_after:
            self._vanished = True
            match.drop()
        elif self._seen == self._fate.leaves_after:
            await match.send("leave")
        elif self._phase in (Phase.FIGHTING, Phase.OVERTIME) and self._rng.random() < EAGERNESS:
            await self._pace.pause(self._rng.uniform(*THINKS))
            await self._act(match, data["fighters"])

    async def _act(self, match: Client, fighters: Data) -> None:
        me = fighters[self.name]
        standing = [name for name, other in fighters.items() if other["health"] > 0 and name != self.name]
        if me["health"] <= 0:
            await match.send("respawn")
        elif self._rng.random() < MISTAKES:
            await match.send("fire", weapon="catapult", target=self.name)
        elif standing and self._rng.random() < AGGRESSION:
            await match.send("fire", weapon=self._rng.choice(list(WEAPONS)), target=self._rng.choice(standing))
        else:
            await match.send("dash", direction=self._rng.choice((-1, 1)))
