"""The components this project configures, each a function of the settings.

What differs from one machine to the next (addresses, ports, folders) is read from the environment when the Collector
starts, with the settings' value as the default; the names are the constants below.
"""

from __future__ import annotations

from collections.abc import Mapping

from deploy.collector.graph import Component
from deploy.duration import duration
from settings import CollectorSettings, Settings

BIND = "OTLP_BIND"
GRPC_PORT = "OTLP_GRPC_PORT"
HTTP_PORT = "OTLP_HTTP_PORT"
HEALTH_PORT = "OTELCOL_HEALTH_PORT"
TELEMETRY_PORT = "OTELCOL_TELEMETRY_PORT"
DATA_DIR = "OTELCOL_DATA_DIR"
PROMETHEUS_URL = "PROMETHEUS_URL"
HUB_URL = "EVENTS_HUB_URL"
HUB_TOKEN = "EVENTS_HUB_TOKEN"  # noqa: S105 - the variable's name
KAFKA_BROKERS = "KAFKA_BROKERS"

OWN_VARIABLES = (HEALTH_PORT, TELEMETRY_PORT)
SERVER_VARIABLES = (BIND, GRPC_PORT, HTTP_PORT, *OWN_VARIABLES, DATA_DIR)
HUB_VARIABLES = (HUB_URL, HUB_TOKEN)

LOOPBACK = "127.0.0.1"
DEFAULT_DATA_DIR = "/var/lib/otelcol"

# Far above one export of one server, so that a batch is ended by time, and far below Prometheus's limit on a request.
METRIC_BATCH_MIN_ITEMS = 4096
METRIC_BATCH_MAX_ITEMS = 8192

MEBIBYTE = 1024 * 1024
# A batch of events is ended by time, or where it is this large already. A thousand events or so.
EVENT_BATCH_MIN_BYTES = 256 * 1024
# The largest request that the hub gets; and below what a broker takes as one message, with room for its envelope.
EVENT_BATCH_MAX_BYTES = 900_000
KAFKA_MESSAGE_BYTES = 1_000_000

RETRY = {"initial_interval": "1s", "max_interval": "30s", "max_elapsed_time": "0s"}
# What reads live events should see them soon after an outage: the pause between tries stays short.
EVENT_RETRY = {"initial_interval": "200ms", "max_interval": "5s", "max_elapsed_time": "0s"}


def env(name: str, default: object) -> str:
    """A value that the Collector reads from its environment when it starts."""
    return f"${{env:{name}:-{default}}}"


def data_file(name: str) -> str:
    """A path in the Collector's data folder."""
    return f"{env(DATA_DIR, DEFAULT_DATA_DIR)}/{name}"


def otlp(settings: CollectorSettings) -> Component:
    """Where game servers send everything."""
    bind = env(BIND, LOOPBACK)
    return Component(
        "receivers",
        "otlp",
        {
            "protocols": {
                "grpc": {"endpoint": f"{bind}:{env(GRPC_PORT, settings.otlp_grpc_port)}"},
                "http": {"endpoint": f"{bind}:{env(HTTP_PORT, settings.otlp_http_port)}"},
            }
        },
        why="Loopback unless told otherwise: there is no authentication yet.",
    )


def memory_limiter(settings: CollectorSettings) -> Component:
    """First in every pipeline."""
    return Component(
        "processors",
        "memory_limiter",
        {"check_interval": "1s", "limit_mib": settings.memory_limit_mib},
        why="First in every pipeline: refuses data before it costs memory, and the senders retry. An absolute limit, "
        "because a percentage means the whole machine's memory wherever there is no container.",
    )


def health_check(settings: CollectorSettings) -> Component:
    """Answers 200 once everything is started."""
    return Component("extensions", "health_check", {"endpoint": f"{LOOPBACK}:{env(HEALTH_PORT, settings.health_port)}"})


def queue_storage(name: str = "queue", waiting: str = "waits for a store") -> Component:
    """The folder in which data waits, for whatever the exporter that uses it sends to."""
    return Component(
        "extensions",
        f"file_storage/{name}",
        {
            "directory": data_file(name),
            "create_directory": True,
            "recreate": True,
            "compaction": {
                "on_start": True,
                "on_rebound": True,
                "directory": data_file(name),
                "cleanup_on_start": True,
            },
        },
        why=f"What {waiting} survives a restart. A damaged file is set aside and a new one begun, and the "
        "space of a long queue is given back once it has drained.",
    )


def prometheus(settings: Settings) -> Component:
    """Metrics to Prometheus, in its native OTLP endpoint."""
    storage = queue_storage()
    return Component(
        "exporters",
        "otlp_http/prometheus",
        {
            # `endpoint` is completed by /v1/metrics.
            "endpoint": f"{env(PROMETHEUS_URL, f'http://{LOOPBACK}:{settings.prometheus.port}')}/api/v1/otlp",
            "timeout": "10s",
            "sending_queue": {
                "storage": storage.id,
                "sizer": "items",
                "queue_size": settings.collector.queue_items,
                "num_consumers": 1,
                "batch": {
                    "flush_timeout": duration(settings.metric_batch_seconds),
                    "min_size": METRIC_BATCH_MIN_ITEMS,
                    "max_size": METRIC_BATCH_MAX_ITEMS,
                },
            },
            "retry_on_failure": RETRY,
        },
        why="Batched in the queue, not by the batch processor, which answers before data is safe. One consumer keeps "
        "the samples of a series in order. max_elapsed_time 0: retry for as long as the queue holds.",
        uses=(storage,),
    )


def only_events() -> Component:
    """Lets log records with an event name pass, and no others."""
    return Component(
        "processors",
        "filter/events",
        {"error_mode": "ignore", "log_conditions": ['log.event_name == ""']},
        why="Drops log records that are no events.",
    )


def _event_queue(settings: Settings, storage: Component) -> Mapping[str, object]:
    """How events wait on disk and are sent in order."""
    return {
        "storage": storage.id,
        "sizer": "bytes",
        "queue_size": settings.events.queue_mebibytes * MEBIBYTE,
        "num_consumers": 1,
        "batch": {
            "flush_timeout": duration(settings.event_batch_seconds),
            "min_size": EVENT_BATCH_MIN_BYTES,
            "max_size": EVENT_BATCH_MAX_BYTES,
        },
    }


def _hub(settings: Settings, sending: Mapping[str, object], why: str, uses: tuple[Component, ...] = ()) -> Component:
    return Component(
        "exporters",
        "otlp_http/hub",
        {
            # `endpoint` is completed by /v1/logs.
            "endpoint": env(HUB_URL, f"http://{LOOPBACK}:{settings.hub.port}"),
            "headers": {"Authorization": f"Bearer {env(HUB_TOKEN, '')}"},
            "timeout": "10s",
            "sending_queue": sending,
            "retry_on_failure": EVENT_RETRY,
        },
        why=f"{why} A hub on the loopback address may ask for no token; one that asks for another token answers 401, "
        "which the Collector takes for final: see otelcol_exporter_send_failed_log_records_total.",
        uses=uses,
    )


def hub(settings: Settings) -> Component:
    """Events to the hub, waiting on disk where it is away."""
    storage = queue_storage("hub", "waits for the hub")
    return _hub(
        settings,
        _event_queue(settings, storage),
        why="Events to the hub. One consumer keeps them in order; they are tried again for as long as the queue "
        "holds. Once it is full, senders are told to try again later (503), and retry whole requests: "
        "otelcol_exporter_enqueue_failed_log_records_total counts what was refused.",
        uses=(storage,),
    )


def hub_from_kafka(settings: Settings) -> Component:
    """Events from Kafka to the hub, without a second place to wait in."""
    return _hub(
        settings,
        {"enabled": False},
        why="Events to the hub. No queue: what the hub does not have yet waits in Kafka, and is marked as read there "
        "only once the hub has it.",
    )


def to_kafka(settings: Settings) -> Component:
    """Events to Kafka, waiting on disk where it is away."""
    storage = queue_storage("kafka", "waits for Kafka")
    return Component(
        "exporters",
        "kafka/events",
        {
            "brokers": env(KAFKA_BROKERS, f"{LOOPBACK}:{settings.kafka.port}"),
            "logs": {"topic": settings.kafka.topic, "encoding": "otlp_proto"},
            "partition_logs_by_resource_attributes": True,
            "timeout": "10s",
            "producer": {
                "required_acks": -1,
                "compression": "gzip",
                "max_message_bytes": KAFKA_MESSAGE_BYTES,
            },
            "sending_queue": _event_queue(settings, storage),
            "retry_on_failure": EVENT_RETRY,
        },
        why="Events to Kafka. A server process is one resource and so one partition, in which its events stay in "
        "order. required_acks -1: they are safe on every replica in sync before they leave the queue. A single event "
        "of more than a megabyte is dropped and counted in otelcol_exporter_send_failed_log_records_total.",
        uses=(storage,),
    )


def from_kafka(settings: Settings) -> Component:
    """Events from Kafka, for one consumer group."""
    return Component(
        "receivers",
        "kafka/events",
        {
            "brokers": env(KAFKA_BROKERS, f"{LOOPBACK}:{settings.kafka.port}"),
            "logs": {"topics": [settings.kafka.topic], "encoding": "otlp_proto"},
            "group_id": settings.kafka.group,
            "initial_offset": "earliest",
            "message_marking": {"after": True, "on_error": False, "on_permanent_error": False},
            "error_backoff": {"enabled": True, **EVENT_RETRY},
        },
        why="Marked as read only after the exporter has delivered it, so that what a crash interrupts is read again. "
        "What the hub refuses for good (a wrong token, say) stops its partition until a restart, in place of being "
        "skipped: see otelcol_kafka_receiver_offset_lag.",
    )


def json_lines(signal: str, settings: CollectorSettings) -> Component:
    """One signal into a file of OTLP JSON, one request a line."""
    return Component(
        "exporters",
        f"file/{signal}",
        {
            "path": data_file(f"{signal}.jsonl"),
            "create_directory": True,
            "directory_permissions": "0750",
            "rotation": {"max_megabytes": settings.file_megabytes, "max_backups": settings.file_backups},
        },
    )


def self_telemetry(settings: CollectorSettings) -> Mapping[str, object]:
    """The Collector's own metrics, on a port of its own."""
    return {
        "metrics": {
            "readers": [
                {
                    "pull": {
                        "exporter": {
                            "prometheus": {
                                "host": LOOPBACK,
                                "port": env(TELEMETRY_PORT, settings.telemetry_port),
                                "without_scope_info": True,
                                "without_type_suffix": False,
                                "without_units": False,
                            }
                        }
                    }
                }
            ]
        }
    }


SELF_TELEMETRY_WHY = (
    "Scraped by Prometheus. All three without_* are spelled out, because their defaults change names: this way "
    "counters end in _total here as they do everywhere else."
)
