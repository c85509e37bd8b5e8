"""What the ledger holds, within its bounds, and the steps that its handlers share."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable

from otel_setup import clock as the_clock
from otel_setup.catalogue.attributes import BOT, HUMAN
from otel_setup.events.record import SystemEvent
from otel_setup.game_model import GameModel
from otel_setup.ledger.bounds import Bounds
from otel_setup.ledger.payload import is_late, number
from otel_setup.ledger.state import (
    Connection,
    EdgeStats,
    Ended,
    Facts,
    LiveGame,
    PerformanceSample,
    PhaseStats,
    PlayerStats,
    Room,
    SeatState,
)
from otel_setup.ledger.windows import TimeBuckets
from otel_setup.text import clean_id

HOUR = 3600
PERFORMANCE_SAMPLES = 1000
"""Samples kept for the performance view's timeline; its totals count every one."""
REMEMBERED_ENDS = 1000
"""Ended games remembered, to tell a game ended twice from one that never was."""
_NS = 1e9


class Store:
    """Live games, rooms, connections, players and sums. Whoever reads or changes it holds ``lock``.

    Games and rooms stand in the order of their last activity, players in the order they were last seen, connections
    in the order they were opened: what a bound pushes out is always in front.

    Parameters:
        model: the game.
        bounds: how much is remembered.
        lock: guards every read and write; a re-entrant lock, shared with the stream.
        clock: monotonic seconds; the product's where not given.
        lossy: whether events may be lost, or come late, on their way here; snapshots then correct what came of it.

    Attributes:
        starts_unseen: how many of the ``started`` games began without being seen.
        ends_unseen: games whose end was not told: neither completed nor abandoned.
    """

    def __init__(
        self,
        model: GameModel,
        bounds: Bounds | None = None,
        lock: threading.RLock | None = None,
        clock: Callable[[], float] | None = None,
        *,
        lossy: bool = False,
    ) -> None:
        self.lossy = lossy
        self.model = model
        self.bounds = bounds or Bounds()
        self.lock = lock or threading.RLock()
        self.clock = clock or the_clock.monotonic
        # Names come in canonical form nearly always, and looking for more than that takes a while.
        self._phases, self._actions = frozenset(model.phases), frozenset(model.action_types)
        retention = self.bounds.retention_hours * HOUR

        self.games: OrderedDict[str, LiveGame] = OrderedDict()
        self.rooms: OrderedDict[str, Room] = OrderedDict()
        self.connections: OrderedDict[str, Connection] = OrderedDict()
        self.players: OrderedDict[str, PlayerStats] = OrderedDict()
        self.phases: dict[str, PhaseStats] = {}
        self.edges: dict[tuple[str, str], EdgeStats] = {}
        self.errors: OrderedDict[tuple[str, str], TimeBuckets] = OrderedDict()
        self.errors_by_state: dict[str, int] = {}
        self.performance: deque[PerformanceSample] = deque(maxlen=PERFORMANCE_SAMPLES)
        self.requests = TimeBuckets(60, retention, ("requests", "errors", "milliseconds"))

        self.games_by_state: dict[str, int] = {}
        self.started = self.completed = self.abandoned = 0
        self.starts_unseen = self.ends_unseen = 0
        self.rooms_created = self.rooms_played = self.rooms_unplayed = 0
        self.seats_total: dict[str, int] = {HUMAN: 0, BOT: 0}
        self.wins_total: dict[str, int] = {HUMAN: 0, BOT: 0}
        self.completions = TimeBuckets(1, HOUR, ("games",))
        self.completed_durations = TimeBuckets(60, retention, ("games", "seconds", "players"))
        self.hourly = TimeBuckets(
            HOUR, retention, ("games_started", "games_completed", "games_abandoned", "total_players", "total_turns")
        )
        self.dropped: dict[str, int] = {}
        self.ended: OrderedDict[str, Ended] = OrderedDict()

    # --- games ----------------------------------------------------------------------------------------------------

    def game_of(self, event: SystemEvent, facts: Facts) -> LiveGame | None:
        """The live game an event is about. An event of a game that never was is irregular, a late one is not."""
        game = self.games.get(event.game_id or "")
        if game is None and event.game_id not in self.ended:
            facts.irregular = "unknown_game"
        return game

    def new_game(
        self,
        event: SystemEvent,
        *,
        seats: tuple[SeatState, ...] = (),
        player_count: int = 0,
        bot_count: int = 0,
        seconds: float = 0.0,
        start_unseen: bool = False,
    ) -> LiveGame:
        """A game in the initial phase, which began ``seconds`` before an event; not added yet."""
        now, game_id = self.clock(), event.game_id or ""
        return LiveGame(
            game_id=game_id,
            room_id=event.room_id or game_id,
            state=self.model.initial,
            started_at=now - seconds,
            started_ns=event.timestamp_ns - round(seconds * _NS),
            last_activity_at=now,
            player_count=player_count,
            bot_count=bot_count,
            seats=seats,
            start_unseen=start_unseen,
        )

    def add_game(self, game: LiveGame) -> None:
        """Takes a game in, giving up others where the bounds ask for it."""
        self.give_up_idle_games()
        if len(self.games) >= self.bounds.max_live_games:
            self.give_up(next(iter(self.games.values())), "max_live_games")
        self.games[game.game_id] = game
        self.ended.pop(game.game_id, None)
        self.games_by_state[game.state] = self.games_by_state.get(game.state, 0) + 1

    def move_game(self, game: LiveGame, state: str) -> None:
        """Puts a game, and its room, into another phase."""
        self.games_by_state[game.state] -= 1
        self.games_by_state[state] = self.games_by_state.get(state, 0) + 1
        game.state = state
        room = self.rooms.get(game.room_id)
        if room is not None and room.game_id == game.game_id:
            room.state = state

    def remove_game(self, game: LiveGame) -> None:
        """Lets a game go, and its room unless the room was announced."""
        del self.games[game.game_id]
        self.games_by_state[game.state] -= 1
        self.leave_room(game)

    def enter_room(self, game: LiveGame, event: SystemEvent, *, bots: int) -> None:
        """Opens a game's room, if it is not open, and puts the game into it.

        Parameters:
            bots: seats that are played by bots now.
        """
        room = self.open_room(game.room_id, event, announced=False)
        room.games += 1
        self.rooms_played += room.announced and room.games == 1
        room.game_id, room.state = game.game_id, game.state
        room.player_count, room.bot_count = game.player_count, bots

    def leave_room(self, game: LiveGame) -> None:
        """Takes a game out of its room, which goes with it unless it was announced."""
        room = self.rooms.get(game.room_id)
        if room is None or room.game_id != game.game_id:
            return
        if room.announced:
            room.game_id, room.state = None, self.model.initial
        else:
            self.forget_room(room)

    def remember_end(self, game_id: str, ended: Ended) -> None:
        """Notes that a game has ended."""
        self.ended[game_id] = ended
        if len(self.ended) > REMEMBERED_ENDS:
            self.ended.popitem(last=False)

    def close_unseen(self, game: LiveGame) -> None:
        """Lets a game go that must have ended, although nobody has told so; should it be heard of again, it goes on."""
        self.ends_unseen += 1
        self.remove_game(game)
        self.remember_end(game.game_id, Ended(game.start_unseen, closed=game))

    def give_up(self, game: LiveGame, bound: str) -> None:
        """Lets a game go whose end nobody told."""
        self.drop(bound)
        self.remove_game(game)

    def give_up_idle_games(self) -> None:
        """Gives up every game that has been quiet for ``game_idle_timeout``."""
        now = self.clock()
        while self.games:
            oldest = next(iter(self.games.values()))
            if now - oldest.last_activity_at <= self.bounds.game_idle_timeout:
                return
            self.give_up(oldest, "game_idle_timeout")

    def is_superseded(self, game: LiveGame, event: SystemEvent) -> bool:
        """Whether a late event is older than the game's last snapshot, which says what has come of it."""
        return self.lossy and is_late(event) and event.timestamp_ns <= game.corrected_ns

    # --- rooms and players ----------------------------------------------------------------------------------------

    def room_for(self, event: SystemEvent) -> Room | None:
        """The room an event is about: the one it names, or else its game's."""
        if event.room_id:
            return self.rooms.get(event.room_id)
        game = self.games.get(event.game_id or "")
        return self.rooms.get(game.room_id) if game else None

    def open_room(self, room_id: str, event: SystemEvent, *, announced: bool) -> Room:
        """The room of that id, made known if it was not."""
        room = self.rooms.get(room_id)
        if room is None:
            room = self.rooms[room_id] = Room(
                room_id, event.timestamp_ns, False, self.model.initial, last_activity_ns=event.timestamp_ns
            )
            if len(self.rooms) > self.bounds.max_rooms:
                self.drop("max_rooms")
                self.forget_room(next(iter(self.rooms.values())))
        if announced and not room.announced:
            room.announced = True
            self.rooms_created += 1
            self.rooms_played += room.games > 0
        return room

    def forget_room(self, room: Room) -> None:
        """Lets a room go."""
        del self.rooms[room.room_id]
        self.rooms_unplayed += room.announced and room.games == 0

    def player(self, player_id: str) -> PlayerStats:
        """A player's statistics, begun where there are none; the player has now been seen."""
        stats = self.players.get(player_id)
        if stats is None:
            stats = self.players[player_id] = PlayerStats()
            if len(self.players) > self.bounds.max_players:
                self.drop("max_players")
                self.players.popitem(last=False)
        else:
            self.players.move_to_end(player_id)
        return stats

    def touch(self, event: SystemEvent) -> None:
        """Moves the game and the room an event is about to the back of their queues."""
        game = self.games.get(event.game_id) if event.game_id else None
        if game is not None:
            game.seen_ns = max(game.seen_ns, event.timestamp_ns)
        if self.lossy and is_late(event):
            return
        if game is not None:
            game.last_activity_at = self.clock()
            self.games.move_to_end(game.game_id)
        room = self.rooms.get(event.room_id or (game.room_id if game else ""))
        if room is not None:
            room.last_activity_ns = max(room.last_activity_ns, event.timestamp_ns)
            self.rooms.move_to_end(room.room_id)

    # --- transitions, errors, samples -----------------------------------------------------------------------------

    def phase(self, name: object) -> str:
        """A phase's canonical form; names outside the model are one, so that what is kept by phase stays small."""
        return name if type(name) is str and name in self._phases else self.model.phase(name)

    def action(self, name: object) -> str:
        """An action type's canonical form."""
        return name if type(name) is str and name in self._actions else self.model.action(name)

    def edge_of(self, event: SystemEvent) -> tuple[tuple[str, str], EdgeStats]:
        """The edge an event is about, and its two phases."""
        key = (self.phase(event.data.get("from_state")), self.phase(event.data.get("to_state")))
        edge = self.edges.get(key)
        if edge is None:
            edge = self.edges[key] = EdgeStats()
        return key, edge

    def count_error(self, event: SystemEvent, facts: Facts, state: str) -> None:
        """Counts an error against a phase, its type and its room."""
        facts.error_state = state
        self.errors_by_state[state] = self.errors_by_state.get(state, 0) + 1
        kind = (state, clean_id(event.data.get("error_type")) or "Error")
        buckets = self.errors.get(kind)
        if buckets is None:
            buckets = self.errors[kind] = TimeBuckets(HOUR, self.bounds.retention_hours * HOUR, ("errors",))
            if len(self.errors) > self.bounds.max_error_kinds:
                self.drop("max_error_kinds")
                self.errors.popitem(last=False)
        else:
            self.errors.move_to_end(kind)
        buckets.add(event.timestamp_ns / _NS, "errors")
        room = self.room_for(event)
        if room is not None:
            room.error_count += 1

    def add_sample(self, timestamp_ns: int, endpoint: str, took_ms: float, *, error: bool) -> None:
        """Takes a duration, in milliseconds, in for the performance view; one that is no duration counts as 0."""
        took_ms = number(took_ms) or 0.0
        self.performance.append(PerformanceSample(timestamp_ns, endpoint, took_ms, error))
        self.requests.add_all(timestamp_ns / _NS, (1, error, took_ms))

    def forget_the_past(self, now_s: float) -> None:
        """Lets go of everything by time that is older than the retention, in seconds since 1970; totals stay."""
        for buckets in (self.requests, self.completions, self.completed_durations, self.hourly, *self.errors.values()):
            buckets.forget(now_s)
        for kind in [kind for kind, buckets in self.errors.items() if not buckets]:
            del self.errors[kind]
        oldest_ns = (now_s - self.bounds.retention_hours * HOUR) * _NS
        while self.performance and self.performance[0].timestamp_ns <= oldest_ns:
            self.performance.popleft()

    def add_hourly(self, event: SystemEvent, field: str, amount: float = 1) -> None:
        """Adds to the hourly report."""
        self.hourly.add(event.timestamp_ns / _NS, field, amount)

    def drop(self, bound: str) -> None:
        """Counts what a bound pushed out."""
        self.dropped[bound] = self.dropped.get(bound, 0) + 1
