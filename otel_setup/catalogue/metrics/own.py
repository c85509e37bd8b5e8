"""Metrics of the product's own health."""

from __future__ import annotations

from otel_setup.catalogue import attributes as a
from otel_setup.catalogue.types import Kind, Metric


class Own:
    """Own health."""

    INTERNAL_ERRORS = Metric(
        name="internal.errors",
        kind=Kind.OBSERVABLE_COUNTER,
        unit="{error}",
        description="Faults inside monitoring that were kept from the game.",
        moves="Above 0 is a bug of this product; the log has the first of each kind.",
        attributes=(a.COMPONENT,),
        own=True,
    )
    INPUT_REFUSED = Metric(
        name="input.refused",
        kind=Kind.COUNTER,
        unit="{call}",
        description="Calls whose input could not be recorded.",
        moves="The game passes something wrong; the log names the first of each kind.",
        attributes=(a.REFUSAL,),
        own=True,
    )
    INPUT_IRREGULAR = Metric(
        name="input.irregular",
        kind=Kind.COUNTER,
        unit="{call}",
        description="Calls recorded by a rule for odd input.",
        moves="The game's calls and its games disagree, e.g. a game ended twice.",
        attributes=(a.IRREGULARITY,),
        own=True,
    )
    CORRELATION_REFUSED = Metric(
        name="correlation.refused",
        kind=Kind.OBSERVABLE_COUNTER,
        unit="{id}",
        description="Correlation ids from outside that were not well-formed; a new one was made.",
        moves="A client or proxy sends something else in X-Correlation-ID, or somebody tries things.",
        own=True,
    )
    LABELS_REPLACED = Metric(
        name="labels.replaced",
        kind=Kind.COUNTER,
        unit="{value}",
        description="Label values outside their closed set, recorded as ``other``.",
        moves="The game model lacks a phase, action or message the game has.",
        own=True,
    )
    EVENTS_PUBLISHED = Metric(
        name="events.published",
        kind=Kind.OBSERVABLE_COUNTER,
        unit="{event}",
        description="Events the local stream took in.",
        moves="The pulse of the game.",
        own=True,
    )
    DROPPED = Metric(
        name="dropped",
        kind=Kind.OBSERVABLE_COUNTER,
        unit="{item}",
        description="What a bound pushed out, by the setting that was reached.",
        moves="history_size drops always, once the history is full; any other: raise the bound or find the leak.",
        attributes=(a.BOUND,),
        own=True,
    )
    EXPORTED = Metric(
        name="export.items",
        kind=Kind.OBSERVABLE_COUNTER,
        unit="{item}",
        description="Spans, metric points and log records the Collector accepted.",
        moves="Flat while games run: nothing arrives.",
        attributes=(a.SIGNAL,),
        own=True,
    )
    EXPORT_FAILED = Metric(
        name="export.failures",
        kind=Kind.OBSERVABLE_COUNTER,
        unit="{item}",
        description="Spans, metric points and log records whose export failed for good.",
        moves="Above 0: the Collector was away for longer than the exporter retries.",
        attributes=(a.SIGNAL,),
        own=True,
    )
    EXPORT_DROPPED = Metric(
        name="export.dropped",
        kind=Kind.OBSERVABLE_COUNTER,
        unit="{item}",
        description="Spans and log records that never reached an exporter, by the setting that was reached.",
        moves="queue_size: more than the Collector takes, or it is away; shutdown_timeout: it did not answer in time.",
        attributes=(a.EXPORTED_SIGNAL, a.EXPORT_BOUND),
        own=True,
    )
    EXPORT_WAITING = Metric(
        name="export.waiting",
        kind=Kind.OBSERVABLE_UP_DOWN_COUNTER,
        unit="{item}",
        description="Spans and log records that wait for their export or are under way.",
        moves="Near queue_size: soon the oldest are dropped.",
        attributes=(a.EXPORTED_SIGNAL,),
        own=True,
    )
    SCRAPES = Metric(
        name="scrape.requests",
        kind=Kind.OBSERVABLE_COUNTER,
        unit="{request}",
        description="Requests to /metrics.",
        moves="Flat: nobody scrapes.",
        own=True,
    )
