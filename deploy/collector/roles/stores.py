"""The roles that send one signal to another kind of store."""

from __future__ import annotations

from deploy.collector import exporters, processors, receivers
from deploy.collector.graph import Component, Pipeline, Role, Signal
from deploy.collector.roles import common
from otel_setup.catalogue import Catalogue
from settings import Settings


def zipkin(settings: Settings, _catalogue: Catalogue) -> Role:
    """Traces to Zipkin."""
    pipeline = Pipeline(
        "traces", (receivers.otlp(settings),), common.taken_in(settings, "traces"), (exporters.zipkin(settings),)
    )
    return common.role(settings, "zipkin", "A Collector that sends traces, all of them, to Zipkin.", [pipeline])


def remote_write(settings: Settings, _catalogue: Catalogue) -> Role:
    """Metrics to Prometheus's remote write."""
    pipeline = Pipeline(
        "metrics",
        (receivers.otlp(settings),),
        (*common.taken_in(settings, "metrics"), processors.promoted(settings)),
        (exporters.remote_write(settings),),
    )
    return common.role(
        settings,
        "remote-write",
        "A Collector that sends metrics to whatever takes remote write: Mimir, Thanos, another Prometheus.",
        [pipeline],
    )


def clickhouse(settings: Settings, _catalogue: Catalogue) -> Role:
    """All signals to ClickHouse."""
    about = "A Collector that sends all signals to ClickHouse."
    return _archive(settings, "clickhouse", about, exporters.clickhouse(settings))


def s3(settings: Settings, _catalogue: Catalogue) -> Role:
    """All signals to S3."""
    about = "A Collector that keeps all signals in an S3 bucket, as OTLP, for as long as the bucket keeps them."
    return _archive(settings, "s3", about, exporters.s3(settings))


def _archive(settings: Settings, name: str, about: str, exporter: Component) -> Role:
    signals: tuple[Signal, ...] = ("metrics", "traces", "logs")
    pipelines = [
        Pipeline(signal, (receivers.otlp(settings),), common.taken_in(settings, signal), (exporter,))
        for signal in signals
    ]
    untested = "its exporter is in the public image alone; the keys are those of its documentation."
    return common.role(settings, name, about, pipelines, untested=untested)
