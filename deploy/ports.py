"""Free ports of this machine, for runs beside others."""

from __future__ import annotations

import random
import socket
from dataclasses import replace

from deploy.collector.blocks import LOOPBACK
from settings import Settings

# Below the range from which systems take the ports of outgoing connections (32768 and up on Linux), so that none of
# those can take a port between its choice here and its use.
PORT_RANGE = range(20_000, 32_000)


def free_ports(count: int) -> list[int]:
    """Different ports of the loopback address on which nothing listens.

    :raises RuntimeError: where there are fewer
    """
    found: list[int] = []
    for port in random.sample(PORT_RANGE, len(PORT_RANGE)):
        with socket.socket() as probe:
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise RuntimeError(f"fewer than {count} free ports in {PORT_RANGE}")


def free_settings(settings: Settings | None = None) -> Settings:
    """Settings on free ports; the Collector also writes metrics to a file, to be compared with."""
    base = settings or Settings()
    grpc, http, health, telemetry, store, hub, broker, controller = free_ports(8)
    collector = replace(
        base.collector,
        otlp_grpc_port=grpc,
        otlp_http_port=http,
        health_port=health,
        telemetry_port=telemetry,
        metrics_file=True,
    )
    return replace(
        base,
        collector=collector,
        prometheus=replace(base.prometheus, port=store),
        hub=replace(base.hub, port=hub),
        kafka=replace(base.kafka, port=broker, controller_port=controller),
    )
