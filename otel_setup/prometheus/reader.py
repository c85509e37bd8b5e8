"""The metric reader behind ``/metrics``."""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Iterable
from typing import Any

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics.export import CardinalityLimits, MetricsData
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric as Family

from otel_setup.prometheus.families import one_metric_per_name, presentable

_logger = logging.getLogger(__name__)


def make_reader(
    constant_labels: Collection[str] = (), limits: CardinalityLimits | None = None
) -> tuple[ScrapeReader, CollectorRegistry]:
    """A metric reader for a meter provider, and the registry of its own that shows what it reads.

    Parameters:
        constant_labels: keys of the resource attributes that are labels of every series. All resource attributes are on
            ``target_info``.
        limits: label sets of one metric at most, by the instrument's class.
    """
    reader = ScrapeReader(constant_labels, limits)
    registry = CollectorRegistry()
    registry.register(_Collector(reader))
    return reader, registry


class ScrapeReader(PrometheusMetricReader):
    """OpenTelemetry's Prometheus reader, made safe for a process in which others flush and record as well.

    ``left_out`` names what the last scrape could not show, and why; each name is logged once.
    """

    def __init__(self, constant_labels: Collection[str] = (), limits: CardinalityLimits | None = None) -> None:
        self.left_out: dict[str, str] = {}
        self._logged: set[str] = set()
        self._one_scrape = threading.Lock()
        self._scraping_thread: int | None = None
        self._untreated = CollectorRegistry()
        super().__init__(
            scope_info_enabled=False,
            resource_attribute_filter=frozenset(constant_labels).__contains__,
            registry=self._untreated,
            cardinality_limits=limits,
        )

    def families(self) -> list[Family]:
        """Collect now."""
        with self._one_scrape:
            self.left_out = {}
            self._scraping_thread = threading.get_ident()
            try:
                families = list(presentable(self._untreated.collect(), self.left_out))
            finally:
                self._scraping_thread = None
            self._log_left_out()
            return families

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """There is nothing to flush: metrics are read when they are asked for.

        The inherited one collects, and keeps what it collected until the next scrape, which then shows it as well.
        """
        return True

    def _receive_metrics(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> None:
        # What any other call of collect() brings would wait for the next scrape, and be shown beside its own.
        if self._scraping_thread == threading.get_ident():
            super()._receive_metrics(one_metric_per_name(metrics_data, self.left_out), timeout_millis, **kwargs)

    def _log_left_out(self) -> None:
        for name, reason in self.left_out.items():
            if name not in self._logged:
                self._logged.add(name)
                _logger.warning("/metrics does not show all of %s: %s (logged once)", name, reason)


class _Collector:
    def __init__(self, reader: ScrapeReader) -> None:
        self._reader = reader

    def collect(self) -> Iterable[Family]:
        return self._reader.families()
