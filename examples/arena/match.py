"""A match: people join, then one clock ticks through the phases, executing at each tick what was queued before it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from examples.arena.record import ArenaRecord
from examples.arena.world import NEXT, Outcome, Phase, World
from examples.common.background import Background
from examples.common.chance import seeded
from examples.common.pace import Pace, wait
from examples.common.sockets import NORMAL, Broadcaster, Connection, Refused
from otel_setup import Seat

if TYPE_CHECKING:
    from otel_setup import EnterpriseMonitor, QueueToken

# Seconds in the real game.
TICK = 0.05
GATHERING = 60.0
FIGHTING, OVERTIME, PODIUM = 60.0, 20.0, 10.0
EMPTY_MATCH = 15.0

LEAST_TICK = 0.002
"""Real seconds a tick takes at least; a faster game has fewer ticks, not a busier server."""
LEAST_GATHERING = 10.0
"""Real seconds that people have to connect, at whatever speed."""
LEAST_FIGHTERS = 2


_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settings:
    """How the server plays.

    Parameters:
        speed: how many times faster than real time.
        seed: for match ids and starting places.
        illegal: share of matches, 0 to 1, in which the server attempts a transition that the rules forbid.
    """

    speed: float = 1.0
    seed: int = 0
    illegal: float = 0.0


@dataclass(frozen=True)
class Services:
    """What every match works with. ``failures`` collects what broke inside matches."""

    settings: Settings
    monitor: EnterpriseMonitor
    record: ArenaRecord
    pace: Pace
    broadcaster: Broadcaster
    failures: list[Exception] = field(default_factory=list)


class Action(NamedTuple):
    """A queued action and the monitor's token from the moment it was queued."""

    type: str
    player: str
    data: dict[str, Any]
    token: QueueToken


class Match:
    """One match, which is a room and its only game.

    Parameters:
        match_id: the id of both.
        size: how many fighters it begins with; with fewer, two at least, once the gathering time is over.
        services: see ``Services``.
        on_closed: called once the match has ended.
    """

    def __init__(self, match_id: str, size: int, services: Services, on_closed: Callable[[Match], None]) -> None:
        self.id = match_id
        self.phase = Phase.WARMUP
        self._size = size
        self._services = services
        self._record, self._monitor, self._pace = services.record, services.monitor, services.pace
        self._on_closed = on_closed
        self._rng = seeded(services.settings.seed, match_id)
        self._world = World(self._rng)
        self._here: dict[str, Connection | None] = {}  # everyone who has not left; None while disconnected
        self._fighters: list[str] = []
        self._begun = self._decided = self._over = False
        self._reason = ""
        self._broken: Exception | None = None
        self._queue: deque[Action] = deque()
        self._background = Background(self._failed)
        self._full = asyncio.Event()
        self._phase_began = time.monotonic()

    # --- from outside ------------------------------------------------------------------------------------------------
    async def open(self) -> None:
        """Open the match and let it run."""
        self._record.room_created(self.id)
        await self._monitor.record_room_created(self.id)
        await self._monitor.record_game_created(self.id, self.id)
        self._background.start(self._run())

    async def close(self, reason: str) -> None:
        """End the match early."""
        self._reason = reason
        await self._background.finish()

    async def join(self, connection: Connection, name: str) -> None:
        """Enter with this socket, or return with it after a disconnection.

        Raises:
            Refused: if the match has begun without this player, or the name is in use.
        """
        if self._over or (self._begun and name not in self._here):
            raise Refused("the match has begun")
        if self._here.get(name):
            raise Refused("that fighter is already here")
        returns = name in self._here
        self._here[name] = connection
        if returns:
            self._put("player_reconnect", name, {})
        else:
            self._world.enter(name)
            self._record.player_joined(self.id, name, is_bot=False)
            await self._monitor.record_player_joined(self.id, name, is_bot=False)
        connection.send("welcome", {"match_id": self.id, "phase": self.phase, "you": name})
        if len(self._here) >= self._size:
            self._full.set()

    async def detach(self, connection: Connection) -> None:
        """A fighter's socket is closed: until the fight a goodbye, then the fighter stands still."""
        name = next((name for name, other in self._here.items() if other is connection), None)
        if name is None or self._over:
            return
        if self._begun:
            self._here[name] = None
            self._put("player_disconnect", name, {})
        else:
            await self.leave(name)

    async def leave(self, name: str) -> None:
        """A player goes for good."""
        if name not in self._here or self._over:
            return
        connection = self._here.pop(name)
        if not self._begun:
            del self._world.fighters[name]
        await self._left(name, connection)

    def act(self, action_type: str, name: str, data: dict[str, Any]) -> None:
        """Queue an action for the next tick.

        Raises:
            Refused: if no match is on.
        """
        if not self._begun or self._over or name not in self._here:
            raise Refused("no match is on")
        self._put(action_type, name, data)

    # --- the course of a match ---------------------------------------------------------------------------------------
    async def _run(self) -> None:
        await self._end(await self._course())

    async def _course(self) -> str:
        """All of a match; why it ended."""
        await wait(self._pace.grace(GATHERING, LEAST_GATHERING), cut_short=self._full)
        if not self._full.is_set():
            await self._monitor.record_phase_timeout(self.id, self.phase)
        if len(self._here) < LEAST_FIGHTERS:
            return self._reason or "empty"
        await self._begin()
        await self._move(Phase.FIGHTING)
        if not await self._ticks(FIGHTING):
            return self._reason or "deserted"
        if len(self._world.leaders()) > 1:
            await self._move(Phase.OVERTIME)
            if not await self._ticks(OVERTIME):
                return self._reason or "deserted"
            if len(self._world.leaders()) > 1:
                await self._monitor.record_phase_timeout(self.id, self.phase)
        await self._move(Phase.PODIUM)
        if not await self._ticks(PODIUM):
            return self._reason
        await self._move(Phase.CLOSED)
        return "finished"

    async def _begin(self) -> None:
        self._begun = True
        self._fighters = list(self._here)
        self._record.game_started(self.id, len(self._fighters), 0)
        await self._monitor.record_game_start(
            self.id,
            self.id,
            player_count=len(self._fighters),
            bot_count=0,
            players=[Seat(name, is_bot=False) for name in self._fighters],
        )
        if self._rng.random() < self._services.settings.illegal:
            await self._move(self._rng.choice([phase for phase in Phase if phase not in NEXT[self.phase]]))

    async def _ticks(self, seconds: float) -> bool:
        """Let a phase's time pass, in overtime until the tie is broken. False where the match ended before."""
        interval = max(self._pace.seconds(TICK), LEAST_TICK)
        until = self._world.clock + seconds
        while self._world.clock < until:
            await self._background.pause(interval)
            while self._queue:
                await self._execute(self._queue.popleft())
            if self._background.ending.is_set() or not await self._attended():
                return False
            self._world.clock += interval * self._pace.speed
            await self._broadcast("snapshot", self._world.view())
            if self.phase is Phase.OVERTIME and len(self._world.leaders()) == 1:
                break
        return True

    async def _attended(self) -> bool:
        """Whether the match can go on. While everybody is disconnected its time stands still, for 15 s at most."""
        if self.phase is Phase.PODIUM:
            return True
        patience = time.monotonic() + self._pace.grace(EMPTY_MATCH)
        while len(self._here) >= LEAST_FIGHTERS and not any(self._here.values()):
            if time.monotonic() > patience or self._background.ending.is_set():
                return False
            await self._background.pause(LEAST_TICK)
        return len(self._here) >= LEAST_FIGHTERS

    async def _move(self, entered: Phase) -> None:
        """Leave the phase for another; what the rules forbid is reported and not done."""
        left = self.phase
        if entered not in NEXT[left]:
            self._record.illegal_transition(self.id, left, entered)
            await self._monitor.record_illegal_transition(self.id, left, entered)
            return
        await self._monitor.record_phase_duration(self.id, left, time.monotonic() - self._phase_began)
        async with self._monitor.monitor_state_transition(self.id, left, entered):
            now = time.monotonic()
            self._record.phase_left(self.id, left, now - self._phase_began)
            self._record.transition(self.id, left, entered)
            self.phase, self._phase_began = entered, now
            await self._monitor.record_phase_started(self.id, entered)
            await self._broadcast("phase_change", {"phase": entered, "scores": self._world.scores()})
            if entered is Phase.CLOSED:
                await self._decide()

    async def _decide(self) -> None:
        winners = self._world.leaders()
        self._decided = True
        self._record.game_completed(self.id, dict.fromkeys(self._fighters, False), winners)
        await self._monitor.record_game_end(self.id, winners, self._world.scores(), abandoned=False)
        await self._broadcast("match_ended", {"winners": winners, "scores": self._world.scores()})

    async def _end(self, reason: str) -> None:
        """The match is over: undecided it is abandoned; everybody leaves, sockets are closed."""
        if self._over:
            return
        self._over = True
        if self._broken:
            await self._monitor.record_game_error(self.id, self._broken, room_id=self.id)
        if self._begun and not self._decided:
            self._record.game_abandoned(self.id, reason)
            await self._monitor.record_game_end(self.id, None, self._world.scores(), abandoned=True)
        for name, connection in self._here.items():
            await self._left(name, connection)
        self._record.room_closed(self.id, reason)
        await self._monitor.record_room_closed(self.id, reason=reason)
        self._on_closed(self)

    # --- actions -----------------------------------------------------------------------------------------------------
    def _put(self, action_type: str, name: str, data: dict[str, Any]) -> None:
        if self._begun:
            self._queue.append(Action(action_type, name, data, self._monitor.capture()))

    async def _execute(self, action: Action) -> None:
        async with self._monitor.monitor_action_processing(
            self.id, action.type, action.player, token=action.token
        ) as handle:
            outcome = await self._outcome(action.type, action.player, action.data)
            self._record.action(self.id, action.type, outcome, played_by_bot=False)
            handle.outcome(outcome)

    async def _outcome(self, action_type: str, name: str, data: dict[str, Any]) -> Outcome:
        if action_type == "player_disconnect":
            self._record.player_disconnected(self.id, name)
            await self._monitor.record_player_disconnected(self.id, name)
            return Outcome.ACCEPTED
        if action_type == "player_reconnect":
            self._record.player_reconnected(self.id, name)
            await self._monitor.record_player_reconnected(self.id, name)
            return Outcome.ACCEPTED
        if self.phase not in (Phase.FIGHTING, Phase.OVERTIME):
            return Outcome.REJECTED
        if action_type == "fire":
            return await self._fire(name, data)
        if action_type == "dash":
            return self._world.dash(name, data.get("direction"))
        return self._world.respawn(name)

    async def _fire(self, name: str, data: dict[str, Any]) -> Outcome:
        outcome, shot = self._world.fire(name, data.get("weapon"), data.get("target"))
        if shot:
            self._record.shot(self.id, name, shot.weapon)
            await self._monitor.record_metric("shots.fired", 1, weapon=shot.weapon)
        if shot and shot.damage:
            self._record.hit(self.id, name, shot.weapon, shot.damage)
            await self._monitor.record_metric("hit.damage", shot.damage, weapon=shot.weapon)
            await self._broadcast("hit", {"by": name, "target": data["target"], "frag": shot.frag})
        return outcome

    # --- people ------------------------------------------------------------------------------------------------------
    async def _left(self, name: str, connection: Connection | None) -> None:
        self._record.player_left(self.id, name, is_bot=False)
        await self._monitor.record_player_left(self.id, name, is_bot=False)
        if connection:
            connection.close(NORMAL)

    async def _broadcast(self, event: str, data: dict[str, Any]) -> None:
        here = [connection for connection in self._here.values() if connection]
        await self._services.broadcaster.send(self.id, here, event, data)

    def _failed(self, broken: Exception) -> None:
        _log.error("match %s broke", self.id, exc_info=broken)
        self._services.failures.append(broken)
        self._broken = broken
        self._background.start(self._end("error"))
