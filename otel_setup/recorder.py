"""Everything a game reports, as events: input is made safe here, and whatever is wrong with it is counted.

The rules for odd input are those of docs/input-rules.md. Every method is ``async`` as the API this product succeeds
has them, but none awaits anything: a game may cancel its own task at any point, and monitoring must not notice.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Any, TypeGuard

from otel_setup.catalogue import EVENTS, EventType, Kind, M
from otel_setup.catalogue import attributes as a
from otel_setup.catalogue.attributes import RECEIVE, TRANSMIT
from otel_setup.core import Core
from otel_setup.correlation import clean_correlation_id
from otel_setup.events.log_records import MAX_LISTED
from otel_setup.events.record import SystemEvent
from otel_setup.failure import told_of
from otel_setup.game_model import OTHER
from otel_setup.ledger import Seat
from otel_setup.text import clean_data, clean_id, clean_text

_KNOWN_EVENTS = frozenset(str(event.name) for event in EVENTS)
_LARGEST_COUNT = 10**15


class Recorder:
    """Reports of one game server.

    Parameters:
        core: gives what the process observes with at the time of each call, as ``configure()`` may change it.
    """

    def __init__(self, core: Callable[[], Core]) -> None:
        self._current_core = core

    @property
    def core(self) -> Core:
        """What the process observes with now."""
        return self._current_core()

    # --- games ------------------------------------------------------------------------------------------------------

    async def record_game_created(self, game_id: str, room_id: str | None = None) -> None:
        """A game was set up and waits for its players."""
        self._publish(EventType.GAME_CREATED, game_id=game_id, room_id=room_id)

    async def record_game_start(
        self, game_id: str, room_id: str, player_count: int, bot_count: int, players: Iterable[Seat] | None = None
    ) -> None:
        """A game begins; call it before its first transition.

        Parameters:
            player_count: seats taken, bots included.
            bot_count: seats taken by bots.
            players: who sits where, in order. Without it nobody can tell whether a bot or a human won.
        """
        with self.core.faults.guard("monitor"):
            self._publish(
                EventType.GAME_STARTED,
                game_id=game_id,
                room_id=room_id,
                player_count=self._whole(player_count),
                bot_count=self._whole(bot_count),
                players=self._seats(players) or None,
            )
            self.publish_snapshot(clean_id(game_id))

    def _seats(self, players: Iterable[Seat] | None) -> list[dict[str, Any]]:
        try:
            return [
                {"player": self._id(seat.player_id), "is_bot": bool(seat.is_bot)}
                for seat in islice(players or (), MAX_LISTED)
            ]
        except Exception as error:  # noqa: BLE001 - the game has begun, whoever sits there
            self.refuse("invalid_value", f"players are no seats ({clean_text(error, 80)}); the game starts without")
            return []

    async def record_game_end(
        self,
        game_id: str,
        winner_id: str | Iterable[str] | None = None,
        final_scores: Mapping[str, float] | None = None,
        abandoned: bool = False,
    ) -> None:
        """A game was decided, or abandoned; call it before the last transition's block ends.

        Parameters:
            winner_id: the winner, or the winners of a tie.
            final_scores: points by player.
            abandoned: True where it ended undecided.
        """
        with self.core.faults.guard("monitor"):
            self._publish(
                EventType.GAME_ENDED,
                game_id=game_id,
                winner_id=None if winner_id is None else self._winners(winner_id),
                final_scores=self._scores(final_scores),
                abandoned=bool(abandoned),
            )

    def _winners(self, winner_id: str | Iterable[str]) -> str | list[str]:
        if isinstance(winner_id, str | bytes) or not isinstance(winner_id, Iterable):
            return self._id(winner_id)
        return [self._id(winner) for winner in islice(winner_id, MAX_LISTED)]

    def _scores(self, scores: Mapping[str, float] | None) -> dict[str, Any]:
        if not isinstance(scores, Mapping):
            return {}
        return {self._id(player): clean_data(score) for player, score in islice(scores.items(), MAX_LISTED)}

    async def record_game_error(
        self,
        game_id: str,
        error: BaseException | str,
        error_type: str | None = None,
        player_id: str | None = None,
        room_id: str | None = None,
    ) -> None:
        """Something failed inside a game.

        Parameters:
            error: the exception, with its stack, or a text. One that has left a block of the monitor counts once.
            error_type: what kind of error it is; the exception's class where not given.
            player_id: whom it hit, if it was one.
            room_id: needed only before the game has started; afterwards its room is known.
        """
        with self.core.faults.guard("monitor"):
            if isinstance(error, BaseException):
                data = told_of(error)
            else:
                data = {a.ERROR_TYPE.data_key: OTHER, a.ERROR_MESSAGE.data_key: clean_text(error)}
            if error_type is not None:
                data[a.ERROR_TYPE.data_key] = clean_id(error_type)
            self._publish(EventType.GAME_ERROR, game_id=game_id, player_id=player_id, room_id=room_id, **data)

    async def record_phase_started(self, game_id: str, phase: str) -> None:
        """A game entered a phase."""
        self._publish(EventType.PHASE_STARTED, game_id=game_id, phase=phase)

    async def record_phase_timeout(self, game_id: str, phase: str) -> None:
        """A phase's time was up; whatever follows is reported by itself."""
        self._publish(EventType.PHASE_TIMEOUT, game_id=game_id, phase=phase)

    async def record_phase_duration(self, game_id: str, phase: str, duration_seconds: float) -> None:
        """A game left a phase after ``duration_seconds``."""
        with self.core.faults.guard("monitor"):
            if self._is_duration(duration_seconds):
                seconds = float(duration_seconds)
                self._publish(EventType.PHASE_COMPLETED, game_id=game_id, phase=phase, duration_seconds=seconds)

    async def record_round_started(
        self, game_id: str, round_number: int | None = None, starter: str | None = None
    ) -> None:
        """A round begins; ``starter`` plays first."""
        with self.core.faults.guard("monitor"):
            self._publish(
                EventType.ROUND_STARTED,
                game_id=game_id,
                round_number=None if round_number is None else self._whole(round_number),
                starter=None if starter is None else self._id(starter),
            )

    async def record_round_completed(self, game_id: str, round_number: int | None = None) -> None:
        """A round was scored."""
        with self.core.faults.guard("monitor"):
            number = None if round_number is None else self._whole(round_number)
            self._publish(EventType.ROUND_COMPLETED, game_id=game_id, round_number=number)

    async def record_turn_completed(self, game_id: str, winner_id: str | None = None) -> None:
        """A turn was won."""
        with self.core.faults.guard("monitor"):
            winner = None if winner_id is None else self._id(winner_id)
            self._publish(EventType.TURN_COMPLETED, game_id=game_id, turn_winner=winner)

    async def record_redeal(self, game_id: str, player_id: str, outcome: str) -> None:
        """A redeal was ``requested``, ``accepted``, ``declined`` or ``timed_out``; one call each."""
        self._publish(EventType.REDEAL, game_id=game_id, player_id=player_id, outcome=clean_id(outcome))

    async def record_declaration(self, game_id: str, player_id: str, declared: int, captured: int) -> None:
        """A declaration is scored: ``hit``, ``zero_kept`` or ``missed`` follows from piles declared and captured."""
        with self.core.faults.guard("monitor"):
            declared, captured = self._whole(declared), self._whole(captured)
            kept = "zero_kept" if declared == 0 else "hit"
            self._publish(
                EventType.DECLARATION_SCORED,
                game_id=game_id,
                player_id=player_id,
                declared=declared,
                captured=captured,
                outcome=kept if declared == captured else "missed",
            )

    async def record_illegal_transition(self, game_id: str, from_state: str, to_state: str, reason: str = "") -> None:
        """A transition was attempted that the rules do not allow, and was not executed."""
        self._publish(
            EventType.STATE_TRANSITION_ILLEGAL,
            game_id=game_id,
            from_state=from_state,
            to_state=to_state,
            reason=_text(reason),
        )

    async def record_timeout(self, game_id: str, player_id: str, action_type: str) -> None:
        """The game acted for a player who did not act in time."""
        self._publish(EventType.PLAYER_TIMEOUT, game_id=game_id, player_id=player_id, action_type=action_type)

    # --- players and rooms --------------------------------------------------------------------------------------------

    async def record_room_created(self, room_id: str) -> None:
        """A room was opened."""
        self._publish(EventType.ROOM_CREATED, room_id=room_id)

    async def record_room_closed(self, room_id: str, reason: str = "") -> None:
        """A room was removed."""
        self._publish(EventType.ROOM_CLOSED, room_id=room_id, reason=_text(reason))

    async def record_player_joined(
        self, room_id: str, player_id: str, is_bot: bool = False, game_id: str | None = None
    ) -> None:
        """A player, or a bot, took a seat."""
        with self.core.faults.guard("monitor"):
            ids = {"room_id": room_id, "player_id": player_id, "game_id": game_id}
            self._publish(EventType.PLAYER_JOINED, **ids, is_bot=bool(is_bot))

    async def record_player_left(
        self, room_id: str, player_id: str, is_bot: bool = False, game_id: str | None = None
    ) -> None:
        """A player, or a bot, gave the seat up."""
        with self.core.faults.guard("monitor"):
            ids = {"room_id": room_id, "player_id": player_id, "game_id": game_id}
            self._publish(EventType.PLAYER_LEFT, **ids, is_bot=bool(is_bot))

    async def record_player_disconnected(self, game_id: str, player_id: str) -> None:
        """A player's socket was lost during a game."""
        self._publish(EventType.PLAYER_DISCONNECTED, game_id=game_id, player_id=player_id)
        self.publish_snapshot(clean_id(game_id))

    async def record_player_reconnected(self, game_id: str, player_id: str) -> None:
        """A disconnected player is back and plays the seat again."""
        self._publish(EventType.PLAYER_RECONNECTED, game_id=game_id, player_id=player_id)
        self.publish_snapshot(clean_id(game_id))

    async def record_bot_takeover(self, game_id: str, player_id: str) -> None:
        """A bot plays a disconnected human's seat from now on."""
        self._publish(EventType.BOT_TAKEOVER, game_id=game_id, player_id=player_id)
        self.publish_snapshot(clean_id(game_id))

    # --- sockets ------------------------------------------------------------------------------------------------------

    async def record_websocket_event(
        self,
        connection_id: str,
        event_type: str,
        room_id: str | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> None:
        """A socket was opened (``connect``), closed (``disconnect``), or a message was sent to a room (``broadcast``).

        Parameters:
            data: of a disconnect ``code``; of a broadcast ``recipient_count``, ``broadcast_time_ms``, ``success``
                and ``event``. Other entries go along with the event.
        """
        with self.core.faults.guard("monitor"):
            given = clean_data(data) if isinstance(data, Mapping) else {}
            fields: dict[str, Any] = given if isinstance(given, dict) else {}
            if event_type == "connect":
                event = EventType.CONNECTION_OPENED
            elif event_type == "disconnect":
                event = EventType.CONNECTION_CLOSED
                fields.pop("connection_seconds", None)  # measured here, from one clock
            elif event_type == "broadcast":
                event = EventType.BROADCAST_SENT if fields.get("success", True) else EventType.BROADCAST_FAILED
                fields["recipient_count"] = self._whole(fields.get("recipient_count", 0))
                if not self._is_duration(fields.get("broadcast_time_ms", 0)):
                    del fields["broadcast_time_ms"]
            else:
                self.refuse(
                    "undeclared_event",
                    f"socket event {clean_id(event_type)!r} is none of connect, disconnect, broadcast",
                )
                return
            self._publish(event, connection_id=connection_id, room_id=room_id, **_as_data(fields))

    async def record_socket_message(
        self, connection_id: str, direction: str, message_type: str, size_bytes: int
    ) -> None:
        """A socket message: ``receive`` or ``transmit``, its type, its size in bytes.

        It is counted, and an event only while somebody looks at its room (``python -m otel_setup debug``).
        """
        with self.core.faults.guard("monitor"):
            if direction not in (RECEIVE, TRANSMIT):
                self.refuse("invalid_value", f"direction {clean_id(direction)!r} is neither {RECEIVE} nor {TRANSMIT}")
                return
            core, size = self.core, self._whole(size_bytes)
            labels = {"direction": direction, "message_type": clean_id(message_type) or OTHER}
            core.instruments.add(M.MESSAGES, **labels)  # type: ignore[arg-type]
            core.instruments.add(M.MESSAGE_BYTES, size, **labels)
            if core.debug.active:  # debug hook
                core.debug.socket_message(connection_id, direction, message_type, size)  # debug hook

    # --- anything else ------------------------------------------------------------------------------------------------

    async def record_event(self, event_type: str, /, **fields: Any) -> None:
        """Any declared event.

        Parameters:
            event_type: a name of the catalogue; another is refused and counted.
            fields: ``game_id``, ``room_id``, ``player_id``, ``connection_id``, ``correlation_id`` and the event's data.
        """
        with self.core.faults.guard("monitor"):
            if isinstance(event_type, str) and event_type in _KNOWN_EVENTS:
                self._publish(EventType(event_type), **_as_data(fields, keep_ids=True))
            else:
                self.refuse("undeclared_event", f"event {clean_id(event_type)!r} is not in the catalogue")

    async def record_metric(self, name: str, value: float, /, **labels: object) -> None:
        """A business metric the game declared with ``configure(business_metrics=...)``.

        Undeclared names and labels and values that are no numbers are refused and counted.
        """
        self.record_metric_now(name, value, labels)

    def record_metric_now(self, name: str, value: float, labels: Mapping[str, object]) -> None:
        """:meth:`record_metric` for code that cannot await."""
        with self.core.faults.guard("monitor"):
            built = self.core.catalogue.business(name) if isinstance(name, str) else None
            if built is None:
                declared = [metric.declared.name for metric in self.core.catalogue.metrics if metric.business]
                self.refuse("undeclared_metric", f"metric {clean_id(name)!r} is not declared; declared are {declared}")
                return
            if not set(labels) <= set(built.labels):
                self.refuse("undeclared_attribute", f"metric {name!r} has the labels {list(built.labels)} only")
                return
            only_rises = built.declared.kind is not Kind.GAUGE
            if not _is_number(value, negative=not only_rises):
                self.refuse("invalid_value", f"metric {name!r} cannot record {clean_text(value, 80)!r}")
                return
            # As a float, because whole numbers beyond 64 bits cannot be exported, and one would stop all that follow.
            self.core.instruments.record(built.declared, float(value), **labels)

    # --- shared -------------------------------------------------------------------------------------------------------

    def refuse(self, reason: str, message: str) -> None:
        """Counts input that is not recorded."""
        self.core.instruments.add(M.INPUT_REFUSED, reason=reason)
        self.core.faults.note(reason, message)

    def publish_snapshot(self, game_id: str) -> None:
        """Publishes the state of a live game, for readers that may have lost events."""
        core = self.core

        def describe() -> SystemEvent | None:
            game = core.ledger.games.get(game_id)
            if game is None:
                return None
            return SystemEvent(
                event_type=EventType.GAME_SNAPSHOT,
                game_id=game_id,
                room_id=game.room_id,
                data={
                    "state": game.state,
                    "ordinal": game.ordinal,
                    "round_number": game.round_number,
                    "turns": game.turns,
                    "player_count": game.player_count,
                    "bot_count": game.bot_count,
                    "players": [
                        {"player": seat.player_id, "is_bot": seat.is_bot, "bot_plays": seat.bot_plays}
                        for seat in game.seats
                    ],
                },
            )

        core.publish_state(EventType.GAME_SNAPSHOT, describe)

    def _publish(
        self,
        event_type: EventType,
        /,
        *,
        game_id: object = None,
        room_id: object = None,
        player_id: object = None,
        connection_id: object = None,
        correlation_id: str | None = None,
        **data: Any,
    ) -> None:
        core = self.core
        with core.faults.guard("monitor"):
            core.publish(
                SystemEvent(
                    event_type=event_type,
                    game_id=self._id(game_id) or None,
                    room_id=self._id(room_id) or None,
                    player_id=self._id(player_id) or None,
                    connection_id=self._id(connection_id) or None,
                    correlation_id=clean_correlation_id(correlation_id),
                    data={key: value for key, value in data.items() if value is not None},
                )
            )

    def _id(self, value: object) -> str:
        return self.core.id(value)

    def _whole(self, value: object) -> int:
        """A count; what is none is 0 and counted."""
        if _is_number(value, negative=False) and value <= _LARGEST_COUNT:
            return int(value)
        self.core.irregular("invalid_count", f"{clean_text(value, 80)!r} is no count; 0 is recorded")
        return 0

    def _is_duration(self, value: object) -> bool:
        if _is_number(value, negative=False):
            return True
        self.refuse("invalid_duration", f"{clean_text(value, 80)!r} is no duration")
        return False


def _text(value: object) -> str | None:
    return None if value is None else clean_text(value) or None


def _is_number(value: object, *, negative: bool) -> TypeGuard[float]:
    """Whether it is a number that a float can hold, and from 0 on unless negative ones are welcome."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value) and (negative or value >= 0)
    except OverflowError:  # an integer of hundreds of digits
        return False


def _as_data(fields: Mapping[str, Any], *, keep_ids: bool = False) -> dict[str, Any]:
    """Keyword arguments for ``_publish``: the caller's names must not collide with its own."""
    ids = {"game_id", "room_id", "player_id", "connection_id", "correlation_id"}
    return {
        (key if keep_ids or key not in ids else f"data_{key}"): (value if key in ids else clean_data(value))
        for key, value in fields.items()
    }
