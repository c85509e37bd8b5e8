"""The tracer of the API this product succeeds: its blocks, and contexts that travel in plain mappings."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.trace import SpanKind as OTelSpanKind

from otel_setup import SpanKind, TraceContext, get_correlation_id, set_correlation_id
from otel_setup.testing import Recorded
from otel_setup.tracing import MAX_TRACE_CONTEXTS, StateTracer
from tests.otel_setup.traced import Traced

TRACE, SPAN, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", "00f067aa0ba902b7"
"""The ids of the examples in W3C Trace Context."""


def attributes(span: Any) -> dict[str, Any]:
    return {item.key: getattr(item.value, item.value.WhichOneof("value")) for item in span.attributes}


def ids(span: Any) -> tuple[str, str]:
    return span.trace_id.hex(), span.parent_span_id.hex()


# --- contexts -------------------------------------------------------------------------------------------------------


def test_a_child_is_of_the_same_trace_one_level_down() -> None:
    parent = TraceContext(TRACE, SPAN, None, "corr_1", {"room": "r1"})
    child = parent.child_context()
    assert (child.trace_id, child.parent_span_id) == (TRACE, SPAN)
    assert child.span_id not in (SPAN, parent.child_context().span_id)
    assert (child.correlation_id, child.baggage) == ("corr_1", {"room": "r1"})


async def test_a_context_is_of_the_parent_or_the_current_span_or_new(traced: Traced) -> None:
    tracer = traced.monitor.tracer
    first, second = tracer.create_trace_context(), tracer.create_trace_context()
    assert first.trace_id != second.trace_id
    assert tracer.create_trace_context(parent_context=first).trace_id == first.trace_id
    async with traced.transition():
        current = trace.get_current_span().get_span_context()
        inside = tracer.create_trace_context()
        assert inside.correlation_id == get_correlation_id()
    assert (int(inside.trace_id, 16), int(inside.span_id, 16)) == (current.trace_id, current.span_id)
    assert tracer.create_trace_context("corr_given").correlation_id == "corr_given"
    assert tracer.create_trace_context("a b\r\nSet-Cookie: c").correlation_id is None


def test_a_context_comes_out_of_a_carrier_as_it_went_in() -> None:
    context = TraceContext(TRACE, SPAN, PARENT, "corr_1", {"room": "r1", "seat": "2"})
    carrier: dict[str, str] = {"kept": "yes"}
    assert StateTracer.propagate_context(context, carrier) is carrier
    assert carrier == {
        "kept": "yes",
        "trace_id": TRACE,
        "span_id": SPAN,
        "parent_span_id": PARENT,
        "correlation_id": "corr_1",
        "baggage_room": "r1",
        "baggage_seat": "2",
    }
    assert StateTracer.extract_context(carrier) == context


def test_what_is_sent_along_is_one_line_each() -> None:
    context = TraceContext(TRACE, SPAN, baggage={"a\r\nb": "c\r\nSet-Cookie: d", "long": "x" * 10_000})
    carrier = StateTracer.propagate_context(context, {})
    text = "".join([*carrier, *carrier.values()])
    assert text.isprintable()
    assert len(text) < 1000


@pytest.mark.parametrize(
    "ids",
    [
        {},
        {"trace_id": TRACE},
        {"trace_id": TRACE, "span_id": "0" * 16},
        {"trace_id": "0" * 32, "span_id": SPAN},
        {"trace_id": f"0x{TRACE[2:]}", "span_id": SPAN},
        {"trace_id": f"{TRACE[:15]}_{TRACE[16:]}", "span_id": SPAN},
        {"trace_id": f" {TRACE[1:]}", "span_id": SPAN},
        {"trace_id": TRACE + "\n", "span_id": SPAN},
        {"trace_id": TRACE, "span_id": SPAN[1:]},
        {"trace_id": "".join(chr(0x0660 + int(digit, 16) % 10) for digit in TRACE), "span_id": SPAN},
        {"trace_id": "f" * 10_000_000, "span_id": SPAN},
        {"trace_id": int(TRACE, 16), "span_id": SPAN},
        {"trace_id": None, "span_id": None},
    ],
)
def test_what_is_no_id_makes_no_context(ids: dict[str, Any]) -> None:
    assert StateTracer.extract_context(ids) is None


HOSTILE = st.none() | st.integers() | st.binary(max_size=8) | st.text(max_size=40) | st.lists(st.integers(), max_size=2)


@given(
    carrier=st.dictionaries(
        st.sampled_from(["parent_span_id", "correlation_id", "sampled", "baggage_", "baggage_x"])
        | HOSTILE.filter(lambda key: not isinstance(key, list)),
        HOSTILE | st.just("corr_1") | st.just(PARENT),
        max_size=8,
    )
)
def test_whatever_else_a_client_writes_is_left_out_or_cleaned(carrier: dict[Any, Any]) -> None:
    context = StateTracer.extract_context({**carrier, "trace_id": TRACE, "span_id": SPAN})
    assert context is not None
    assert (context.trace_id, context.span_id) == (TRACE, SPAN)
    assert context.parent_span_id in (None, carrier.get("parent_span_id"))
    assert context.correlation_id in (None, carrier.get("correlation_id"))
    for text in (context.parent_span_id, context.correlation_id, *context.baggage, *context.baggage.values()):
        assert text is None or all(
            character == "�" or character.isprintable() or character == " " for character in text
        )


@pytest.mark.parametrize("carrier", [None, [], "trace_id", 7])
def test_what_is_no_carrier_has_no_context(carrier: Any) -> None:
    assert StateTracer.extract_context(carrier) is None


def test_baggage_is_bounded() -> None:
    carrier = {"trace_id": TRACE, "span_id": SPAN, **{f"baggage_{n}": "x" for n in range(1000)}}
    context = StateTracer.extract_context(carrier)
    assert context is not None
    assert len(context.baggage) == 64


async def test_remembered_contexts_are_bounded_and_the_oldest_goes_first(telemetry: Recorded) -> None:
    tracer = telemetry.monitor.tracer
    first = tracer.create_trace_context()
    created = [tracer.create_trace_context() for _ in range(MAX_TRACE_CONTEXTS)]
    assert tracer.get_trace_context(first.trace_id) is None
    assert tracer.get_trace_context(created[0].trace_id) == created[0]
    assert len(tracer.get_active_traces()) == MAX_TRACE_CONTEXTS
    assert telemetry.value("otel_setup_dropped_total", {"bound": "max_trace_contexts"}) == 1
    assert tracer.cleanup_old_contexts() == 0
    assert tracer.cleanup_old_contexts(0) == MAX_TRACE_CONTEXTS
    assert tracer.get_active_traces() == {}


# --- blocks ---------------------------------------------------------------------------------------------------------


async def test_a_block_continues_the_context_it_is_given_under_its_correlation(traced: Traced) -> None:
    tracer = traced.monitor.tracer
    given_context = TraceContext(TRACE, SPAN, None, "corr_of_the_message")
    set_correlation_id("corr_around")
    with traced.app.start_as_current_span("ambient", kind=OTelSpanKind.SERVER):
        with tracer.trace_state_transition("g", "WAITING", "PREPARATION", given_context):
            assert get_correlation_id() == "corr_of_the_message"
        with tracer.trace_action_processing("g", "play_piece", "ann", given_context):
            pass
        with tracer.trace_phase_execution("g", "TURN", given_context):
            pass
        assert get_correlation_id() == "corr_around"
    spans = traced.spans()
    del spans["ambient"]
    assert {name: attributes(span) for name, span in spans.items()} == {
        "state_transition.waiting_to_preparation": {
            "game.id": "g",
            "state.from": "waiting",
            "state.to": "preparation",
            "correlation.id": "corr_of_the_message",
        },
        "action.play_pieces": {
            "game.id": "g",
            "action.type": "play_pieces",
            "player.id": traced.monitor.core.pseudonyms.of("ann"),
            "correlation.id": "corr_of_the_message",
        },
        "phase.turn": {"game.id": "g", "phase.name": "turn", "correlation.id": "corr_of_the_message"},
    }
    assert {ids(span) for span in spans.values()} == {(TRACE, SPAN)}


async def test_a_context_that_was_not_sampled_is_not_sampled_again(traced: Traced) -> None:
    tracer = traced.monitor.tracer
    carrier = tracer.propagate_context(TraceContext(TRACE, SPAN, sampled=False), {})
    received = tracer.extract_context(carrier)
    with tracer.trace_phase_execution("g", "turn", received) as span:
        assert not span.is_recording()
        assert tracer.create_trace_context().sampled is False
    assert traced.spans() == {}


async def test_a_context_made_by_hand_of_what_is_no_id_begins_a_trace(traced: Traced) -> None:
    with traced.monitor.tracer.trace_phase_execution("g", "turn", TraceContext("no", "id")):
        pass
    (span,) = traced.spans().values()
    assert (span.parent_span_id, list(span.links)) == (b"", [])
    assert traced.monitor.core.faults.counts["tracing"] == 0


async def test_an_operations_result_and_exception_are_its_own(traced: Traced) -> None:
    async def works() -> int:
        assert trace.get_current_span().is_recording()
        return 42

    async def fails() -> None:
        raise LookupError("gone")

    tracer = traced.monitor.tracer
    result = await tracer.trace_async_operation(
        "db.load", works(), room="r1\x00", count=2, big=2**70, share=0.5, cached=True, rows=[1, 2]
    )
    assert result == 42
    with pytest.raises(LookupError, match="gone"):
        await tracer.trace_async_operation("db.save", fails())
    spans = traced.spans()
    assert attributes(spans["db.load"]) == {
        "param.room": "r1�",
        "param.count": 2,
        "param.big": str(2**70),  # OTLP's integers have 64 bits
        "param.share": 0.5,
        "param.cached": True,
    }
    assert (spans["db.load"].status.code, spans["db.save"].status.code) == (0, 2)
    assert attributes(spans["db.save"]) == {"error.type": "LookupError", "otel_setup.trace.kept": True}


async def test_a_cancelled_operation_is_no_error(traced: Traced) -> None:
    started = asyncio.Event()

    async def waits() -> None:
        started.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(traced.monitor.tracer.trace_async_operation("wait", waits()))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert traced.spans()["wait"].status.code == 0


async def test_a_span_of_the_games_own_follows_the_same_rules(traced: Traced) -> None:
    async with traced.transition() as outer:
        span = traced.monitor.tracer.start_span("redis.get", SpanKind.DATABASE_OPERATION)
        span.end()
    own = traced.spans()["redis.get"]
    assert own.parent_span_id == outer.get_span_context().span_id.to_bytes(8, "big")
    assert attributes(own) == {"operation.kind": "database_operation"}
    assert traced.monitor.tracer.get_tracer() is traced.monitor.core.tracer


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=HOSTILE)
def test_an_operation_may_have_any_name(telemetry: Recorded, name: Any) -> None:
    async def run() -> str:
        async def works() -> str:
            return "done"

        return await telemetry.monitor.tracer.trace_async_operation(name, works(), **{"x": name})

    assert asyncio.run(run()) == "done"
    assert telemetry.monitor.core.faults.counts["tracing"] == 0
