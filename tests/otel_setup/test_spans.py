"""What a monitor span says, and what it leaves behind."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import nullcontext
from typing import Any

import pytest
from opentelemetry import context as context_api
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, StatusCode

import otel_setup
from otel_setup import LIAP_TUI, get_correlation_id
from otel_setup.testing import Recorded
from tests.otel_setup.traced import INNER, OUTER, Traced

# opentelemetry/proto/trace/v1/trace.proto, Status.StatusCode
STATUS_UNSET, STATUS_ERROR = 0, 2

# --- what it says ---------------------------------------------------------------------------------------------------


async def test_status_is_unset_on_success_and_cancellation(traced: Traced) -> None:
    await traced.act()
    with pytest.raises(asyncio.CancelledError):
        async with traced.transition():
            raise asyncio.CancelledError
    spans = traced.spans()
    assert {name: span.status.code for name, span in spans.items()} == {INNER: STATUS_UNSET, OUTER: STATUS_UNSET}
    assert not [item for span in spans.values() for item in span.attributes if item.key == "error.type"]


def attributes(span: Any) -> dict[str, Any]:
    return {item.key: getattr(item.value, item.value.WhichOneof("value")) for item in span.attributes}


async def test_failure_is_an_error_status_with_the_errors_type(traced: Traced) -> None:
    with pytest.raises(LookupError):
        async with traced.monitor.monitor_action_processing("g", "declare", "ann"):
            raise LookupError("no such piece")
    span = traced.spans()[INNER]
    assert (span.status.code, span.status.message) == (STATUS_ERROR, "no such piece")
    assert attributes(span)["error.type"] == "LookupError"
    assert attributes(span)["action.outcome"] == "failed"
    assert list(span.events) == []  # exceptions are log records, not span events


@pytest.mark.parametrize("kind", ["transition", "action"])
async def test_a_failure_the_game_tells_of_is_one(traced: Traced, telemetry: Recorded, kind: str) -> None:
    monitor = traced.monitor
    blocks = {"transition": traced.transition(), "action": monitor.monitor_action_processing("g", "declare", "ann")}
    async with blocks[kind] as handle:
        handle.outcome("failed")
    (span,) = traced.spans().values()
    assert span.status.code == STATUS_ERROR
    assert attributes(span)["error.type"] == "failed"
    failed = {"transition": "state.transition.failed", "action": "action.failed"}[kind]
    assert telemetry.events(failed)[0].data["outcome"] == "failed"


async def test_attributes_are_those_of_the_catalogue(traced: Traced) -> None:
    otel_setup.set_correlation_id("corr_1")
    async with traced.transition():
        token = traced.monitor.capture()
        await traced.act(token=token)
    spans = traced.spans()
    assert attributes(spans[OUTER]) == {
        "game.id": "g",
        "state.from": "waiting",
        "state.to": "preparation",
        "state.legal": True,
        "correlation.id": "corr_1",
    }
    inner = attributes(spans[INNER])
    assert inner.pop("action.queue_wait_ms") >= 0
    assert inner == {
        "game.id": "g",
        "player.id": traced.monitor.core.pseudonyms.of("ann"),
        "action.type": "declare",
        "action.outcome": "accepted",
        "action.actor": "unknown",
        "correlation.id": "corr_1",
    }


HOSTILE = ["", "DROP TABLE games", "turn\x00", "\u202eturn", "{from}", "x" * 10_000, "état", None, 7, object()]


async def test_span_names_have_values_of_closed_sets_only(traced: Traced) -> None:
    monitor: Any = traced.monitor
    for hostile in HOSTILE:
        async with (
            monitor.monitor_state_transition(hostile, hostile, hostile),
            monitor.monitor_action_processing(hostile, hostile, hostile),
        ):
            pass
        with monitor.tracer.trace_state_transition("g", hostile, hostile):
            pass
        with (
            monitor.tracer.trace_action_processing("g", hostile, "ann"),
            monitor.tracer.trace_phase_execution("g", hostile),
        ):
            pass
    traced.handle.flush(20)
    names = {span.name for span in traced.receiver.spans()}
    phases, actions = (*LIAP_TUI.phases, "other"), (*LIAP_TUI.action_types, "other")
    allowed = {f"state_transition.{a}_to_{b}" for a, b in itertools.product(phases, phases)}
    assert names <= allowed | {f"action.{action}" for action in actions} | {f"phase.{phase}" for phase in phases}
    assert len(traced.receiver.spans()) == 5 * len(HOSTILE)


async def test_the_handle_is_the_span_except_that_only_the_block_ends_it(traced: Traced) -> None:
    async with traced.transition() as handle:
        assert handle.is_recording()
        assert handle.get_span_context() == trace.get_current_span().get_span_context()
        handle.end()
        handle.set_attribute("own", 1)
        handle.set_attributes({"other": "x"})
        handle.add_event("dealt", {"cards": 32})
        handle.set_status(StatusCode.OK)
    span = traced.spans()[OUTER]
    assert attributes(span).items() >= {"own": 1, "other": "x"}.items()
    assert [event.name for event in span.events] == ["dealt"]


# --- what it leaves behind ------------------------------------------------------------------------------------------


class Boom(BaseException):
    """Nothing may swallow it."""


@pytest.mark.parametrize("raised", [None, ValueError("x"), asyncio.CancelledError(), GeneratorExit(), Boom()])
async def test_the_context_is_as_before_however_a_block_ends(traced: Traced, raised: BaseException | None) -> None:
    before = context_api.get_current(), get_correlation_id()

    async def blocks() -> None:
        async with traced.transition(), traced.monitor.monitor_action_processing("g", "declare", "ann"):
            with traced.monitor.tracer.trace_phase_execution("g", "turn"):
                assert context_api.get_current() != before[0]
                if raised is not None:
                    raise raised

    with pytest.raises(type(raised)) if raised else nullcontext() as passed:
        await blocks()
    assert passed is None or passed.value is raised
    assert (context_api.get_current(), get_correlation_id()) == before
    assert len(traced.spans()) == 3, "all have ended"


async def test_ctrl_c_on_entry_leaves_no_context_behind(traced: Traced, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    before = context_api.get_current(), get_correlation_id()
    monkeypatch.setattr(traced.monitor.core.ledger, "apply", interrupted)
    for block in (traced.transition(), traced.monitor.monitor_action_processing("g", "declare", "ann")):
        with pytest.raises(KeyboardInterrupt):
            await block.__aenter__()
        assert (context_api.get_current(), get_correlation_id()) == before


@pytest.mark.parametrize("broken", ["start_span", "end", "set_attribute"])
async def test_a_broken_tracer_is_counted_and_changes_nothing_else(
    telemetry: Recorded, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    def fails(*_: object, **__: object) -> Any:
        raise ZeroDivisionError

    class Broken(NonRecordingSpan):
        end = fails if broken == "end" else NonRecordingSpan.end
        set_attribute = fails if broken == "set_attribute" else NonRecordingSpan.set_attribute

    class Tracer(trace.NoOpTracer):
        def start_span(self, *_: Any, **__: Any) -> trace.Span:
            return fails() if broken == "start_span" else Broken(SpanContext(1, 1, is_remote=False))

    monitor = telemetry.monitor
    monkeypatch.setattr(monitor.core._connection, "tracer", Tracer())
    before = context_api.get_current(), get_correlation_id()

    async def blocks() -> None:
        async with monitor.monitor_state_transition("g", "WAITING", "PREPARATION"):
            with monitor.tracer.trace_phase_execution("g", "turn"):
                raise ValueError("the game's own")

    with pytest.raises(ValueError, match="the game's own"):
        await blocks()
    assert (context_api.get_current(), get_correlation_id()) == before
    assert monitor.core.faults.counts["tracing"] == 2  # of either span, once
    assert [event.event_type.value for event in telemetry.events()] == [
        "state.transition.start",
        "state.transition.failed",
        "error.occurred",
    ]
