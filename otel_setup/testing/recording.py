"""Monitoring that ends in the test's memory, by the test's clock, with ids that count."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

from opentelemetry import context as context_api
from opentelemetry._logs import LogRecord
from opentelemetry.context import Context
from opentelemetry.sdk.environment_variables import OTEL_SDK_DISABLED
from opentelemetry.sdk.metrics.export import DataPointT
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext, StatusCode, format_span_id

from otel_setup import clock as the_clock
from otel_setup.config import Options
from otel_setup.correlation import clear_correlation
from otel_setup.telemetry import configure, diverted, reset
from otel_setup.testing import nearest as near
from otel_setup.testing.memory import Memory, spans_dated_by
from otel_setup.testing.recorded import Recorded, places_in_order
from otel_setup.testing.standins import FakeClock, SequentialIds
from otel_setup.testing.story import story

_NS = 1_000_000_000
_ANY: Any = object()


class Recording(Recorded):
    """Everything a game tells during a test: spans, metrics, events and log records, and the clock it is told by.

    Attributes:
        clock: stands still until the test moves it.
    """

    def __init__(self, memory: Memory, clock: FakeClock) -> None:
        self.clock = clock
        self._memory = memory

    def spans(self, name: str | None = None) -> list[ReadableSpan]:
        """The finished spans, or those of one name, in the order in which they began."""
        finished = self._memory.spans.finished
        ended = [finished.get(begun.get_span_context().span_id) for _, begun in self._memory.spans.begun]
        return [span for span in ended if span is not None and name in (None, span.name)]

    def logs(self) -> list[LogRecord]:
        """The log records that would have been exported, events and the game's own, oldest first."""
        return list(self._memory.logs.records)

    def points(self, name: str) -> list[DataPointT]:
        """The points of one OpenTelemetry metric, by its name with the prefix: ``liap_tui.games.started``."""
        return self._memory.points().get(name, [])

    @staticmethod
    def seconds(span: ReadableSpan) -> float:
        """How long a finished span took."""
        return ((span.end_time or 0) - (span.start_time or 0)) / _NS

    def assert_span(
        self,
        name: str,
        attributes: Mapping[str, Any] | None = None,
        /,
        *,
        parent: str | ReadableSpan | None = _ANY,
        status: str = _ANY,
        **more_attributes: Any,
    ) -> ReadableSpan:
        """There is a finished span of this name with these attributes.

        Parameters:
            name: the span's.
            attributes, more_attributes: any of its attributes; ``game_id`` stands for ``game.id``.
            parent: the span it was begun in, or that one's name; None where it begins its trace. Any, if left out.
            status: ``ok``, ``error`` or ``unset``. Any, if left out.

        Returns:
            The first such span.
        """
        __tracebackhide__ = True
        wanted = near.plain({**(attributes or {}), **more_attributes})
        if isinstance(parent, ReadableSpan):
            wanted |= {"parent": parent.name, "parent_span_id": _span_id(parent.get_span_context())}
        elif parent is not _ANY:
            wanted["parent"] = parent
        if status is not _ANY:
            wanted["status"] = StatusCode[status.upper()].name.lower()
        for span in self.spans(name):
            if near.fits(self._facts(span), wanted):
                return span
        raise AssertionError(self._no_span(name, wanted))

    def assert_spans(self, *names: str) -> list[ReadableSpan]:
        """Spans of these names began in this order; others may have begun in between. All have ended.

        Returns:
            The spans, one for each name.
        """
        __tracebackhide__ = True
        spans = self.spans()
        return [spans[place] for place in places_in_order("span", names, [span.name for span in spans])]

    def story(self, *, attributes: bool = True) -> str:
        """What happened, a line for each span and event; the same in every run, and so fit to be a snapshot.

        Parameters:
            attributes: False for names and times alone.
        """
        finished = self._memory.spans.finished
        spans = [
            (before, finished.get(begun.get_span_context().span_id, cast("ReadableSpan", begun)))
            for before, begun in self._memory.spans.begun
        ]
        return story(spans, self.events(), self.clock, attributes=attributes)

    def _facts(self, span: ReadableSpan) -> dict[str, Any]:
        parent = span.parent
        names = {begun.get_span_context().span_id: begun.name for _, begun in self._memory.spans.begun}
        return {
            **near.plain(span.attributes or {}),
            "parent": None if parent is None else names.get(parent.span_id, "a span of another process"),
            "parent_span_id": _span_id(parent),
            "status": span.status.status_code.name.lower(),
        }

    def _no_span(self, name: str, wanted: Mapping[str, Any]) -> str:
        if same_name := self.spans(name):
            closest = near.nearest(same_name, self._facts, wanted, self._title)
            return f"no span {name!r} has {near.described(wanted)}; the nearest:\n{closest}"
        begun = [span.name for _, span in self._memory.spans.begun]
        if name in begun:
            return f"the span {name!r} has begun and not ended"
        return f"no span {name!r}{near.did_you_mean(name, begun)}; there were: {near.counted(begun)}"

    def _title(self, span: ReadableSpan) -> str:
        return f"{span.name} at {self.clock.since_start(span.start_time or 0):.3f} s"


def _span_id(context: SpanContext | None) -> str | None:
    return None if context is None else format_span_id(context.span_id)


@contextmanager
def fresh_telemetry() -> Iterator[Recorded]:
    """Monitoring as in a process that has just started, with the real clock and the real way out.

    For tests that export to a Collector. Everything is forgotten at the end of the block.
    """
    before = context_api.get_current()
    context_api.attach(Context())
    reset()
    clear_correlation()
    try:
        yield Recorded()
    finally:
        reset()
        clear_correlation()
        context_api.attach(before)  # and not detach(): a test may have left spans of its own open


@contextmanager
def _sdk_enabled() -> Iterator[None]:
    """Where tests run, the SDK is often disabled by the environment, and then there would be nothing to see."""
    disabled = os.environ.pop(OTEL_SDK_DISABLED, None)
    try:
        yield
    finally:
        if disabled is not None:
            os.environ[OTEL_SDK_DISABLED] = disabled


@contextmanager
def recording(options: Options | None = None) -> Iterator[Recording]:
    """Monitoring that is configured, and that ends in memory. Everything is forgotten at the end of the block.

    Inside, ``configure()`` works as ever, but nothing leaves the process, every trace is recorded, and players are
    called by their names.

    Parameters:
        options: of ``configure()``; the environment is not asked.

    Raises:
        ConfigError: naming everything that is wrong with them.
    """
    clock, ids = FakeClock(), SequentialIds()
    memory = Memory(clock, ids)
    with (
        fresh_telemetry(),
        _sdk_enabled(),
        the_clock.replaced(time_ns=clock.time_ns, monotonic=clock.monotonic, token_hex=ids.token_hex),
        spans_dated_by(clock),
        diverted(memory),
    ):
        configure(options, environ={})
        yield Recording(memory, clock)
