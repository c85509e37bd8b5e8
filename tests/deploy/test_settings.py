"""The settings file: what overrides, what is refused and how clearly, what follows from the one export interval."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.__main__ import main
from settings import Settings, SettingsError, load, parse


def problems(tree: object) -> list[str]:
    """What is wrong with a tree of settings."""
    with pytest.raises(SettingsError) as caught:
        parse(tree)
    return caught.value.problems


def test_without_a_file_the_documented_defaults_hold() -> None:
    settings = load()
    assert settings.metrics.export_interval_seconds == 10
    assert (settings.events.batch_milliseconds, settings.events.batch_records) == (100, 128)
    # The ports that the OpenTelemetry specification and the Collector's documentation give.
    assert (settings.collector.otlp_grpc_port, settings.collector.otlp_http_port) == (4317, 4318)
    assert (settings.collector.health_port, settings.collector.telemetry_port) == (13133, 8888)
    assert settings.kafka.port == 9092


def test_a_file_overrides_what_it_names_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("prometheus:\n  retention_days: 90\n  promoted_attributes: [service.name, host.name]\n")
    settings = load(file)
    assert settings.prometheus.retention_days == 90
    assert settings.prometheus.promoted_attributes == ("service.name", "host.name")
    assert settings.prometheus.port == Settings().prometheus.port
    assert settings.collector == Settings().collector


def test_an_empty_file_means_the_defaults(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("# nothing yet\n")
    assert load(file) == Settings()


def test_an_unknown_key_is_named_together_with_the_allowed_ones() -> None:
    (problem,) = problems({"collector": {"otlp_htp_port": 4318}})
    assert problem.startswith("collector.otlp_htp_port: unknown key; allowed here: ")
    assert "otlp_http_port" in problem


def test_an_unknown_section_is_named_together_with_the_allowed_ones() -> None:
    (problem,) = problems({"colector": {}})
    assert problem.startswith("colector: unknown key; allowed here: metrics, events, ")
    assert ", collector, prometheus, " in problem


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        (
            {"collector": {"health_port": 70000}},
            "collector.health_port: expected a whole number of at least 1 and at",
        ),
        ({"collector": {"health_port": 0}}, "collector.health_port: expected a whole number of at least 1"),
        ({"collector": {"health_port": "8080"}}, "collector.health_port: expected a whole number"),
        ({"collector": {"health_port": True}}, "collector.health_port: expected a whole number"),
        ({"collector": {"health_port": 80.5}}, "collector.health_port: expected a whole number"),
        ({"collector": {"metrics_file": "yes please"}}, "collector.metrics_file: expected true or false"),
        ({"metrics": {"export_interval_seconds": 0}}, "metrics.export_interval_seconds: expected a number of at least"),
        ({"metrics": {"export_interval_seconds": float("nan")}}, "metrics.export_interval_seconds: expected a number"),
        ({"metrics": {"export_interval_seconds": float("inf")}}, "metrics.export_interval_seconds: expected a number"),
        ({"prometheus": {"promoted_attributes": "service.name"}}, "prometheus.promoted_attributes: expected a list"),
        ({"prometheus": {"promoted_attributes": [1]}}, "prometheus.promoted_attributes: expected a list"),
        ({"kafka": {"topic": "two words"}}, "kafka.topic: expected a word"),
        ({"kafka": {"topic": ""}}, "kafka.topic: expected a word"),
        ({"kafka": {"topic": "..\n"}}, "kafka.topic: expected a word"),
        ({"kafka": {"topic": 7}}, "kafka.topic: expected a word"),
        ({"kafka": {"partitions": 0}}, "kafka.partitions: expected a whole number of at least 1 and at most 1000"),
        ({"hub": {"enabled": 1}}, "hub.enabled: expected true or false"),
        ({"prometheus": None}, "prometheus: expected a mapping"),
        ([], "the file: expected a mapping"),
    ],
)
def test_a_wrong_value_is_refused_with_its_key(tree: object, expected: str) -> None:
    (problem,) = problems(tree)
    assert problem.startswith(expected)


def test_every_problem_is_told_at_once() -> None:
    found = problems({"collector": {"health_port": -1, "healthy_port": 1}, "metrics": {"interval": 5}})
    assert [problem.split(":")[0] for problem in found] == [
        "collector.health_port",
        "collector.healthy_port",
        "metrics.interval",
    ]


@pytest.mark.parametrize(
    ("content", "expected"),
    [(b"a: [1", "is not YAML"), (b"\xff\xfe\x00", "is not YAML"), (None, "cannot be read: No such file")],
)
def test_an_unreadable_file_is_a_clear_error(tmp_path: Path, content: bytes | None, expected: str) -> None:
    file = tmp_path / "settings.yaml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SettingsError, match=expected) as caught:
        load(file)
    assert str(file) in str(caught.value)


def test_the_command_line_shows_the_problem_without_a_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("metrics: {export_intervall_seconds: 5}\n")
    assert main(["build", "--settings", str(file), "--out", str(tmp_path / "out")]) == 2
    assert "metrics.export_intervall_seconds: unknown key" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_everything_timed_follows_the_export_interval() -> None:
    settings = parse({"metrics": {"export_interval_seconds": 5}})
    assert settings.scrape_interval_seconds == 5
    assert settings.current_seconds == 15
    assert settings.metric_batch_seconds < 5
    assert settings.server_environment()["OTEL_METRIC_EXPORT_INTERVAL"] == "5000"
