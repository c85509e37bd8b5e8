"""Every series that may be in Prometheus, whoever sends it: name, labels and their values, and what a value can be."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from alerts import canary
from alerts.absence import UP
from alerts.parts import Severity, Team
from alerts.query import INSTANCE, JOB
from deploy.collector import own_metrics as own
from deploy.prometheus import COLLECTOR_JOB, HUB_JOB
from otel_setup.catalogue import Catalogue
from otel_setup.catalogue.build import BuiltMetric
from otel_setup.catalogue.prometheus_names import prometheus_label
from otel_setup.catalogue.types import Kind
from otel_setup.game_model import OTHER
from otel_setup.hub import metrics as hub
from settings import Settings

LE = "le"
Labels = Mapping[str, frozenset[str] | None]
"""Labels that series have, and the values that each may take; None where nothing closes the set."""

_HUB_VALUES = {hub.REFUSED.name: hub.Refused, hub.DISCONNECTED.name: hub.Disconnected}


@dataclass(frozen=True)
class Series:
    """Series of one name.

    :param variants: the sets of labels that series of this name have
    :param counts: whether its values only rise, so that only their growth says anything
    :param low: its values are no lower
    :param high: its values are no higher
    :param within: the name of series with the same labels, which it never exceeds
    :param bounds: of a histogram's buckets, without the infinite one
    """

    name: str
    variants: tuple[Labels, ...]
    counts: bool = False
    low: float = -math.inf
    high: float = math.inf
    within: str = ""
    bounds: tuple[float, ...] = ()


def known(settings: Settings, catalogue: Catalogue) -> dict[str, Series]:
    """All series but the recorded ones, by their names."""
    witnessed = [metric for metric in canary.CATALOGUE.metrics if metric.business]
    every = [*_told(settings, [*catalogue.metrics, *witnessed]), *_collectors(), *_prometheus(settings)]
    if settings.hub.enabled:
        every += _hubs()
    return {series.name: series for series in every}


def _told(settings: Settings, metrics: Iterable[BuiltMetric]) -> Iterator[Series]:
    """What servers and the canary send."""
    promoted = {prometheus_label(attribute): None for attribute in settings.prometheus.promoted_attributes}
    for metric in metrics:
        labels: Labels = {JOB: None, INSTANCE: None, **promoted, **_own_labels(metric)}
        kind = metric.declared.kind
        if kind is Kind.HISTOGRAM:
            yield from _histogram(metric, labels)
        else:
            low = -math.inf if kind in (Kind.GAUGE, Kind.OBSERVABLE_GAUGE) else 0
            yield Series(metric.prometheus, (labels,), counts=kind.is_counter, low=low)


def _own_labels(metric: BuiltMetric) -> Labels:
    return {
        prometheus_label(name): frozenset((*values, OTHER)) if values else None
        for name, values in metric.labels.items()
    }


def _histogram(metric: BuiltMetric, labels: Labels) -> Iterator[Series]:
    bounds = metric.declared.buckets
    bucket, total, count = metric.series
    values = frozenset(form for bound in bounds for form in le_forms(bound)) | {"+Inf"}
    yield Series(bucket, ({**labels, LE: values},), counts=True, low=0, within=count, bounds=bounds)
    yield Series(total, (labels,), counts=True, low=0)
    yield Series(count, (labels,), counts=True, low=0)


def le_forms(bound: float) -> tuple[str, ...]:
    """A bucket's bound as OTLP writes it, and as a scraped page does where that differs: ``15`` and ``15.0``."""
    short = f"{bound:g}"
    return (short, f"{short}.0") if bound == int(bound) else (short,)


def _collectors() -> Iterator[Series]:
    for metric in own.ALL:
        labels: Labels = {JOB: frozenset({COLLECTOR_JOB}), INSTANCE: None, **dict.fromkeys(metric.labels)}
        within = own.QUEUE_CAPACITY.name if metric is own.QUEUE_SIZE else ""
        yield Series(metric.name, (labels,), counts=metric.counts, low=0, within=within)


def _hubs() -> Iterator[Series]:
    for family in hub.FAMILIES:
        closed = _HUB_VALUES.get(family.name)
        own_label: Labels = {family.label: _values(closed) if closed else None} if family.label else {}
        labels: Labels = {JOB: frozenset({HUB_JOB}), INSTANCE: None, **own_label}
        # The library behind the hub's page ends the names of counters so.
        yield Series(f"{family.name}_total" if family.counts else family.name, (labels,), counts=family.counts, low=0)


def _prometheus(settings: Settings) -> Iterator[Series]:
    """What Prometheus says of what it scrapes, of who pushes, and of its alerts."""
    scraped = {COLLECTOR_JOB, *({HUB_JOB} if settings.hub.enabled else ())}
    yield Series(UP, ({JOB: frozenset(scraped), INSTANCE: None},), low=0, high=1)
    yield Series("target_info", ({JOB: None, INSTANCE: None},), low=1, high=1)
    states = frozenset({"pending", "firing"})
    labels: Labels = {"alertname": None, "alertstate": states, "severity": _values(Severity), "team": _values(Team)}
    yield Series("ALERTS", (labels,), low=1, high=1)


def _values(words: Iterable[str]) -> frozenset[str]:
    return frozenset(map(str, words))
