"""Game servers, a Collector and a hub in a time of their own. Servers keep plain records of what they played."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from otel_setup.catalogue import EVENTS, EventType
from otel_setup.events.record import SystemEvent
from otel_setup.hub.accounts import Accounts, Kind
from otel_setup.hub.fleet import Fleet, FleetBounds
from otel_setup.ledger import Ledger

NS = 1_000_000_000
NOON_NS = 1_772_366_400 * NS
_DECLARED = {event.name: {attribute.data_key for attribute in event.attributes} for event in EVENTS}


class Server:
    """One epoch of a game server: what it tells has a number, what it played is in its record."""

    def __init__(
        self,
        world: FleetWorld,
        instance: str,
        epoch: str = "0000000a",
        *,
        skew: float = 0.0,
        heartbeat: float = 5.0,
        snapshot: float = 30.0,
    ) -> None:
        self.world, self.instance, self.epoch, self.skew = world, instance, epoch, skew
        self.heartbeat_seconds, self.snapshot_seconds = heartbeat, snapshot
        self.name = f"{instance}-{epoch}"
        self.number = 0
        self.ordinal = 0
        self.running = True
        self.queue: deque[SystemEvent] = deque()
        self.lose: Callable[[SystemEvent], bool] = lambda event: False
        self.live: dict[str, dict[str, Any]] = {}
        self.started = self.completed = self.abandoned = 0
        self.moves: dict[tuple[str, str], int] = {}

    def tell(
        self,
        event_type: str,
        game: str | None = None,
        room: str | None = None,
        connection: str | None = None,
        **data: Any,
    ) -> SystemEvent:
        assert data.keys() <= _DECLARED[event_type], event_type
        self.number += 1
        event = SystemEvent(
            event_type=EventType(event_type),
            timestamp_ns=self.world.wall_ns + round(self.skew * NS),
            game_id=game,
            room_id=room,
            connection_id=connection,
            event_id=f"{self.name}-{self.number}",
            data=data,
            metadata={"service": "liap", "instance": self.instance},
        )
        if not self.lose(event):
            self.queue.append(event)
        return event

    def keep(self) -> list[SystemEvent]:
        """What is told from now on is not sent."""
        kept: list[SystemEvent] = []

        def keep(event: SystemEvent) -> bool:
            kept.append(event)
            return True

        self.lose = keep
        return kept

    def start(self, game: str, room: str = "") -> None:
        self.live[game] = {"state": "waiting", "room": room or game, "ordinal": 0, "began": self.world.now, "turns": 0}
        self.started += 1
        players = [{"player": f"{game}-{name}", "is_bot": False} for name in "ab"]
        self.tell("game.started", game, room or game, player_count=2, bot_count=0, players=players)
        self.snapshot(game)

    def move(self, game: str, state: str) -> None:
        self.ordinal += 1
        left, self.live[game]["state"], self.live[game]["ordinal"] = self.live[game]["state"], state, self.ordinal
        self.moves[left, state] = self.moves.get((left, state), 0) + 1
        self.tell(
            "state.transition.complete",
            game,
            self.live[game]["room"],
            from_state=left,
            to_state=state,
            ordinal=self.ordinal,
            duration_ms=4.0,
            success=True,
        )

    def turn(self, game: str) -> None:
        self.live[game]["turns"] += 1
        self.tell("turn.completed", game, self.live[game]["room"])

    def end(self, game: str, *, abandoned: bool = False) -> None:
        played = self.live.pop(game)
        self.completed += not abandoned
        self.abandoned += abandoned
        seconds = self.world.now - played["began"]
        self.tell(
            "game.ended",
            game,
            played["room"],
            winner_id=f"{game}-a",
            final_scores={},
            abandoned=abandoned,
            game_seconds=seconds,
        )

    def snapshot(self, game: str) -> None:
        live = self.live[game]
        players = [{"player": f"{game}-{name}", "is_bot": False, "bot_plays": False} for name in "ab"]
        self.tell(
            "game.snapshot",
            game,
            live["room"],
            state=live["state"],
            ordinal=live["ordinal"],
            round_number=0,
            turns=live["turns"],
            player_count=2,
            bot_count=0,
            players=players,
        )

    def heartbeat(self) -> None:
        self.tell(
            "producer.heartbeat",
            epoch=self.epoch,
            last_sequence=self.number,
            live_games=len(self.live),
            heartbeat_seconds=self.heartbeat_seconds,
            snapshot_seconds=self.snapshot_seconds,
        )

    def stop(self) -> None:
        self.running = False
        self.tell("producer.stopped", epoch=self.epoch, last_sequence=self.number, live_games=len(self.live))

    def kill(self) -> None:
        self.running = False

    def step(self) -> None:
        if self.running:
            if self.world.now % self.snapshot_seconds < 1:
                for game in list(self.live):
                    self.snapshot(game)
            if self.world.now % self.heartbeat_seconds < 1:
                self.heartbeat()


class FleetWorld:
    """Time goes in seconds. What servers tell is sent on at once, unless the Collector is out."""

    def __init__(self, bounds: FleetBounds | None = None) -> None:
        self.now = 1_000.0
        self.wall_ns = NOON_NS
        self.bounds = bounds
        self.servers: list[Server] = []
        self.out: set[str] = set()
        self.at_a_time = 1_000_000
        self.log: list[tuple[Kind, str]] = []
        self.told: list[SystemEvent] = []
        self.open()

    def open(self) -> None:
        """A hub that knows nothing."""
        self.fleet = Fleet(bounds=self.bounds)
        self.accounts = Accounts(is_live=self.fleet.is_live)
        self.fleet.waiting = self.accounts.waiting

    def restart_hub(self, seconds: float = 0.0) -> None:
        """The hub is gone for some seconds; then another reads its log."""
        running, self.out = self.out, {server.instance for server in self.servers}
        for _ in range(round(seconds)):
            self._next_second()
            for server in self.servers:
                server.step()
        self.out = running
        self.open()
        self.replay(self.fleet, self.accounts)

    def replay(self, fleet: Fleet, accounts: Accounts | None = None) -> None:
        for kind, line in self.log:
            event = SystemEvent.from_dict(json.loads(line))
            if kind is Kind.HOLD:
                if accounts is not None:
                    accounts.held(event)
                continue
            if accounts is not None:
                accounts.delivered(event)
            fleet.apply(event)

    def server(self, instance: str, epoch: str = "0000000a", **options: Any) -> Server:
        server = Server(self, instance, epoch, **options)
        self.servers.append(server)
        return server

    def run(self, seconds: int, each: Callable[[], object] = lambda: None) -> None:
        for _ in range(seconds):
            self._next_second()
            each()
            for server in self.servers:
                server.step()
            self.send()

    def _next_second(self) -> None:
        self.now += 1
        self.wall_ns += NS

    def send(self) -> None:
        """What the Collector has goes to the hub, and the hub has a look around."""
        for server in self.servers:
            if server.instance not in self.out:
                self.deliver([server.queue.popleft() for _ in range(min(len(server.queue), self.at_a_time))])
        self.tick()

    def deliver(self, events: Iterable[SystemEvent]) -> None:
        self._carry_out(self.accounts.take_all(events, self.now))

    def tick(self) -> None:
        self._carry_out(self.accounts.due(self.now))
        for found in self.fleet.due(self.now):
            self._append(found)

    def _carry_out(self, deliveries: Iterable[Any]) -> None:
        for event, kind in deliveries:
            if kind is Kind.DELIVER:
                self._append(event)
            elif kind is Kind.HOLD:
                self.log.append((kind, event.to_json()))

    def _append(self, event: SystemEvent) -> None:
        self.log.append((Kind.DELIVER, event.to_json()))
        self.told.append(event)
        self.fleet.apply(event, self.now)

    # --- what came of it ----------------------------------------------------------------------------------------------

    @property
    def ledger(self) -> Ledger:
        return self.fleet.ledger()

    def found(self, event_type: str) -> list[SystemEvent]:
        return [event for event in self.told if event.event_type == event_type]

    @property
    def complete(self) -> bool:
        return self.fleet.completeness().complete

    def reasons(self) -> dict[str, list[str]]:
        return {name: [str(reason) for reason in found] for name, found in self.fleet.completeness().reasons.items()}

    def check_live(self, *servers: Server) -> None:
        """These servers' games, and no others, are live, and stand as they do there."""
        games = self.ledger.games
        found = {(game.room_id, game.state, game.ordinal, game.turns, len(game.seats)) for game in games.values()}
        assert found == {
            (live["room"], live["state"], live["ordinal"], live["turns"], 2)
            for server in servers
            for live in server.live.values()
        }
        assert len(games) == sum(len(server.live) for server in servers)
        assert sum(self.ledger.games_by_state.values()) == len(games)

    def check_totals(self, *, ends_unseen: int = 0) -> None:
        """Everything that was ever played, by the servers' own records."""
        ledger = self.ledger
        for name in ("started", "completed", "abandoned"):
            assert getattr(ledger, name) == sum(getattr(server, name) for server in self.servers), name
        assert ledger.ends_unseen == ends_unseen
        moves: dict[tuple[str, str], int] = {}
        for server in self.servers:
            for edge, times in server.moves.items():
                moves[edge] = moves.get(edge, 0) + times
        assert {edge: stats.count for edge, stats in ledger.edges.items()} == moves
