"""What makes the output of OpenTelemetry's Prometheus reader valid, whoever else records metrics in this process.

The reader puts what has the same name, unit and description into one family with the labels of the first, which swaps
labels where two libraries record under one name, and writes a family twice where they describe it differently.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, MutableMapping
from dataclasses import replace
from typing import Any

from opentelemetry.sdk.metrics.export import (
    ExponentialHistogram,
    Metric,
    MetricsData,
    ResourceMetrics,
    ScopeMetrics,
)
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from prometheus_client.core import Metric as Family
from prometheus_client.samples import Sample

from otel_setup.text import clean_text

LeftOut = MutableMapping[str, str]
"""Name of a metric and why a scrape does not show it, or not all of it."""

_ILLEGAL = re.compile(r"[^a-zA-Z0-9:]+")
_ANNOTATION = re.compile(r"\{.*\}")
_SUFFIXES = {"counter": ("_total",), "histogram": ("", "_bucket", "_sum", "_count"), "info": ("_info",)}
_NO_SCOPE = InstrumentationScope(__name__)


def one_metric_per_name(data: MetricsData, left_out: LeftOut) -> MetricsData:
    """The same data with the points of all scopes that record under one name in one metric.

    Exponential histograms are left out: the text formats cannot carry them, and the reader fails on them.
    """
    return MetricsData([_merged(resource, left_out) for resource in data.resource_metrics])


def _merged(resource: ResourceMetrics, left_out: LeftOut) -> ResourceMetrics:
    merged: dict[tuple[object, ...], Metric] = {}
    for metric in (metric for scope in resource.scope_metrics for metric in scope.metrics):
        if isinstance(metric.data, ExponentialHistogram):
            left_out[metric.name] = "it is an exponential histogram; give it explicit buckets"
            continue
        key = (_ILLEGAL.sub("_", metric.name), type(metric.data), getattr(metric.data, "is_monotonic", None))
        first = merged.setdefault(key, metric)
        if first is metric:
            continue
        if _unit(first) != _unit(metric):
            left_out[metric.name] = f"it is recorded in {first.unit or 'no unit'} and in {metric.unit or 'no unit'}"
            continue
        data: Any = first.data
        points = [*data.data_points, *metric.data.data_points]
        merged[key] = replace(first, data=replace(data, data_points=points))
    return replace(resource, scope_metrics=[ScopeMetrics(_NO_SCOPE, list(merged.values()), "")])


def _unit(metric: Metric) -> str:
    return _ANNOTATION.sub("", metric.unit or "")


def presentable(families: Iterable[Family], left_out: LeftOut) -> Iterator[Family]:
    """The families with clean label values, each name and each series once; of two the first stays."""
    taken: set[str] = set()
    for family in families:
        names = {family.name + suffix for suffix in _SUFFIXES.get(family.type, ("",))}
        if taken.isdisjoint(names):
            taken |= names
            family.samples = _distinct(family, left_out)
            yield family
        else:
            left_out[family.name] = "another metric has its name in Prometheus"


def _distinct(family: Family, left_out: LeftOut) -> list[Sample]:
    samples: dict[tuple[object, ...], Sample] = {}
    for sample in family.samples:
        labels = {name: _clean(value) for name, value in sample.labels.items()}
        key = (sample.name, *labels.values())  # the labels' names and order are the family's
        if key in samples:
            left_out[family.name] = "two of its series have the same labels"
        else:
            samples[key] = sample._replace(labels=labels)
    return list(samples.values())


def _clean(value: str) -> str:
    return value if value.isascii() and value.isprintable() else clean_text(value)
