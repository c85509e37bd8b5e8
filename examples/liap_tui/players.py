"""Simulated people: they meet in the lobby, play over real WebSockets, err, vanish, come back or leave for good."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from random import Random
from typing import Any

from websockets.exceptions import InvalidHandshake

from examples.common.chance import seeded
from examples.common.client import Client, Data, Gone, connected
from examples.common.pace import Pace, wait
from examples.common.tables import play_all
from examples.liap_tui import strategy
from examples.liap_tui.rules import SEATS, Phase

THINKS = (0.3, 0.9)
"""Seconds before a player acts."""
MISTAKES = 0.02
"""Share of actions sent invalid first."""
IMPATIENCE = 0.003
"""Share of others' turns in which a player plays too."""
RETURNS = 0.75
"""Share of those who lost the connection that come back."""
RETURN_TRIES = 5
ASKS_FIRST, TAKES_REDEAL, ANSWERS = 0.35, 0.5, 0.8
"""Of weak hands: the share that asks for the redeal before taking it, that takes it, that answers at all."""
SPARE_BOT = 0.2
"""Share of hosts who add a bot too many and send it away again."""
POLITENESS = 0.5
"""Share of players who leave a finished game in words instead of just closing the socket."""
HOSTILITY = 0.03
"""Share of players whose name is an attack."""

_WORDS = ("Otter", "Heron", "Lynx", "Wren", "Badger", "Plover", "Marten", "Finch", "Stoat", "Curlew")
_HOSTILE = "Wren\u202e\x1b[31m<script>\n"


@dataclass(frozen=True)
class Crowd:
    """Who plays, and how.

    Parameters:
        games: how many games.
        speed: how many times faster than real people they think, as the server's speed.
        seed: every choice follows from it, as far as the network's timing leaves the choice to the players.
        drop: probability, 0 to 1, that a player loses the connection during a game; three in four come back.
        abandon: probability that a game is abandoned: its host leaves, or all humans vanish.
        bots: bots in each game, 0 to 3; None for a mixture.
        concurrency: games played at the same time.
    """

    games: int = 1
    speed: float = 1.0
    seed: int = 0
    drop: float = 0.0
    abandon: float = 0.0
    bots: int | None = None
    concurrency: int = 8


@dataclass(frozen=True)
class Fate:
    """What will happen to a player, by messages of the game seen: vanish, come back after seconds, or leave."""

    vanishes_after: int | None = None
    away: float | None = None
    leaves_after: int | None = None


async def simulate(address: str, crowd: Crowd) -> None:
    """Play all games on the server at ``host:port``.

    Raises:
        ExceptionGroup: if the server refused what a player may do.
    """
    await play_all(crowd.games, crowd.concurrency, lambda number: _play_game(address, crowd, number))


async def _play_game(address: str, crowd: Crowd, number: int) -> None:
    rng = seeded(crowd.seed, number)
    bots = rng.choice((0, 0, 1, 1, 2, 3)) if crowd.bots is None else crowd.bots
    abandoned = rng.choice(("host", "all")) if rng.random() < crowd.abandon else None
    pace = Pace(crowd.speed)
    players = [
        Player(address, _name(rng, number, seat), seeded(rng.random()), pace, _fate(rng, crowd, seat, abandoned))
        for seat in range(SEATS - bots)
    ]
    room: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    async with asyncio.TaskGroup() as group:
        group.create_task(players[0].host(bots, room))
        for guest in players[1:]:
            group.create_task(guest.join(room))


def _name(rng: Random, game: int, seat: int) -> str:
    word = _HOSTILE if rng.random() < HOSTILITY else rng.choice(_WORDS)
    return f"{word} {game}-{seat}"


def _fate(rng: Random, crowd: Crowd, seat: int, abandoned: str | None) -> Fate:
    moment = rng.randint(20, 250)
    if abandoned == "all":
        return Fate(vanishes_after=moment)
    if abandoned == "host" and seat == 0:
        return Fate(leaves_after=moment)
    if rng.random() < crowd.drop:
        return Fate(vanishes_after=moment, away=rng.uniform(2, 20) if rng.random() < RETURNS else None)
    return Fate()


class Player:
    """One person at one table.

    Parameters:
        address: the server's ``host:port``.
        name: unique at the table.
        rng: this player's whims.
        pace: how fast time passes.
        fate: see ``Fate``.
        target: points that end the game that this player opens; None: as the server has it.
    """

    def __init__(self, address: str, name: str, rng: Random, pace: Pace, fate: Fate, target: int | None = None) -> None:
        self.name = name
        self._target = target
        self._address, self._rng, self._pace, self._fate = address, rng, pace, fate
        self._hand: list[str] = []
        self._table: Data = {}
        self._acted_on: tuple[Any, ...] = ()
        self._seen = 0
        self._vanished = False

    # --- the way to the table ----------------------------------------------------------------------------------------
    async def host(self, bots: int, room: asyncio.Future[str]) -> None:
        """Open a room, fill it with bots, tell the others and start the game when all are there."""
        async with connected(self._address, "/ws/lobby", leave_with=1001) as lobby:
            await lobby.send("client_ready")
            await lobby.send("create_room", player_name=self.name, target=self._target)
            _, data = await lobby.receive_one_of("room_created")
        room_id: str = data["room_id"]
        async with connected(self._address, f"/ws/{room_id}") as table:
            await table.send("client_ready", player_name=self.name)
            seats = await self._seat_bots(table, bots)
            room.set_result(room_id)
            while len(seats) < SEATS or not all(seat["here"] for seat in seats):
                seats = await _next_seats(table)
            await table.send("start_game")
            await self._play(table)
        await self._come_back(room_id)

    async def _seat_bots(self, table: Client, bots: int) -> list[Data]:
        """Add the bots, now and then one too many, who is sent away again; the seats as they are then."""
        seats = await _next_seats(table)
        spare = bots < SEATS - 2 and self._rng.random() < SPARE_BOT
        for _ in range(bots + spare):
            await table.send("add_bot")
            seats = await _next_seats(table)
        if spare:
            await table.send("remove_player", player_name=seats[-1]["name"])
            seats = await _next_seats(table)
        return seats

    async def join(self, room: asyncio.Future[str]) -> None:
        """Wait in the lobby for the room, take a seat and play."""
        async with connected(self._address, "/ws/lobby", leave_with=1001) as lobby:
            await lobby.send("request_room_list")
            await lobby.receive_one_of("room_list_update")
            room_id = await room
            await lobby.send("join_room", room_id=room_id, player_name=self.name)
            await lobby.receive_one_of("room_joined")
        async with connected(self._address, f"/ws/{room_id}") as table:
            await table.send("client_ready", player_name=self.name)
            await table.send("ping")
            await self._play(table)
        await self._come_back(room_id)

    async def _come_back(self, room_id: str) -> None:
        """After the connection was lost: return to the seat, if that is this player's fate."""
        if not self._vanished or self._fate.away is None:
            return
        await wait(self._pace.seconds(self._fate.away))
        self._vanished = False
        for _ in range(RETURN_TRIES):
            try:
                async with connected(self._address, f"/ws/{room_id}") as table:
                    await table.send("client_ready", player_name=self.name)
                    await table.send("sync_request")
                    if await self._play(table):
                        return
            except (OSError, InvalidHandshake):
                return  # the server is gone
            await asyncio.sleep(0.05)  # the server had not yet noticed the loss

    # --- at the table ------------------------------------------------------------------------------------------------
    async def _play(self, table: Client) -> bool:
        """Play until the game or the connection ends. False if the room did not take this player."""
        taken = False
        try:
            while not self._vanished:
                event, data = await table.receive()
                taken = taken or event != "error"
                if event == "phase_change":
                    await self._see(table, data)
                elif event == "play_rejected" and data["reason"] == "invalid":
                    await self._try_again(table)
                elif event == "game_started":
                    await table.send("ack")
                elif event == "game_ended":
                    await self._say_goodbye(table)
                    return True
        except Gone:
            pass
        return taken

    async def _say_goodbye(self, table: Client) -> None:
        if self._rng.random() < POLITENESS:
            await table.send("leave_game")
            while True:
                await table.receive()  # until the server closes

    async def _see(self, table: Client, data: Data) -> None:
        self._table = data
        self._hand = data.get("hand", self._hand)
        last = data.get("last_play")
        if last and last["player"] == self.name:
            for piece in last["pieces"]:
                self._hand.remove(piece)
        self._seen += 1
        if self._seen == self._fate.vanishes_after:
            self._vanished = True
            table.drop()
        elif self._seen == self._fate.leaves_after:
            await table.send("leave_game")
        else:
            await self._act(table)

    async def _act(self, table: Client) -> None:
        seen = self._table
        phase = Phase(seen["phase"])
        occasion = (seen["round"], seen["multiplier"], phase, sum(seen["captured"].values()))
        waited_for = seen["weak"] if phase is Phase.PREPARATION else [seen["current"]]
        if self.name not in waited_for:
            if phase is Phase.TURN and self._hand and self._rng.random() < IMPATIENCE:
                await table.send("play", pieces=self._hand[:1])
        elif occasion != self._acted_on:
            self._acted_on = occasion
            await self._pace.pause(self._rng.uniform(*THINKS))
            await self._send_action(table, phase, mistaken=self._rng.random() < MISTAKES)

    async def _try_again(self, table: Client) -> None:
        """The action was invalid: look at the table afresh, then act as it should be."""
        self._acted_on = ()
        await table.send("sync_request")

    async def _send_action(self, table: Client, phase: Phase, mistaken: bool) -> None:
        seen = self._table
        if phase is Phase.PREPARATION:
            await self._answer_redeal(table)
        elif phase is Phase.DECLARATION:
            first = not seen["declared"]
            await table.send("declare", piles=9 if mistaken else strategy.declaration(self._hand, starts=first))
        elif phase is Phase.TURN:
            wanted = seen["declared"][self.name] - seen["captured"][self.name]
            pieces = strategy.choose_play(self._hand, seen["required"], seen["to_beat"], wanted)
            await table.send("play", pieces=[] if mistaken else pieces)

    async def _answer_redeal(self, table: Client) -> None:
        whim = self._rng.random()
        if whim < ASKS_FIRST:
            await table.send("request_redeal")
        if whim < TAKES_REDEAL:
            await table.send("accept_redeal")
        elif whim < ANSWERS:
            await table.send("decline_redeal")
        # else the player is away from the screen


async def _next_seats(table: Client) -> list[Data]:
    _, data = await table.receive_one_of("room_update")
    seats: list[Data] = data["seats"]
    return seats
