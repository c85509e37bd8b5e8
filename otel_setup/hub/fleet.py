"""All producers together: which live, which are lost, what their games do, and whether that is all there is.

Each producer has a ledger, the same fold that it keeps itself. Silence makes a producer lost and its games with it,
for the time being: nothing counts as ended, and the first word of it takes that back. What is known may have holes;
the fleet says so until snapshots and heartbeats have shown that it is right again.

The log keeps what is found here as events, so that whoever reads it again comes to the same.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import RLock
from typing import Any, NamedTuple

from otel_setup import clock
from otel_setup.catalogue import EventType
from otel_setup.catalogue import attributes as a
from otel_setup.events.record import SystemEvent
from otel_setup.game_model import LIAP_TUI, GameModel
from otel_setup.hub.findings import finding, is_finding
from otel_setup.hub.merging import MergedLedger, summed
from otel_setup.hub.producer import Producer, Reason, State
from otel_setup.hub.uids import parse_uid
from otel_setup.hub.unfinished import Owner, UnfinishedGames
from otel_setup.ledger import Bounds, Ledger
from otel_setup.ledger.payload import count, is_late
from otel_setup.ledger.state import LiveGame

__all__ = ["Completeness", "Fleet", "FleetBounds", "Reason", "State"]

SWEEP_SECONDS = 60.0
"""Seconds between removals of what is older than the retention."""
_NS = 1_000_000_000
_SAYS_HOW_IT_IS = frozenset({EventType.PRODUCER_HEARTBEAT, EventType.PRODUCER_STOPPED})


@dataclass(frozen=True, kw_only=True)
class FleetBounds:
    """How long the fleet waits, and how much it remembers.

    Parameters:
        silent_heartbeats: after a silence of so many of its own heartbeats a producer is lost.
        least_silence: seconds; a shorter silence means nothing, since events travel in batches.
        forget_seconds: how long a producer that is lost or stopped keeps its ledger; then its sums go to the archive.
        max_ledgers: ledgers; past it a finished producer's, else that of the longest silent, goes to the archive.
        max_unfinished_games: games whose producer's ledger is gone while they may go on; past it the oldest count as
            ended without being seen.
        lag_window: seconds over which it is known how late events of a producer are at the best of times.
        ledger: of each ledger.
    """

    silent_heartbeats: float = 3.0
    least_silence: float = 3.0
    forget_seconds: float = 900.0
    max_ledgers: int = 1_000
    max_unfinished_games: int = 10_000
    lag_window: float = 900.0
    ledger: Bounds = field(default_factory=Bounds)


class Completeness(NamedTuple):
    """Whether everything that is live is known.

    ``since`` is when the answer became what it is; ``reasons`` are there for each producer of which not all is known.
    """

    complete: bool
    since: datetime
    reasons: Mapping[str, list[Reason]]


class Fleet:
    """What is known of all producers.

    Parameters:
        model: their game.
        bounds: how long it waits, and how much it remembers.

    Attributes:
        waiting: producers of which a number is awaited; the accounts know them.
        faults: events that a ledger failed on.
    """

    def __init__(self, model: GameModel = LIAP_TUI, bounds: FleetBounds | None = None) -> None:
        self.model = model
        self.bounds = bounds or FleetBounds()
        self.lock = RLock()
        self.waiting: Callable[[], Collection[str]] = tuple
        self.faults = 0
        self._producers: dict[str, Producer] = {}
        self._forgotten: OrderedDict[str, State] = OrderedDict()
        self._archive = Ledger(model, self.bounds.ledger, self.lock, lossy=True)
        self._unfinished = UnfinishedGames(self.bounds.max_unfinished_games)
        self._found: list[SystemEvent] = []
        self._began: float | None = None
        self._judges_from = float("-inf")
        self._swept = float("-inf")
        self._incomplete: set[str] = set()
        self._complete = True
        self._since_ns = clock.time_ns()

    # --- what comes ---------------------------------------------------------------------------------------------------

    def apply(self, event: SystemEvent, now: float | None = None) -> None:
        """Takes a delivered event in, in the order of the stream.

        Parameters:
            now: seconds on a clock that never jumps; None for events that are read from the log, which nobody hears.
        """
        with self.lock:
            if is_finding(event):
                self._take_finding(event, now)
            else:
                self._take(event, now)
            self._note_completeness()

    def due(self, now: float, *, caught_up: bool = True) -> list[SystemEvent]:
        """What has been found out since the last call: producers and games that are lost, or have returned.

        Call it about once a second, when what has come is taken in.

        Parameters:
            now: seconds on the clock of ``apply()``; the first call says when the hub began to listen.
            caught_up: whether no more waits to be taken in; else nobody is judged.
        """
        with self.lock:
            if self._began is None:
                self._began = now
            self._look_for_backlog(now, caught_up)
            for producer in list(self._producers.values()):
                self._judge(producer, now)
            if now - self._swept >= SWEEP_SECONDS:
                self._swept = now
                self._sweep()
            self._note_completeness()
            found, self._found = self._found, []
            return found

    # --- what is known ------------------------------------------------------------------------------------------------

    def is_live(self, producer: str) -> bool:
        """Whether a producer is live, as far as is known."""
        found = self._producers.get(producer)
        return found is not None and found.state is State.LIVE

    def ledger(self) -> Ledger:
        """Everything as one ledger, as it is now: for the views, to be read once. Any thread may read it."""
        with self.lock:
            producers = list(self._producers.values())
            return MergedLedger(
                self.model,
                self.bounds.ledger,
                self.lock,
                [self._archive, *(producer.ledger for producer in producers)],
                [producer for producer in producers if producer.state is State.LIVE],
                self._unfinished.count,
                clock.time_ns(),
            )

    def completeness(self) -> Completeness:
        """Whether every producer that is known, and neither stopped nor forgotten, is known completely."""
        with self.lock:
            self._note_completeness()
            reasons = {name: self._producers[name].reasons() for name in self._incomplete}
            for name in tuple(self.waiting()):  # another thread may add to them
                reasons.setdefault(name, []).append(Reason.AWAITED)
            return Completeness(self._complete, _utc(self._since_ns), reasons)

    def report(self, now: float) -> dict[str, dict[str, Any]]:
        """What is known of each producer, for people.

        Parameters:
            now: seconds on the clock of ``apply()``.
        """
        with self.lock:
            reasons = self.completeness().reasons
            return {
                name: producer.report(now) | {"incomplete": [reason.value for reason in reasons.get(name, ())]}
                for name, producer in self._producers.items()
            }

    def states(self) -> dict[str, int]:
        """How many producers are live, lost, stopped; 0 included."""
        with self.lock:
            states = [producer.state for producer in self._producers.values()]
            return {state.value: states.count(state) for state in State}

    # --- events of producers ------------------------------------------------------------------------------------------

    def _take(self, event: SystemEvent, now: float | None) -> None:
        name, number = parse_uid(event.event_id) or (_foreign_name(event), 0)
        producer = self._producer(name, event)
        late = is_late(event)
        says_more = event.event_type in _SAYS_HOW_IT_IS
        changed = says_more or producer.heard is None or producer.state is not State.LIVE
        if not late:
            producer.note(event, number)
            if now is not None:
                producer.heard = now
                changed = self._note_lag(producer, now - event.timestamp_ns / _NS) or changed
        self._take_up_again(producer, event)
        try:
            producer.ledger.apply(event)
        except Exception:  # noqa: BLE001 - whoever sent it, the others go on
            self.faults += 1
        if not late:
            producer.confirm(event)
            if producer.state is State.LOST:
                self._return(producer, now)
            if event.event_type == EventType.PRODUCER_STOPPED:
                producer.state, producer.finished = State.STOPPED, now
        if producer.state is State.STOPPED and producer.ledger.games:
            self._unfinished.put(_owner(producer), _all_games(producer.ledger))
        if changed:
            self._note_reasons(producer)

    def _note_lag(self, producer: Producer, lag: float) -> bool:
        """Whether the producer turns out to be behind: known at once, where that it has caught up takes a while."""
        producer.lag.note(lag)
        heartbeat = producer.heartbeat_seconds
        if producer.behind or heartbeat is None or producer.lag.late_by(lag) <= self._long_silence(heartbeat):
            return False
        producer.behind = True
        return True

    def _producer(self, name: str, event: SystemEvent) -> Producer:
        producer = self._producers.get(name)
        if producer is not None:
            return producer
        if len(self._producers) >= self.bounds.max_ledgers:
            self._forget(min(self._producers.values(), key=_worth))
        producer = Producer(name, self.model, self.bounds.ledger, self.lock, self.bounds.lag_window)
        producer.note(event, 0)
        self._producers[name] = producer
        state = self._forgotten.pop(name, None)
        if state is not None:
            producer.state = state
            for game in self._unfinished.pop_all(("producer", name)):
                _go_on(producer.ledger, game, event)
            producer.lost_games = set(producer.ledger.games) if state is State.LOST else set()
        return producer

    def _take_up_again(self, producer: Producer, event: SystemEvent) -> None:
        """A game that was live when an epoch ended in good order goes on in the next one of the same service."""
        ledger, game_id = producer.ledger, event.game_id
        if not game_id or game_id in ledger.games or game_id in ledger.ended:
            return
        if event.event_type == EventType.GAME_STARTED:
            return
        game = self._unfinished.pop(("service", producer.service), game_id)
        if game is not None:
            _go_on(ledger, game, event)

    # --- silence ------------------------------------------------------------------------------------------------------

    def _look_for_backlog(self, now: float, caught_up: bool) -> None:
        """While old events come in, the silence of others says nothing: theirs may be on their way."""
        for producer in self._producers.values():
            heartbeat = producer.heartbeat_seconds
            late = producer.lag.excess(now)
            if heartbeat is None or late is None:
                continue
            behind = late > self._long_silence(heartbeat)
            if behind:
                self._judges_from = max(self._judges_from, now + heartbeat)
            if behind is not producer.behind:
                producer.behind = behind
                self._note_reasons(producer)
        if not caught_up:
            self._judges_from = max(self._judges_from, now)

    def _judge(self, producer: Producer, now: float) -> None:
        if producer.state is not State.LIVE:
            if producer.finished is None:
                producer.finished = now
            if now - producer.finished > self.bounds.forget_seconds:
                self._forget(producer)
            return
        assert self._began is not None  # noqa: S101 - due() has seen to it
        heard = self._began if producer.heard is None else producer.heard
        silent = now - max(heard, self._judges_from)
        if producer.heartbeat_seconds is None:
            # It never promised to be heard of. Its games are given up as a producer would give them up itself.
            if silent > self.bounds.ledger.game_idle_timeout:
                self._forget(producer)
        elif silent >= self._long_silence(producer.heartbeat_seconds):
            self._lose(producer, now)

    def _long_silence(self, heartbeat_seconds: float) -> float:
        return max(self.bounds.silent_heartbeats * heartbeat_seconds, self.bounds.least_silence)

    def _lose(self, producer: Producer, now: float | None) -> None:
        producer.state, producer.finished = State.LOST, now
        producer.lost_games = set(producer.ledger.games)
        if now is not None:
            self._tell(EventType.PRODUCER_LOST, EventType.GAME_LOST, producer, producer.lost_games)
        self._note_reasons(producer)

    def _return(self, producer: Producer, now: float | None) -> None:
        producer.state, producer.finished = State.LIVE, None
        games, producer.lost_games = producer.lost_games & producer.ledger.games.keys(), set()
        if now is not None:
            self._tell(EventType.PRODUCER_RETURNED, EventType.GAME_RETURNED, producer, games)
        self._note_reasons(producer)

    def _tell(self, of_producer: EventType, of_game: EventType, producer: Producer, games: Collection[str]) -> None:
        verb, now_ns, name = of_producer.rpartition(".")[2], clock.time_ns(), producer.name
        event_id = f"{verb}-{name}-{producer.last_number}"
        data = {
            a.PRODUCER_ID.data_key: name,
            a.PRODUCER_EPOCH.data_key: producer.epoch,
            a.LAST_SEQUENCE.data_key: producer.last_number,
            a.LIVE_GAMES.data_key: len(producer.ledger.games),
        }
        self._found.append(finding(of_producer, event_id, now_ns, producer.metadata, data=data))
        for game in [producer.ledger.games[game_id] for game_id in sorted(games)]:
            about = {a.PRODUCER_ID.data_key: name, a.STATE_NAME.data_key: game.state}
            self._found.append(
                finding(
                    of_game,
                    f"{event_id}-{game.game_id}",
                    now_ns,
                    producer.metadata,
                    game_id=game.game_id,
                    room_id=game.room_id,
                    data=about,
                )
            )

    # --- what the hub found itself ------------------------------------------------------------------------------------

    def _take_finding(self, event: SystemEvent, now: float | None) -> None:
        name = str(event.data.get(a.PRODUCER_ID.data_key))
        if event.event_type == EventType.STREAM_GAP:
            producer = self._producer(name, event)
            producer.miss(count(event.data.get(a.GAP_COUNT.data_key)))
            self._note_reasons(producer)
            return
        found = self._producers.get(name)
        if found is None:
            return
        if event.event_type == EventType.STREAM_GAP_FILLED:
            found.fill(count(event.data.get(a.GAP_COUNT.data_key)))
        elif now is None and event.event_type == EventType.PRODUCER_LOST and found.state is State.LIVE:
            self._lose(found, None)
        elif now is None and event.event_type == EventType.PRODUCER_RETURNED and found.state is State.LOST:
            self._return(found, None)
        self._note_reasons(found)

    # --- the past -----------------------------------------------------------------------------------------------------

    def _forget(self, producer: Producer) -> None:
        """Its sums go to the archive; its games may still go on some day."""
        ledger = producer.ledger
        self._unfinished.put(_owner(producer), _all_games(ledger))
        for room in list(ledger.rooms.values()):
            ledger.forget_room(room)
        self._archive = summed(self._archive, ledger)
        del self._producers[producer.name]
        self._incomplete.discard(producer.name)
        self._forgotten[producer.name] = producer.state
        if len(self._forgotten) > self.bounds.max_ledgers:
            self._forgotten.popitem(last=False)

    def _sweep(self) -> None:
        for producer in self._producers.values():
            producer.ledger.sweep(producer.time_ns)
        self._archive.sweep()

    # --- completeness -------------------------------------------------------------------------------------------------

    def _note_reasons(self, producer: Producer) -> None:
        if producer.reasons():
            self._incomplete.add(producer.name)
        else:
            self._incomplete.discard(producer.name)

    def _note_completeness(self) -> None:
        complete = not self._incomplete and not self.waiting()
        if complete is not self._complete:
            self._complete, self._since_ns = complete, clock.time_ns()


def _foreign_name(event: SystemEvent) -> str:
    """Whose event it is that no producer has numbered, by its resource."""
    return str(event.metadata.get("instance") or event.metadata.get("service") or "unknown")


def _worth(producer: Producer) -> tuple[bool, float]:
    """By which a bound chooses whose ledger goes: first those that are finished, then the longest silent."""
    return producer.state is State.LIVE, float("-inf") if producer.heard is None else producer.heard


def _owner(producer: Producer) -> Owner:
    return ("service", producer.service) if producer.state is State.STOPPED else ("producer", producer.name)


def _all_games(ledger: Ledger) -> list[LiveGame]:
    games = list(ledger.games.values())
    for game in games:
        ledger.remove_game(game)
    return games


def _go_on(ledger: Ledger, game: LiveGame, event: SystemEvent) -> None:
    ledger.add_game(game)
    ledger.enter_room(game, event, bots=sum(seat.bot_plays for seat in game.seats) if game.seats else game.bot_count)


def _utc(time_ns: int) -> datetime:
    seconds, rest = divmod(time_ns, _NS)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest // 1000)
