"""The roles that a Collector plays: one complete configuration each."""

from __future__ import annotations

from deploy.collector.roles.agent import agent
from deploy.collector.roles.common import MakeRole
from deploy.collector.roles.events import events, kafka_consumer, kafka_producer
from deploy.collector.roles.files import files
from deploy.collector.roles.gateway import gateway
from deploy.collector.roles.standalone import standalone
from deploy.collector.roles.stores import clickhouse, remote_write, s3, zipkin

ROLES: tuple[MakeRole, ...] = (
    standalone,
    agent,
    gateway,
    events,
    kafka_producer,
    kafka_consumer,
    zipkin,
    remote_write,
    clickhouse,
    s3,
    files,
)
"""In the order in which a deployment grows."""

__all__ = [
    "ROLES",
    "MakeRole",
    "agent",
    "clickhouse",
    "events",
    "files",
    "gateway",
    "kafka_consumer",
    "kafka_producer",
    "remote_write",
    "s3",
    "standalone",
    "zipkin",
]
