"""A Collector's own log: it goes where all logs go, and what their exporter says of its failures stays out of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy import ports
from deploy.collector.roles import standalone
from deploy.process import wait_until
from tests.deploy.collectors import OWN_LOG, made, running
from tests.support.kafka_otlp import StubHub, stub_hub


def own_records(store: StubHub) -> list[tuple[str, str]]:
    """Of every record of a Collector's own log that a store has: whose it is, and what it says."""
    return [
        (component, record.body.string_value)
        for body in list(store.bodies)
        for resource in body.resource_logs
        if {item.key: item.value.string_value for item in resource.resource.attributes}.get("service.name") == "otelcol"
        for scope in resource.scope_logs
        for component in [
            next((item.value.string_value for item in scope.scope.attributes if item.key == "otelcol.component.id"), "")
        ]
        for record in scope.log_records
    ]


def failures(log: Path, exporter: str) -> int:
    """How often an exporter has complained on standard error."""
    return sum(
        "Exporting failed." in line and f'"otelcol.component.id": "{exporter}"' in line
        for line in log.read_text().splitlines()
    )


@pytest.mark.parametrize("name", OWN_LOG)
def test_the_exporters_of_the_own_log_are_those_that_are_left_out_of_it(name: str) -> None:
    """Statically, for every role that has one; the next test shows that it works."""
    (pipeline,) = [pipeline for pipeline in made(name).pipelines if pipeline.id == "logs/own"]
    no_loop = next(step for step in pipeline.processors if step.id == "filter/no_loop")
    conditions = str(no_loop.config["log_conditions"])
    assert pipeline.exporters
    for exporter in pipeline.exporters:
        assert f'scope.attributes["otelcol.component.id"] == "{exporter.id}"' in conditions


@pytest.mark.peer("otelcol")
def test_its_own_log_is_among_the_logs_without_what_their_exporter_says_of_its_failures(tmp_path: Path) -> None:
    settings = ports.free_settings()
    metrics, logs = "otlp_http/prometheus", "otlp_http/loki"
    with stub_hub(settings.loki.port) as store, running(tmp_path, standalone, settings) as collector:
        log = collector.process.log
        ready = ("", "Everything is ready. Begin running and processing data.")
        wait_until(lambda: own_records(store), lambda seen: ready in seen, 30, "its log is in the store")

        store.status = 503  # type: ignore[assignment]
        wait_until(lambda: failures(log, logs), lambda seen: seen >= 3, 60, "the exporter of logs complains")
        told = wait_until(lambda: failures(log, metrics), lambda seen: seen >= 2, 60, "and that of metrics")
        store.status = 200  # type: ignore[assignment]
        wait_until(
            lambda: [text for component, text in own_records(store) if component == metrics and "failed" in text],
            lambda seen: len(seen) >= told,
            60,
            "what the exporter of metrics said in the meantime is in the store",
        )
        assert {component for component, _ in own_records(store)} >= {"otlp", "health_check", metrics}
        assert [text for component, text in own_records(store) if component == logs] == []
