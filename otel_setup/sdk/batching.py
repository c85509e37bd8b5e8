"""Spans and log records on their way to an exporter: a bounded queue, a thread, and an account of what it loses.

It takes the place of the SDK's batch processors, which count nowhere what a full queue drops, ignore the timeout of a
flush, and go on for half a minute after a shutdown. What is put in is either handed to the exporter, whose own account
says what became of it, or told to ``lost`` with a reason; or it still waits.
"""

from __future__ import annotations

import copy
import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar
from weakref import WeakSet

from opentelemetry.context import Context
from opentelemetry.sdk._logs import LogRecordProcessor, ReadableLogRecord, ReadWriteLogRecord
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from otel_setup.sdk.account import QUEUE_FULL, TOO_LATE
from otel_setup.sdk.suppression import suppressing

SHUTDOWN_MILLISECONDS = 3000.0
FLUSH_MILLISECONDS = 30_000.0

T = TypeVar("T")
Lost = Callable[[str, int], object]
"""Told the reason and how many."""
Failed = Callable[[Exception], object]

_NOTHING = Context()
_queues: WeakSet[_Queue[Any]] = WeakSet()


def _tell_nobody(reason: str, items: int) -> None:
    """For a forked child's copy: what it loses is the parent's, who counts it."""


class _Queue(Generic[T]):
    """What waits, and the thread that exports it.

    Parameters:
        name: of the thread.
        export: hands a batch to the exporter, in that thread; whether it arrived.
        stop: ends the exporter, an export that is under way included if that can be.
        lost: told of what is lost here. In any thread, never under a lock of the queue.
        failed: told what an export raised, which its exporter counts as it counts every failure.
        size: items that wait at most; a batch that is under way comes on top.
        batch: items in one export at most.
        delay: seconds an item may wait for others.

    Raises:
        ValueError: naming the parameter that is not above zero.
    """

    def __init__(
        self,
        name: str,
        export: Callable[[Sequence[T]], bool],
        stop: Callable[[], object],
        lost: Lost,
        failed: Failed,
        *,
        size: int,
        batch: int,
        delay: float,
    ) -> None:
        for parameter, value in (("queue_size", size), ("batch_size", batch), ("delay", delay)):
            if value <= 0:
                raise ValueError(f"{parameter} is {value}; expected more than 0")
        self.size = size
        self._batch = min(batch, size)
        self._delay = delay
        self._export = export
        self._stop = stop
        self._lost = lost
        self._failed = failed
        self._items: deque[T] = deque()
        self._lock = threading.RLock()  # re-entrant: a signal handler or a finalizer may end a span in the middle
        self._bell: SimpleQueue[None] = SimpleQueue()  # re-entrant as well, unlike events and conditions
        self._rung = False
        self._put = self._done = self._failures = self._under_way = 0
        self._stopping = self._given_up = False
        self._waiters: list[tuple[int, threading.Event]] = []
        self._thread = threading.Thread(target=self._work, daemon=True, name=name)
        _queues.add(self)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Items that are not exported yet, those that are under way included."""
        return len(self._items) + self._under_way

    def put(self, item: T) -> None:
        """Takes an item. The oldest makes room where the queue is full."""
        lost, reason, ring = 0, QUEUE_FULL, False
        with self._lock:
            if self._stopping:
                lost, reason = 1, TOO_LATE
            else:
                items = self._items
                while len(items) >= self.size:  # more than once where a finalizer of what leaves put something in
                    items.popleft()
                    lost += 1
                items.append(item)
                self._put += 1
                self._done += lost
                if len(items) >= self._batch and not self._rung:
                    self._rung = ring = True
        if ring:
            self._bell.put(None)
        if lost:
            self._lost(reason, lost)

    def flush(self, timeout: float) -> bool:
        """Exports what waits now.

        Parameters:
            timeout: seconds it may take.

        Returns:
            Whether all of it was handed over in time, and arrived.
        """
        reached = threading.Event()
        with self._lock:
            goal, failures = self._put, self._failures
            if self._done >= goal:
                return True
            if self._given_up:
                return False
            waiter = (goal, reached)
            self._waiters.append(waiter)
        self._bell.put(None)
        in_time = reached.wait(max(0.0, timeout))
        with self._lock:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
            return in_time and self._done >= goal and self._failures == failures

    def shutdown(self, timeout: float) -> None:
        """Exports what waits and ends; what is not exported when the time is up is lost. Once is enough.

        Parameters:
            timeout: seconds it may take.
        """
        with self._lock:
            if self._stopping:
                return
            self._stopping = True
        self._bell.put(None)
        self._thread.join(max(0.0, timeout))
        with self._lock:
            self._given_up = True
            left = len(self._items)
            self._items.clear()
            self._done += left
            self._failures += left > 0
        self._stop()
        if left:
            self._lost(TOO_LATE, left)
        self._call_waiters()

    def forget(self) -> None:
        """In a forked child: locks may be held for ever, there is no thread, and what waits is the parent's."""
        self._lock = threading.RLock()
        self._bell = SimpleQueue()
        self._items = deque()
        self._waiters = []
        self._put = self._done = self._under_way = 0
        self._stopping = self._given_up = True
        self._lost = _tell_nobody

    # --- the thread ---------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        while not self._stopping:
            due = self._wait()
            while batch := self._next_batch(smallest=1 if due else self._batch):
                self._send(batch)
        while batch := self._next_batch(smallest=1):
            self._send(batch)

    def _wait(self) -> bool:
        """Sleeps until there is something to do. Whether everything is wanted, and not only full batches."""
        try:
            self._bell.get(timeout=self._delay)
        except Empty:
            return True
        return bool(self._waiters) or self._stopping

    def _next_batch(self, smallest: int) -> list[T]:
        with self._lock:
            self._rung = False
            items = self._items
            if self._given_up or len(items) < smallest:
                return []
            self._under_way = min(self._batch, len(items))
            return [items.popleft() for _ in range(self._under_way)]

    def _send(self, batch: list[T]) -> None:
        arrived = False
        try:
            with suppressing():
                arrived = self._export(batch)
        except Exception as fault:  # noqa: BLE001 - without its thread the queue would export nothing any more
            self._failed(fault)
        finally:
            with self._lock:
                self._under_way = 0
                self._done += len(batch)
                self._failures += not arrived
            self._call_waiters()

    def _call_waiters(self) -> None:
        with self._lock:
            reached = [waiter for waiter in self._waiters if waiter[0] <= self._done or self._given_up]
            for waiter in reached:
                self._waiters.remove(waiter)
        for _, event in reached:
            event.set()


class SpanBatches(SpanProcessor):
    """Exports sampled spans in batches. Never blocks who ends a span.

    Parameters:
        exporter: gets the batches, one at a time, in a thread of its own, and keeps the account of them.
        lost: told the reason (:data:`QUEUE_FULL`, :data:`TOO_LATE`) and how many, of what never reaches the exporter.
        failed: told what the exporter raised.
        queue_size: spans that wait at most; the oldest leave. A batch that is under way comes on top.
        batch_size: spans in one export at most.
        delay: seconds a span may wait for others.

    Raises:
        ValueError: naming a number that is not above zero.
    """

    def __init__(
        self,
        exporter: SpanExporter,
        lost: Lost,
        failed: Failed = lambda fault: None,
        *,
        queue_size: int,
        batch_size: int,
        delay: float,
    ) -> None:
        def export(batch: Sequence[ReadableSpan]) -> bool:
            return exporter.export(batch) is SpanExportResult.SUCCESS

        self._queue: _Queue[ReadableSpan] = _Queue(
            "otel_setup-spans",
            export,
            exporter.shutdown,
            lost,
            failed,
            size=queue_size,
            batch=batch_size,
            delay=delay,
        )

    @property
    def waiting(self) -> int:
        """Spans that are not exported yet, those that are under way included."""
        return self._queue.waiting

    def on_end(self, span: ReadableSpan) -> None:
        """Takes a span, if it is sampled."""
        context = span.context
        if context is not None and context.trace_flags.sampled:
            self._queue.put(span)

    def force_flush(self, timeout_millis: float = FLUSH_MILLISECONDS) -> bool:
        """Exports what waits now; whether all of it arrived within ``timeout_millis`` milliseconds."""
        return self._queue.flush(timeout_millis / 1000)

    def shutdown(self, timeout_millis: float = SHUTDOWN_MILLISECONDS) -> None:
        """Exports what waits, ``timeout_millis`` milliseconds at most, and ends."""
        self._queue.shutdown(timeout_millis / 1000)


class LogBatches(LogRecordProcessor):
    """Exports log records in batches; as :class:`SpanBatches`."""

    def __init__(
        self,
        exporter: LogRecordExporter,
        lost: Lost,
        failed: Failed = lambda fault: None,
        *,
        queue_size: int,
        batch_size: int,
        delay: float,
    ) -> None:
        def export(batch: Sequence[ReadableLogRecord]) -> bool:
            return exporter.export(batch) is LogRecordExportResult.SUCCESS

        self._queue: _Queue[ReadableLogRecord] = _Queue(
            "otel_setup-logs",
            export,
            exporter.shutdown,
            lost,
            failed,
            size=queue_size,
            batch=batch_size,
            delay=delay,
        )

    @property
    def waiting(self) -> int:
        """Log records that are not exported yet, those that are under way included."""
        return self._queue.waiting

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        """Takes a log record as it is now: other processors may change theirs afterwards."""
        kept = copy.copy(log_record.log_record)
        kept.context = _NOTHING  # what else is in it would live as long as the record waits
        self._queue.put(
            ReadableLogRecord(
                log_record=kept,
                resource=log_record.resource or Resource.get_empty(),
                instrumentation_scope=log_record.instrumentation_scope,
                limits=log_record.limits,
            )
        )

    def force_flush(self, timeout_millis: float = FLUSH_MILLISECONDS) -> bool:
        """Exports what waits now; whether all of it arrived within ``timeout_millis`` milliseconds."""
        return self._queue.flush(timeout_millis / 1000)

    def shutdown(self, timeout_millis: float = SHUTDOWN_MILLISECONDS) -> None:
        """Exports what waits, ``timeout_millis`` milliseconds at most, and ends."""
        self._queue.shutdown(timeout_millis / 1000)


def _forget_in_child() -> None:
    for queue in _queues:
        queue.forget()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_forget_in_child)
