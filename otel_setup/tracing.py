"""Spans of the monitor, and the tracer of the API this product succeeds.

A monitor span continues: another monitor span that is open, a context given explicitly (a queue token), or the server
or consumer span of one HTTP request or message while that is recording. Any other ambient span becomes a link of a new
trace: a game loop that was born in a socket handler would otherwise put a whole game into one connection-long trace.
What a sampler left out stays out: an ambient span that is not sampled is continued, so that nothing below it is either.
Status stays unset on success; failure is ERROR with ``error.type`` (semantic conventions, "Recording errors").
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import islice
from typing import Any, TypeVar

from opentelemetry import context as context_api
from opentelemetry import trace as trace_api
from opentelemetry.context import Context
from opentelemetry.trace import (
    INVALID_SPAN,
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    Status,
    StatusCode,
    TraceFlags,
)
from opentelemetry.util.types import Attributes

from otel_setup import clock
from otel_setup.catalogue import attributes as a
from otel_setup.catalogue.spans import ACTION_SPAN, PHASE_SPAN, TRANSITION_SPAN
from otel_setup.core import Core
from otel_setup.correlation import clean_correlation_id, correlated, get_correlation_id
from otel_setup.text import MAX_DATA_ITEMS, clean_data, clean_id, clean_text

_MONITOR_SPAN = context_api.create_key("otel_setup.monitor_span")
_ONE_REQUEST = (trace_api.SpanKind.SERVER, trace_api.SpanKind.CONSUMER)
_MESSAGE_LENGTH = 500
# W3C Trace Context, 3.2.2.3 and 3.2.2.4: lower case, and not all zeros.
_TRACE_ID = re.compile(r"(?!0{32})[0-9a-f]{32}")
_SPAN_ID = re.compile(r"(?!0{16})[0-9a-f]{16}")
_BAGGAGE, _SAMPLED = "baggage_", "sampled"
MAX_TRACE_CONTEXTS = 1000
"""Trace contexts remembered by id; the oldest goes first."""

T = TypeVar("T")


class _Open:
    """In the context of a monitor span; ``still`` until that span ends."""

    __slots__ = ("span", "still")

    def __init__(self, span: Span) -> None:
        self.span = span
        self.still = True


def start_span(core: Core, name: str, attributes: Mapping[str, Any], explicit: Context | None = None) -> Span:
    """Starts a monitor span, with its parent or link chosen by the rule above."""
    context = context_api.get_current() if explicit is None else explicit
    before = trace_api.get_current_span(context)
    links: tuple[Link, ...] = ()
    asked: Attributes = None
    if before.get_span_context().is_valid and not _may_be_parent(before, context, explicit=explicit is not None):
        links, context = (Link(before.get_span_context()),), Context()
    if core.debug.active and core.debug.wants_span(attributes):  # debug hook
        asked, links, context = _watched(core, attributes, before, links, context)  # debug hook
    span = core.tracer.start_span(name, context=context, links=links, attributes=asked)
    if span.is_recording():  # else nothing leaves, and nobody needs a pseudonym
        known = {key: value for key, value in attributes.items() if value not in (None, "")}
        span.set_attributes(core.pseudonyms.pseudonymised(known))
    return span


def _watched(
    core: Core, attributes: Mapping[str, Any], before: Span, links: tuple[Link, ...], context: Context
) -> tuple[Attributes, tuple[Link, ...], Context]:
    """With what a span that somebody looks at begins: the sampler goes by its attributes.

    Below what a sampler left out nothing is recorded, and the sampler knew of no room: such a span begins anew.
    """
    asked = core.pseudonyms.pseudonymised(attributes)
    above = before.get_span_context()
    if above.is_valid and not above.trace_flags.sampled:
        links, context = (Link(above),), Context()
    return asked, links, context


def _without_names(core: Core, span: Span, name: str) -> Span:
    """The span, under a name that holds no player's: the game chose it, and whose exporters come after nobody knows."""
    if span.is_recording() and (told := core.pseudonyms.text(name)) != name:
        span.update_name(told)
    return span


def hide_names(core: Core, span: Span, attributes: Mapping[str, Any]) -> None:
    """Puts pseudonyms over the names in attributes that a span began with, because a sampler may want to see them."""
    if span.is_recording():
        told = core.pseudonyms.pseudonymised(attributes)
        span.set_attributes({key: value for key, value in told.items() if value != attributes.get(key)})


def _may_be_parent(span: Span, context: Context, *, explicit: bool) -> bool:
    if explicit:
        return not _is_socket(span)
    opened = context_api.get_value(_MONITOR_SPAN, context)
    if isinstance(opened, _Open):
        # A task born in a monitor span inherits its context for as long as it lives: only an open span is a parent.
        if opened.still:
            return True
        if opened.span is span:
            return False
    if not span.get_span_context().trace_flags.sampled:
        return True  # the SDK does not say of what kind it is, nor when it ends
    return getattr(span, "kind", None) in _ONE_REQUEST and span.is_recording() and not _is_socket(span)


def _is_socket(span: Span) -> bool:
    """Whether a server span lasts as long as a connection."""
    attributes = getattr(span, "attributes", None) or {}
    return str(attributes.get("url.scheme") or attributes.get("http.scheme") or "").startswith("ws")


class Current:
    """Makes a monitor span the current one, until :meth:`leave`."""

    __slots__ = ("_open", "_token")

    def __init__(self, span: Span) -> None:
        self._open = _Open(span)
        self._token = context_api.attach(
            context_api.set_value(_MONITOR_SPAN, self._open, trace_api.set_span_in_context(span))
        )

    def leave(self) -> None:
        """Makes what was current before current again."""
        self._open.still = False
        context_api.detach(self._token)


class SpanScope:
    """A monitor span that is the current one, under one correlation, from here until :meth:`end`.

    What fails is counted and left out, never raised: then ``span`` is the invalid span, which does nothing.

    Parameters:
        core: what the process observes with.
        name: of the span.
        attributes: of the span; empty ones are left out.
        correlation_id: for everything inside; None leaves the current one.
        explicit: the context to continue; the current one, by the rule above, where not given.
    """

    __slots__ = ("_core", "_undo", "span")

    def __init__(
        self,
        core: Core,
        name: str,
        attributes: Mapping[str, Any],
        correlation_id: str | None = None,
        explicit: Context | None = None,
    ) -> None:
        self.span: Span = INVALID_SPAN
        self._core = core
        self._undo: list[Callable[[], object]] = []  # an ExitStack does the same at three times the cost
        try:
            if correlation_id is not None:
                block = correlated(correlation_id)
                block.__enter__()
                self._undo.append(block.leave)
            span = start_span(core, name, {**attributes, a.CORRELATION_ID.name: get_correlation_id()}, explicit)
            self._undo.append(span.end)
            self._undo.append(Current(span).leave)
            self.span = span
        except BaseException as fault:
            self.end()
            if not isinstance(fault, Exception):
                raise
            core.faults.count("tracing", fault)

    def keep(self) -> None:
        """Asks whoever samples later to keep the trace, so that measurements may point to it."""
        with self._core.faults.guard("tracing"):
            self.span.set_attribute(a.TRACE_KEPT.name, True)

    def fail(self, error_type: str, message: object) -> None:
        """Marks the span as failed, and its trace to be kept."""
        with self._core.faults.guard("tracing"):
            self.span.set_attribute(a.TRACE_KEPT.name, True)
            self.span.set_attribute(a.ERROR_TYPE.name, error_type)
            if self.span.is_recording():
                text = self._core.pseudonyms.text(clean_text(message, _MESSAGE_LENGTH))
                self.span.set_status(Status(StatusCode.ERROR, text))

    def end(self) -> None:
        """Ends span and correlation; what was current before is so again."""
        while self._undo:
            try:
                self._undo.pop()()
            except Exception as fault:  # noqa: BLE001 - monitoring never raises into the game
                self._core.faults.count("tracing", fault)
            except BaseException:
                self.end()
                raise


class SpanKind(StrEnum):
    """What an operation is; kept for programs written against the earlier API."""

    STATE_TRANSITION = "state_transition"
    ACTION_PROCESSING = "action_processing"
    PHASE_EXECUTION = "phase_execution"
    WEBSOCKET_MESSAGE = "websocket_message"
    DATABASE_OPERATION = "database_operation"
    EXTERNAL_SERVICE = "external_service"


@dataclass(frozen=True, slots=True)
class TraceContext:
    """A place in a trace that can be handed on in a plain mapping. Ids are hexadecimal, as in W3C Trace Context."""

    trace_id: str
    span_id: str
    parent_span_id: str | None = None
    correlation_id: str | None = None
    baggage: Mapping[str, str] = field(default_factory=dict)
    sampled: bool = True

    def child_context(self) -> TraceContext:
        """A context of the same trace, one level down."""
        return replace(self, span_id=clock.token_hex(8), parent_span_id=self.span_id)

    def as_otel(self) -> Context:
        """The OpenTelemetry context that a span continues from here; an empty one where the ids are none."""
        if not (_is_id(self.trace_id, _TRACE_ID) and _is_id(self.span_id, _SPAN_ID)):
            return Context()
        flags = TraceFlags(TraceFlags.SAMPLED if self.sampled else TraceFlags.DEFAULT)
        remote = SpanContext(int(self.trace_id, 16), int(self.span_id, 16), is_remote=True, trace_flags=flags)
        return trace_api.set_span_in_context(NonRecordingSpan(remote), Context())


def _is_id(value: object, pattern: re.Pattern[str]) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


class StateTracer:
    """Spans for transitions, actions, phases and a game's own operations.

    Parameters:
        core: gives what this process observes with.
    """

    def __init__(self, core: Callable[[], Core]) -> None:
        self._current_core = core

    @property
    def _core(self) -> Core:
        return self._current_core()

    def get_tracer(self) -> trace_api.Tracer:
        """The OpenTelemetry tracer."""
        return self._core.tracer

    def start_span(self, name: str, kind: SpanKind = SpanKind.STATE_TRANSITION) -> Span:
        """A span of the game's own; end it yourself."""
        core = self._core
        with core.faults.guard("tracing"):
            span = start_span(core, clean_id(name), {"operation.kind": clean_id(kind)})
            return _without_names(core, span, clean_id(name))
        return INVALID_SPAN

    @contextlib.contextmanager
    def trace_state_transition(
        self, game_id: str, from_state: str, to_state: str, context: TraceContext | None = None
    ) -> Iterator[Span]:
        """A span around a transition. It records nothing else; ``monitor_state_transition`` does all of it."""
        left, entered = (self._core.settings.model.phase(state) for state in (from_state, to_state))
        name = TRANSITION_SPAN.name.format_map({"from": left, "to": entered})
        attributes = {a.GAME_ID.name: clean_id(game_id), a.STATE_FROM.name: left, a.STATE_TO.name: entered}
        with self._block(name, attributes, context) as span:
            yield span

    @contextlib.contextmanager
    def trace_action_processing(
        self, game_id: str, action_type: str, player_id: str, context: TraceContext | None = None
    ) -> Iterator[Span]:
        """A span around an action."""
        action = self._core.settings.model.action(action_type)
        attributes = {
            a.GAME_ID.name: clean_id(game_id),
            a.ACTION_TYPE.name: action,
            a.PLAYER_ID.name: clean_id(player_id),
        }
        with self._block(ACTION_SPAN.name.format(type=action), attributes, context) as span:
            yield span

    @contextlib.contextmanager
    def trace_phase_execution(self, game_id: str, phase: str, context: TraceContext | None = None) -> Iterator[Span]:
        """A span around a phase."""
        name = self._core.settings.model.phase(phase)
        attributes = {a.GAME_ID.name: clean_id(game_id), a.PHASE_NAME.name: name}
        with self._block(PHASE_SPAN.name.format(phase=name), attributes, context) as span:
            yield span

    async def trace_async_operation(
        self, name: str, operation: Awaitable[T], context: TraceContext | None = None, **parameters: object
    ) -> T:
        """Awaits an operation inside a span of its name; scalar parameters become ``param.*`` attributes."""
        attributes = {
            f"param.{clean_id(key)}": clean_text(value, _MESSAGE_LENGTH)
            if isinstance(value, str)
            else clean_data(value)
            for key, value in parameters.items()
            if isinstance(value, str | bool | int | float)
        }
        with self._block(clean_id(name), attributes, context):
            return await operation

    @contextlib.contextmanager
    def _block(self, name: str, attributes: Mapping[str, Any], context: TraceContext | None) -> Iterator[Span]:
        correlation_id, explicit = (context.correlation_id, context.as_otel()) if context else (None, None)
        scope = SpanScope(self._core, name, attributes, correlation_id, explicit)
        with self._core.faults.guard("tracing"):
            _without_names(self._core, scope.span, name)
        try:
            yield scope.span
        except Exception as error:
            scope.fail(type(error).__qualname__, error)
            raise
        finally:
            scope.end()

    def create_trace_context(
        self, correlation_id: str | None = None, parent_context: TraceContext | None = None
    ) -> TraceContext:
        """A new context: a child of ``parent_context``, or of the current span, or the start of a new trace."""
        current = trace_api.get_current_span().get_span_context()
        if parent_context is not None:
            created = parent_context.child_context()
        elif current.is_valid:
            ids = format(current.trace_id, "032x"), format(current.span_id, "016x")
            created = TraceContext(*ids, sampled=current.trace_flags.sampled)
        else:
            created = TraceContext(clock.token_hex(16), clock.token_hex(8))
        wanted = clean_correlation_id(correlation_id) or created.correlation_id or get_correlation_id()
        created = replace(created, correlation_id=wanted)
        core = self._core
        with core.lock:
            core.trace_contexts[created.trace_id] = created
            if len(core.trace_contexts) > MAX_TRACE_CONTEXTS:
                core.trace_contexts.popitem(last=False)
                core.trace_contexts_dropped += 1
        return created

    def get_trace_context(self, trace_id: str) -> TraceContext | None:
        """The context created last in a trace."""
        return self._core.trace_contexts.get(trace_id)

    def get_active_traces(self) -> dict[str, dict[str, Any]]:
        """The contexts remembered, by trace id."""
        core = self._core
        with core.lock:
            contexts = list(core.trace_contexts.items())
        return {
            trace_id: {"span_id": context.span_id, "correlation_id": context.correlation_id}
            for trace_id, context in contexts
        }

    def cleanup_old_contexts(self, max_age_hours: float = 24) -> int:
        """Forgets contexts; they are bounded in number, so age is not kept and ``0`` forgets all.

        Returns:
            How many were forgotten.
        """
        if max_age_hours > 0:
            return 0
        core = self._core
        with core.lock:
            forgotten = len(core.trace_contexts)
            core.trace_contexts.clear()
        return forgotten

    @staticmethod
    def propagate_context(context: TraceContext, carrier: MutableMapping[str, str]) -> MutableMapping[str, str]:
        """Writes a context into a mapping, to be sent along. Values are one line of visible characters each."""
        values = {
            "trace_id": context.trace_id,
            "span_id": context.span_id,
            "parent_span_id": context.parent_span_id,
            "correlation_id": context.correlation_id,
            _SAMPLED: None if context.sampled else "0",
            **{f"{_BAGGAGE}{key}": value for key, value in context.baggage.items()},
        }
        carrier.update({clean_id(key): clean_id(value) for key, value in values.items() if value is not None})
        return carrier

    @staticmethod
    def extract_context(carrier: Mapping[str, str]) -> TraceContext | None:
        """The context somebody wrote into a mapping; None where there is none, or none that is valid.

        Whoever wrote it may be a client: what is no id is left out, text is cleaned, 64 entries of baggage are kept.
        """
        if not isinstance(carrier, Mapping):
            return None
        trace_id, span_id, parent_id = (carrier.get(key) for key in ("trace_id", "span_id", "parent_span_id"))
        if not (_is_id(trace_id, _TRACE_ID) and _is_id(span_id, _SPAN_ID)):
            return None
        baggage = ((key, value) for key, value in carrier.items() if isinstance(key, str) and key.startswith(_BAGGAGE))
        return TraceContext(
            str(trace_id),
            str(span_id),
            parent_id if _is_id(parent_id, _SPAN_ID) else None,
            clean_correlation_id(carrier.get("correlation_id")),
            {clean_id(key.removeprefix(_BAGGAGE)): clean_id(value) for key, value in islice(baggage, MAX_DATA_ITEMS)},
            sampled=carrier.get(_SAMPLED) != "0",
        )
