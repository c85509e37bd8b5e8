"""What can be set, with its default, its unit and its bounds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

HIGHEST_PORT = 65535
WORD = r"[A-Za-z0-9][A-Za-z0-9._-]{0,200}"
"""What Kafka accepts as the name of a topic, less what would need quotes somewhere."""


def number(default: float, minimum: float = 1, maximum: float | None = None) -> Any:
    """A numeric setting and the bounds that the loader holds it to."""
    return field(default=default, metadata={"minimum": minimum, "maximum": maximum})


def port(default: int) -> Any:
    """A TCP port."""
    return number(default, 1, HIGHEST_PORT)


def word(default: str) -> Any:
    """A name that goes into files of several formats as it is."""
    return field(default=default, metadata={"pattern": WORD})


@dataclass(frozen=True)
class MetricSettings:
    """How game servers send metrics."""

    export_interval_seconds: float = number(10.0, minimum=0.1)
    """The one interval: scraping, batching and how long a value counts as current follow from it."""


@dataclass(frozen=True)
class EventSettings:
    """How game servers send events: a batch leaves when either bound is reached."""

    batch_milliseconds: int = number(100)
    batch_records: int = number(128)

    collector_batch_milliseconds: int = number(50)
    """How long a Collector gathers events before it sends them on to the hub or to Kafka."""

    queue_mebibytes: int = number(1024)
    """Events that wait on a Collector's disk for the hub or for Kafka; what comes beyond is refused, so that the
    senders try again, and counted in ``otelcol_exporter_enqueue_failed_*``."""


@dataclass(frozen=True)
class CollectorSettings:
    """The Collector: where it listens and how much it may hold."""

    otlp_grpc_port: int = port(4317)
    otlp_http_port: int = port(4318)
    health_port: int = port(13133)
    telemetry_port: int = port(8888)
    """Its own metrics, in Prometheus's format."""

    memory_limit_mib: int = number(512, minimum=32)
    """Above it, data is refused and the senders retry."""

    queue_items: int = number(200_000)
    """Data points that wait on disk for an unreachable store; what comes beyond is dropped and counted in
    ``otelcol_exporter_enqueue_failed_*``."""

    file_megabytes: int = number(100)
    """Size at which a file of traces or logs is rotated."""

    file_backups: int = number(3)
    """Rotated files kept beside the current one; older ones are deleted."""

    metrics_file: bool = False
    """Also write metrics to a file, as the Collector saw them."""


@dataclass(frozen=True)
class PrometheusSettings:
    """Prometheus: where it listens and what it keeps."""

    port: int = port(9090)
    retention_days: int = number(15)
    out_of_order_minutes: int = number(30)
    """How late a sample may come: as long as an outage of Prometheus whose samples are all to be kept."""

    max_exemplars: int = number(100_000)
    promoted_attributes: tuple[str, ...] = (
        "service.name",
        "service.namespace",
        "service.instance.id",
        "service.version",
        "deployment.environment.name",
    )
    """Resource attributes that become labels of every series."""


@dataclass(frozen=True)
class HubSettings:
    """The hub, to which Collectors send events."""

    enabled: bool = False
    """Whether the one Collector of a deployment sends to it. Only where a hub runs: see the role standalone."""

    port: int = port(4380)


@dataclass(frozen=True)
class KafkaSettings:
    """Kafka between Collectors and whoever reads events: the topic, and the broker that is run on this machine."""

    topic: str = word("otel-events")
    group: str = word("otel-events-hub")
    """The consumer group of the Collectors that read for the hub."""

    controller_port: int = port(9093)
    port: int = port(9092)
    partitions: int = number(12, maximum=1000)
    """Of the topic, where this project's broker creates it: how many readers of one group can share it."""

    retention_hours: int = number(24)
    """How long the broker keeps events, read or not."""

    heap_mebibytes: int = number(512, minimum=256)
    """The broker's own memory."""


@dataclass(frozen=True)
class Settings:
    """All settings of one deployment."""

    metrics: MetricSettings = MetricSettings()
    events: EventSettings = EventSettings()
    collector: CollectorSettings = CollectorSettings()
    prometheus: PrometheusSettings = PrometheusSettings()
    hub: HubSettings = HubSettings()
    kafka: KafkaSettings = KafkaSettings()

    @property
    def scrape_interval_seconds(self) -> float:
        """What is scraped has the resolution of what is pushed."""
        return self.metrics.export_interval_seconds

    @property
    def metric_batch_seconds(self) -> float:
        """How long the Collector gathers metrics before it sends them on: a small part of their interval."""
        return self.metrics.export_interval_seconds / 20

    @property
    def event_batch_seconds(self) -> float:
        """How long a Collector gathers events."""
        return self.events.collector_batch_milliseconds / 1000

    @property
    def current_seconds(self) -> float:
        """How long a value counts as current after its last sample.

        OTLP says nothing when an instance dies, so one that missed three exports is taken for gone.
        """
        return 3 * self.metrics.export_interval_seconds

    def server_environment(self) -> dict[str, str]:
        """The OpenTelemetry SDK's standard environment variables by which a game server follows these settings."""
        return {
            "OTEL_METRIC_EXPORT_INTERVAL": f"{1000 * self.metrics.export_interval_seconds:.0f}",
            "OTEL_BLRP_SCHEDULE_DELAY": str(self.events.batch_milliseconds),
            "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE": str(self.events.batch_records),
        }
