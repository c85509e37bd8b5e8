"""The global proxies before the SDK's own providers. What arrived is read from the SDK's in-memory readers."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Generator, Iterable
from typing import Any
from unittest.mock import Mock

import pytest
from opentelemetry import trace
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.context import Context
from opentelemetry.metrics import CallbackOptions, Meter, NoOpMeterProvider, Observation
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import NonRecordingSpan, SpanContext, StatusCode, TraceFlags

from otel_setup.sdk.proxies import RECENT, SwapLoggerProvider, SwapMeterProvider, SwapTracerProvider

PATIENCE = 30
"""Seconds after which a thread or process counts as hung."""


def sdk_meters() -> tuple[MeterProvider, InMemoryMetricReader]:
    reader = InMemoryMetricReader()
    return MeterProvider([reader], shutdown_on_exit=False), reader


def sdk_tracers() -> tuple[TracerProvider, InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider, exporter


def sdk_loggers() -> tuple[LoggerProvider, InMemoryLogRecordExporter]:
    exporter = InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    return provider, exporter


def points(reader: InMemoryMetricReader) -> dict[str, list[Any]]:
    """The data points of one collection, by metric."""
    data = reader.get_metrics_data()
    return {
        metric.name: list(metric.data.data_points)
        for resource in (data.resource_metrics if data else ())
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }


def values(reader: InMemoryMetricReader) -> dict[str, list[float]]:
    """The values of one collection, by metric; of a histogram the sum."""
    return {
        name: [point.sum if hasattr(point, "sum") else point.value for point in found]
        for name, found in points(reader).items()
    }


def names(exporter: InMemorySpanExporter) -> list[str]:
    return [span.name for span in exporter.get_finished_spans()]


def event_names(exporter: InMemoryLogRecordExporter) -> list[str | None]:
    return [entry.log_record.event_name for entry in exporter.get_finished_logs()]


@pytest.fixture(autouse=True)
def faults() -> Iterable[list[Exception]]:
    """What was told to ``on_fault``. A test that expects faults takes them out."""
    kept: list[Exception] = []
    yield kept
    assert kept == []


@pytest.fixture
def meters(faults: list[Exception]) -> SwapMeterProvider:
    return SwapMeterProvider(faults.append)


@pytest.fixture
def tracers(faults: list[Exception]) -> SwapTracerProvider:
    return SwapTracerProvider(faults.append)


@pytest.fixture
def loggers(faults: list[Exception]) -> SwapLoggerProvider:
    return SwapLoggerProvider(faults.append)


class Faulty:
    """A delegate whose handles all exist, and all fail."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*_args: object, **_kwargs: object) -> Any:
            if name.startswith(("get_", "create_")):
                return self
            raise RuntimeError(name)

        return call


class Unable:
    """A delegate that cannot even give a tracer, meter or logger."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*_args: object, **_kwargs: object) -> Any:
            raise RuntimeError(name)

        return call


# --- swapping -------------------------------------------------------------------------------------------------------


def test_swap_gives_the_delegate_until_now(meters: SwapMeterProvider) -> None:
    first, second = sdk_meters()[0], sdk_meters()[0]
    assert meters.delegate is None
    assert meters.swap(first) is None
    assert meters.delegate is first
    assert meters.swap(second) is first
    assert meters.swap(None) is second
    assert meters.delegate is None


def test_a_provider_refuses_to_be_its_own_delegate(meters: SwapMeterProvider) -> None:
    with pytest.raises(ValueError, match="its own delegate"):
        meters.swap(meters)


def test_the_same_scope_gives_the_same_handle(
    meters: SwapMeterProvider, tracers: SwapTracerProvider, loggers: SwapLoggerProvider
) -> None:
    for get in (meters.get_meter, tracers.get_tracer, loggers.get_logger):
        scopes: list[tuple[Any, ...]] = [
            ("a",), ("b",), ("a", "1"), ("a", "1", "https://example.test/1"),
            ("a", "1", None, {"x": 1, "y": ["p", "q"]}), ("a", "1", None, {"x": True, "y": ["p", "q"]}),
        ]  # fmt: skip
        handles = [get(*scope) for scope in scopes]
        assert len({id(handle) for handle in handles}) == len(scopes)
        assert [get(*scope) for scope in scopes] == handles
        assert get("a", "1", None, {"y": ["p", "q"], "x": 1}) is handles[4]


def test_of_the_handles_that_nobody_holds_the_latest_are_kept(loggers: SwapLoggerProvider) -> None:
    """Log bridges ask for the logger at each record and hold none; a scope for each room must not pile up."""
    delegate = Mock(wraps=sdk_loggers()[0])
    loggers.swap(delegate)
    watched = weakref.ref(loggers.get_logger("bridge"))
    for _ in range(5):
        gc.collect()
        loggers.get_logger("bridge")
    delegate.get_logger.assert_called_once_with("bridge", None, None, None)

    for room in range(RECENT):
        loggers.get_logger(f"room {room}")
    gc.collect()
    assert watched() is None


def test_the_delegate_sees_the_scope(
    meters: SwapMeterProvider, tracers: SwapTracerProvider, loggers: SwapLoggerProvider
) -> None:
    attributes = {"part": "lobby"}
    scope = ("game", "1.2", "https://example.test/1", attributes)
    meter, tracer, logger = meters.get_meter(*scope), tracers.get_tracer(*scope), loggers.get_logger(*scope)
    assert (meter.name, meter.version, meter.schema_url) == scope[:3]
    counter = meter.create_counter("c")
    attributes["part"] = "changed by the caller later"

    (metric_sdk, reader), (trace_sdk, spans), (log_sdk, logs) = sdk_meters(), sdk_tracers(), sdk_loggers()
    meters.swap(metric_sdk)
    tracers.swap(trace_sdk)
    loggers.swap(log_sdk)
    counter.add(1)
    tracer.start_span("s").end()
    logger.emit(event_name="e")

    data = reader.get_metrics_data()
    assert data is not None
    for seen in (
        data.resource_metrics[0].scope_metrics[0].scope,
        spans.get_finished_spans()[0].instrumentation_scope,
        logs.get_finished_logs()[0].instrumentation_scope,
    ):
        assert seen is not None
        assert (seen.name, seen.version, seen.schema_url) == scope[:3]
        assert dict(seen.attributes or {}) == {"part": "lobby"}


def test_a_swap_that_overtakes_a_creation_wins(meters: SwapMeterProvider) -> None:
    """The delegate is exchanged while it is making the instrument: the instrument must not stay with the old one."""
    new, reader = sdk_meters()

    class Slow(NoOpMeterProvider):
        def get_meter(self, *args: Any, **kwargs: Any) -> Meter:
            meters.swap(new)
            return super().get_meter(*args, **kwargs)

    meters.swap(Slow())
    meters.get_meter("game").create_counter("c").add(3)
    assert values(reader) == {"c": [3]}


def test_a_signal_handler_or_finalizer_may_come_back_in_the_middle(meters: SwapMeterProvider) -> None:
    """A delegate whose hash is asked for while the lock is held stands for code that interrupts there."""
    results: list[Meter] = []

    class Interrupting(NoOpMeterProvider):
        def __hash__(self) -> int:
            results.append(meters.get_meter("new"))
            return 1

    meters.get_meter("game").create_observable_gauge("o", [Reading()])
    thread = threading.Thread(target=meters.swap, args=(Interrupting(),), daemon=True)
    thread.start()
    thread.join(PATIENCE / 3)
    assert not thread.is_alive()
    assert results[0] is meters.get_meter("new")


# --- synchronous instruments ----------------------------------------------------------------------------------------


def synchronous(meter: Meter, prefix: str = "") -> Callable[[float], None]:
    """One instrument of each synchronous kind, and a function that records with all."""
    counter = meter.create_counter(f"{prefix}counter")
    up_down = meter.create_up_down_counter(f"{prefix}up_down", unit="{game}", description="Games.")
    histogram = meter.create_histogram(f"{prefix}histogram", "s", explicit_bucket_boundaries_advisory=[1.0, 10.0])
    gauge = meter.create_gauge(f"{prefix}gauge")

    def record(amount: float) -> None:
        counter.add(amount)
        up_down.add(-amount)
        histogram.record(amount)
        gauge.set(amount)

    return record


def of_each_kind(counted: float, last: float, prefix: str = "") -> dict[str, list[float]]:
    return {
        f"{prefix}counter": [counted],
        f"{prefix}up_down": [-counted],
        f"{prefix}histogram": [counted],
        f"{prefix}gauge": [last],
    }


def test_instruments_record_to_the_delegate_of_the_moment_and_start_from_zero(meters: SwapMeterProvider) -> None:
    (first, first_reader), (second, second_reader) = sdk_meters(), sdk_meters()
    meter = meters.get_meter("game")
    early = synchronous(meter, "early_")
    early(1)  # there is no delegate: nowhere

    meters.swap(first)
    later = synchronous(meter, "later_")
    for amount in (2, 3):
        early(amount)
        later(amount)
    meters.swap(second)
    early(5)
    later(7)
    meters.swap(None)
    early(11)

    assert values(first_reader) == of_each_kind(5, 3, "early_") | of_each_kind(5, 3, "later_")
    assert values(second_reader) == of_each_kind(5, 5, "early_") | of_each_kind(7, 7, "later_")


def test_every_delegate_gets_what_the_instrument_was_created_with(meters: SwapMeterProvider) -> None:
    record = synchronous(meters.get_meter("game"))
    for _ in range(2):
        delegate, reader = sdk_meters()
        meters.swap(delegate)
        record(4)
        (histogram,) = points(reader)["histogram"]
        assert histogram.explicit_bounds == (1.0, 10.0)
        data = reader.get_metrics_data()
        assert data is not None
        described = {metric.name: metric for metric in data.resource_metrics[0].scope_metrics[0].metrics}
        assert (described["up_down"].unit, described["up_down"].description) == ("{game}", "Games.")
        assert described["histogram"].unit == "s"


def test_attributes_and_context_are_passed_on(meters: SwapMeterProvider) -> None:
    delegate = Mock()
    meters.swap(delegate)
    meter, real = meters.get_meter("game"), delegate.get_meter.return_value
    attributes, context = {"k": "v"}, Context()
    meter.create_counter("c").add(1, attributes, context)
    meter.create_up_down_counter("u").add(2, attributes=attributes, context=context)
    meter.create_histogram("h").record(3, context=context, attributes=attributes)
    meter.create_gauge("g").set(4, attributes, context)
    real.create_counter.return_value.add.assert_called_once_with(1, attributes, context)
    real.create_up_down_counter.return_value.add.assert_called_once_with(2, attributes, context)
    real.create_histogram.return_value.record.assert_called_once_with(3, attributes, context)
    real.create_gauge.return_value.set.assert_called_once_with(4, attributes, context)


def test_asking_again_for_a_counter_continues_it(meters: SwapMeterProvider) -> None:
    delegate, reader = sdk_meters()
    meters.swap(delegate)
    for _ in range(3):
        meters.get_meter("game").create_counter("c").add(1)
        gc.collect()
    assert values(reader) == {"c": [3]}


def test_a_measurement_is_one_call_dearer_than_the_sdk(meters: SwapMeterProvider) -> None:
    delegate, _ = sdk_meters()
    meters.swap(delegate)
    proxied = meters.get_meter("game").create_counter("c")
    real = delegate.get_meter("game").create_counter("c")

    def calls(add: Callable[[float], None]) -> int:
        seen: list[str] = []
        sys.setprofile(lambda _frame, event, _argument: seen.append(event))
        try:
            add(1)
        finally:
            sys.setprofile(None)
        return seen.count("call") + seen.count("c_call")

    real.add(1)  # the first one also sets up storage
    assert calls(proxied.add) == calls(real.add) + 1


def test_what_is_dropped_is_forgotten_and_what_is_held_still_follows(meters: SwapMeterProvider) -> None:
    first, _ = sdk_meters()
    meters.swap(first)
    meter = meters.get_meter("game")
    kept, dropped = meter.create_counter("kept"), meter.create_histogram("dropped")
    watched: list[weakref.ref[Any]] = [
        weakref.ref(dropped),
        weakref.ref(first),
    ]
    del dropped, meter, first

    second, reader = sdk_meters()
    meters.swap(second)
    gc.collect()
    assert [watch() for watch in watched] == [None, None]
    kept.add(2)
    assert values(reader) == {"kept": [2]}


def test_dropped_instruments_leave_nothing_behind(meters: SwapMeterProvider) -> None:
    meter = meters.get_meter("game")
    for number in range(100):
        meter.create_counter(f"c{number}").add(1)
    gc.collect()
    assert meters._followers == set()  # private, because the leak would be of dead references, invisible otherwise


def test_concurrent_measurements_lose_nothing_across_swaps(meters: SwapMeterProvider) -> None:
    counter = meters.get_meter("game").create_counter("c")
    histogram = meters.get_meter("game").create_histogram("h")
    delegate, reader = sdk_meters()
    meters.swap(delegate)
    readers, delegates = [reader], [delegate]
    stop = threading.Event()
    done = [0, 0, 0]  # each thread's own count

    def work(thread: int) -> None:
        while not stop.is_set():
            counter.add(1, {"thread": thread})
            histogram.record(1)
            done[thread] += 1

    threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(len(done))]
    for thread in threads:
        thread.start()
    for _ in range(10):
        wait_until_each_advances(done)
        delegate, reader = sdk_meters()
        delegates.append(delegate)
        readers.append(reader)
        meters.swap(delegate)
    wait_until_each_advances(done)
    stop.set()
    for thread in threads:
        thread.join(PATIENCE)

    collected = [values(reader) for reader in readers]
    assert sum(sum(found["c"]) for found in collected) == sum(done)
    assert sum(sum(found["h"]) for found in collected) == sum(done)
    assert all(len(found["c"]) == len(done) for found in collected)  # every delegate had its share of every thread


def wait_until_each_advances(done: list[int]) -> None:
    moment = threading.Event()
    seen = list(done)
    for _ in range(PATIENCE * 1000):
        if all(now > then + 1 for now, then in zip(done, seen, strict=True)):
            return
        moment.wait(0.001)
    pytest.fail("the threads stand still")


def test_instruments_created_during_swaps_end_up_at_the_last_delegate(meters: SwapMeterProvider) -> None:
    counters: dict[str, Any] = {}

    def work(thread: int) -> None:
        for number in range(60):
            name = f"{thread}.{number}"
            counters[f"c{name}"] = meters.get_meter("game").create_counter(f"c{name}")
            meters.get_meter("game").create_observable_gauge(f"o{name}", [lambda _: [Observation(1)]])

    threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(3)]
    for thread in threads:
        thread.start()
    while True:
        working = any(thread.is_alive() for thread in threads)
        delegate, reader = sdk_meters()
        meters.swap(delegate)
        if not working:
            break
    for counter in counters.values():
        counter.add(1)
    expected = {f"{kind}{thread}.{number}": [1] for kind in "co" for thread in range(3) for number in range(60)}
    assert values(reader) == expected


# --- observable instruments -----------------------------------------------------------------------------------------


class Reading:
    """A callback that counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, options: CallbackOptions) -> Iterable[Observation]:
        assert isinstance(options, CallbackOptions)
        self.calls += 1
        return [Observation(7, {"k": "v"})]


KINDS = ["create_observable_counter", "create_observable_up_down_counter", "create_observable_gauge"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_callback_is_called_once_per_collection_of_each_delegate(meters: SwapMeterProvider, kind: str) -> None:
    reading = Reading()
    instrument = getattr(meters.get_meter("game"), kind)("o", callbacks=[reading], unit="s", description="d")
    assert reading.calls == 0
    expected = 0
    for _ in range(3):
        delegate, reader = sdk_meters()
        meters.swap(delegate)
        for _ in range(2):
            (point,) = points(reader)["o"]
            expected += 1
            assert (point.value, point.attributes) == (7, {"k": "v"})
            assert reading.calls == expected
    del instrument


def test_an_observable_of_which_nothing_is_held_goes_on(meters: SwapMeterProvider) -> None:
    meters.get_meter("game").create_observable_gauge("o", [lambda _: [Observation(1)]])
    gc.collect()
    for _ in range(2):
        delegate, reader = sdk_meters()
        meters.swap(delegate)
        assert values(reader) == {"o": [1]}


def test_an_observable_is_registered_once_on_each_delegate_even_if_it_returns(meters: SwapMeterProvider) -> None:
    class Registering(NoOpMeterProvider):
        """The SDK would hide a second registration."""

        def __init__(self) -> None:
            self.registered: list[str] = []

        def get_meter(self, *args: Any, **kwargs: Any) -> Any:
            return self

        def create_observable_gauge(self, name: str, *_args: Any) -> None:
            self.registered.append(name)

    first, second = Registering(), Registering()
    meters.get_meter("game").create_observable_gauge("before", [Reading()])
    for delegate in (first, second, first, None, first, first):
        meters.swap(delegate)
    for _ in range(2):
        meters.get_meter("game").create_observable_gauge("after", [Reading()])
    assert (first.registered, second.registered) == (["before", "after"], ["before"])


def test_an_observable_that_exists_is_returned_with_its_first_callbacks(meters: SwapMeterProvider) -> None:
    """As the SDK does, so that creating one again and again does not pile up."""
    delegate, reader = sdk_meters()
    meters.swap(delegate)
    first, second = Reading(), Reading()
    created = meters.get_meter("game").create_observable_gauge("o", [first])
    assert meters.get_meter("game").create_observable_gauge(" O", [second]) is created
    assert meters.get_meter("game").create_observable_gauge("o", [second], unit="s") is not created
    assert meters.get_meter("lobby").create_observable_gauge("o", [second]) is not created

    other, reader = sdk_meters()
    meters.swap(other)
    points(reader)
    assert (first.calls, second.calls) == (1, 2)


def test_a_generator_callback_survives_swaps(meters: SwapMeterProvider) -> None:
    options_seen: list[object] = []

    def reading() -> Generator[Iterable[Observation], CallbackOptions, None]:
        options = yield ()
        for number in (1, 2, 3):
            options_seen.append(options)
            options = yield [Observation(number)]

    meters.get_meter("game").create_observable_gauge("o", [reading()])
    (first, first_reader), (second, second_reader) = sdk_meters(), sdk_meters()
    meters.swap(first)
    assert values(first_reader) == {"o": [1]}
    meters.swap(second)
    assert values(second_reader) == {"o": [2]}
    assert values(first_reader) == {"o": [3]}  # the old one, drained
    assert [type(options) for options in options_seen] == [CallbackOptions] * 3
    points(second_reader)  # the generator has ended


def test_a_callback_may_use_the_provider_while_a_swap_registers_it(meters: SwapMeterProvider) -> None:
    """The SDK holds a lock while it runs callbacks and wants the same lock to register one."""
    sdk, reader = sdk_meters()
    collecting, registering = threading.Event(), threading.Event()
    results: list[str] = []

    class Announcing(NoOpMeterProvider):
        def get_meter(self, *args: Any, **kwargs: Any) -> Any:
            registering.set()
            return sdk.get_meter(*args, **kwargs)

    def callback(_options: CallbackOptions) -> Iterable[Observation]:
        collecting.set()
        assert registering.wait(PATIENCE)
        meters.get_meter("another").create_counter("made_in_a_callback").add(1)
        results.append("callback")
        return ()

    def swap() -> None:
        meters.swap(Announcing())
        results.append("swap")

    meters.get_meter("game").create_observable_gauge("o", [Reading()])
    sdk.get_meter("direct").create_observable_gauge("direct", [callback])
    collector = threading.Thread(target=reader.collect, daemon=True)
    swapper = threading.Thread(target=swap, daemon=True)
    collector.start()
    assert collecting.wait(PATIENCE)
    swapper.start()
    for thread in (collector, swapper):
        thread.join(PATIENCE / 3)
    assert sorted(results) == ["callback", "swap"]


# --- traces ---------------------------------------------------------------------------------------------------------


def test_a_span_is_current_and_has_its_parent(tracers: SwapTracerProvider) -> None:
    delegate, exporter = sdk_tracers()
    outer_tracer = tracers.get_tracer("game")
    tracers.swap(delegate)
    with outer_tracer.start_as_current_span("outer", attributes={"k": "v"}) as outer:
        assert trace.get_current_span() is outer
        with tracers.get_tracer("lobby").start_as_current_span("inner"):
            pass
        tracers.get_tracer("lobby").start_span(
            "explicit root", context=trace.set_span_in_context(trace.INVALID_SPAN)
        ).end()
    assert trace.get_current_span() is trace.INVALID_SPAN

    inner, root, seen_outer = exporter.get_finished_spans()
    assert inner.parent == outer.get_span_context()
    assert root.parent is None
    assert seen_outer.attributes == {"k": "v"}


def test_a_span_ends_where_it_began_and_its_children_continue_the_trace(tracers: SwapTracerProvider) -> None:
    (first, first_spans), (second, second_spans) = sdk_tracers(), sdk_tracers()
    tracer = tracers.get_tracer("game")
    tracers.swap(first)
    with tracer.start_as_current_span("parent") as parent:
        tracers.swap(second)
        with tracer.start_as_current_span("child"):
            pass
    assert (names(first_spans), names(second_spans)) == (["parent"], ["child"])
    assert second_spans.get_finished_spans()[0].parent == parent.get_span_context()


def test_without_a_delegate_the_parent_is_passed_on(tracers: SwapTracerProvider) -> None:
    remote = SpanContext(0x1234, 0x5678, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))
    context = trace.set_span_in_context(NonRecordingSpan(remote))
    tracer = tracers.get_tracer("game")
    assert tracer.start_span("s", context).get_span_context() == remote
    with tracer.start_as_current_span("s", context=context):
        assert trace.get_current_span().get_span_context() == remote
    assert not tracer.start_span("root").get_span_context().is_valid


def test_a_decorated_function_follows_swaps(tracers: SwapTracerProvider) -> None:
    @tracers.get_tracer("game").start_as_current_span("decorated")
    def double(number: int) -> tuple[int, bool]:
        """Doubles."""
        return 2 * number, trace.get_current_span().is_recording()

    assert double.__doc__ == "Doubles."
    assert double(1) == (2, False)
    for number in (2, 3):
        delegate, exporter = sdk_tracers()
        tracers.swap(delegate)
        assert double(number) == (2 * number, True)
        assert double(number=number) == (2 * number, True)
        assert names(exporter) == ["decorated"] * 2


def test_a_decorated_coroutine_is_timed_to_its_end(tracers: SwapTracerProvider) -> None:
    @tracers.get_tracer("game").start_as_current_span("decorated")
    async def work() -> list[str]:
        await asyncio.sleep(0)
        assert trace.get_current_span().is_recording()
        return names(exporter)

    for _ in range(2):
        delegate, exporter = sdk_tracers()
        tracers.swap(delegate)
        assert asyncio.run(work()) == []
        assert names(exporter) == ["decorated"]


def test_an_exception_passes_and_is_recorded(tracers: SwapTracerProvider) -> None:
    delegate, exporter = sdk_tracers()
    tracers.swap(delegate)
    with pytest.raises(KeyError, match="mine"), tracers.get_tracer("game").start_as_current_span("s"):
        raise KeyError("mine")
    (span,) = exporter.get_finished_spans()
    assert span.status.status_code is StatusCode.ERROR
    assert [event.name for event in span.events] == ["exception"]


# --- logs -----------------------------------------------------------------------------------------------------------


def test_log_records_go_to_the_delegate_of_the_moment(loggers: SwapLoggerProvider) -> None:
    (first, first_logs), (second, second_logs) = sdk_loggers(), sdk_loggers()
    logger = loggers.get_logger("game")
    assert not logger.enabled(event_name="none")
    logger.emit(event_name="nowhere")
    loggers.swap(first)
    assert logger.enabled(severity_number=SeverityNumber.INFO, event_name="one")
    logger.emit(event_name="one", severity_number=SeverityNumber.WARN, attributes={"k": {"nested": [1]}}, timestamp=12)
    logger.emit(LogRecord(event_name="two", body="text"))
    loggers.swap(second)
    logger.emit(event_name="three")
    loggers.swap(None)
    logger.emit(event_name="nowhere")

    assert event_names(first_logs) == ["one", "two"]
    assert event_names(second_logs) == ["three"]
    one, two = (entry.log_record for entry in first_logs.get_finished_logs())
    assert (one.severity_number, one.timestamp, two.body) == (SeverityNumber.WARN, 12, "text")


# --- faults ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("delegate", [Faulty(), Unable()], ids=["faulty handles", "no handles"])
@pytest.mark.parametrize("swapped", ["before", "after"])
def test_no_fault_of_a_delegate_reaches_the_caller(
    meters: SwapMeterProvider,
    tracers: SwapTracerProvider,
    loggers: SwapLoggerProvider,
    faults: list[Exception],
    delegate: Any,
    swapped: str,
) -> None:
    providers: tuple[Any, ...] = (meters, tracers, loggers)
    if swapped == "before":
        for provider in providers:
            provider.swap(delegate)
    record = synchronous(meters.get_meter("game"))
    for kind in KINDS:
        getattr(meters.get_meter("game"), kind)("o", [Reading()])
    tracer, logger = tracers.get_tracer("game"), loggers.get_logger("game")
    if swapped == "after":
        for provider in providers:
            provider.swap(delegate)

    def once() -> list[str]:
        faults.clear()
        record(1)
        tracer.start_span("s").end()
        with tracer.start_as_current_span("s"):
            pass
        logger.emit(event_name="e")
        assert logger.enabled() is False
        return [str(fault) for fault in faults]

    if isinstance(delegate, Faulty):
        expected = ["add", "add", "record", "set", "start_span", "start_as_current_span", "emit", "enabled"]
        assert once() == expected
        assert once() == expected
    else:
        told = sorted({str(fault) for fault in faults})
        assert told == ["get_logger", "get_meter", "get_tracer"]
        assert len(faults) == 4 + len(KINDS) + 2  # each instrument, the tracer and the logger
        assert once() == []

    sdk, reader = sdk_meters()
    meters.swap(sdk)
    record(1)
    assert values(reader).items() >= of_each_kind(1, 1).items()  # a fault is not for ever
    faults.clear()


def test_a_name_that_the_sdk_refuses_does_not_stop_the_others(
    meters: SwapMeterProvider, faults: list[Exception]
) -> None:
    meter = meters.get_meter("game")
    refused = meter.create_counter("1 bad name")
    meter.create_observable_gauge("2 bad name", [Reading()])
    good = [meter.create_counter(f"good{number}") for number in range(5)]
    delegate, reader = sdk_meters()
    meters.swap(delegate)
    assert sorted("bad name" in str(fault) for fault in faults) == [True, True]
    faults.clear()
    for counter in (refused, *good):
        counter.add(1)
    assert values(reader) == {f"good{number}": [1] for number in range(5)}


def test_a_fault_at_the_end_of_a_span_stays_out_of_the_block(
    tracers: SwapTracerProvider, faults: list[Exception]
) -> None:
    class Failing(SpanProcessor):
        def on_end(self, span: Any) -> None:
            raise RuntimeError(f"end of {span.name}")

    delegate = TracerProvider(shutdown_on_exit=False)
    delegate.add_span_processor(Failing())
    tracers.swap(delegate)
    tracer = tracers.get_tracer("game")
    with tracer.start_as_current_span("quiet"):
        pass
    with pytest.raises(KeyError, match="mine"), tracer.start_as_current_span("raising"):
        raise KeyError("mine")
    assert trace.get_current_span() is trace.INVALID_SPAN
    assert [str(fault) for fault in faults] == ["end of quiet", "end of raising"]
    faults.clear()


# --- whole processes ------------------------------------------------------------------------------------------------


def run_script(script: str) -> None:
    """Runs a script in a process of its own, because globals are set once and a fork needs a quiet process."""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=PATIENCE * 2, check=False
    )
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "as expected\n")


def test_as_global_providers_they_serve_what_was_obtained_before() -> None:
    run_script(
        """
from opentelemetry import _logs, metrics, trace
from opentelemetry.metrics import Observation
from otel_setup.sdk.proxies import SwapLoggerProvider, SwapMeterProvider, SwapTracerProvider
from tests.otel_setup.sdk.test_proxies import event_names, names, sdk_loggers, sdk_meters, sdk_tracers, values

meter, tracer, logger = metrics.get_meter("early"), trace.get_tracer("early"), _logs.get_logger("early")
counter = meter.create_counter("early.counter")
meter.create_observable_gauge("early.gauge", [lambda _: [Observation(1)]])
counter.add(100)

faults = []
meters, tracers, loggers = (
    kind(faults.append) for kind in (SwapMeterProvider, SwapTracerProvider, SwapLoggerProvider)
)
metrics.set_meter_provider(meters)
trace.set_tracer_provider(tracers)
_logs.set_logger_provider(loggers)
assert metrics.get_meter("late") is meters.get_meter("late", "")
late = metrics.get_meter("late").create_counter("late.counter")
counter.add(100)

for amount in (1, 2):
    metric_sdk, reader = sdk_meters()
    trace_sdk, spans = sdk_tracers()
    log_sdk, logs = sdk_loggers()
    meters.swap(metric_sdk), tracers.swap(trace_sdk), loggers.swap(log_sdk)
    counter.add(amount)
    late.add(amount)
    meter.create_counter("later.counter").add(amount)
    with tracer.start_as_current_span("early"), trace.get_tracer("late").start_as_current_span("late"):
        logger.emit(event_name="event")
    names_of_counters = ("early.counter", "late.counter", "later.counter")
    expected = dict.fromkeys(names_of_counters, [amount]) | {"early.gauge": [1]}
    assert values(reader) == expected, values(reader)
    assert names(spans) == ["late", "early"], names(spans)
    assert event_names(logs) == ["event"], event_names(logs)
    late_span = spans.get_finished_spans()[0]
    assert late_span.parent.span_id == spans.get_finished_spans()[1].context.span_id
    assert logs.get_finished_logs()[0].log_record.span_id == late_span.context.span_id
assert not faults, faults
print("as expected")
"""
    )


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_can_swap_although_a_thread_of_the_parent_was_in_the_middle() -> None:
    """A delegate that is slow to be hashed keeps the parent's thread where the lock is held."""
    run_script(
        """
import os, signal, threading
from opentelemetry.metrics import NoOpMeterProvider
from otel_setup.sdk.proxies import SwapMeterProvider
from tests.otel_setup.sdk.test_proxies import sdk_meters, values

inside, release = threading.Event(), threading.Event()

class Slow(NoOpMeterProvider):
    def __hash__(self):
        inside.set()
        release.wait(30)
        return 1

faults = []
meters = SwapMeterProvider(faults.append)
counter = meters.get_meter("game").create_counter("c")
meters.get_meter("game").create_observable_gauge("o", [])
thread = threading.Thread(target=meters.swap, args=(Slow(),), daemon=True)
thread.start()
assert inside.wait(30)
child = os.fork()
if not child:
    signal.alarm(10)  # kills the child if it hangs
    delegate, reader = sdk_meters()
    meters.swap(delegate)
    counter.add(2)
    meters.get_meter("lobby").create_counter("d").add(3)
    os._exit(0 if values(reader) == {"c": [2], "d": [3]} and not faults else 1)
status = os.waitpid(child, 0)[1]
release.set()
thread.join(30)
assert status == 0, f"the child ended with {os.waitstatus_to_exitcode(status)}"
print("as expected")
"""
    )
