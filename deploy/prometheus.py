"""Prometheus: its configuration file and the flags it runs with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from deploy.collector.variables import LOOPBACK
from deploy.duration import duration
from deploy.yaml_text import document
from settings import Settings

COLLECTOR_JOB, HUB_JOB = "otelcol", "hub"
RULES = "rules"
"""The folder of the rules, beside the configuration: Prometheus looks for files from there."""
RESEND_INTERVALS = 6
"""After so many intervals what fires is told again. Untold for four times as long, Alertmanager takes it for over."""
FEATURES = ("exemplar-storage", "created-timestamp-zero-ingestion")


def config(settings: Settings) -> str:
    """The text of ``prometheus.yml``."""
    every = duration(settings.scrape_interval_seconds)
    prometheus = settings.prometheus
    tree = {
        "global": {"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every},
        "otlp": {
            "translation_strategy": "UnderscoreEscapingWithSuffixes",
            "promote_resource_attributes": list(prometheus.promoted_attributes),
        },
        "storage": {
            "tsdb": {"out_of_order_time_window": f"{prometheus.out_of_order_minutes}m"},
            "exemplars": {"max_exemplars": prometheus.max_exemplars},
        },
        "rule_files": [f"{RULES}/*.yaml"],
        "alerting": {
            "alertmanagers": [{"static_configs": [{"targets": [f"{LOOPBACK}:{settings.alertmanager.port}"]}]}]
        },
        "scrape_configs": [
            _scraped(COLLECTOR_JOB, settings.collector.telemetry_port),
            *([_scraped(HUB_JOB, settings.hub.port)] if settings.hub.enabled else []),
        ],
    }
    comments = {
        ("otlp",): "Game metrics are pushed by the Collector. Dots become underscores and units and _total are "
        "appended, as on a server's own /metrics, so that a query means the same by either way.",
        ("storage", "tsdb"): "What waited in the Collector's queue during an outage is older than what came meanwhile.",
        ("rule_files",): "Beside this file: those that `python -m alerts build` writes.",
        ("scrape_configs",): "Only the Collector itself and the hub are scraped.",
    }
    return document(tree, "Prometheus, fed by the Collector over OTLP.", comments)


def _scraped(job: str, port: int) -> dict[str, object]:
    return {"job_name": job, "static_configs": [{"targets": [f"{LOOPBACK}:{port}"]}]}


def arguments(settings: Settings, config_file: Path, data_dir: Path, features: Sequence[str] = FEATURES) -> list[str]:
    """The command line of Prometheus, without the program."""
    flags = [
        f"--config.file={config_file}",
        f"--storage.tsdb.path={data_dir}",
        f"--storage.tsdb.retention.time={settings.prometheus.retention_days}d",
        f"--web.listen-address={LOOPBACK}:{settings.prometheus.port}",
        "--web.enable-otlp-receiver",
        # OTLP says nothing when an instance dies, so a value is current for as long as the settings say.
        f"--query.lookback-delta={duration(settings.current_seconds)}",
        # Alertmanager may have been away, or not yet known, when an alert was told first.
        f"--rules.alert.resend-delay={duration(RESEND_INTERVALS * settings.scrape_interval_seconds)}",
    ]
    return [*flags, *([f"--enable-feature={','.join(features)}"] if features else [])]
