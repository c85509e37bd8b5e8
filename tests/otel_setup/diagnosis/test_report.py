"""``report`` says where each value comes from, and what is set without effect."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from otel_setup.cli import report
from otel_setup.config import OPTIONS


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith(("OTEL_", "MONITORING_", "METRIC", "EVENT_STREAM_")):
            monkeypatch.delenv(name)


def reported(capsys: pytest.CaptureFixture[str]) -> tuple[dict[str, Any], dict[str, str]]:
    assert report.main(["--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    unused = {entry["variable"]: entry["why"] for entry in document["unused"]}
    return {entry["option"]: entry for entry in document["options"]}, unused


def test_every_option_is_there_with_value_source_and_meaning(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "mygame")
    options, unused = reported(capsys)
    assert set(options) == {option.name for option in OPTIONS}
    assert (options["service"]["value"], options["service"]["source"]) == ("mygame", "environment OTEL_SERVICE_NAME")
    assert (options["compression"]["value"], options["compression"]["source"]) == ("none", "default")
    assert all(entry["meaning"] for entry in options.values())
    assert unused == {}


def test_what_one_signal_has_of_its_own_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://elsewhere.example:4318/v1/traces")
    options, _ = reported(capsys)
    assert options["traces.collector"]["source"] == "environment OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"


def test_secrets_are_masked(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20hush")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_LOGS_HEADERS", "authorization=hush-too")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PASSWORD", "hush-unused")
    for form in ("json", "table"):
        assert report.main(["--format", form]) == 0
        said = capsys.readouterr().out
        assert "authorization=***" in said
        assert "hush" not in said


def test_what_is_set_without_effect_is_told_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "3000")
    monkeypatch.setenv("METRICS_COLLECTION_INTERVAL", "5")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPIONT", "http://collector.example")
    monkeypatch.setenv("METRIC_RETENTION_HOURS", "3")
    monkeypatch.setenv("OTEL_BSP_EXPORT_TIMEOUT", "3")
    monkeypatch.setenv("MONITORING_SERVICE_NAME", " ")
    _, unused = reported(capsys)
    assert set(unused) == {
        "METRICS_COLLECTION_INTERVAL",
        "METRIC_RETENTION_HOURS",
        "OTEL_BSP_EXPORT_TIMEOUT",
        "OTEL_EXPORTER_OTLP_ENDPIONT",
    }
    assert "OTEL_METRIC_EXPORT_INTERVAL" in unused["METRICS_COLLECTION_INTERVAL"]
    assert "METRICS_RETENTION_HOURS meant" in unused["METRIC_RETENTION_HOURS"]
    assert "OTEL_EXPORTER_OTLP_ENDPOINT meant" in unused["OTEL_EXPORTER_OTLP_ENDPIONT"]


@pytest.mark.parametrize("form", ["json", "table"])
def test_a_wrong_configuration_is_told_whole(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://user:hush@collector.example")
    monkeypatch.setenv("OTEL_BLRP_MAX_QUEUE_SIZE", "many")
    assert report.main(["--format", form]) == 2
    said = capsys.readouterr().out
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" in said
    assert "OTEL_BLRP_MAX_QUEUE_SIZE" in said
    assert "hush" not in said


def test_the_table_fits_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "x" * 200 + "\x1b[2J\n")
    monkeypatch.setenv("OTEL_BSP_EXPORT_TIMEOUT", "3")
    assert report.main([]) == 0
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= 80
    assert "\x1b" not in said
    assert said.index("OTEL_SERVICE_NAME") < said.index("by default") < said.index("OTEL_BSP_EXPORT_TIMEOUT")
