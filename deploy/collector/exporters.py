"""Exporters: where data goes. All that goes over the network waits on disk and is tried again for ever."""

from __future__ import annotations

import re
from collections.abc import Mapping

from deploy.collector import extensions
from deploy.collector import variables as v
from deploy.collector.graph import Component
from deploy.collector.retry import EVENT_RETRY, RETRY
from deploy.duration import duration
from settings import Settings

# Far above one export of one server, so that a batch is ended by time, and far below a store's limit on a request.
BATCH_MIN_ITEMS = 4096
BATCH_MAX_ITEMS = 8192

# An object in an archive is better large than soon.
ARCHIVE_SECONDS = 10.0

MEBIBYTE = 1024 * 1024
# A batch of events is ended by time, or where it is this large already. A thousand events or so.
EVENT_BATCH_MIN_BYTES = 256 * 1024
# The largest request that the hub gets; and below what a broker takes as one message, with room for its envelope.
EVENT_BATCH_MAX_BYTES = 900_000
KAFKA_MESSAGE_BYTES = 1_000_000

# Of a wait that ends when there is room, and not before.
FOR_EVER = "8760h"

_OTLP = ("otlp_grpc", "otlp_http")

# A tenth of the Collector's time less than gzip's default level, for requests that are little larger.
_FAST_GZIP = {"compression": "gzip", "compression_params": {"level": 1}}


def _queue(settings: Settings, storage: Component, seconds: float, consumers: int) -> dict[str, object]:
    return {
        "storage": storage.id,
        "sizer": "items",
        "queue_size": settings.collector.queue_items,
        "num_consumers": consumers,
        "batch": {"flush_timeout": duration(seconds), "min_size": BATCH_MIN_ITEMS, "max_size": BATCH_MAX_ITEMS},
    }


def prometheus(settings: Settings) -> Component:
    """Metrics to Prometheus, in its native OTLP endpoint."""
    storage = extensions.storage(settings, "prometheus", "Prometheus")
    url = v.env(v.PROMETHEUS_URL, f"http://{v.LOOPBACK}:{settings.prometheus.port}")
    return Component(
        "exporters",
        "otlp_http/prometheus",
        {
            # `endpoint` is completed by /v1/metrics.
            "endpoint": f"{url}/api/v1/otlp",
            "timeout": "10s",
            **_FAST_GZIP,
            "sending_queue": _queue(settings, storage, settings.metric_batch_seconds, consumers=1),
            "retry_on_failure": RETRY,
        },
        why="Batched in the queue, not by the batch processor, which answers before data is safe. One consumer keeps "
        "the samples of a series in order. max_elapsed_time 0: retry for as long as the queue holds.",
        uses=(storage,),
    )


def remote_write(settings: Settings) -> Component:
    """Metrics to whatever speaks Prometheus's remote write."""
    return Component(
        "exporters",
        "prometheus_remote_write",
        {
            "endpoint": f"{v.env(v.REMOTE_WRITE_URL, f'http://{v.LOOPBACK}:{settings.prometheus.port}')}/api/v1/write",
            "timeout": duration(60 * settings.prometheus.out_of_order_minutes),
            "remote_write_queue": {"enabled": True, "queue_size": settings.collector.queue_items},
            "retry_on_failure": RETRY,
            "translation_strategy": "UnderscoreEscapingWithSuffixes",
            "disable_scope_info": True,
        },
        why="Its queue is in memory: this exporter has none on disk, so what waits is lost with the process. Where "
        "that matters use Prometheus's OTLP endpoint. The timeout is of all tries of a request together: as long as a "
        "store may be away before it would refuse the samples as too old. Names are those that Prometheus makes of "
        "OTLP. When a sum began is not told, so that the first value of a new series is no increase.",
    )


def jaeger(settings: Settings) -> Component:
    """Traces to Jaeger."""
    storage = extensions.storage(settings, "jaeger", "Jaeger")
    return Component(
        "exporters",
        "otlp_grpc/jaeger",
        {
            "endpoint": v.env(v.JAEGER_ENDPOINT, f"{v.LOOPBACK}:{settings.jaeger.otlp_grpc_port}"),
            "tls": {"insecure": v.env(v.JAEGER_INSECURE, "true")},
            "timeout": "10s",
            "sending_queue": _queue(settings, storage, settings.store_batch_seconds, consumers=4),
            "retry_on_failure": RETRY,
        },
        why="Any store of traces that takes OTLP.",
        uses=(storage,),
    )


def zipkin(settings: Settings) -> Component:
    """Traces to Zipkin, in its own format."""
    storage = extensions.storage(settings, "zipkin", "Zipkin")
    return Component(
        "exporters",
        "zipkin",
        {
            "endpoint": f"{v.env(v.ZIPKIN_URL, f'http://{v.LOOPBACK}:{settings.zipkin.port}')}/api/v2/spans",
            "format": "json",
            "timeout": "10s",
            "sending_queue": _queue(settings, storage, settings.store_batch_seconds, consumers=4),
            "retry_on_failure": RETRY,
        },
        uses=(storage,),
    )


def loki(settings: Settings) -> Component:
    """Log records to Loki, in its native OTLP endpoint."""
    storage = extensions.storage(settings, "loki", "Loki")
    return Component(
        "exporters",
        "otlp_http/loki",
        {
            # `endpoint` is completed by /v1/logs.
            "endpoint": f"{v.env(v.LOKI_URL, f'http://{v.LOOPBACK}:{settings.loki.port}')}/otlp",
            "timeout": "10s",
            **_FAST_GZIP,
            "sending_queue": _queue(settings, storage, settings.store_batch_seconds, consumers=4),
            "retry_on_failure": RETRY,
        },
        why="Which resource attributes become labels of the index is Loki's configuration; all others, with trace and "
        "correlation ids, are structured metadata.",
        uses=(storage,),
    )


def clickhouse(settings: Settings) -> Component:
    """All signals to ClickHouse."""
    storage = extensions.storage(settings, "clickhouse", "ClickHouse")
    return Component(
        "exporters",
        "clickhouse",
        {
            "endpoint": v.env(v.CLICKHOUSE_ENDPOINT, f"tcp://{v.LOOPBACK}:9000"),
            "username": v.env(v.CLICKHOUSE_USER, "default"),
            "password": v.env(v.CLICKHOUSE_PASSWORD, ""),
            "database": "otel",
            "ttl": f"{24 * settings.prometheus.retention_days}h",
            "create_schema": True,
            "async_insert": True,
            "timeout": "10s",
            "sending_queue": _queue(settings, storage, settings.store_batch_seconds, consumers=1),
            "retry_on_failure": RETRY,
        },
        why="It makes its tables by itself; where somebody else looks after them, set create_schema to false.",
        uses=(storage,),
    )


def s3(settings: Settings) -> Component:
    """All signals to an S3 bucket."""
    storage = extensions.storage(settings, "s3", "S3")
    return Component(
        "exporters",
        "awss3",
        {
            "s3uploader": {
                "region": v.env(v.S3_REGION, "us-east-1"),
                "s3_bucket": v.env(v.S3_BUCKET, "otel-archive"),
                "s3_partition_format": "%Y/%m/%d/%H",
                "compression": "gzip",
                "unique_key_func_name": "uuidv7",
                "retry_mode": "standard",
                "retry_max_attempts": 0,
                "retry_max_backoff": "30s",
            },
            "marshaler": "otlp_proto",
            "timeout": "60s",
            "sending_queue": _queue(settings, storage, ARCHIVE_SECONDS, consumers=1),
        },
        why="retry_max_attempts 0: for ever, in the uploader. Credentials come from AWS's own variables or files.",
        uses=(storage,),
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
            "endpoint": v.env(v.HUB_URL, f"http://{v.LOOPBACK}:{settings.hub.port}"),
            "headers": {"Authorization": f"Bearer {v.env(v.HUB_TOKEN, '')}"},
            "timeout": "10s",
            **_FAST_GZIP,
            "sending_queue": sending,
            "retry_on_failure": EVENT_RETRY,
        },
        why=f"{why} A hub on the loopback address may ask for no token; one that asks for another token answers 401, "
        "which the Collector takes for final: see otelcol_exporter_send_failed_log_records_total.",
        uses=uses,
    )


def hub(settings: Settings) -> Component:
    """Events to the hub, waiting on disk where it is away."""
    storage = extensions.storage(settings, "hub", "the hub")
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
    storage = extensions.storage(settings, "kafka", "Kafka")
    return Component(
        "exporters",
        "kafka/events",
        {
            "brokers": v.env(v.KAFKA_BROKERS, f"{v.LOOPBACK}:{settings.kafka.port}"),
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


def by_trace(settings: Settings) -> Component:
    """Spans to gateways: those of one trace to one of them."""
    doors = [_door(gateway, 0, settings.collector.otlp_grpc_port) for gateway in settings.agent.gateways]
    return _balanced(settings, "traces", "traceID", doors, "Whole traces are sampled there.")


def by_service(settings: Settings) -> Component:
    """Spans to gateways: those of one service to one of them."""
    doors = [_door(gateway, -1, settings.gateway.services_port) for gateway in settings.agent.gateways]
    return _balanced(settings, "services", "service", doors, "One gateway counts all spans of a service.")


def _balanced(settings: Settings, name: str, key: str, doors: list[str], why: str) -> Component:
    storage = extensions.storage(settings, f"gateways_{name}", "the gateways")
    protocol: dict[str, object] = {
        "timeout": "5s",
        "tls": _client_tls(settings),
        "sending_queue": {
            "sizer": "items",
            "queue_size": settings.agent.gateway_spans,
            "block_on_overflow": True,
            "num_consumers": 4,
        },
        "retry_on_failure": RETRY,
    }
    if settings.collector.tokens:
        protocol["headers"] = {"Authorization": v.own_bearer()}
    return Component(
        "exporters",
        f"load_balancing/{name}",
        {
            "routing_key": key,
            "protocol": {"otlp": protocol},
            "resolver": {"static": {"hostnames": doors}},
            "timeout": FOR_EVER,
            "sending_queue": _queue(settings, storage, settings.store_batch_seconds, consumers=4),
            "retry_on_failure": RETRY,
        },
        why=f"{why} What is for a gateway that is away waits in a queue of its own, in memory, and holds up no other "
        "one. (On disk there can be one queue alone, before the choice.) Once that is full, all waits on disk: a "
        "request that failed for the sake of one gateway would be sent again to all, and its spans counted twice. "
        "Hence the long timeout, which is of that wait.",
        uses=(storage,),
    )


def _client_tls(settings: Settings) -> Mapping[str, object]:
    if not settings.collector.mutual_tls:
        return {"insecure": True}
    return {
        "ca_file": v.secret_file(v.TLS_AUTHORITY, "otlp_ca.crt"),
        "cert_file": v.secret_file(v.TLS_CERTIFICATE, "otlp_tls.crt"),
        "key_file": v.secret_file(v.TLS_KEY, "otlp_tls.key"),
    }


def _door(gateway: str, which: int, port: int) -> str:
    """Where a gateway listens; ``which`` of its ports, where its entry in the settings names any."""
    host, *ports = re.findall(r"\[.*\]|[^:]+", gateway)
    return f"{host}:{ports[which] if ports else port}"


def json_lines(settings: Settings, signal: str) -> Component:
    """One signal into a file of OTLP JSON, one request a line."""
    return Component(
        "exporters",
        f"file/{signal}",
        {
            "path": v.data_file(f"{signal}.jsonl"),
            "create_directory": True,
            "directory_permissions": "0750",
            "rotation": {
                "max_megabytes": settings.collector.file_megabytes,
                "max_backups": settings.collector.file_backups,
            },
        },
    )


def added(settings: Settings, signal: str) -> tuple[Component, ...]:
    """Where the deployment sends a signal besides."""
    return tuple(
        _waiting(settings, name, extension.config)
        for name, extension in settings.collector.exporters.items()
        if signal in extension.signals
    )


def _waiting(settings: Settings, name: str, config: Mapping[str, object]) -> Component:
    why = "Of this deployment's settings."
    if name.partition("/")[0] not in _OTLP or "sending_queue" in config:
        return Component("exporters", name, dict(config), why=why)
    storage = extensions.storage(settings, name.replace("/", "_"), name)
    queue = _queue(settings, storage, settings.store_batch_seconds, consumers=1)
    return Component(
        "exporters", name, {"sending_queue": queue, "retry_on_failure": RETRY, **config}, why=why, uses=(storage,)
    )
