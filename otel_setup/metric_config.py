"""``configure_metrics()``: the metrics' part of ``configure()`` by the names of the API this product succeeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from otel_setup.config import Options
from otel_setup.telemetry import Telemetry, configure


@dataclass(frozen=True)
class MetricTag:
    """A label that every metric carries."""

    key: str
    value: str


@dataclass(frozen=True)
class MetricConfig:
    """How metrics are named and kept.

    Parameters:
        prefix: of every metric's name.
        default_tags: labels of every metric: resource attributes, promoted in Prometheus and constant on /metrics.
        export_interval: between exports.
        retention_period: of averages and hourly reports.
    """

    prefix: str | None = None
    default_tags: Sequence[MetricTag] = field(default_factory=tuple)
    export_interval: timedelta | None = None
    retention_period: timedelta | None = None


def configure_metrics(service_name: str | None = None, config: MetricConfig | None = None) -> Telemetry:
    """Configures everything, metrics as ``config`` says.

    Raises:
        ConfigError: naming everything that is wrong.
    """
    config = config or MetricConfig()
    options: Options = {
        "service": service_name,
        "prefix": config.prefix,
        "tags": {tag.key: tag.value for tag in config.default_tags} or None,
        "metric_interval": config.export_interval.total_seconds() if config.export_interval else None,
        "retention_hours": _hours(config.retention_period),
    }
    return configure(options)


def _hours(period: timedelta | None) -> int | None:
    return None if period is None else max(1, round(period / timedelta(hours=1)))
