"""The way of the telemetry itself: what waits, what is refused, what is lost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from alerts.parts import Alert, Group, Severity, Team
from alerts.query import INSTANCE, JOB, MINUTE, Query, number
from alerts.text import affected, percent
from deploy.collector import own_metrics as own
from otel_setup.catalogue import M
from otel_setup.catalogue import attributes as a
from otel_setup.catalogue.dashboards import Panels
from otel_setup.hub import metrics as hub

FULL = 0.95
EXPORTER = "exporter"


def rules(query: Query) -> Group:
    """The alerts."""
    return Group("pipeline", tuple(_alerts(query)), Team.PLATFORM)


def _alerts(query: Query) -> Iterator[Alert]:
    filled = f"{own.QUEUE_SIZE.name} / ({own.QUEUE_CAPACITY.name} > 0)"
    some = query.settings.alerts.queue_percent / 100
    queue = "the queue of {{ $labels.exporter }} for {{ $labels.data_type }}"
    yield Alert(
        name="CollectorQueueFilling",
        expr=f"{filled} > {number(some)}",
        severity=Severity.WARNING,
        hold_seconds=10 * MINUTE,
        summary="Telemetry waits at the Collector, because a store is away or slow.",
        description=f"{{{{ $labels.instance }}}}: {queue} is filled to {percent('$value')}. Nothing is lost yet.",
        panel=Panels.QUEUES,
    )
    yield Alert(
        name="CollectorQueueFull",
        expr=f"{filled} > {number(FULL)}",
        severity=Severity.CRITICAL,
        hold_seconds=2 * MINUTE,
        summary="The Collector can hold no more, and telemetry is being lost.",
        description=f"{{{{ $labels.instance }}}}: {queue} is filled to {percent('$value')}; servers are refused, and "
        f"drop what they cannot keep. {affected(query)}",
        panel=Panels.QUEUES,
    )
    yield Alert(
        name="CollectorLosing",
        expr=_moved(query, own.SEND_FAILED, EXPORTER),
        severity=Severity.CRITICAL,
        hold_seconds=0,
        summary="A store refuses what the Collector sends, for good: it is lost.",
        description='{{ $labels.exporter }} lost some {{ $value | printf "%.0f" }} items within ten minutes; its log '
        f"says why. {affected(query)}",
        panel=Panels.SENDING,
        keep_seconds=5 * MINUTE,
        why="What can be tried again is not in these counters. They begin with their first loss, which increase() does "
        "not see; so where a counter was not there ten minutes ago, all that it says is new.",
    )
    yield Alert(
        name="CollectorRefusing",
        expr=_moved(query, own.REFUSED, "receiver"),
        severity=Severity.WARNING,
        hold_seconds=5 * MINUTE,
        summary="The Collector refuses telemetry, and servers send it again.",
        description='{{ $labels.receiver }} refused some {{ $value | printf "%.0f" }} items within ten minutes.',
        panel=Panels.REFUSED,
    )
    yield Alert(
        name="CollectorMemoryLimited",
        expr=_moved(query, own.MEMORY_LIMITED, "processor"),
        severity=Severity.WARNING,
        hold_seconds=5 * MINUTE,
        summary="The Collector is at its limit of memory.",
        description='It refused some {{ $value | printf "%.0f" }} items within ten minutes, to stay below it.',
        panel=Panels.REFUSED,
    )
    yield Alert(
        name="TracesDecidedEarly",
        expr=f"{_increase(query, own.SAMPLED_EARLY.name)} > 0",
        severity=Severity.WARNING,
        hold_seconds=5 * MINUTE,
        summary="The Collector decides on traces before they are complete.",
        description='Some {{ $value | printf "%.0f" }} traces within ten minutes: traces.traces_in_memory is small.',
        panel=Panels.SAMPLING,
    )
    yield Alert(
        name="ServerTelemetryLost",
        expr=f"{query.increase(M.EXPORT_DROPPED, 10 * MINUTE, by=(JOB, INSTANCE, a.EXPORTED_SIGNAL.name))} > 0",
        severity=Severity.CRITICAL,
        hold_seconds=5 * MINUTE,
        summary="A server drops telemetry, because it cannot get rid of it.",
        description="{{ $labels.job }} on {{ $labels.instance }} dropped some "
        f'{{{{ $value | printf "%.0f" }}}} items of {{{{ $labels.signal }}}} within ten minutes. {affected(query)}',
        panel=Panels.SERVER_LOSSES,
    )
    if query.settings.hub.enabled:
        yield Alert(
            name="HubMissesEvents",
            expr=f"{hub.MISSING.name} > 0",
            severity=Severity.WARNING,
            hold_seconds=10 * MINUTE,
            summary="Events never came to the hub.",
            description='{{ $value | printf "%.0f" }} events are missing between others of their servers; readers were '
            "told of each gap.",
            panel=Panels.HUB,
        )


def _moved(query: Query, metrics: Sequence[own.OwnMetric], by: str) -> str:
    """The counters of all signals together moved within ten minutes, or were there for the first time."""
    window = query.window(10 * MINUTE)
    parts = [
        f"label_replace(increase({name}[{window}]) > 0 or ({name} unless {name} offset {window}), "
        f'"items", "{items}", "", "")'
        for name, items in zip((metric.name for metric in metrics), own.ITEMS, strict=True)
    ]
    return f"sum by ({by}, {INSTANCE}) (\n  " + "\n  or ".join(parts) + "\n) > 0"


def _increase(query: Query, name: str) -> str:
    return f"sum by ({INSTANCE}) (increase({name}[{query.window(10 * MINUTE)}]))"
