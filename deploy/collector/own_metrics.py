"""Metrics of the Collector on itself that something here relies on, by the names that its page has.

Tests hold them against the page of the built binary. Counters of what rarely happens are not there before it happens.
"""

from __future__ import annotations

from dataclasses import dataclass

ITEMS = ("spans", "metric_points", "log_records")
"""What names of counters end in, by signal."""
_OF_EXPORTER = ("exporter",)
_OF_RECEIVER = ("receiver", "transport")


@dataclass(frozen=True)
class OwnMetric:
    """A metric of the Collector's own.

    :param counts: whether it only rises
    """

    name: str
    labels: tuple[str, ...] = ()
    counts: bool = True


def _each(name: str, labels: tuple[str, ...]) -> tuple[OwnMetric, ...]:
    return tuple(OwnMetric(f"{name}_{items}_total", labels) for items in ITEMS)


QUEUE_SIZE = OwnMetric("otelcol_exporter_queue_size", ("exporter", "data_type"), counts=False)
QUEUE_CAPACITY = OwnMetric("otelcol_exporter_queue_capacity", ("exporter", "data_type"), counts=False)
SEND_FAILED = _each("otelcol_exporter_send_failed", _OF_EXPORTER)
"""Given up for good: what is tried again is not in it."""
ENQUEUE_FAILED = _each("otelcol_exporter_enqueue_failed", _OF_EXPORTER)
ACCEPTED = _each("otelcol_receiver_accepted", _OF_RECEIVER)
REFUSED = _each("otelcol_receiver_refused", _OF_RECEIVER)
MEMORY_LIMITED = _each("otelcol_processor_memory_limiter_refused", ("processor",))
SAMPLED_EARLY = OwnMetric("otelcol_processor_tail_sampling_sampling_trace_dropped_too_early_total")
ALL = (QUEUE_SIZE, QUEUE_CAPACITY, *SEND_FAILED, *ENQUEUE_FAILED, *ACCEPTED, *REFUSED, *MEMORY_LIMITED, SAMPLED_EARLY)
