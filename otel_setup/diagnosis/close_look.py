"""What is told beyond the usual of a room, game or player that somebody looks at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from opentelemetry.util.types import Attributes

from otel_setup.catalogue import EventType
from otel_setup.catalogue import attributes as a
from otel_setup.diagnosis.rules import DebugRules, Rule
from otel_setup.events.record import SystemEvent
from otel_setup.game_model import OTHER
from otel_setup.text import clean_id

if TYPE_CHECKING:
    from otel_setup.core import Core

_MS = 1000
_ATTRIBUTES = (a.ROOM_ID.name, a.GAME_ID.name, a.PLAYER_ID.name)


class CloseLook:
    """The rules of a core, and the events they lead to. Where there is no rule it costs one look at ``active``.

    Parameters:
        core: what the process observes with.

    Attributes:
        rules: whom somebody looks at.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self.rules = DebugRules(self._room_of, self._pseudonym)

    @property
    def active(self) -> bool:
        """Whether somebody looks at anything."""
        return self.rules.active

    def wants_span(self, attributes: Attributes) -> bool:
        """Whether somebody looks at what a span's attributes name; then its trace is recorded."""
        if not self.rules.active or not attributes:
            return False
        with self._core.faults.guard("tracing"):  # a sampler that raises would reach whoever starts a span
            values = (attributes.get(name) for name in _ATTRIBUTES)
            return self.rules.wants(*(value if isinstance(value, str) else None for value in values))
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
        if self.rules.wants(**ids):
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
        if self.rules.wants(None, game_id, player_id):
            data = {
                a.ACTION_TYPE.data_key: action,
                a.QUEUE_WAIT_MS.data_key: waited * _MS,
                a.QUEUE_WAITING.data_key: len(self._core.waiting),
            }
            self._publish(EventType.ACTION_DEQUEUED, data, {"game_id": game_id, "player_id": player_id})

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
