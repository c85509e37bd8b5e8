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

LOOPBACK = "127.0.0.1"
DEFAULT_DATA_DIR = "/var/lib/otelcol"

# Far above one export of one server, so that a batch is ended by time, and far below Prometheus's limit on a request.
METRIC_BATCH_MIN_ITEMS = 4096
METRIC_BATCH_MAX_ITEMS = 8192


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


def queue_storage() -> Component:
    """The folder in which data waits for a store."""
    return Component(
        "extensions",
        "file_storage/queue",
        {
            "directory": data_file("queue"),
            "create_directory": True,
            "recreate": True,
            "compaction": {
                "on_start": True,
                "on_rebound": True,
                "directory": data_file("queue"),
                "cleanup_on_start": True,
            },
        },
        why="What waits for a store survives a restart. A damaged file is set aside and a new one begun, and the "
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
            "retry_on_failure": {"initial_interval": "1s", "max_interval": "30s", "max_elapsed_time": "0s"},
        },
        why="Batched in the queue, not by the batch processor, which answers before data is safe. One consumer keeps "
        "the samples of a series in order. max_elapsed_time 0: retry for as long as the queue holds.",
        uses=(storage,),
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
