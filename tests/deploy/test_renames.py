"""A name that is no longer right fails the build: each of these renames is noticed, and by whom it is."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.collector.check import ConfigurationError, check
from deploy.collector.graph import Component, Role
from deploy.collector.roles import gateway
from deploy.process import ProcessError
from tests.deploy.collectors import made, otelcol, own_metrics, post, running
from tests.deploy.test_roles import complaints, pinned

pytestmark = pytest.mark.peer("otelcol")


def renamed(role: str, before: str, after: str, folder: Path) -> Path:
    """A role's file in which a name is another one."""
    text = made(role).render()
    assert before in text, f"{before!r} is no part of {role} any more: this test needs another name"
    file = folder / f"{role}.yaml"
    file.write_text(text.replace(before, after))
    return file


# --- noticed by `otelcol validate`


@pytest.mark.parametrize(
    ("role", "before", "after", "said"),
    [
        ("standalone", "\n  tail_sampling:", "\n  tail_sampler:", 'unknown type: "tail_sampler"'),
        ("standalone", "\n  span_metrics:", "\n  metrics_of_spans:", 'unknown type: "metrics_of_spans"'),
        ("events", "\n  otlp_http/hub:", "\n  otlp_https/hub:", 'unknown type: "otlp_https"'),
        ("events", "num_consumers:", "consumers:", "invalid keys: consumers"),
        ("agent", "routing_key:", "route_key:", "invalid keys: route_key"),
        ("gateway", "decision_wait:", "decision_seconds:", "invalid keys: decision_seconds"),
        ("gateway", "aggregation_cardinality_limit:", "series_limit:", "invalid keys: series_limit"),
        ("standalone", "blocked_key_patterns:", "blocked_keys:", "invalid keys: blocked_keys"),
        ("standalone", "without_type_suffix:", "no_type_suffix:", "no_type_suffix"),
        ("kafka-producer", "exporters: [kafka/events]", "exporters: [kafka/happenings]", "kafka/happenings"),
        ("kafka-consumer", "receivers: [kafka/events]", "receivers: [kafka/happenings]", "kafka/happenings"),
        ("zipkin", "- memory_limiter", "- memory_limit", "memory_limit"),
        ("events", "extensions: [health_check,", "extensions: [health,", "health"),
        ("standalone", "log.event_name", "log.event_names", "event_names"),
        ("zipkin", "truncate_all(span.", "truncate_each(span.", "truncate_each"),
    ],
)
def test_the_collector_refuses_the_file(role: str, before: str, after: str, said: str, tmp_path: Path) -> None:
    assert otelcol("validate", renamed(role, before, before, tmp_path), tmp_path).returncode == 0
    done = otelcol("validate", renamed(role, before, after, tmp_path), tmp_path)
    assert done.returncode != 0
    assert said in done.stderr


# --- noticed by the generator's own check, before a file is written


def changed(role: Role, id_: str, change: Callable[[Component], Component]) -> Role:
    """A role in which one component is another one."""

    def each(parts: tuple[Component, ...]) -> tuple[Component, ...]:
        return tuple(change(part) if part.id == id_ else part for part in parts)

    pipelines = tuple(
        dataclasses.replace(
            pipeline,
            receivers=each(pipeline.receivers),
            processors=each(pipeline.processors),
            exporters=each(pipeline.exporters),
        )
        for pipeline in role.pipelines
    )
    return dataclasses.replace(role, pipelines=pipelines, extensions=each(role.extensions))


@pytest.mark.parametrize(
    ("role", "component", "name"),
    [
        ("standalone", "otlp_http/prometheus", "otlphttp/prometheus"),
        ("standalone", "resource_detection", "resourcedetection"),
        ("gateway", "span_metrics", "spanmetrics"),
        ("agent", "load_balancing/traces", "loadbalancing/traces"),
        ("events", "zpages", "pages"),
        ("remote-write", "prometheus_remote_write", "prometheusremotewrite"),
    ],
)
def test_the_generator_refuses_a_component_that_is_called_otherwise(role: str, component: str, name: str) -> None:
    broken = changed(made(role), component, lambda part: dataclasses.replace(part, id=name))
    with pytest.raises(ConfigurationError, match=f"{name}: there is no such "):
        check(broken)


# --- noticed when it starts


def test_a_name_that_is_only_an_alias_is_complained_of_at_the_start(tmp_path: Path) -> None:
    old = renamed("events", "otlp_http/hub", "otlphttp/hub", tmp_path)
    assert otelcol("validate", old, tmp_path).returncode == 0, "it is still understood"
    with running(tmp_path / "run", config=old) as collector:
        found = complaints(collector.process.log.read_text())
    assert any("alias" in line for line in found)


@pytest.mark.parametrize(
    ("role", "before", "after", "said"),
    [
        (
            "events",
            "      storage: file_storage/hub",
            "      storage: file_storage/events",
            "no storage client extension",
        ),
        ("events", "authenticator: bearertokenauth/senders", "authenticator: bearertokenauth/all", "failed to resolve"),
    ],
)
def test_what_only_a_start_notices_fails_it(role: str, before: str, after: str, said: str, tmp_path: Path) -> None:
    broken = renamed(role, before, after, tmp_path)
    assert otelcol("validate", broken, tmp_path).returncode == 0
    with pytest.raises(ProcessError, match=said), running(tmp_path / "run", config=broken):
        pytest.fail("it started")


def test_a_policy_of_another_type_fails_the_start(tmp_path: Path) -> None:
    broken = renamed("gateway", "type: rate_limiting", "type: rate_limit", tmp_path)
    with (
        pytest.raises(ProcessError, match="unknown sampling policy type rate_limit"),
        running(tmp_path / "run", gateway, config=broken),
    ):
        pytest.fail("it started")


# --- noticed by who asks for a metric


def test_a_metric_that_is_called_otherwise_is_missed(tmp_path: Path) -> None:
    """As it would be by the Collector's own defaults."""
    other = renamed("events", "without_type_suffix: false", "without_type_suffix: true", tmp_path)
    other.write_text(other.read_text().replace("without_units: false", "without_units: true"))
    with running(tmp_path / "run", config=other) as collector:
        assert post(collector.settings.otlp_http_port, "logs", collector.headers) == 200
        said = own_metrics(collector)
        collector.process.kill()
    assert "otelcol_receiver_accepted_log_records" in said
    missed = pinned(["logs"]) - said.keys()
    assert {"otelcol_receiver_accepted_log_records_total", "otelcol_process_memory_rss_bytes"} <= missed
