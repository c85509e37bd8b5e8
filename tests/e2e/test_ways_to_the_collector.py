"""Every protocol, with and without TLS, mutual TLS, compression and a token, into the real Collector."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import yaml

import otel_setup
from deploy.collector.roles import files
from deploy.native import Collector
from deploy.process import http_get, wait_until
from otel_setup.catalogue import build
from otel_setup.game_model import LIAP_TUI
from otel_setup.testing import fresh_telemetry
from tests.support.certificates import Certificates, make_certificates
from tests.support.peers import free_ports, free_settings, running_collector

pytestmark = pytest.mark.peer("otelcol")

TOKEN = "a-token-of-the-test"  # noqa: S105
PROTOCOLS = ("http/protobuf", "grpc")
WAYS = ("plain", "tls", "mtls", "token")


@dataclass(frozen=True)
class Doors:
    """A Collector with a door for each way in, by (protocol, way)."""

    collector: Collector
    ports: dict[tuple[str, str], int]
    certificates: Certificates


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    folder = tmp_path_factory.mktemp("doors")
    certificates = make_certificates(folder / "certificates")
    settings = free_settings()
    every = list(itertools.product(PROTOCOLS, WAYS))
    ports = dict(zip(every, free_ports(len(every)), strict=True))
    config = yaml.safe_load(files(settings, build(LIAP_TUI)).render())
    served = {"cert_file": str(certificates.server), "key_file": str(certificates.server_key)}
    extra: dict[str, dict[str, Any]] = {
        "plain": {},
        "tls": {"tls": served},
        "mtls": {"tls": {**served, "client_ca_file": str(certificates.authority)}},
        "token": {"auth": {"authenticator": "bearertokenauth"}},
    }
    for way in WAYS:
        config["receivers"][f"otlp/{way}"] = {
            "protocols": {
                name: {"endpoint": f"127.0.0.1:{ports[protocol, way]}", **extra[way]}
                for protocol, name in zip(PROTOCOLS, ("http", "grpc"), strict=True)
            }
        }
    config["extensions"]["bearertokenauth"] = {"token": TOKEN}
    config["service"]["extensions"].append("bearertokenauth")
    for pipeline in config["service"]["pipelines"].values():
        if "otlp" in pipeline["receivers"]:
            pipeline["receivers"] += [f"otlp/{way}" for way in WAYS]
    path = folder / "doors.yaml"
    path.write_text(yaml.safe_dump(config))
    with running_collector(folder, settings=settings, config=path) as collector:
        yield Doors(collector, ports, certificates)


@pytest.mark.parametrize("compression", ["none", "gzip"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_span_a_metric_and_an_event_arrive(doors: Doors, protocol: str, way: str, compression: str) -> None:
    service = f"{protocol}-{way}-{compression}"
    with fresh_telemetry() as recorded:
        telemetry = otel_setup.configure(service=service, compression=compression, **_options(doors, protocol, way))  # type: ignore[arg-type]
        asyncio.run(_one_action(recorded.monitor))
        assert telemetry.flush(10), "the exports took too long"
        assert telemetry.health().status == "ok"
        assert telemetry.shutdown(10)
    assert sum(telemetry.core.exports.failed.values()) == 0
    collector = doors.collector
    for name, items in (("span", collector.spans), ("log record", collector.log_records), ("point", collector.points)):
        wait_until(items, lambda found: _of(found, service), 20, f"a {name} of {service} has arrived")


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("way", "without"),
    [("tls", ("certificate_file",)), ("mtls", ("client_certificate_file", "client_key_file")), ("token", ("headers",))],
)
def test_what_lacks_its_key_is_refused_and_counted(
    doors: Doors, protocol: str, way: str, without: tuple[str, ...]
) -> None:
    options = {key: value for key, value in _options(doors, protocol, way).items() if key not in without}
    service = f"{protocol}-{way}-refused"
    with fresh_telemetry() as recorded:
        telemetry = otel_setup.configure(service=service, export_timeout=1.0, shutdown_timeout=2.0, **options)  # type: ignore[arg-type]
        asyncio.run(_one_action(recorded.monitor))
        telemetry.flush(3)
        health = telemetry.health()
        assert health.status == "failing"
        assert health.signals["metrics"].failed > 0
        assert sum(telemetry.core.exports.accepted.values()) == 0
    assert not _of(doors.collector.log_records(), service)


def _options(doors: Doors, protocol: str, way: str) -> dict[str, Any]:
    scheme = "https" if way in ("tls", "mtls") else "http"
    options: dict[str, Any] = {
        "collector": f"{scheme}://127.0.0.1:{doors.ports[protocol, way]}",
        "protocol": protocol,
        "metric_interval": 3600.0,
        "log_level": False,
    }
    if scheme == "https":
        options["certificate_file"] = str(doors.certificates.authority)
    if way == "mtls":
        options["client_certificate_file"] = str(doors.certificates.client)
        options["client_key_file"] = str(doors.certificates.client_key)
    if way == "token":
        options["headers"] = {"Authorization": f"Bearer {TOKEN}"}
    return options


async def _one_action(monitor: otel_setup.EnterpriseMonitor) -> None:
    async with monitor.monitor_action_processing("game1", "play", "player1"):
        pass


def _of(items: list[Any], service: str) -> list[Any]:
    return [item for item in items if item.resource.get("service.name") == service]


def test_the_collector_says_how_each_came_in(doors: Doors) -> None:
    """Own numbers of the Collector: over gRPC came what was sent over gRPC."""
    _, body = http_get(doors.collector.telemetry_url)
    taken = {
        transport: sum(
            float(line.rsplit(" ", 1)[1])
            for line in body.decode().splitlines()
            if line.startswith("otelcol_receiver_accepted_spans") and f'transport="{transport}"' in line
        )
        for transport in ("http", "grpc")
    }
    assert taken == {"http": 8.0, "grpc": 8.0}
