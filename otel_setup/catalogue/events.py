"""Every event, declared once: its name, what it means, how severe it is and what it carries.

The first 23 names are those of the API this product succeeds; the others say what that API could not.
"""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum

from otel_setup.catalogue import attributes as a
from otel_setup.catalogue.types import Event, Severity


class EventType(StrEnum):
    """Names of events. An open set: ``EventType("arena.storm.closing")`` is a valid name of somebody else's event."""

    STATE_TRANSITION_START = "state.transition.start"
    STATE_TRANSITION_COMPLETE = "state.transition.complete"
    STATE_TRANSITION_FAILED = "state.transition.failed"
    ACTION_QUEUED = "action.queued"
    ACTION_PROCESSING = "action.processing"
    ACTION_COMPLETED = "action.completed"
    ACTION_FAILED = "action.failed"
    PHASE_STARTED = "phase.started"
    PHASE_COMPLETED = "phase.completed"
    PHASE_TIMEOUT = "phase.timeout"
    GAME_CREATED = "game.created"
    GAME_STARTED = "game.started"
    GAME_ENDED = "game.ended"
    GAME_ERROR = "game.error"
    PLAYER_JOINED = "player.joined"
    PLAYER_LEFT = "player.left"
    PLAYER_ACTION = "player.action"
    PLAYER_TIMEOUT = "player.timeout"
    BROADCAST_SENT = "broadcast.sent"
    BROADCAST_FAILED = "broadcast.failed"
    CONNECTION_OPENED = "connection.opened"
    CONNECTION_CLOSED = "connection.closed"
    ERROR_OCCURRED = "error.occurred"

    STATE_TRANSITION_ILLEGAL = "state.transition.illegal"
    ROOM_CREATED = "room.created"
    ROOM_CLOSED = "room.closed"
    PLAYER_DISCONNECTED = "player.disconnected"
    PLAYER_RECONNECTED = "player.reconnected"
    BOT_TAKEOVER = "bot.takeover"
    ROUND_STARTED = "round.started"
    ROUND_COMPLETED = "round.completed"
    TURN_COMPLETED = "turn.completed"
    REDEAL = "redeal"
    DECLARATION_SCORED = "declaration.scored"
    GAME_SNAPSHOT = "game.snapshot"
    PRODUCER_HEARTBEAT = "producer.heartbeat"
    PRODUCER_STOPPED = "producer.stopped"
    PRODUCER_LOST = "producer.lost"
    PRODUCER_RETURNED = "producer.returned"
    GAME_LOST = "game.lost"
    GAME_RETURNED = "game.returned"
    STREAM_GAP = "stream.gap"
    STREAM_GAP_FILLED = "stream.gap.filled"
    STREAM_BOOKMARK = "stream.bookmark"
    STREAM_RESET = "stream.reset"
    EVENT_LOOP_BLOCKED = "event_loop.blocked"
    EVENT_LOOP_SLOW = "event_loop.slow"
    CONNECTION_MESSAGE = "connection.message"
    ACTION_DEQUEUED = "action.dequeued"
    STATE_TRANSITION_STEP = "state.transition.step"
    ACTION_STEP = "action.step"
    PRODUCER_DEBUG_STARTED = "producer.debug.started"
    PRODUCER_DEBUG_ENDED = "producer.debug.ended"

    @classmethod
    def _missing_(cls, value: object) -> EventType | None:
        if not isinstance(value, str):
            return None
        foreign = str.__new__(cls, value)
        foreign._name_ = value
        foreign._value_ = value
        return foreign


_TRANSITION = (a.GAME_ID, a.ROOM_ID, a.CORRELATION_ID, a.STATE_FROM, a.STATE_TO, a.STATE_LEGAL, a.ORDINAL)
_ACTION = (a.GAME_ID, a.ROOM_ID, a.PLAYER_ID, a.CORRELATION_ID, a.ACTION_TYPE, a.ACTION_STATUS)
_GAME = (a.GAME_ID, a.ROOM_ID, a.CORRELATION_ID)
_PLAYER = (a.GAME_ID, a.ROOM_ID, a.PLAYER_ID, a.CORRELATION_ID)
_CONNECTION = (a.CONNECTION_ID, a.ROOM_ID, a.GAME_ID, a.PLAYER_ID, a.CORRELATION_ID)
_BROADCAST = (*_CONNECTION, a.RECIPIENTS, a.BROADCAST_MS, a.SUCCESS, a.BROADCAST_EVENT)
_ERROR = (*_PLAYER, a.ERROR_TYPE, a.ERROR_MESSAGE, a.STACK_TRACE, a.STATE_NAME, a.REPORTED_BY)
_STEP = (a.STEP, a.STEP_ORIGIN, a.ELAPSED_MS)
_PRODUCER = (a.PRODUCER_ID, a.PRODUCER_EPOCH, a.LAST_SEQUENCE, a.LIVE_GAMES)
_GAP = (a.PRODUCER_ID, a.GAP_FIRST, a.GAP_LAST, a.GAP_COUNT)

_DECLARED: tuple[Event, ...] = (
    Event(
        name=EventType.STATE_TRANSITION_START,
        description="A transition was entered.",
        severity=Severity.DEBUG,
        attributes=_TRANSITION,
    ),
    Event(
        name=EventType.STATE_TRANSITION_COMPLETE,
        description="A transition succeeded.",
        attributes=(*_TRANSITION, a.SUCCESS, a.DURATION_MS),
    ),
    Event(
        name=EventType.STATE_TRANSITION_FAILED,
        description="A transition's code raised or was cancelled; the game stays where it was.",
        severity=Severity.ERROR,
        attributes=(*_TRANSITION, a.SUCCESS, a.DURATION_MS, a.STATE_OUTCOME, a.ERROR, a.ERROR_TYPE),
    ),
    Event(
        name=EventType.STATE_TRANSITION_ILLEGAL,
        description="The rules do not allow the transition that was attempted.",
        severity=Severity.WARN,
        attributes=(a.GAME_ID, a.ROOM_ID, a.CORRELATION_ID, a.STATE_FROM, a.STATE_TO, a.REASON),
    ),
    Event(
        name=EventType.ACTION_QUEUED,
        description="An action waits to be executed.",
        severity=Severity.DEBUG,
        attributes=_ACTION,
    ),
    Event(
        name=EventType.ACTION_PROCESSING,
        description="An action is being executed.",
        severity=Severity.DEBUG,
        attributes=(*_ACTION, a.QUEUE_WAIT_MS),
    ),
    Event(
        name=EventType.ACTION_COMPLETED,
        description="An action was executed: accepted, rejected or invalid.",
        attributes=(*_ACTION, a.DURATION_MS, a.QUEUE_WAIT_MS, a.ACTION_OUTCOME, a.ACTION_ACTOR),
    ),
    Event(
        name=EventType.ACTION_FAILED,
        description="An action's code raised or was cancelled.",
        severity=Severity.ERROR,
        attributes=(
            *_ACTION,
            a.DURATION_MS,
            a.QUEUE_WAIT_MS,
            a.ACTION_OUTCOME,
            a.ACTION_ACTOR,
            a.ERROR,
            a.ERROR_TYPE,
        ),
    ),
    Event(name=EventType.PHASE_STARTED, description="A game entered a phase.", attributes=(*_GAME, a.PHASE_NAME)),
    Event(
        name=EventType.PHASE_COMPLETED,
        description="A game left a phase.",
        attributes=(*_GAME, a.PHASE_NAME, a.PHASE_DURATION),
    ),
    Event(
        name=EventType.PHASE_TIMEOUT,
        description="A phase ended because its time was up.",
        severity=Severity.WARN,
        attributes=(*_GAME, a.PHASE_NAME),
    ),
    Event(name=EventType.GAME_CREATED, description="A game was set up and waits for players.", attributes=_GAME),
    Event(
        name=EventType.GAME_STARTED,
        description="A game began.",
        attributes=(*_GAME, a.PLAYER_COUNT, a.BOT_COUNT, a.SEATS),
    ),
    Event(
        name=EventType.GAME_ENDED,
        description="A game was decided, or abandoned.",
        attributes=(*_GAME, a.WINNER_ID, a.FINAL_SCORES, a.ABANDONED, a.GAME_DURATION),
    ),
    Event(
        name=EventType.GAME_ERROR,
        description="Something failed inside a game.",
        severity=Severity.ERROR,
        attributes=_ERROR,
    ),
    Event(name=EventType.PLAYER_JOINED, description="A player took a seat.", attributes=(*_PLAYER, a.IS_BOT)),
    Event(name=EventType.PLAYER_LEFT, description="A player gave a seat up.", attributes=(*_PLAYER, a.IS_BOT)),
    Event(
        name=EventType.PLAYER_ACTION,
        description="A player did something outside the queue of actions.",
        severity=Severity.DEBUG,
        attributes=(*_PLAYER, a.ACTION_TYPE, a.DURATION_MS),
    ),
    Event(
        name=EventType.PLAYER_TIMEOUT,
        description="A player did not act in time and the game acted for them.",
        severity=Severity.WARN,
        attributes=(*_PLAYER, a.ACTION_TYPE),
    ),
    Event(
        name=EventType.PLAYER_DISCONNECTED,
        description="A player's socket was lost during a game.",
        severity=Severity.WARN,
        attributes=_PLAYER,
    ),
    Event(
        name=EventType.PLAYER_RECONNECTED,
        description="A disconnected player came back to the seat.",
        attributes=(*_PLAYER, a.AWAY_SECONDS),
    ),
    Event(
        name=EventType.BOT_TAKEOVER,
        description="A bot plays a disconnected human's seat from now on.",
        attributes=_PLAYER,
    ),
    Event(name=EventType.ROOM_CREATED, description="A room was opened.", attributes=(a.ROOM_ID, a.CORRELATION_ID)),
    Event(
        name=EventType.ROOM_CLOSED,
        description="A room was removed.",
        attributes=(a.ROOM_ID, a.CORRELATION_ID, a.REASON),
    ),
    Event(name=EventType.ROUND_STARTED, description="A round began.", attributes=(*_GAME, a.ROUND, a.STARTER)),
    Event(name=EventType.ROUND_COMPLETED, description="A round was scored.", attributes=(*_GAME, a.ROUND)),
    Event(name=EventType.TURN_COMPLETED, description="A turn was won.", attributes=(*_GAME, a.TURN_WINNER)),
    Event(
        name=EventType.REDEAL,
        description="A weak hand's redeal was requested, accepted, declined, or its time ran out.",
        attributes=(*_PLAYER, a.REDEAL_RESULT),
    ),
    Event(
        name=EventType.DECLARATION_SCORED,
        description="A player's declaration was held against the piles won.",
        attributes=(*_PLAYER, a.DECLARED, a.CAPTURED, a.DECLARATION_RESULT),
    ),
    Event(
        name=EventType.BROADCAST_SENT,
        description="A message was queued for the sockets of a room.",
        severity=Severity.DEBUG,
        attributes=_BROADCAST,
    ),
    Event(
        name=EventType.BROADCAST_FAILED,
        description="A broadcast failed.",
        severity=Severity.ERROR,
        attributes=_BROADCAST,
    ),
    Event(name=EventType.CONNECTION_OPENED, description="A socket was opened.", attributes=_CONNECTION),
    Event(
        name=EventType.CONNECTION_CLOSED,
        description="A socket was closed.",
        attributes=(*_CONNECTION, a.CONNECTION_CODE, a.CONNECTION_SECONDS),
    ),
    Event(
        name=EventType.ERROR_OCCURRED,
        description="An error, of the game or of the process.",
        severity=Severity.ERROR,
        attributes=_ERROR,
    ),
    Event(
        name=EventType.GAME_SNAPSHOT,
        description="A live game's state, at times and when its seats change: corrects readers that lost events.",
        severity=Severity.DEBUG,
        attributes=(*_GAME, a.STATE_NAME, a.ORDINAL, a.ROUND, a.TURNS, a.PLAYER_COUNT, a.BOT_COUNT, a.SEATS),
    ),
    Event(
        name=EventType.PRODUCER_HEARTBEAT,
        description="The producer lives; its count of events shows a reader whether the tail is missing.",
        severity=Severity.DEBUG,
        attributes=(a.PRODUCER_EPOCH, a.LAST_SEQUENCE, a.LIVE_GAMES, a.HEARTBEAT_SECONDS, a.SNAPSHOT_SECONDS),
    ),
    Event(
        name=EventType.PRODUCER_STOPPED,
        description="The producer's epoch ends here, in good order: nothing comes after it.",
        attributes=(a.PRODUCER_EPOCH, a.LAST_SEQUENCE, a.LIVE_GAMES),
    ),
    Event(
        name=EventType.PRODUCER_LOST,
        description="A producer has been silent for three heartbeats; what came after its last event is not known.",
        severity=Severity.ERROR,
        attributes=_PRODUCER,
    ),
    Event(
        name=EventType.PRODUCER_RETURNED,
        description="A producer that was taken for lost is heard of again.",
        attributes=_PRODUCER,
    ),
    Event(
        name=EventType.GAME_LOST,
        description="A game's server is silent: it is closed for the time being, and counts as neither ended nor "
        "abandoned.",
        severity=Severity.WARN,
        attributes=(*_GAME, a.PRODUCER_ID, a.STATE_NAME),
    ),
    Event(
        name=EventType.GAME_RETURNED,
        description="A game that was lost with its server is live again.",
        attributes=(*_GAME, a.PRODUCER_ID, a.STATE_NAME),
    ),
    Event(
        name=EventType.STREAM_GAP,
        description="Events are missing here: the reader was too slow, or they never arrived.",
        severity=Severity.WARN,
        attributes=(*_GAP, a.GAP_REASON),
    ),
    Event(
        name=EventType.STREAM_GAP_FILLED,
        description="Some of the events that a gap reported as missing have come after all.",
        attributes=_GAP,
    ),
    Event(
        name=EventType.STREAM_BOOKMARK,
        description="Nothing that the reader wants has happened; it may go on from here.",
        severity=Severity.DEBUG,
        attributes=(a.STREAM_CURSOR,),
    ),
    Event(
        name=EventType.STREAM_RESET,
        description="The place from which the reader wanted to go on is not of this stream: it begins anew with what "
        "is kept.",
        severity=Severity.WARN,
        attributes=(a.STREAM_CURSOR,),
    ),
    Event(
        name=EventType.EVENT_LOOP_BLOCKED,
        description="A callback holds the event loop, and every game waits; the stack says which.",
        severity=Severity.WARN,
        attributes=(a.BLOCKED_SECONDS, a.STACK_TRACE),
    ),
    Event(
        name=EventType.EVENT_LOOP_SLOW,
        description="A callback holds the event loop for a moment that nobody feels yet. Only where `python -m "
        "otel_setup debug` asks for it.",
        severity=Severity.DEBUG,
        attributes=(a.BLOCKED_SECONDS, a.STACK_TRACE),
    ),
    Event(
        name=EventType.CONNECTION_MESSAGE,
        description="A message came or went over a socket. Only where `python -m otel_setup debug` asks for it.",
        severity=Severity.DEBUG,
        attributes=(*_CONNECTION, a.SOCKET_DIRECTION, a.SOCKET_MESSAGE_TYPE, a.SOCKET_MESSAGE_SIZE),
    ),
    Event(
        name=EventType.ACTION_DEQUEUED,
        description="An action's wait was over. Only where `python -m otel_setup debug` asks for it.",
        severity=Severity.DEBUG,
        attributes=(*_PLAYER, a.ACTION_TYPE, a.QUEUE_WAIT_MS, a.QUEUE_WAITING),
    ),
    Event(
        name=EventType.STATE_TRANSITION_STEP,
        description="A transition has come to a step. Only where `python -m otel_setup debug` asks for it.",
        severity=Severity.DEBUG,
        attributes=(*_TRANSITION, *_STEP),
    ),
    Event(
        name=EventType.ACTION_STEP,
        description="An action has come to a step that the game named. Only where `python -m otel_setup debug` asks "
        "for it.",
        severity=Severity.DEBUG,
        attributes=(*_PLAYER, a.ACTION_TYPE, *_STEP),
    ),
    Event(
        name=EventType.PRODUCER_DEBUG_STARTED,
        description="Somebody looks closely from now on: more events, and every trace.",
        attributes=(*_PLAYER, a.DEBUG_SECONDS),
    ),
    Event(
        name=EventType.PRODUCER_DEBUG_ENDED,
        description="Nobody looks that closely any more: the time was over, or it was stopped.",
        attributes=_PLAYER,
    ),
)

COMMON = (a.RECORD_UID, a.EXTRA)
"""Every event may carry these."""

EVENTS: tuple[Event, ...] = tuple(replace(event, attributes=(*event.attributes, *COMMON)) for event in _DECLARED)
