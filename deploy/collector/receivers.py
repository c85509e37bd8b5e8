"""Receivers: where data comes in."""

from __future__ import annotations

from deploy.collector import extensions
from deploy.collector import variables as v
from deploy.collector.graph import Component
from deploy.collector.retry import EVENT_RETRY
from deploy.duration import duration
from settings import Settings


def otlp(settings: Settings) -> Component:
    """Where game servers send everything."""
    collector = settings.collector
    servers = {
        "grpc": {
            "endpoint": f"{v.env(v.BIND, v.LOOPBACK)}:{v.env(v.GRPC_PORT, collector.otlp_grpc_port)}",
            "max_recv_msg_size_mib": collector.request_mebibytes,
        },
        "http": {
            "endpoint": f"{v.env(v.BIND, v.LOOPBACK)}:{v.env(v.HTTP_PORT, collector.otlp_http_port)}",
            "max_request_body_size": collector.request_mebibytes * 2**20,
        },
    }
    return _server(settings, "otlp", servers, "Loopback unless told otherwise.")


def otlp_services(settings: Settings) -> Component:
    """Where agents send spans by their service."""
    port = v.env(v.SERVICES_PORT, settings.gateway.services_port)
    servers = {
        "grpc": {
            "endpoint": f"{v.env(v.BIND, v.LOOPBACK)}:{port}",
            "max_recv_msg_size_mib": settings.collector.request_mebibytes,
        }
    }
    return _server(settings, "otlp/services", servers, "All spans of a service come here, to one gateway of several.")


def own_log(settings: Settings) -> Component:
    """Where this Collector sends its own log."""
    token = extensions.tokens() if settings.collector.tokens else None
    server: dict[str, object] = {"endpoint": f"{v.LOOPBACK}:{v.env(v.OWN_LOGS_PORT, settings.collector.own_logs_port)}"}
    if token:
        server["auth"] = {"authenticator": token.id}
    return Component(
        "receivers",
        "otlp/own",
        {"protocols": {"http": server}},
        why="This Collector's own log, never from another machine.",
        uses=(token,) if token else (),
    )


def _server(settings: Settings, name: str, servers: dict[str, dict[str, object]], why: str) -> Component:
    uses: tuple[Component, ...] = ()
    for server in servers.values():
        if settings.collector.tokens:
            uses = (extensions.tokens(),)
            server["auth"] = {"authenticator": uses[0].id}
        if settings.collector.mutual_tls:
            server["tls"] = {
                "cert_file": v.secret_file(v.TLS_CERTIFICATE, "otlp_tls.crt"),
                "key_file": v.secret_file(v.TLS_KEY, "otlp_tls.key"),
                "client_ca_file": v.secret_file(v.TLS_CLIENT_AUTHORITY, "otlp_client_ca.crt"),
                "client_ca_file_reload": True,
                "reload_interval": "1h",
                "min_version": "1.3",
            }
    return Component("receivers", name, {"protocols": servers}, why=why, uses=uses)


def host_metrics(settings: Settings) -> Component:
    """The machine's own load."""
    return Component(
        "receivers",
        "host_metrics",
        {
            "collection_interval": duration(settings.collector.host_metrics_seconds),
            "scrapers": {name: {} for name in ("cpu", "load", "memory", "disk", "filesystem", "network", "paging")},
        },
        why="Of the machine, not of the container: there, mount the host's / and set root_path.",
    )


def from_kafka(settings: Settings) -> Component:
    """Events from Kafka, for one consumer group."""
    return Component(
        "receivers",
        "kafka/events",
        {
            "brokers": v.env(v.KAFKA_BROKERS, f"{v.LOOPBACK}:{settings.kafka.port}"),
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
