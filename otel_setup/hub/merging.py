"""The ledgers of many producers as one, for the views: each part is put together when somebody asks for it."""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from heapq import merge
from itertools import islice
from threading import RLock
from typing import Any, NamedTuple, Protocol, Self, TypeVar

from otel_setup.game_model import GameModel
from otel_setup.hub.producer import Producer
from otel_setup.ledger import Bounds, Ledger
from otel_setup.ledger.state import (
    RECENT_SAMPLES,
    Connection,
    EdgeStats,
    LiveGame,
    PerformanceSample,
    PhaseStats,
    PlayerStats,
    Room,
    SeatState,
)
from otel_setup.ledger.store import PERFORMANCE_SAMPLES
from otel_setup.ledger.windows import TimeBuckets

SKEW_SECONDS = 60
"""By how much a live producer's clock may differ before times of its rooms are told by the hub's."""
_NS = 1_000_000_000


class _Includes(Protocol):
    def include(self, other: Self) -> None: ...


T = TypeVar("T")
S = TypeVar("S", bound=_Includes)
Ledgers = Sequence[Ledger]

# --- sums, of all ledgers -------------------------------------------------------------------------------------------


def _numbers(name: str) -> Callable[[Ledgers], int]:
    return lambda ledgers: sum(getattr(ledger, name) for ledger in ledgers)


def _counts(name: str) -> Callable[[Ledgers], dict[str, int]]:
    def combined(ledgers: Ledgers) -> dict[str, int]:
        sums: Counter[str] = Counter()
        for ledger in ledgers:
            sums.update(getattr(ledger, name))
        return dict(sums)

    return combined


def _buckets(name: str) -> Callable[[Ledgers], TimeBuckets]:
    return lambda ledgers: _buckets_of([getattr(ledger, name) for ledger in ledgers])


def _buckets_of(found: Sequence[TimeBuckets]) -> TimeBuckets:
    sums = found[0].emptied()
    for buckets in found:
        sums.include(buckets)
    return sums


def _by_key(ledgers: Ledgers, of: Callable[[Ledger], Mapping[T, S]], new: Callable[[], S]) -> OrderedDict[T, S]:
    found: OrderedDict[T, S] = OrderedDict()
    for ledger in ledgers:
        for key, value in of(ledger).items():
            if key not in found:
                found[key] = new()
            found[key].include(value)
    return found


def _phases(ledgers: Ledgers) -> dict[str, PhaseStats]:
    found = _by_key(ledgers, lambda ledger: ledger.phases, PhaseStats)
    for name, stats in found.items():
        parts = [ledger.phases[name].recent for ledger in ledgers if name in ledger.phases]
        share = RECENT_SAMPLES // len(parts) or 1  # so that each producer has a say in the percentile
        for recent in parts:
            stats.recent.extend(islice(recent, max(0, len(recent) - share), None))
    return found


def _edges(ledgers: Ledgers) -> dict[tuple[str, str], EdgeStats]:
    return _by_key(ledgers, lambda ledger: ledger.edges, EdgeStats)


def _players(ledgers: Ledgers) -> OrderedDict[str, PlayerStats]:
    found = _by_key(ledgers, lambda ledger: ledger.players, PlayerStats)
    while len(found) > ledgers[0].bounds.max_players:
        found.popitem(last=False)
    return found


def _errors(ledgers: Ledgers) -> OrderedDict[tuple[str, str], TimeBuckets]:
    kinds: OrderedDict[tuple[str, str], list[TimeBuckets]] = OrderedDict()
    for ledger in ledgers:
        for kind, buckets in ledger.errors.items():
            kinds.setdefault(kind, []).append(buckets)
    while len(kinds) > ledgers[0].bounds.max_error_kinds:
        kinds.popitem(last=False)
    return OrderedDict((kind, _buckets_of(found)) for kind, found in kinds.items())


def _performance(ledgers: Ledgers) -> deque[PerformanceSample]:
    newest_first = merge(*(reversed(ledger.performance) for ledger in ledgers), key=lambda sample: -sample.timestamp_ns)
    return deque(reversed(list(islice(newest_first, PERFORMANCE_SAMPLES))), maxlen=PERFORMANCE_SAMPLES)


_TOTALS: Mapping[str, Callable[[Ledgers], Any]] = {
    **{
        name: _numbers(name)
        for name in (
            "started",
            "completed",
            "abandoned",
            "starts_unseen",
            "ends_unseen",
            "rooms_created",
            "rooms_played",
            "rooms_unplayed",
        )
    },
    **{name: _counts(name) for name in ("errors_by_state", "seats_total", "wins_total", "dropped")},
    **{name: _buckets(name) for name in ("requests", "completions", "completed_durations", "hourly")},
    "phases": _phases,
    "edges": _edges,
    "players": _players,
    "errors": _errors,
    "performance": _performance,
}


def summed(archive: Ledger, ledger: Ledger) -> Ledger:
    """A new ledger with the sums of both, and nothing live. Neither is changed: somebody may be reading them."""
    result = Ledger(archive.model, archive.bounds, archive.lock, lossy=True)
    for name, combine in _TOTALS.items():
        setattr(result, name, combine((archive, ledger)))
    return result


# --- live things, of live producers ---------------------------------------------------------------------------------


class Shown(NamedTuple):
    """One producer's live things, as they were when the lock was held; taken over one by one without it.

    ``now`` is the time by its ledger, ``skew_ns`` what its times lack to be the hub's.
    """

    name: str
    now: float
    skew_ns: int
    games: list[LiveGame]
    rooms: list[Room]


Renamed = Mapping[tuple[int, str], str]
"""What things are called that another server has one of the same id beside: by the place of the server, and the id."""


def _renamed(shown: Sequence[Shown], ids: Callable[[Shown], Iterable[str]]) -> Renamed:
    """The first keeps its own."""
    taken: set[str] = set()
    renamed: dict[tuple[int, str], str] = {}
    for place, of_one in enumerate(shown):
        for own in ids(of_one):
            name = own
            while name in taken:
                name = f"{name}@{of_one.name}"
            taken.add(name)
            if name != own:
                renamed[place, own] = name
    return renamed


def _renamed_games(shown: Sequence[Shown]) -> Renamed:
    return _renamed(shown, lambda of_one: [game.game_id for game in of_one.games])


def _renamed_rooms(shown: Sequence[Shown]) -> Renamed:
    return _renamed(shown, lambda of_one: [room.room_id for room in of_one.rooms])


def _games(shown: Sequence[Shown]) -> OrderedDict[str, LiveGame]:
    """The longest quiet first. Times are seconds from now, as the producer's clock has it."""
    renamed, rooms = _renamed_games(shown), _renamed_rooms(shown)
    games: list[LiveGame] = []
    for place, of_one in enumerate(shown):
        for game in of_one.games:
            seats = game.seats
            if any(seat.away_since is not None for seat in seats):
                seats = tuple(_seat_from_now(seat, of_one.now) for seat in seats)
            copy = replace(
                game,
                game_id=renamed.get((place, game.game_id), game.game_id),
                room_id=rooms.get((place, game.room_id), game.room_id),
                started_at=game.started_at - of_one.now,
                last_activity_at=game.last_activity_at - of_one.now,
                seats=seats,
            )
            games.append(copy)
    games.sort(key=lambda game: game.last_activity_at)
    return OrderedDict((game.game_id, game) for game in games)


def _seat_from_now(seat: SeatState, now: float) -> SeatState:
    away_since = seat.away_since
    return seat if away_since is None else replace(seat, away_since=away_since - now)


def _rooms(shown: Sequence[Shown]) -> OrderedDict[str, Room]:
    """The longest quiet first."""
    renamed, games = _renamed_rooms(shown), _renamed_games(shown)
    rooms: list[Room] = []
    for place, of_one in enumerate(shown):
        for room in of_one.rooms:
            copy = replace(
                room,
                room_id=renamed.get((place, room.room_id), room.room_id),
                game_id=games.get((place, room.game_id or ""), room.game_id),
                last_activity_ns=room.last_activity_ns + of_one.skew_ns,
                phase_seconds=room.phase_seconds.copy(),
            )
            rooms.append(copy)
    rooms.sort(key=lambda room: room.last_activity_ns)
    return OrderedDict((room.room_id, room) for room in rooms)


class MergedLedger(Ledger):
    """Live things of live producers, and the sums of all. It is read, and takes no events in.

    A part is put together when it is first read, and stays as it was then.

    Parameters:
        model, bounds, lock: of all these ledgers.
        all_ledgers: the sums are theirs; at least one.
        live: whose games, rooms and sockets are shown.
        unfinished: further games whose end was not told.
        now_ns: the time; nanoseconds since 1970.
    """

    def __init__(  # the base class would make everything at once, and empty
        self,
        model: GameModel,
        bounds: Bounds,
        lock: RLock,
        all_ledgers: Ledgers,
        live: Sequence[Producer],
        unfinished: int,
        now_ns: int,
    ) -> None:
        self.model, self.bounds, self.lock, self.lossy = model, bounds, lock, True
        self.clock = lambda: 0.0  # times of games are told from now
        self._all, self._live, self._unfinished, self._now_ns = all_ledgers, live, unfinished, now_ns

    def __getattr__(self, name: str) -> Any:
        made = self._made(name)
        setattr(self, name, made)
        return made

    def _made(self, name: str) -> Any:
        match name:
            case "games":
                return _games(self._shown())
            case "rooms":
                return _rooms(self._shown())
            case "connections":
                return self._connections()
            case "games_by_state":
                with self.lock:
                    return _counts(name)([producer.ledger for producer in self._live])
        if name not in _TOTALS:
            raise AttributeError(name)
        with self.lock:
            made = _TOTALS[name](self._all)
        return made + self._unfinished if name == "ends_unseen" else made

    def _shown(self) -> list[Shown]:
        with self.lock:
            return [
                Shown(
                    producer.name,
                    producer.ledger.clock(),
                    self._skew_ns(producer),
                    list(producer.ledger.games.values()),
                    list(producer.ledger.rooms.values()),
                )
                for producer in self._live
            ]

    def _connections(self) -> OrderedDict[str, Connection]:
        with self.lock:
            return OrderedDict(
                (f"{connection_id}@{producer.name}", connection)
                for producer in self._live
                for connection_id, connection in producer.ledger.connections.items()
            )

    def _skew_ns(self, producer: Producer) -> int:
        behind = self._now_ns - producer.time_ns
        return behind if producer.heard is not None and abs(behind) > SKEW_SECONDS * _NS else 0
