"""Where a monitor span belongs: what it continues, and what it only links to."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from opentelemetry import context as context_api
from opentelemetry import trace
from opentelemetry.sdk.trace.sampling import Decision, ParentBased, Sampler, SamplingResult
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, TraceFlags

from otel_setup.testing import Recorded
from tests.otel_setup.traced import INNER, OUTER, Traced


def is_child(child: Any, parent: Any) -> bool:
    return (child.trace_id, child.parent_span_id) == (parent.trace_id, parent.span_id)


def is_linked_root(span: Any, other: Any) -> bool:
    links = [(link.trace_id, link.span_id) for link in span.links]
    return not span.parent_span_id and span.trace_id != other.trace_id and links == [(other.trace_id, other.span_id)]


# --- what it continues ----------------------------------------------------------------------------------------------


async def test_a_span_inside_a_monitor_span_is_its_child(traced: Traced) -> None:
    async with traced.transition():
        await traced.act()
    spans = traced.spans()
    assert is_child(spans[INNER], spans[OUTER])
    assert not spans[OUTER].parent_span_id
    assert not spans[OUTER].links


async def test_a_span_of_the_application_in_between_belongs_to_the_same_trace(traced: Traced) -> None:
    async with traced.transition():
        with traced.app.start_as_current_span("own"):
            await traced.act()
    spans = traced.spans()
    assert is_child(spans["own"], spans[OUTER])
    assert is_child(spans[INNER], spans["own"])


@pytest.mark.parametrize("kind", [SpanKind.SERVER, SpanKind.CONSUMER])
async def test_a_request_or_message_being_handled_is_the_parent(traced: Traced, kind: SpanKind) -> None:
    with traced.app.start_as_current_span("request", kind=kind, attributes={"url.scheme": "https"}):
        await traced.act()
    spans = traced.spans()
    assert is_child(spans[INNER], spans["request"])
    assert not spans[INNER].links


@pytest.mark.parametrize("kind", [SpanKind.INTERNAL, SpanKind.CLIENT, SpanKind.PRODUCER])
async def test_a_span_of_another_kind_is_linked_from_a_new_trace(traced: Traced, kind: SpanKind) -> None:
    with traced.app.start_as_current_span("ambient", kind=kind):
        await traced.act()
    spans = traced.spans()
    assert is_linked_root(spans[INNER], spans["ambient"])


@pytest.mark.parametrize("attributes", [{"url.scheme": "ws"}, {"url.scheme": "wss"}, {"http.scheme": "ws"}])
async def test_a_connection_long_span_is_linked_from_a_new_trace(traced: Traced, attributes: dict[str, str]) -> None:
    with traced.app.start_as_current_span("socket", kind=SpanKind.SERVER, attributes=attributes):
        await traced.act()
    spans = traced.spans()
    assert is_linked_root(spans[INNER], spans["socket"])


async def test_a_request_that_has_ended_is_linked_from_a_new_trace(traced: Traced) -> None:
    """A game loop is born in the request that starts the game, and outlives it."""
    with traced.app.start_as_current_span("request", kind=SpanKind.SERVER):
        answered = asyncio.Event()

        async def loop() -> None:
            await answered.wait()
            await traced.act()

        task = asyncio.create_task(loop())
    answered.set()
    await task
    spans = traced.spans()
    assert is_linked_root(spans[INNER], spans["request"])


async def test_a_task_continues_the_monitor_span_it_was_born_in_only_while_that_is_open(traced: Traced) -> None:
    closed = asyncio.Event()

    async def loop() -> None:
        async with traced.monitor.monitor_action_processing("g", "declare", "ann"):
            pass
        await closed.wait()
        async with traced.monitor.monitor_action_processing("g", "play_pieces", "ann"):
            pass

    async with traced.transition():
        task = asyncio.create_task(loop())
        await asyncio.sleep(0)
    closed.set()
    await task
    spans = traced.spans()
    assert is_child(spans["action.declare"], spans[OUTER])
    assert is_linked_root(spans["action.play_pieces"], spans[OUTER])


async def test_a_message_handled_in_a_task_born_in_a_monitor_span_is_the_parent(traced: Traced) -> None:
    async def handle_message() -> None:
        with traced.app.start_as_current_span("message", kind=SpanKind.CONSUMER, context=context_api.Context()):
            await traced.act()

    async with traced.transition():
        task = asyncio.create_task(handle_message())
    await task
    spans = traced.spans()
    assert is_child(spans[INNER], spans["message"])


# --- contexts given explicitly --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [SpanKind.SERVER, SpanKind.INTERNAL])
async def test_a_tokens_context_is_the_parent_though_its_span_has_ended(traced: Traced, kind: SpanKind) -> None:
    with traced.app.start_as_current_span("request", kind=kind):
        token = traced.monitor.capture()
    with traced.app.start_as_current_span("loop"):
        await traced.act(token=token)
    spans = traced.spans()
    assert is_child(spans[INNER], spans["request"])


async def test_a_token_of_a_monitor_span_carries_its_trace_to_the_game_loop(traced: Traced) -> None:
    async with traced.transition():
        token = traced.monitor.capture()
    await traced.act(token=token)
    spans = traced.spans()
    assert is_child(spans[INNER], spans[OUTER])


async def test_a_token_of_a_socket_does_not_put_its_action_into_the_connections_trace(traced: Traced) -> None:
    with traced.app.start_as_current_span("socket", kind=SpanKind.SERVER, attributes={"url.scheme": "ws"}):
        token = traced.monitor.capture()
    await traced.act(token=token)
    spans = traced.spans()
    assert is_linked_root(spans[INNER], spans["socket"])


async def test_a_token_captured_outside_any_trace_begins_one(traced: Traced) -> None:
    token = traced.monitor.capture()
    with traced.app.start_as_current_span("loop", kind=SpanKind.SERVER):
        await traced.act(token=token)
    span = traced.spans()[INNER]
    assert (span.parent_span_id, list(span.links)) == (b"", [])


# --- sampling -------------------------------------------------------------------------------------------------------


@contextmanager
def ambient_unsampled() -> Iterator[None]:
    """What a server has around a request whose caller decided not to sample it."""
    remote = SpanContext(0xABC, 0xDEF, is_remote=True, trace_flags=TraceFlags(0))
    token = context_api.attach(trace.set_span_in_context(NonRecordingSpan(remote)))
    yield
    context_api.detach(token)


async def test_nothing_below_an_unsampled_request_is_sampled(traced: Traced) -> None:
    with ambient_unsampled(), traced.app.start_as_current_span("request", kind=SpanKind.SERVER):
        async with traced.transition():
            await traced.act()
        token = traced.monitor.capture()
    await traced.act(token=token)
    async with traced.monitor.monitor_action_processing("g", "timeout", "ann"):  # another trace, which is sampled
        pass
    assert list(traced.spans()) == ["action.timeout"]


class OnlyActions(Sampler):
    """Samples whatever has no parent and is an action."""

    def should_sample(self, parent_context: Any, trace_id: int, name: str, *_: Any, **__: Any) -> SamplingResult:
        sampled = name.startswith("action.")
        return SamplingResult(Decision.RECORD_AND_SAMPLE if sampled else Decision.DROP)

    def get_description(self) -> str:
        return type(self).__name__


async def test_nothing_below_an_unsampled_monitor_span_is_sampled(
    traced: Traced, telemetry: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traced.monitor.core.tracer, "sampler", ParentBased(OnlyActions()))
    async with traced.transition() as span:
        await traced.act()
        with traced.monitor.tracer.trace_phase_execution("g", "turn"):
            pass
    assert not span.is_recording()
    assert traced.spans() == {}
    await traced.act()
    assert list(traced.spans()) == [INNER]
    assert len(telemetry.events("action.completed")) == 2  # sampling is of spans only
