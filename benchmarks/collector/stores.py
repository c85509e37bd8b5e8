"""What stands in for Prometheus, Loki, Jaeger, the hub and gateways: one more Collector, which counts what comes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.collector.load import MARK
from deploy import native
from deploy.collector import variables as v
from deploy.collector.graph import Component, Pipeline, Role, Signal
from deploy.collector.roles import common
from deploy.ports import free_settings
from deploy.process import http_get
from otel_setup.catalogue import Catalogue
from settings import Settings

PROMETHEUS, LOKI, HUB, JAEGER, GATEWAYS = "prometheus", "loki", "hub", "jaeger", "gateways"
DOORS: dict[str, Signal] = {
    PROMETHEUS: "metrics",
    LOKI: "logs",
    HUB: "logs",
    JAEGER: "traces",
    GATEWAYS: "traces",
}
"""What comes to each."""
_SENT = "otelcol_exporter_sent_(?:metric_points|spans|log_records)_total"
_DECIDED = "otelcol_processor_tail_sampling_global_count_traces_sampled_total"


@dataclass(frozen=True)
class Stores:
    """Running stand-ins, and the settings of a Collector that sends to them."""

    collector: native.Collector
    settings: Settings

    @property
    def prometheus_url(self) -> str:
        """Prometheus's."""
        return f"http://{v.LOOPBACK}:{self.settings.prometheus.port}"

    def came(self) -> dict[str, int]:
        """What has come of the load, to each."""
        return written(self.collector)


@contextmanager
def stores(folder: Path, base: Settings) -> Iterator[Stores]:
    """Run them.

    Parameters:
        base: the settings of the Collectors that send to them, but for addresses.
    """
    settings = free_settings(base)
    here = replace(settings, collector=free_settings().collector)
    gateways = (f"{v.LOOPBACK}:{here.collector.otlp_grpc_port}",)
    settings = replace(settings, agent=replace(settings.agent, gateways=gateways))
    with native.running_collector(here, folder, role=_role) as collector:
        yield Stores(collector, settings)


def written(collector: native.Collector) -> dict[str, int]:
    """What a Collector has given to its ``debug`` exporters, by their names."""
    return _counted(collector, _SENT, r'exporter="debug/([^"]+)"')


def decided(collector: native.Collector) -> tuple[int, int]:
    """How many traces its sampling has kept, and how many it has not."""
    found = _counted(collector, _DECIDED, r'sampled="(true|false)"')
    return found.get("true", 0), found.get("false", 0)


def _counted(collector: native.Collector, metric: str, label: str) -> dict[str, int]:
    """What a Collector says of itself, by the value of a label."""
    page = http_get(collector.telemetry_url)[1].decode()
    found: dict[str, int] = {}
    for name, value in re.findall(rf"^{metric}\{{[^}}]*{label}[^}}]*\}} (\S+)$", page, re.MULTILINE):
        found[name] = found.get(name, 0) + int(float(value))
    return found


def debug(name: str) -> Component:
    """An exporter that takes everything and does next to nothing."""
    return Component("exporters", f"debug/{name}", {"verbosity": "basic"})


def _role(settings: Settings, _catalogue: Catalogue) -> Role:
    pipelines = [
        Pipeline(f"{signal}/{name}", (_receiver(settings, name),), (_only(signal),), (debug(name),))
        for name, signal in DOORS.items()
    ]
    return common.role(settings, "stores", "Stand-ins for stores.", pipelines)


def _receiver(settings: Settings, name: str) -> Component:
    grpc, http = {
        PROMETHEUS: (0, settings.prometheus.port),
        LOKI: (0, settings.loki.port),
        HUB: (0, settings.hub.port),
        JAEGER: (settings.jaeger.otlp_grpc_port, 0),
        GATEWAYS: (settings.collector.otlp_grpc_port, 0),
    }[name]
    paths = {PROMETHEUS: {"metrics_url_path": "/api/v1/otlp/v1/metrics"}, LOKI: {"logs_url_path": "/otlp/v1/logs"}}
    protocols: dict[str, object] = {}
    if grpc:
        protocols["grpc"] = {"endpoint": f"{v.LOOPBACK}:{grpc}", "max_recv_msg_size_mib": 64}
    else:
        protocols["http"] = {"endpoint": f"{v.LOOPBACK}:{http}", **paths.get(name, {})}
    return Component("receivers", f"otlp/{name}", {"protocols": protocols})


def _only(signal: Signal) -> Component:
    """Leaves out what the Collector says by itself: counts of spans and events, the machine's load, its own log."""
    what = {"metrics": "metric", "traces": "trace", "logs": "log"}[signal]
    return Component(
        "processors",
        f"filter/{signal}",
        {"error_mode": "propagate", f"{what}_conditions": [f'resource.attributes["{MARK}"] != "{signal}"']},
    )
