"""/metrics read by Prometheus itself: its own parser in promtool, and a real one that scrapes.

promtool also gives advice on names. Two names get some, and keep theirs because the product's users know them:
``game_duration_minutes`` (it would rather have seconds) and ``memory_usage_mb`` (an abbreviated unit).
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.metrics import Meter, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.resources import Resource

from examples.arena.model import ARENA
from otel_setup.catalogue import BuiltMetric, Catalogue, Kind, build
from otel_setup.game_model import LIAP_TUI
from otel_setup.prometheus import Exposition, start_metrics_server
from otel_setup.prometheus.reader import make_reader
from settings import MetricSettings, Settings
from tests.support.peers import free_settings, require, running_prometheus

PARSE_ERROR = 1  # https://github.com/prometheus/prometheus/blob/main/cmd/promtool/main.go, failureExitCode
HOSTILE = ['say "hi"', "back\\slash", "two\nlines", 'x"} 1\nforged_total 2', "\\n", "\N{GRINNING FACE}"]


def exposition(record: Any, attributes: Mapping[str, str] | None = None) -> Exposition:
    reader, registry = make_reader(tuple(attributes or {}))
    resource = Resource({"service.name": "arena", "service.instance.id": "arena-7", **(attributes or {})})
    provider = MeterProvider([reader], resource, shutdown_on_exit=False)
    record(provider.get_meter("game"))
    return Exposition(lambda: registry, lambda: {"service": 'the "arena"', "instance": "arena-7\\"}, ttl=0.0)


def record_everything(meter: Meter, catalogue: Catalogue) -> None:
    for metric in catalogue.metrics:
        for labels in metric.zeros or ({label: (values or ("",))[0] for label, values in metric.labels.items()},):
            record_one(meter, metric, labels)


def record_one(meter: Meter, metric: BuiltMetric, labels: Mapping[str, str]) -> None:
    declared = metric.declared
    about = (declared.unit, declared.description)
    if declared.kind.is_observable:
        create = getattr(meter, f"create_{declared.kind.value}")
        create(metric.name, [lambda _: [Observation(1, labels)]], *about)
    elif declared.kind is Kind.COUNTER:
        meter.create_counter(metric.name, *about).add(1, labels)
    elif declared.kind is Kind.GAUGE:
        meter.create_gauge(metric.name, *about).set(1, labels)
    else:
        meter.create_histogram(metric.name, *about, explicit_bucket_boundaries_advisory=declared.buckets).record(
            1, labels
        )


def record_hostile(meter: Meter) -> None:
    for count, name in enumerate(HOSTILE, 1):
        meter.create_counter("names", description='of \\ all "kinds"\nof people').add(count, {"name": name})
    for seconds in (0.5, 7, 7e6):
        meter.create_histogram("wait", "s", explicit_bucket_boundaries_advisory=[1, 5, 1e6]).record(seconds)


def promtool(text: bytes) -> tuple[int, str]:
    """Exit code and advice of ``promtool check metrics``."""
    command = [str(require("promtool")), "check", "metrics"]
    run = subprocess.run(command, input=text, capture_output=True, timeout=60, check=False)
    return run.returncode, (run.stdout + run.stderr).decode()


@pytest.mark.parametrize("model", [LIAP_TUI, ARENA], ids=lambda model: model.name)
def test_promtool_reads_every_metric_of_the_catalogue(model: Any) -> None:
    catalogue = build(model)
    whole = exposition(lambda meter: record_everything(meter, catalogue), {"region": "eu"})
    body, _ = whole.scrape_sync()
    code, advice = promtool(body)
    print(advice)
    assert code != PARSE_ERROR, advice
    assert "not unique" not in advice
    missing = [m.prometheus for m in catalogue.metrics if f"# TYPE {m.prometheus} " not in body.decode()]
    assert missing == [], "else promtool has read only a part"


def test_promtool_reads_hostile_labels() -> None:
    body, _ = exposition(record_hostile, {"rack": 'a "b"\n'}).scrape_sync()
    code, advice = promtool(body)
    assert code != PARSE_ERROR, advice
    assert "not unique" not in advice


@pytest.mark.parametrize("broken", ['x{a="1} 1', "# TYPE x counter\n# TYPE x gauge\nx 1", "x_total one"])
def test_promtool_would_tell(broken: str) -> None:
    assert promtool(f"{broken}\n".encode())[0] == PARSE_ERROR


def test_prometheus_scrapes_what_was_recorded(tmp_path: Path) -> None:
    """In its own choice of format (OpenMetrics), compressed; it scrapes the port on which a Collector would be."""
    settings: Settings = free_settings(Settings(metrics=replace(MetricSettings(), export_interval_seconds=1.0)))
    served = exposition(record_hostile, {"rack": 'a "b"\n'})
    with (
        start_metrics_server(settings.collector.telemetry_port, exposition=served) as server,
        running_prometheus(tmp_path, settings=settings) as store,
    ):
        names = store.wait_for("names_total")
        assert {labels["name"]: value for labels, value in names} == {n: c for c, n in enumerate(HOSTILE, 1)}
        assert {labels["rack"] for labels, _ in names} == {'a "b"\n'}
        buckets = {float(labels["le"]): value for labels, value in store.query("wait_seconds_bucket")}
        assert buckets == {1.0: 1, 5.0: 1, 1e6: 2, float("inf"): 3}
        assert [value for _, value in store.query("wait_seconds_count")] == [3]
        ((target, _),) = store.query("target_info")
        assert target["service_instance_id"] == "arena-7"
        assert {value for _, value in store.query("up")} == {1}
        # All that the scrape held was stored: nothing refused as a duplicate or as a name already taken.
        assert store.query("scrape_samples_scraped - on() scrape_samples_post_metric_relabeling == 0")
        assert [value for _, value in store.query("forged_total")] == []
        assert server.refused == 0
    assert "error" not in (tmp_path / "prometheus" / "prometheus.log").read_text().lower()
