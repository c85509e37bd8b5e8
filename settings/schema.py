"""What can be set, with its default, its unit and its bounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from settings.alerts import AlertSettings
from settings.fields import number, port, word
from settings.receivers import MailSettings, ReceiverSettings, TeamReceivers

SIGNALS = ("traces", "metrics", "logs")


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
class Extension:
    """What a deployment adds to the pipelines of every role."""

    signals: tuple[str, ...] = field(default=(), metadata={"words": SIGNALS})
    """In the pipelines of these signals; none is none."""

    config: Mapping[str, object] = field(default_factory=dict)
    """The component's own configuration, as in the Collector's documentation."""


@dataclass(frozen=True)
class TraceSettings:
    """Which traces are kept, and what is counted of all of them."""

    decision_seconds: int = number(10)
    """How long a trace's spans are waited for before it is decided whether to keep it."""

    traces_in_memory: int = number(50_000)
    """Traces that wait for their decision; beyond, the oldest are decided early: see
    ``otelcol_processor_tail_sampling_sampling_trace_dropped_too_early``."""

    decisions_remembered: int = number(500_000)
    """Traces whose decision is remembered for spans that come late."""

    budget_spans_per_second: int = number(500)
    """Of what is neither failed, slow, illegal nor marked, so many spans are kept."""

    span_metrics_series: int = number(2_000)
    """Series of one span metric and service; further sets of labels are counted together, as overflow."""

    expiry_minutes: int = number(10)
    """Metrics of spans that did not occur for so long end."""


@dataclass(frozen=True)
class AgentSettings:
    """An agent beside game servers: where its gateways are."""

    gateways: tuple[str, ...] = ("gateway",)
    """Their host names, never the agent's own. Spans of one trace go to one of them, and all spans of one service, for
    its metrics, too. One that listens on other ports than these settings say is ``host:port:services_port``."""

    gateway_spans: int = number(20_000, minimum=8192)
    """Spans for each gateway that an agent holds in memory while that one is away; with the agent's end they are lost.
    Beyond, spans for all gateways wait on disk until it is back. At least as many as are sent at a time."""


@dataclass(frozen=True)
class GatewaySettings:
    """A gateway, to which agents send traces."""

    services_port: int = port(4319)
    """Where spans come by their service, to be counted."""


@dataclass(frozen=True)
class CollectorSettings:
    """The Collector: where it listens and how much it may hold."""

    otlp_grpc_port: int = port(4317)
    otlp_http_port: int = port(4318)
    health_port: int = port(13133)
    pages_port: int = port(55679)
    """Pages on what it is doing at the moment (zPages)."""

    own_logs_port: int = port(4320)
    """Where it takes its own log, on the loopback address."""

    telemetry_port: int = port(8888)
    """Its own metrics, in Prometheus's format."""

    tokens: bool = True
    """Whether who sends OTLP has to know a token, out of the file that ``OTLP_TOKENS_FILE`` names, one a line."""

    mutual_tls: bool = False
    """Whether the OTLP servers speak TLS alone, and only with clients whose certificate the own authority signed."""

    request_mebibytes: int = number(16)
    """The largest request that is taken; a larger one is refused for good, with 400 (RESOURCE_EXHAUSTED over gRPC)."""

    batch_milliseconds: int = number(200)
    """How long spans and log records are gathered before they are sent on."""

    attribute_characters: int = number(8192, minimum=64)
    """Longer values of attributes, and longer texts of log records, are cut: stores refuse what is too long, and with
    it the whole request."""

    memory_limit_mib: int = number(512, minimum=32)
    """Above it, data is refused and the senders retry."""

    queue_items: int = number(200_000)
    """Data points, spans or log records that wait on disk for each unreachable store; what comes beyond is refused and
    counted in ``otelcol_exporter_enqueue_failed_*``."""

    fsync: bool = False
    """Whether what waits on disk survives a power failure too, and not only the end of the process; slower."""

    host_metrics_seconds: int = number(30)
    """How often the machine's own load is measured."""

    labels: Mapping[str, str] = field(default_factory=dict)
    """Resource attributes put on everything, such as ``deployment.environment.name: production``."""

    secrets: tuple[str, ...] = ()
    """Environment variables that further exporters and processors read as secrets: no start without them."""

    exporters: Mapping[str, Extension] = field(default_factory=dict)
    """Further exporters by their ids, such as ``otlp_http/vendor``. One that sends over OTLP waits on disk and retries
    for ever, unless its own configuration says otherwise."""

    processors: Mapping[str, Extension] = field(default_factory=dict)
    """Further processors by their ids, such as ``filter/probes``; they come after the project's own."""

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
class JaegerSettings:
    """Jaeger: where it listens and how long it keeps traces."""

    otlp_grpc_port: int = port(14317)
    """Where the Collector sends traces; 4317 is the Collector's own."""

    otlp_http_port: int = port(14318)
    query_port: int = port(16686)
    """Its page, and its API over HTTP."""

    query_grpc_port: int = port(16685)
    health_port: int = port(13134)
    retention_hours: int = number(72)
    """How long a trace is kept."""

    request_mebibytes: int = number(64)
    """The largest request that is taken; Collectors gather what came in several."""


@dataclass(frozen=True)
class LokiSettings:
    """Loki: where it listens, what it takes and how long it keeps it."""

    grpc_port: int = port(9095)
    """On the loopback address, for its own parts."""

    port: int = port(3100)

    retention_hours: int = number(168, minimum=24)
    """How long a line is kept. Loki deletes in units of its index, which is a day."""

    backlog_hours: int = number(12, maximum=168)
    """How much older than the newest line of its stream a line may be, as after an outage of its Collector alone; an
    older one is refused and counted in ``loki_discarded_samples_total``."""

    ingest_mebibytes_per_second: int = number(64)
    """What is taken at once, of all and of each stream; beyond, Loki answers 429 and the Collector tries again."""

    max_streams: int = number(10_000)
    """Streams that are written to at a time; lines of further ones are refused with 429."""

    line_kibibytes: int = number(256)
    """Longer lines are cut."""

    metadata_kibibytes: int = number(256)
    """Structured metadata of one line, which are its attributes. A line that has more is refused and counted in
    ``loki_discarded_samples_total``."""

    metadata_entries: int = number(256)
    """As many attributes may a line and its resource have together; one with more is refused and counted."""


@dataclass(frozen=True)
class ZipkinSettings:
    """Zipkin: where it listens and how much it holds."""

    port: int = port(9411)
    max_spans: int = number(100_000)
    """Spans that it keeps in memory; beyond, the oldest traces go."""

    heap_mebibytes: int = number(512, minimum=128)
    """Its own memory, which has to hold them."""


@dataclass(frozen=True)
class AlertmanagerSettings:
    """Alertmanager: where it listens, whom it tells and how often."""

    port: int = port(9093)
    retention_hours: int = number(120)
    """How long it remembers what it told, and silences that are over."""

    group_wait_seconds: int = number(30)
    """How long alerts that belong together are gathered before the first word."""

    repeat_hours: int = number(4)
    """After so long, what still wakes somebody is told again."""

    ticket_repeat_hours: int = number(24)
    """After so long, a ticket is told again."""

    heartbeat_seconds: int = number(60)
    """How often ``deadman`` hears that alerts arrive. It raises an alarm itself where it hears nothing; let it wait for
    three of them."""

    page: ReceiverSettings = field(default_factory=ReceiverSettings)
    """Whoever is woken, by alerts of severity ``critical``."""

    ticket: ReceiverSettings = field(default_factory=ReceiverSettings)
    """Where tickets are: ``warning``, and what has no severity that is known."""

    deadman: ReceiverSettings = field(default_factory=ReceiverSettings)
    """A service outside of all this that expects ``Watchdog``, as a webhook."""

    teams: Mapping[str, TeamReceivers] = field(default_factory=dict)
    """Receivers of a team's own (``game``, ``platform``), in place of those above."""

    mail: MailSettings = field(default_factory=MailSettings)


@dataclass(frozen=True)
class HubSettings:
    """The hub, to which Collectors send events."""

    enabled: bool = True
    """Whether Collectors that take logs send their events to it. Off where no hub runs: once the queue for it is full,
    everything that comes in the same requests is refused as well."""

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
    traces: TraceSettings = TraceSettings()
    agent: AgentSettings = AgentSettings()
    gateway: GatewaySettings = GatewaySettings()
    collector: CollectorSettings = CollectorSettings()
    prometheus: PrometheusSettings = PrometheusSettings()
    jaeger: JaegerSettings = JaegerSettings()
    loki: LokiSettings = LokiSettings()
    zipkin: ZipkinSettings = ZipkinSettings()
    alertmanager: AlertmanagerSettings = AlertmanagerSettings()
    alerts: AlertSettings = field(default_factory=AlertSettings)
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
    def store_batch_seconds(self) -> float:
        """How long a Collector gathers spans and log records."""
        return self.collector.batch_milliseconds / 1000

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
