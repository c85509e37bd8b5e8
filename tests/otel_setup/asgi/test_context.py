"""Tasks that outlive what started them, and what is sent along."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar

import pytest
from opentelemetry import baggage, context, trace

from otel_setup import correlated, get_correlation_id
from otel_setup.asgi import create_detached_task, detached_context, inject_context, message_span
from otel_setup.asgi.context import MAX_FIELD_LENGTH, from_headers, from_message
from otel_setup.testing import Recorded
from tests.otel_setup.asgi.support import TRACE, TRACEPARENT, Exported, attributes_of, identity

OWN: ContextVar[str] = ContextVar("own", default="unset")


async def act(telemetry: Recorded) -> tuple[str | None, bool, object, str]:
    async with telemetry.monitor.monitor_action_processing("g", "play", "ann"):
        pass
    span = trace.get_current_span().get_span_context()
    return get_correlation_id(), span.is_valid, baggage.get_baggage("who"), OWN.get()


async def test_a_detached_task_has_no_parent_and_its_own_correlation(exported: Exported, telemetry: Recorded) -> None:
    OWN.set("the application's")
    token = context.attach(baggage.set_baggage("who", "ann"))
    with message_span({}, "start_game"):
        outer = get_correlation_id()
        task = create_detached_task(act(telemetry), name="game loop")
        found = await task
        assert get_correlation_id() == outer
    context.detach(token)
    assert task.get_name() == "game loop"
    assert found == (None, False, None, "the application's")
    (message,) = exported.named("websocket.message.start_game")
    (action,) = exported.named("action.play_pieces")
    assert (action.parent_span_id, list(action.links)) == (b"", [])
    assert action.trace_id != message.trace_id
    assert attributes_of(action)["correlation.id"] not in (None, outer)


async def test_a_plain_task_would_have_inherited_all_of_it(exported: Exported, telemetry: Recorded) -> None:
    """Shows that the test above can fail for the reason it names."""
    with message_span({}, "start_game"):
        found = await asyncio.create_task(act(telemetry))
        assert found[:2] == (get_correlation_id(), True)
    (action,) = exported.named("action.play_pieces")
    (message,) = exported.named("websocket.message.start_game")
    assert (action.trace_id, action.parent_span_id) == identity(message)


async def test_a_task_cancelled_before_it_began_leaves_no_warning(recwarn: pytest.WarningsRecorder) -> None:
    task = create_detached_task(asyncio.sleep(60))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [str(warning.message) for warning in recwarn] == []


async def test_a_task_group_can_start_detached_tasks(telemetry: Recorded) -> None:
    with correlated("outer"):
        async with asyncio.TaskGroup() as group:
            task = group.create_task(act(telemetry), context=detached_context())
        assert get_correlation_id() == "outer"
    assert task.result()[0] is None


def test_without_a_loop_there_is_no_task() -> None:
    async def never() -> None:
        raise AssertionError

    work = never()
    with pytest.raises(RuntimeError):
        create_detached_task(work)
    work.close()


def test_what_is_injected_is_w3c_and_the_correlation_id(exported: Exported) -> None:
    with message_span({}, "play") as span, correlated("mine"):
        carrier = inject_context({"x-correlation-id": "old", "kept": "as it is"})
    ids = span.get_span_context()
    assert carrier == {
        "kept": "as it is",
        "traceparent": f"00-{ids.trace_id:032x}-{ids.span_id:016x}-{ids.trace_flags:02x}",
        "X-Correlation-ID": "mine",
    }
    assert inject_context({}) == {}


def test_what_comes_in_stands_alone(exported: Exported) -> None:
    token = context.attach(baggage.set_baggage("who", "the server's own"))
    with message_span({}, "play"):
        for found in (from_headers([]), from_headers([(b"Baggage", b"a=1"), (b"BAGGAGE", b"b=2")]), from_message({})):
            assert not trace.get_current_span(found).get_span_context().is_valid
            assert baggage.get_baggage("who", found) is None
    context.detach(token)
    assert baggage.get_all(from_headers([(b"Baggage", b"a=1"), (b"BAGGAGE", b"b=2")])) == {"a": "1", "b": "2"}


def test_a_field_that_is_too_long_is_as_if_it_were_not_there(caplog: pytest.LogCaptureFixture) -> None:
    found = from_message({"traceparent": TRACEPARENT, "baggage": "a=" + "x" * MAX_FIELD_LENGTH})
    assert trace.get_current_span(found).get_span_context().trace_id == int(TRACE, 16)
    assert baggage.get_all(found) == {}
    assert not caplog.records  # the propagator would have logged all of it
