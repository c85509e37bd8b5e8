"""What happened in a test, as a text: spans and events in their order, indented by who caused whom."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import StatusCode

from otel_setup.catalogue import attributes as a
from otel_setup.events.record import SystemEvent
from otel_setup.testing.nearest import described, plain, shown
from otel_setup.testing.standins import FakeClock

_NS = 1_000_000_000
_IDS = ("game_id", "room_id", "player_id", "connection_id")
# Ids that count up say little, and a stack names files and lines that change with every edit.
_LEFT_OUT = {
    name.replace(".", "_")
    for attribute in (a.CORRELATION_ID, a.RECORD_UID, a.STACK_TRACE, a.TRACE_KEPT)
    for name in (attribute.name, attribute.data_key)
}


@dataclass(frozen=True)
class _Line:
    """One line of the story; ``order`` is its place: events published before, whether it is a span, which span."""

    order: tuple[int, int, int]
    time_ns: int
    text: str
    facts: Mapping[str, Any]
    ending: str
    span_id: int | None
    parent_id: int | None


def story(
    spans: Iterable[tuple[int, ReadableSpan]], events: Sequence[SystemEvent], clock: FakeClock, *, attributes: bool
) -> str:
    """The story of a test.

    Parameters:
        spans: each with the number of events that came before it.
        events: oldest first.
        clock: tells when the test began.
        attributes: whether to say more than names.
    """
    lines = [_of_span(number, before, span) for number, (before, span) in enumerate(spans)]
    known = {line.span_id for line in lines}
    lines += [_of_event(event) for event in events]
    inside: dict[int | None, list[_Line]] = defaultdict(list)
    for line in sorted(lines, key=lambda line: line.order):
        inside[line.parent_id if line.parent_id in known else None].append(line)

    written: list[str] = []

    def write(parent_id: int | None, outer: Mapping[str, Any], depth: int) -> None:
        for line in inside[parent_id]:
            told = {name: value for name, value in line.facts.items() if outer.get(name) != value}
            said = f" {described(told)}" if attributes and told else ""
            when = clock.since_start(line.time_ns)
            written.append(f"{when:9.3f}  {'    ' * depth}{line.text}{said}{line.ending}")
            if line.span_id is not None:
                write(line.span_id, {**outer, **line.facts}, depth + 1)

    write(None, {}, 0)
    return "\n".join(written) or "nothing happened"


def _of_span(number: int, before: int, span: ReadableSpan) -> _Line:
    context, started, ended = span.get_span_context(), span.start_time or 0, span.end_time
    took = "not ended" if ended is None else f"{(ended - started) / _NS:.3f} s"
    failed = span.status.status_code is StatusCode.ERROR
    why = f": {shown(span.status.description)}" if failed and span.status.description else ""
    return _Line(
        order=(before, 1, number),
        time_ns=started,
        text=f"▸ {shown(span.name)[1:-1]}",
        facts=_told(span.attributes or {}),
        ending=f" ({took}{', failed' if failed else ''}{why})",
        span_id=context.span_id if context is not None else None,
        parent_id=span.parent.span_id if span.parent is not None else None,
    )


def _of_event(event: SystemEvent) -> _Line:
    ids = {name: getattr(event, name) for name in _IDS}
    return _Line(
        order=(event.sequence, 0, 0),
        time_ns=event.timestamp_ns,
        text=f"· {shown(str(event.event_type))[1:-1]}",
        facts=_told({**ids, **event.data}),
        ending="",
        span_id=None,
        parent_id=int(event.span_id, 16) if event.span_id else None,
    )


def _told(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in plain(facts).items() if value is not None and name not in _LEFT_OUT}
