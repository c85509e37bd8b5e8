"""The queue between the game and an exporter: bounded, quick to fill, on time at its end, and its losses are told."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest
from opentelemetry._logs import LogRecord
from opentelemetry.context import Context
from opentelemetry.sdk._logs import LoggerProvider, ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.util.types import AnyValue

from otel_setup.sdk.account import QUEUE_FULL, TOO_LATE
from otel_setup.sdk.batching import LogBatches, SpanBatches
from otel_setup.sdk.suppression import suppressed

PATIENCE = 60.0
"""Seconds after which what is waited for has failed."""
Log = Callable[[AnyValue], None]
LONG = 3600.0
"""A delay that never passes."""


class Gate(LogRecordExporter):
    """An exporter that lets batches through only while it is open, and says what passed."""

    def __init__(self, *, closed: bool = False, result: LogRecordExportResult = LogRecordExportResult.SUCCESS) -> None:
        self.passed: list[list[object]] = []
        self.result = result
        self.entered = threading.Event()
        self.stopped = threading.Event()
        self._open = threading.Event()
        if not closed:
            self._open.set()

    def open(self) -> None:
        self._open.set()

    @property
    def bodies(self) -> list[object]:
        return [body for batch in self.passed for body in batch]

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        self.entered.set()
        assert self._open.wait(PATIENCE)
        if self.stopped.is_set():
            return LogRecordExportResult.FAILURE
        self.passed.append([record.log_record.body for record in batch])
        return self.result

    def shutdown(self) -> None:
        self.stopped.set()
        self._open.set()

    def force_flush(self, timeout_millis: int = 0) -> bool:
        return True


class Losses:
    """What was lost, by reason."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def __call__(self, reason: str, items: int) -> None:
        self.counts[reason] += items


@contextmanager
def logging_to(
    exporter: LogRecordExporter,
    losses: Losses | None = None,
    failed: Callable[[Exception], object] = lambda fault: None,
    *,
    queue_size: int = 100,
    batch_size: int = 10,
    delay: float = LONG,
) -> Iterator[tuple[Log, LogBatches]]:
    """A function that logs a body, and the processor behind it."""
    batches = LogBatches(
        exporter, losses or Losses(), failed, queue_size=queue_size, batch_size=batch_size, delay=delay
    )
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(batches)
    logger = provider.get_logger("test")
    try:
        yield lambda body: logger.emit(body=body), batches
    finally:
        batches.shutdown(100)


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "what was waited for did not happen"
        time.sleep(0.002)


# --- what is exported, and when --------------------------------------------------------------------------------------


def test_a_full_batch_leaves_at_once_and_the_rest_waits() -> None:
    gate = Gate()
    with logging_to(gate, batch_size=10) as (log, batches):
        for number in range(25):
            log(number)
        wait_until(lambda: len(gate.bodies) >= 20)
        assert batches.waiting == 5
        assert gate.passed == [list(range(10)), list(range(10, 20))]
        assert batches.force_flush()
    assert gate.bodies == list(range(25))


def test_what_is_no_full_batch_leaves_after_the_delay() -> None:
    gate = Gate()
    with logging_to(gate, delay=0.01) as (log, batches):
        log("alone")
        wait_until(lambda: gate.bodies == ["alone"])
        wait_until(lambda: batches.waiting == 0)


def test_batches_hold_no_more_than_is_allowed() -> None:
    gate = Gate(closed=True)
    with logging_to(gate, queue_size=1000, batch_size=10) as (log, batches):
        for number in range(100):
            log(number)
        gate.open()
        assert batches.force_flush()
    assert max(map(len, gate.passed)) == 10
    assert gate.bodies == list(range(100))


def test_a_batch_size_above_the_queues_is_cut_to_it() -> None:
    gate = Gate()
    with logging_to(gate, queue_size=4, batch_size=100) as (log, _):
        for number in range(4):
            log(number)
        wait_until(lambda: gate.bodies == [0, 1, 2, 3])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"queue_size": 0}, "queue_size is 0"), ({"batch_size": -1}, "batch_size is -1"), ({"delay": 0.0}, "delay is 0")],
)
def test_numbers_that_make_no_sense_are_refused(wrong: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LogBatches(Gate(), Losses(), **{"queue_size": 1, "batch_size": 1, "delay": 1.0, **wrong})  # type: ignore[arg-type]


def test_a_record_is_kept_as_it_was_and_without_its_context() -> None:
    seen: list[LogRecord] = []

    class Seeing(Gate):
        def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
            seen.extend(record.log_record for record in batch)
            return super().export(batch)

    batches = LogBatches(Seeing(), Losses(), queue_size=10, batch_size=10, delay=LONG)
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(batches)
    record = LogRecord(body="before", context=Context({"big": bytes(1000)}))
    provider.get_logger("test").emit(record)
    record.body = "after"
    batches.shutdown()
    assert [kept.body for kept in seen] == ["before"]
    assert not seen[0].context
    assert record.context == {"big": bytes(1000)}


def test_only_sampled_spans_are_exported() -> None:
    class ByName(Sampler):
        def should_sample(self, *arguments: object, **_: object) -> SamplingResult:
            return SamplingResult(Decision.RECORD_AND_SAMPLE if arguments[2] == "yes" else Decision.RECORD_ONLY)

        def get_description(self) -> str:
            return "by name"

    exporter = InMemorySpanExporter()
    batches = SpanBatches(exporter, Losses(), queue_size=10, batch_size=10, delay=LONG)
    provider = TracerProvider(sampler=ByName(), shutdown_on_exit=False)
    provider.add_span_processor(batches)
    for name in ("yes", "no"):
        provider.get_tracer("test").start_span(name).end()
    assert batches.waiting == 1
    assert batches.force_flush()
    assert [span.name for span in exporter.get_finished_spans()] == ["yes"]
    batches.shutdown()


# --- losses ----------------------------------------------------------------------------------------------------------


def test_a_full_queue_drops_the_oldest_and_each_is_told() -> None:
    gate, losses = Gate(closed=True), Losses()
    with logging_to(gate, losses, queue_size=10, batch_size=5) as (log, batches):
        for number in range(5):
            log(number)
        assert gate.entered.wait(PATIENCE)  # the first five are under way
        for number in range(5, 100):
            log(number)
        assert losses.counts == {QUEUE_FULL: 85}
        assert batches.waiting == 15
        gate.open()
        assert batches.force_flush()
    assert gate.bodies == [*range(5), *range(90, 100)]
    assert losses.counts == {QUEUE_FULL: 85}


def test_the_account_is_exact_whatever_threads_do() -> None:
    """Emitted = exported + lost, while ten threads emit faster than is exported, and the end comes in the middle."""
    gate, losses = Gate(), Losses()
    each, threads = 3000, 10
    with logging_to(gate, losses, queue_size=50, batch_size=7, delay=0.001) as (log, batches):
        working = [threading.Thread(target=lambda: [log(number) for number in range(each)]) for _ in range(threads)]
        for thread in working:
            thread.start()
        wait_until(lambda: len(gate.bodies) > 1000)
        batches.shutdown(PATIENCE * 1000)
        for thread in working:
            thread.join()
    assert len(gate.bodies) + losses.counts.total() == each * threads
    assert losses.counts[TOO_LATE] > 0


def test_what_comes_after_the_end_is_lost_and_told() -> None:
    gate, losses = Gate(), Losses()
    with logging_to(gate, losses) as (log, batches):
        log("in time")
        batches.shutdown()
        log("late")
        assert batches.waiting == 0
    assert gate.bodies == ["in time"]
    assert losses.counts == {TOO_LATE: 1}


def test_an_exporter_that_raises_is_told_and_the_next_batch_goes() -> None:
    class Raising(Gate):
        def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
            if batch[0].log_record.body == "poison":
                raise ZeroDivisionError("poisoned")
            return super().export(batch)

    faults: list[Exception] = []
    gate = Raising()
    with logging_to(gate, failed=faults.append, batch_size=1) as (log, batches):
        log("poison")
        log("good")
        assert not batches.force_flush()
        log("better")
        assert batches.force_flush()
    assert [str(fault) for fault in faults] == ["poisoned"]
    assert gate.bodies == ["good", "better"]


# --- flush and shutdown ----------------------------------------------------------------------------------------------


def test_a_flush_says_whether_everything_arrived() -> None:
    gate = Gate(result=LogRecordExportResult.FAILURE)
    with logging_to(gate) as (log, batches):
        assert batches.force_flush()  # nothing waits
        log("refused")
        assert not batches.force_flush()
        gate.result = LogRecordExportResult.SUCCESS
        log("taken")
        assert batches.force_flush()


def test_a_flush_keeps_its_timeout_while_the_exporter_hangs() -> None:
    gate = Gate(closed=True)
    with logging_to(gate) as (log, batches):
        log("stuck")
        began = time.monotonic()
        assert not batches.force_flush(50)
        assert time.monotonic() - began < PATIENCE / 2  # the exporter would hang for longer
        gate.open()
        assert batches.force_flush()
        assert gate.bodies == ["stuck"]


def test_a_flush_waits_for_what_was_there_and_not_for_what_comes_meanwhile() -> None:
    """Else it would never end under load."""
    holder: list[Log] = []

    class Feeding(Gate):
        def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
            holder[0]("one more")
            return super().export(batch)

    with logging_to(Feeding(), batch_size=1, queue_size=10) as (log, batches):
        holder.append(log)
        log("first")
        assert batches.force_flush(PATIENCE * 1000)


def test_a_shutdown_exports_what_waits() -> None:
    gate, losses = Gate(), Losses()
    with logging_to(gate, losses, batch_size=10) as (log, batches):
        for number in range(7):
            log(number)
        batches.shutdown()
    assert gate.bodies == list(range(7))
    assert gate.stopped.is_set()
    assert losses.counts.total() == 0


def test_a_shutdown_keeps_its_time_and_tells_what_it_could_not_export() -> None:
    gate, losses = Gate(closed=True), Losses()
    with logging_to(gate, losses, batch_size=5, queue_size=50) as (log, batches):
        for number in range(32):
            log(number)
        assert gate.entered.wait(PATIENCE)
        began = time.monotonic()
        batches.shutdown(50)
        assert time.monotonic() - began < PATIENCE / 2
    assert gate.stopped.is_set()
    assert losses.counts == {TOO_LATE: 27}  # the five that were under way are the exporter's to count


def test_a_second_shutdown_does_nothing() -> None:
    gate = Gate()
    with logging_to(gate) as (log, batches):
        log("said")
        batches.shutdown()
        gate.stopped.clear()
        batches.shutdown()
    assert not gate.stopped.is_set()


def test_a_flush_that_waits_is_freed_by_a_shutdown_though_the_exporter_hangs_on() -> None:
    class Stuck(Gate):
        def shutdown(self) -> None:
            """As a request that nobody answers: it goes on until it times out."""

    gate = Stuck(closed=True)
    with logging_to(gate) as (log, batches):
        log("stuck")
        answers: list[bool] = []
        flushing = threading.Thread(target=lambda: answers.append(batches.force_flush(PATIENCE * 1000)))
        flushing.start()
        assert gate.entered.wait(PATIENCE)
        batches.shutdown(10)
        flushing.join(PATIENCE / 2)
        assert answers == [False]
        assert not batches.force_flush(PATIENCE * 1000)
        gate.open()


def test_its_thread_ends_with_it() -> None:
    before = set(threading.enumerate())
    with logging_to(Gate()) as (log, batches):
        log("said")
        (thread,) = set(threading.enumerate()) - before
        assert thread.daemon
        batches.shutdown()
        assert not thread.is_alive()


# --- nothing blocks, nothing loops -----------------------------------------------------------------------------------


def test_a_signal_handler_that_logs_while_its_own_thread_is_logging() -> None:
    """It interrupts the queue anywhere; a lock that is not re-entrant would hang here for ever."""
    gate, losses = Gate(), Losses()
    handled = 0
    with logging_to(gate, losses, queue_size=20, batch_size=1, delay=0.001) as (log, batches):

        def handler(*_: object) -> None:
            nonlocal handled
            handled += 1
            log("from the handler")

        before = signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
        try:
            wait_until(lambda: [log("said") for _ in range(100)] and handled > 200)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        batches.shutdown(PATIENCE * 1000)
    assert "from the handler" in gate.bodies
    assert losses.counts[TOO_LATE] == 0


def test_a_finalizer_that_logs_while_its_own_thread_is_logging() -> None:
    """It runs inside the queue, when that lets go of what it belongs to."""
    gate, losses = Gate(closed=True), Losses()
    with logging_to(gate, losses, queue_size=10, batch_size=1) as (log, batches):
        words = 0

        class LastWords:
            def __del__(self) -> None:
                nonlocal words
                words += 1
                log("last words")

        log("under way")
        assert gate.entered.wait(PATIENCE)
        for _ in range(100):
            log(LastWords())  # type: ignore[arg-type]  # what an application's filter may have put there
            assert batches.waiting <= 11
        assert words > 0
        assert losses.counts[QUEUE_FULL] == 1 + 100 + words - batches.waiting
        gate.open()
        batches.shutdown(PATIENCE * 1000)


def test_exports_are_marked_so_that_they_are_not_observed() -> None:
    seen: list[bool] = []

    class Marked(Gate):
        def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
            seen.append(suppressed())
            return super().export(batch)

    with logging_to(Marked()) as (log, batches):
        log("said")
        assert batches.force_flush()
    assert seen == [True]
    assert not suppressed()


def test_a_queue_that_drops_says_nothing_to_the_applications_log(caplog: pytest.LogCaptureFixture) -> None:
    gate = Gate(closed=True)
    with caplog.at_level(logging.DEBUG), logging_to(gate, queue_size=2, batch_size=2) as (log, _):
        for number in range(50):
            log(number)
        gate.open()
    assert caplog.records == []


# --- fork ------------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_exports_nothing_of_its_parents_and_waits_for_nobody() -> None:
    gate, losses = Gate(closed=True), Losses()
    with logging_to(gate, losses, batch_size=5) as (log, batches):
        for number in range(8):
            log(number)
        assert gate.entered.wait(PATIENCE)
        held, go_on = threading.Event(), threading.Event()

        def hold() -> None:
            with batches._queue._lock:
                held.set()
                go_on.wait(PATIENCE)

        holding = threading.Thread(target=hold)
        holding.start()
        assert held.wait(PATIENCE)
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)  # where it waits for ever, it dies
            signal.alarm(30)
            wrong = 99
            try:
                log("in the child")
                batches.force_flush(1000)
                wrong = batches.waiting + losses.counts.total()
                batches.shutdown(1000)
            finally:
                os._exit(wrong)
        status = os.waitpid(child, 0)[1]
        go_on.set()
        holding.join()
        gate.open()
        assert os.waitstatus_to_exitcode(status) == 0
        assert batches.force_flush()
    assert gate.bodies == list(range(8))
