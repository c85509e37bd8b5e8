"""From events to metrics: which instruments move when an event is published.

Metrics and events cannot disagree, because every game metric is recorded here, from the event itself and from what
the ledger knows about it, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from otel_setup.catalogue import EventType, M, Metric
from otel_setup.catalogue.attributes import BOT, HUMAN, UNKNOWN
from otel_setup.events.record import SystemEvent
from otel_setup.game_model import OTHER
from otel_setup.instruments import Instruments
from otel_setup.ledger import Facts
from otel_setup.ledger.payload import count, is_cancelled, number

Measure = Callable[[Instruments, SystemEvent, Facts], None]

_MS = 1000


def measure(instruments: Instruments, event: SystemEvent, facts: Facts) -> None:
    """Records every metric an event moves."""
    if facts.error_state:
        instruments.add(M.STATE_ERRORS, state=facts.error_state)
    rule = _RULES.get(event.event_type)
    if rule is not None and facts.counted:
        rule(instruments, event, facts)


def _duration(
    instruments: Instruments, metric: Metric, event: SystemEvent, key: str, *, per_unit: float = 1, **labels: object
) -> None:
    """Records a duration the event may carry; one it does not, or that is none, is not made up."""
    value = number(event.data.get(key))
    if value is not None:
        instruments.record(metric, value / per_unit, **labels)


def _game_started(instruments: Instruments, _event: SystemEvent, _facts: Facts) -> None:
    instruments.add(M.GAMES_STARTED)


def _game_ended(instruments: Instruments, event: SystemEvent, facts: Facts) -> None:
    abandoned = bool(event.data.get("abandoned"))
    instruments.add(M.GAMES_ABANDONED if abandoned else M.GAMES_COMPLETED)
    outcome = "abandoned" if abandoned else "completed"
    _duration(instruments, M.GAME_LIFETIME, event, "game_seconds", outcome=outcome)
    for kind, seats in facts.seats.items():
        if seats:
            instruments.add(M.SEATS, seats, type=kind)
    for kind, wins in facts.wins.items():
        instruments.add(M.PLAYER_WINS, wins, type=kind)
    for seat in facts.seat_wins:
        instruments.add(M.SEAT_WINS, seat=str(seat))
    if facts.unattributed_wins:
        instruments.add(M.WINS_UNATTRIBUTED, facts.unattributed_wins)


def _edge(event: SystemEvent) -> dict[str, Any]:
    return {"from": event.data.get("from_state"), "to": event.data.get("to_state")}


def _transition_completed(instruments: Instruments, event: SystemEvent, _facts: Facts) -> None:
    instruments.count(M.STATE_TRANSITIONS, **_edge(event))
    _transition_took(instruments, event, "success")


def _transition_failed(instruments: Instruments, event: SystemEvent, _facts: Facts) -> None:
    _transition_took(instruments, event, _failure(event))


def _failure(event: SystemEvent) -> str:
    return "cancelled" if is_cancelled(event.data) else "failed"


def _transition_took(instruments: Instruments, event: SystemEvent, outcome: str) -> None:
    labels = {**_edge(event), "outcome": outcome}
    _duration(instruments, M.STATE_TRANSITION_DURATION, event, "duration_ms", per_unit=_MS, **labels)


def _transition_illegal(instruments: Instruments, event: SystemEvent, _facts: Facts) -> None:
    instruments.add(M.STATE_ILLEGAL_TRANSITIONS, **_edge(event))


def _phase_completed(instruments: Instruments, event: SystemEvent, _facts: Facts) -> None:
    _duration(instruments, M.PHASE_DURATION, event, "duration_seconds", phase=event.data.get("phase"))


def _action_started(instruments: Instruments, event: SystemEvent, _facts: Facts) -> None:
    action = event.data.get("action_type")
    _duration(instruments, M.ACTION_QUEUE_WAIT, event, "queue_wait_ms", per_unit=_MS, action_type=action)


def _action_ended(instruments: Instruments, event: SystemEvent, _facts: Facts) -> None:
    action, outcome = event.data.get("action_type"), event.data.get("outcome")
    if outcome is None:  # an action reported by hand need not say how it ended
        outcome = "accepted" if event.event_type != EventType.ACTION_FAILED else _failure(event)
    add = instruments.add if event.event_type == EventType.ACTION_FAILED else instruments.count
    add(M.ACTIONS, action_type=action, outcome=outcome, actor=event.data.get("actor") or UNKNOWN)
    _duration(instruments, M.ACTION_DURATION, event, "duration_ms", per_unit=_MS, action_type=action, outcome=outcome)


def _player_timed_out(instruments: Instruments, event: SystemEvent, _facts: Facts) -> None:
    instruments.add(M.ACTION_TIMEOUTS, action_type=event.data.get("action_type"))


def _actor(event: SystemEvent) -> str:
    return BOT if event.data.get("is_bot") else HUMAN


def _player_joined(instruments: Instruments, event: SystemEvent, _facts: Facts) -> None:
    instruments.add(M.PLAYERS_JOINED, actor=_actor(event))


def _player_left(instruments: Instruments, event: SystemEvent, _facts: Facts) -> None:
    instruments.add(M.PLAYERS_LEFT, actor=_actor(event))


def _player_disconnected(instruments: Instruments, _event: SystemEvent, _facts: Facts) -> None:
    instruments.add(M.PLAYERS_DISCONNECTED)


def _player_reconnected(instruments: Instruments, event: SystemEvent, _facts: Facts) -> None:
    instruments.add(M.PLAYERS_RECONNECTED)
    _duration(instruments, M.PLAYER_REJOIN_DURATION, event, "away_seconds")


def _bot_took_over(instruments: Instruments, _event: SystemEvent, _facts: Facts) -> None:
    instruments.add(M.BOT_TAKEOVERS)


def _room_created(instruments: Instruments, _event: SystemEvent, _facts: Facts) -> None:
    instruments.add(M.ROOMS_CREATED)


def _room_closed(instruments: Instruments, _event: SystemEvent, _facts: Facts) -> None:
    instruments.add(M.ROOMS_CLOSED)


def _round_completed(instruments: Instruments, _event: SystemEvent, _facts: Facts) -> None:
    instruments.count(M.ROUNDS)


def _turn_completed(instruments: Instruments, _event: SystemEvent, _facts: Facts) -> None:
    instruments.count(M.TURNS)


def _redeal(instruments: Instruments, event: SystemEvent, _facts: Facts) -> None:
    instruments.add(M.REDEALS, outcome=event.data.get("outcome"))


def _declaration_scored(instruments: Instruments, event: SystemEvent, _facts: Facts) -> None:
    instruments.add(M.DECLARATIONS, outcome=event.data.get("outcome"))


def _connection_opened(instruments: Instruments, _event: SystemEvent, _facts: Facts) -> None:
    instruments.add(M.CONNECTIONS_OPENED)


def _connection_closed(instruments: Instruments, event: SystemEvent, _facts: Facts) -> None:
    instruments.add(M.CONNECTIONS_CLOSED)
    code = event.data.get("code") or OTHER
    instruments.add(M.CLOSES, code=OTHER if _is_applications_own(code) else code)


def _is_applications_own(code: object) -> bool:
    """RFC 6455, 7.4.2: 3000 to 4999 are for libraries, frameworks and applications, and as regular as any."""
    return isinstance(code, int) and code in range(3000, 5000)


def _broadcast(instruments: Instruments, event: SystemEvent, _facts: Facts) -> None:
    sent = event.event_type == EventType.BROADCAST_SENT
    instruments.add(M.BROADCASTS, outcome="success" if sent else "failure")
    instruments.add(M.BROADCAST_RECIPIENTS, count(event.data.get("recipient_count")))
    _duration(instruments, M.BROADCAST_TIME, event, "broadcast_time_ms")


_RULES: Mapping[str, Measure] = {
    EventType.GAME_STARTED: _game_started,
    EventType.GAME_ENDED: _game_ended,
    EventType.STATE_TRANSITION_COMPLETE: _transition_completed,
    EventType.STATE_TRANSITION_FAILED: _transition_failed,
    EventType.STATE_TRANSITION_ILLEGAL: _transition_illegal,
    EventType.PHASE_COMPLETED: _phase_completed,
    EventType.ACTION_PROCESSING: _action_started,
    EventType.ACTION_COMPLETED: _action_ended,
    EventType.ACTION_FAILED: _action_ended,
    EventType.PLAYER_ACTION: _action_ended,
    EventType.PLAYER_TIMEOUT: _player_timed_out,
    EventType.PLAYER_JOINED: _player_joined,
    EventType.PLAYER_LEFT: _player_left,
    EventType.PLAYER_DISCONNECTED: _player_disconnected,
    EventType.PLAYER_RECONNECTED: _player_reconnected,
    EventType.BOT_TAKEOVER: _bot_took_over,
    EventType.ROOM_CREATED: _room_created,
    EventType.ROOM_CLOSED: _room_closed,
    EventType.ROUND_COMPLETED: _round_completed,
    EventType.TURN_COMPLETED: _turn_completed,
    EventType.REDEAL: _redeal,
    EventType.DECLARATION_SCORED: _declaration_scored,
    EventType.CONNECTION_OPENED: _connection_opened,
    EventType.CONNECTION_CLOSED: _connection_closed,
    EventType.BROADCAST_SENT: _broadcast,
    EventType.BROADCAST_FAILED: _broadcast,
}
