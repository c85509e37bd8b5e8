"""What is told beyond the usual of a room, game or player that somebody looks at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from opentelemetry.util.types import Attributes

from otel_setup.catalogue import EventType
from otel_setup.catalogue import attributes as a
from otel_setup.catalogue.attributes import STEP_BY_GAME, STEP_BY_MONITOR
from otel_setup.connection import Place
from otel_setup.diagnosis.rules import DebugRules, Rule
from otel_setup.events.record import SystemEvent
from otel_setup.game_model import OTHER
from otel_setup.text import clean_data, clean_id

if TYPE_CHECKING:
    from otel_setup.core import Core

SLOW_CALLBACK_SECONDS = 0.02
"""Seconds for which something may hold the event loop, while somebody looks closely, before it is told who does."""
_MS = 1000
_ATTRIBUTES = (a.ROOM_ID.name, a.GAME_ID.name, a.PLAYER_ID.name)


class CloseLook:
    """The rules of a core, and the events they lead to. Where nobody looks it costs one look at ``active``.

    Code that tells more asks ``if core.debug.active:`` on a line marked ``# debug hook``, as are the lines below it: a
    test takes them all out, and holds that they cost nothing but the question.

    Parameters:
        core: what the process observes with.

    Attributes:
        active: whether somebody looks at anything. A plain value, since it is asked several times an event.
        rules: whom somebody looks at.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self._everything = False
        self.active = False
        self.rules = DebugRules(self._room_of, self._pseudonym, changed=self._update)

    def look_at_everything(self, everything: bool) -> None:
        """Looks at every room, game and player, whatever the rules say; or at those of the rules alone."""
        self._everything = everything
        self._update()

    def _update(self) -> None:
        self.active = self._everything or self.rules.active

    def slow_callback(self, otherwise: float) -> float:
        """Seconds for which something may hold the event loop before it is told: fewer, while somebody looks."""
        return min(SLOW_CALLBACK_SECONDS, otherwise) if self.active else otherwise

    def wants(self, room_id: str | None, game_id: str | None = None, player_id: str | None = None) -> bool:
        """Whether somebody looks at what happens there."""
        return self._everything or self.rules.wants(room_id, game_id, player_id)

    def wants_span(self, attributes: Attributes) -> bool:
        """Whether somebody looks at what a span's attributes name; then its trace is recorded."""
        if not self.active or not attributes:
            return False
        with self._core.faults.guard("tracing"):  # a sampler that raises would reach whoever starts a span
            values = (attributes.get(name) for name in _ATTRIBUTES)
            return self.wants(*(value if isinstance(value, str) else None for value in values))
        return False

    def socket_message(self, connection_id: object, direction: str, message_type: object, size_bytes: int) -> None:
        """Tells of one message, if its socket belongs to a room that somebody looks at.

        Whose socket it is the ledger does not know, so no rule about a player fits.
        """
        core, connection = self._core, clean_id(connection_id)
        with core.lock:
            socket = core.ledger.connections.get(connection)
            room = core.ledger.rooms.get(socket.room_id) if socket else None
            ids = {"room_id": socket.room_id or None if socket else None, "game_id": room.game_id if room else None}
        if self.wants(ids["room_id"], ids["game_id"]):
            model = core.settings.model
            known = message_type in (*model.messages_in, *model.messages_out)
            data = {
                a.SOCKET_DIRECTION.data_key: direction,
                a.SOCKET_MESSAGE_TYPE.data_key: message_type if known else OTHER,
                a.SOCKET_MESSAGE_SIZE.data_key: size_bytes,
            }
            self._publish(EventType.CONNECTION_MESSAGE, data, {"connection_id": connection, **ids})

    def action_dequeued(self, action: str, waited: float, game_id: str, player_id: str) -> None:
        """Tells how long an action waited, in seconds, and how many still do, if somebody looks at it."""
        if self.wants(None, game_id, player_id):
            data = {
                a.ACTION_TYPE.data_key: action,
                a.QUEUE_WAIT_MS.data_key: waited * _MS,
                a.QUEUE_WAITING.data_key: len(self._core.waiting),
            }
            self._publish(EventType.ACTION_DEQUEUED, data, {"game_id": game_id, "player_id": player_id})

    def step(
        self,
        event_type: EventType,
        step: str,
        data: Mapping[str, Any],
        *,
        own: Mapping[str, object] | None = None,
        game_id: str | None,
        player_id: str | None = None,
        place: Place | None = None,
    ) -> None:
        """Tells that a block has come to a step, if somebody looks at it. Never raises.

        Parameters:
            data: what the block's other events say too.
            own: what the game says of a step that it names itself; None of one of the monitor's.
            game_id, player_id: clean, or None.
            place: in which span it happens.
        """
        with self._core.faults.guard("monitor"):
            if self.wants(None, game_id, player_id):
                # What the game says has its names for itself, so that none of them can stand for one of ours.
                told = {a.EXTRA.data_key: clean_data(own)} if own else {}
                origin = STEP_BY_MONITOR if own is None else STEP_BY_GAME
                named = {a.STEP.data_key: clean_id(step), a.STEP_ORIGIN.data_key: origin}
                ids = {"game_id": game_id, "player_id": player_id}
                self._core.tell(event_type, {**data, **named, **told}, **ids, place=place)

    def began(self, rule: Rule, seconds: float) -> None:
        """Tells that somebody looks closely, for so many seconds: others would wonder at what they see."""
        self._publish(EventType.PRODUCER_DEBUG_STARTED, {a.DEBUG_SECONDS.data_key: seconds}, vars(rule.subject))

    def ended(self, rule: Rule) -> None:
        """Tells that nobody looks that closely any more."""
        self._publish(EventType.PRODUCER_DEBUG_ENDED, {}, vars(rule.subject))

    def _publish(self, event_type: EventType, data: Mapping[str, Any], ids: Mapping[str, Any]) -> None:
        self._core.publish(SystemEvent(event_type=event_type, data=data, **ids))

    def _room_of(self, game_id: str) -> str | None:
        return self._core.ledger.room_of(game_id)

    def _pseudonym(self, name: str) -> str:
        return self._core.pseudonyms.of(name)
