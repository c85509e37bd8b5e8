"""The two blocks a game wraps its work in: a transition, and the processing of an action.

A block never changes what its body does: results and exceptions pass, cancellation passes, and leaving it awaits
nothing, because the body may have cancelled the very task it runs in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

from opentelemetry.context import Context
from opentelemetry.semconv.attributes.exception_attributes import EXCEPTION_MESSAGE, EXCEPTION_STACKTRACE
from opentelemetry.trace import INVALID_SPAN, Span, SpanContext, Status, StatusCode
from opentelemetry.util.types import Attributes, AttributeValue

from otel_setup import clock
from otel_setup.catalogue import EventType
from otel_setup.catalogue import attributes as a
from otel_setup.catalogue.spans import ACTION_SPAN, TRANSITION_SPAN
from otel_setup.connection import Place
from otel_setup.core import Core
from otel_setup.correlation import generate_correlation_id, get_correlation_id
from otel_setup.failure import mark_reported, stack_of, told_of
from otel_setup.privacy import Pseudonyms
from otel_setup.queue_tokens import QueueToken
from otel_setup.text import clean_id, clean_text
from otel_setup.tracing import SpanScope

_MS = 1000
_FAILED = "failed"
_NO_PSEUDONYMS = Pseudonyms.off()  # one for all: to make one takes as long as to monitor an action
_STOPPED = (asyncio.CancelledError, GeneratorExit)
"""What ends a block from outside: a cancelled task, a coroutine that is thrown away. Neither is an error."""


class Handle(Span):
    """The span of a block, which also takes the outcome the game decides on.

    What a game writes on it, the provider gets with pseudonyms: whose exporters come after, nobody here knows.
    """

    _tell_step: Callable[[str, Mapping[str, object]], None] | None = None
    """Where somebody looks closely at the block."""

    def __init__(self) -> None:
        self._span: Span = INVALID_SPAN
        self._pseudonyms = _NO_PSEUDONYMS
        self.decided: str | None = None

    def outcome(self, outcome: str) -> None:
        """Says how the block's work ended; of an action ``accepted``, ``rejected`` or ``invalid``.

        Anything else counts as a label value outside its set. The last call before the block ends decides.
        """
        decided = clean_id(outcome)
        self.decided = decided if decided in a.ACTION_OUTCOMES else self._pseudonyms.text(decided)

    def step(self, name: str, /, **data: object) -> None:
        """Tells how far the block's work has come, while somebody looks closely at its game; else it does nothing.

        Parameters:
            name: of the step, in the game's own words: ``"cards dealt"``.
            data: what there is to say of it.
        """
        if self._tell_step is not None:
            self._tell_step(name, data)

    def end(self, end_time: int | None = None) -> None:
        """Does nothing: the block ends its span."""

    def get_span_context(self) -> SpanContext:
        return self._span.get_span_context()

    def set_attributes(self, attributes: Mapping[str, AttributeValue]) -> None:
        self._span.set_attributes(self._pseudonyms.pseudonymised(attributes))

    def set_attribute(self, key: str, value: AttributeValue) -> None:
        self.set_attributes({key: value})

    def add_event(self, name: str, attributes: Attributes = None, timestamp: int | None = None) -> None:
        self._span.add_event(self._pseudonyms.text(name), self._pseudonyms.pseudonymised(attributes or {}), timestamp)

    def add_link(self, context: SpanContext, attributes: Attributes = None) -> None:
        self._span.add_link(context, self._pseudonyms.pseudonymised(attributes or {}))

    def update_name(self, name: str) -> None:
        self._span.update_name(self._pseudonyms.text(name))

    def is_recording(self) -> bool:
        return self._span.is_recording()

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        code = status.status_code if isinstance(status, Status) else status
        text = description or (status.description if isinstance(status, Status) else None)
        self._span.set_status(code, self._pseudonyms.text(text) if text else None)

    def record_exception(
        self,
        exception: BaseException,
        attributes: Attributes = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        # The SDK lets these win over what it says of the exception itself.
        told = {EXCEPTION_MESSAGE: clean_text(exception), EXCEPTION_STACKTRACE: stack_of(exception)}
        told = self._pseudonyms.pseudonymised({**told, **(attributes or {})})
        self._span.record_exception(exception, told, timestamp, escaped)


class _Block:
    """What both blocks share: correlation, span, time, and how it ended.

    Parameters:
        core: what the process observes with.
        correlation_id: for everything inside; the current one, or a new one, where not given.
    """

    def __init__(self, core: Core, correlation_id: str | None) -> None:
        self.core = core
        self.handle = Handle()
        self._wanted_correlation = correlation_id
        self._scope: SpanScope | None = None
        self._place: Place | None = None
        self._started_at = clock.monotonic()

    def enter(self, steps: Callable[[], None]) -> Handle:
        """Does what there is to do on entry. Should Ctrl-C end it half way, nothing is left that only exit undoes."""
        try:
            steps()
        except Exception as fault:  # noqa: BLE001 - monitoring never raises into the game
            self.core.faults.count("monitor", fault)
        except BaseException:
            self.finish()
            raise
        return self.handle

    def begin(self, name: str, attributes: Mapping[str, Any], explicit: Context | None = None) -> None:
        """Starts the span and the correlation."""
        wanted = self._wanted_correlation or get_correlation_id() or generate_correlation_id()
        self._scope = SpanScope(self.core, name, attributes, wanted, explicit)
        self.handle._span = span = self._scope.span
        if span.is_recording():
            self.handle._pseudonyms = self.core.pseudonyms
        self._place = Place.of(span) if span is not INVALID_SPAN else None
        self._started_at = clock.monotonic()

    def keep(self) -> None:
        """Asks to keep the trace: somebody will want to see why."""
        if self._scope is not None:
            self._scope.keep()

    @property
    def milliseconds(self) -> float:
        """Since the block began."""
        return (clock.monotonic() - self._started_at) * _MS

    def finish(self) -> None:
        """Ends span and correlation."""
        if self._scope is not None:
            self._scope.end()

    def publish(
        self, event_type: EventType, data: dict[str, Any], *, game_id: str | None, player_id: str | None = None
    ) -> None:
        """Publishes one of the block's events; ``data`` becomes the event's own."""
        self.core.tell(event_type, data, game_id=game_id, player_id=player_id, place=self._place)

    def tell_step(
        self,
        event_type: EventType,
        step: str,
        data: Mapping[str, Any],
        own: Mapping[str, object] | None,
        game_id: str | None,
        player_id: str | None = None,
    ) -> None:
        """Tells a step of the block to whoever looks closely."""
        ids = {"game_id": game_id, "player_id": player_id}
        timed = {**data, a.ELAPSED_MS.data_key: self.milliseconds}
        self.core.debug.step(event_type, step, timed, own=own, **ids, place=self._place)

    def publish_error(
        self, error: BaseException | None, reported_by: EventType, *, game_id: str | None, player_id: str | None = None
    ) -> None:
        """Publishes the exception of a failed block as an error of its own, with the stack; cancellation is none."""
        if error is None or isinstance(error, _STOPPED):
            return
        with self.core.faults.guard("monitor"):
            mark_reported(error, reported_by.value)
            data = {**told_of(error), a.REPORTED_BY.data_key: reported_by.value}
            self.publish(EventType.ERROR_OCCURRED, data, game_id=game_id, player_id=player_id)

    def failure(self, error: BaseException | None) -> dict[str, Any]:
        """What the events say of an exception, or of the game's own word that the work failed; the span is marked."""
        if isinstance(error, _STOPPED):
            return {"error": "cancelled", "error_type": type(error).__qualname__, "outcome": "cancelled"}
        if error is not None:
            error_type, message = type(error).__qualname__, clean_text(error)
        elif self.handle.decided == _FAILED:
            error_type, message = _FAILED, "the game said so"
        else:
            return {}
        if self._scope is not None:
            self._scope.fail(error_type, message)
        return {"error": message, "error_type": error_type, "outcome": _FAILED}


class TransitionBlock:
    """``async with monitor.monitor_state_transition(...)``."""

    def __init__(self, core: Core, game_id: object, from_state: object, to_state: object, correlation_id: str | None):
        self._block = _Block(core, correlation_id)
        self._game_id = game_id
        self._states = (from_state, to_state)
        self._data: dict[str, Any] = {}

    async def __aenter__(self) -> Handle:
        return self._block.enter(self._enter)

    def _enter(self) -> None:
        core = self._block.core
        left, entered = core.phase(self._states[0]), core.phase(self._states[1])
        legal = core.settings.model.is_legal(left, entered)
        self._data = {"from_state": left, "to_state": entered, "legal": legal, "ordinal": core.next_ordinal()}
        self._game_id = core.id(self._game_id)
        self._block.begin(
            TRANSITION_SPAN.name.format_map({"from": left, "to": entered}),
            {
                a.GAME_ID.name: self._game_id,
                a.STATE_FROM.name: left,
                a.STATE_TO.name: entered,
                a.STATE_LEGAL.name: legal,
            },
        )
        if core.debug.active:  # debug hook
            self._watch()  # debug hook
        if not legal:
            self._block.keep()
            self._publish(EventType.STATE_TRANSITION_ILLEGAL, {"from_state": left, "to_state": entered})
        self._publish(EventType.STATE_TRANSITION_START, dict(self._data))
        if core.debug.active:  # debug hook
            self._step("body_begun")  # debug hook

    def _watch(self) -> None:
        self._block.handle._tell_step = self._step
        self._step("entered")
        self._step("judged")

    def _step(self, step: str, own: Mapping[str, object] | None = None) -> None:
        self._block.tell_step(EventType.STATE_TRANSITION_STEP, step, self._data, own, clean_id(self._game_id) or None)

    def _step_of_outcome(self) -> None:
        """Tells what became of a transition. Where another has come meanwhile, ours is overtaken by now."""
        core, ordinal = self._block.core, self._data["ordinal"]
        with core.lock:
            game = core.ledger.games.get(clean_id(self._game_id))
            applied = game.ordinal if game is not None else None
        if applied is None:
            self._step("unbound")
        elif applied == ordinal:
            self._step("applied")
        else:
            self._step("overtaken" if applied > ordinal else "stayed")

    async def __aexit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        core = self._block.core
        try:
            if core.debug.active:  # debug hook
                self._step("body_ended")  # debug hook
            duration = {"duration_ms": self._block.milliseconds}
            if duration["duration_ms"] > core.settings.model.slow_transition_seconds * _MS:
                self._block.keep()
            failure = self._block.failure(error)
            outcome = EventType.STATE_TRANSITION_FAILED if failure else EventType.STATE_TRANSITION_COMPLETE
            self._publish(outcome, {**self._data, **duration, **failure, "success": not failure})
            self._block.publish_error(error, outcome, game_id=clean_id(self._game_id) or None)
            if core.debug.active:  # debug hook
                self._step_of_outcome()  # debug hook
        except Exception as fault:  # noqa: BLE001 - monitoring never raises into the game
            core.faults.count("monitor", fault)
        self._block.finish()

    def _publish(self, event_type: EventType, data: dict[str, Any]) -> None:
        self._block.publish(event_type, data, game_id=clean_id(self._game_id) or None)


class ActionBlock:
    """``async with monitor.monitor_action_processing(...)``."""

    def __init__(
        self,
        core: Core,
        game_id: object,
        action_type: object,
        player_id: object,
        correlation_id: str | None,
        token: QueueToken | None,
    ):
        self._token = token if isinstance(token, QueueToken) else None
        self._block = _Block(core, correlation_id or (self._token.correlation_id if self._token else None))
        self._game_id = game_id
        self._player_id = player_id
        self._action = action_type
        self._told_ids: tuple[str | None, str | None] | None = None
        self._data: dict[str, Any] = {}

    async def __aenter__(self) -> Handle:
        return self._block.enter(self._enter)

    def _enter(self) -> None:
        block, core = self._block, self._block.core
        self._game_id, self._player_id = core.id(self._game_id), core.id(self._player_id)
        self._told_ids = (self._game_id or None, self._player_id or None)
        action = core.action(self._action)
        waited = core.waiting.take(self._token) if self._token is not None else None
        self._data = {"action_type": action}
        block.begin(
            ACTION_SPAN.name.format(type=action),
            {a.GAME_ID.name: self._game_id, a.PLAYER_ID.name: self._player_id, a.ACTION_TYPE.name: action},
            explicit=self._token.context if self._token is not None else None,
        )
        self._publish(EventType.ACTION_QUEUED, {"status": "queued"})
        if waited is not None:
            self._data["queue_wait_ms"] = waited * _MS
            block.handle.set_attribute(a.QUEUE_WAIT_MS.name, waited * _MS)
        if core.debug.active:  # debug hook
            self._watch(action, waited)  # debug hook
        self._publish(EventType.ACTION_PROCESSING, {"status": "processing"})

    def _watch(self, action: str, waited: float | None) -> None:
        self._block.handle._tell_step = self._step
        if waited is not None:
            self._block.core.debug.action_dequeued(action, waited, clean_id(self._game_id), clean_id(self._player_id))

    def _step(self, step: str, own: Mapping[str, object]) -> None:
        data = {a.ACTION_TYPE.data_key: self._data[a.ACTION_TYPE.data_key]}
        self._block.tell_step(EventType.ACTION_STEP, step, data, own, *(self._told_ids or (None, None)))

    async def __aexit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        block, core = self._block, self._block.core
        try:
            duration = block.milliseconds
            if duration > core.settings.model.slow_seconds(self._data.get("action_type", "")) * _MS:
                block.keep()
            failure = block.failure(error)
            if self._told_ids is None:  # the entry failed before it came to them
                self._told_ids = (clean_id(self._game_id) or None, clean_id(self._player_id) or None)
            game_id, player_id = self._told_ids
            actor = core.ledger.actor(game_id or "", player_id or "")
            outcome = failure.pop("outcome", None) or block.handle.decided or "accepted"
            # Not by way of the handle, which looks for names in what a game writes: these are none.
            block.handle._span.set_attributes({a.ACTION_OUTCOME.name: outcome, a.ACTION_ACTOR.name: actor})
            ended = EventType.ACTION_FAILED if failure else EventType.ACTION_COMPLETED
            status = _FAILED if failure else "completed"
            how = {"status": status, "duration_ms": duration, "outcome": outcome, "actor": actor, **failure}
            self._publish(ended, how)
            if error is not None:
                block.publish_error(error, ended, game_id=game_id, player_id=player_id)
        except Exception as fault:  # noqa: BLE001 - monitoring never raises into the game
            core.faults.count("monitor", fault)
        block.finish()

    def _publish(self, event_type: EventType, data: dict[str, Any]) -> None:
        game_id, player_id = self._told_ids or (None, None)
        self._block.publish(event_type, {**self._data, **data}, game_id=game_id, player_id=player_id)
