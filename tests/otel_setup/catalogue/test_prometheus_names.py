"""Names and types in Prometheus, as the real Python exporter makes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import pytest
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import CallbackOptions, Meter, Observation
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from otel_setup.catalogue import Catalogue, Kind, build, prometheus_name
from otel_setup.catalogue.render import prometheus_type

from .arena import ARENA_WITH_SHOTS


def _exposition(catalogue: Catalogue) -> str:
    """What ``/metrics`` shows after each metric of the catalogue was recorded once."""

    def record(meter: Meter) -> None:
        for metric in catalogue.metrics:
            labels = {label: (values or ("other",))[0] for label, values in metric.labels.items()}
            declared = metric.declared
            _record(meter, metric.name, declared.unit, declared.kind, labels=labels, buckets=declared.buckets)

    return _exported(record)


def _exported(record: Callable[[Meter], None]) -> str:
    registry = CollectorRegistry()
    provider = MeterProvider(metric_readers=[PrometheusMetricReader(disable_target_info=True, registry=registry)])
    record(provider.get_meter("test"))
    text = generate_latest(registry).decode()
    provider.shutdown()
    return text


def _record(
    meter: Meter, name: str, unit: str, kind: Kind, *, labels: Mapping[str, str], buckets: Sequence[float]
) -> None:
    def observe(_: CallbackOptions) -> Iterable[Observation]:
        return [Observation(1, labels)]

    observables: dict[Kind, Callable[..., object]] = {
        Kind.OBSERVABLE_COUNTER: meter.create_observable_counter,
        Kind.OBSERVABLE_UP_DOWN_COUNTER: meter.create_observable_up_down_counter,
        Kind.OBSERVABLE_GAUGE: meter.create_observable_gauge,
    }
    if kind in observables:
        observables[kind](name, [observe], unit)
    elif kind is Kind.COUNTER:
        meter.create_counter(name, unit).add(1, labels)
    elif kind is Kind.GAUGE:
        meter.create_gauge(name, unit).set(1, labels)
    else:
        meter.create_histogram(name, unit, explicit_bucket_boundaries_advisory=buckets).record(1, labels)


@pytest.mark.parametrize("catalogue", [build(), ARENA_WITH_SHOTS], ids=["default", "arena"])
def test_the_exporter_gives_every_metric_the_series_the_catalogue_says(catalogue: Catalogue) -> None:
    families = text_string_to_metric_families(_exposition(catalogue))
    samples = {sample.name for family in families for sample in family.samples}
    exported = {name for name in samples if not name.endswith("_created")}
    assert exported == {name for metric in catalogue.metrics for name in metric.series}


def test_the_exporter_gives_every_metric_the_type_the_catalogue_says() -> None:
    lines = [line.split() for line in _exposition(build()).splitlines() if line.startswith("# TYPE")]
    types = {family: kind for _, _, family, kind in lines if not family.endswith("_created")}
    assert types == {metric.prometheus: prometheus_type(metric.declared.kind) for metric in build().metrics}


@pytest.mark.parametrize("catalogue", [build(), ARENA_WITH_SHOTS], ids=["default", "arena"])
def test_labels_arrive_as_they_are_named(catalogue: Catalogue) -> None:
    exported: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(_exposition(catalogue)):
        for sample in family.samples:
            exported.setdefault(sample.name, set()).update(sample.labels)
    for metric in catalogue.metrics:
        # The exporter adds the instrumentation scope's labels to every sample.
        found = {label for label in exported[metric.series[-1]] if not label.startswith("otel_scope_")}
        assert found == set(metric.prometheus_labels), metric.name
        assert metric.declared.unprefixed or metric.prometheus_labels == tuple(metric.labels), "our own need no change"


def test_the_bounds_of_the_buckets_arrive() -> None:
    exported: dict[str, set[float]] = {}
    for family in text_string_to_metric_families(_exposition(build())):
        for sample in family.samples:
            if "le" in sample.labels:
                exported.setdefault(family.name, set()).add(float(sample.labels["le"]))
    histograms = [metric for metric in build().metrics if metric.declared.kind is Kind.HISTOGRAM]
    assert exported == {metric.prometheus: {*metric.declared.buckets, float("inf")} for metric in histograms}


@pytest.mark.parametrize(
    ("name", "unit", "kind", "expected"),
    [
        ("a.b.active", "{game}", Kind.OBSERVABLE_UP_DOWN_COUNTER, "a_b_active"),
        ("a.b", "", Kind.COUNTER, "a_b_total"),
        ("a.io", "By", Kind.COUNTER, "a_io_bytes_total"),
        ("a.duration", "s", Kind.HISTOGRAM, "a_duration_seconds"),
        ("a.wait", "ms", Kind.GAUGE, "a_wait_milliseconds"),
        ("a.duration", "min", Kind.OBSERVABLE_GAUGE, "a_duration_minutes"),
        ("a.age", "h", Kind.GAUGE, "a_age_hours"),
        ("a.usage", "%", Kind.GAUGE, "a_usage_percent"),
    ],
)
def test_units_and_kinds_become_the_suffixes_of_the_specification(
    name: str, unit: str, kind: Kind, expected: str
) -> None:
    # Expected: OpenTelemetry's "Prometheus and OpenMetrics compatibility", metric metadata; the exporter agrees.
    text = _exported(lambda meter: _record(meter, name, unit, kind, labels={}, buckets=(1.0,)))
    assert f"# TYPE {expected} " in text
    assert prometheus_name(name, unit, kind) == expected


def test_an_unknown_unit_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"'a\.mass'.*'kg'"):
        prometheus_name("a.mass", "kg", Kind.GAUGE)
