"""What ``configure()`` accepts, where values come from, and how it says what is wrong."""

from __future__ import annotations

import pytest

from otel_setup import Metric
from otel_setup.catalogue import Kind
from otel_setup.config import OPTIONS, ConfigError, Options, Settings, report, resolve
from otel_setup.ledger import Bounds


def problems(options: dict[str, object], environ: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        resolve(options, environ=environ or {})  # type: ignore[arg-type]
    return list(raised.value.problems)


def test_nothing_given_is_a_valid_configuration() -> None:
    settings = resolve({}, environ={}).settings
    assert settings.service == "liap-tui"
    assert settings.collector == "http://localhost:4318"
    assert (settings.history_size, settings.max_subscribers, settings.retention_hours) == (10_000, 100, 24)


def test_keyword_wins_over_config_over_environment_over_default() -> None:
    environ = {
        "OTEL_SERVICE_NAME": "from-environment",
        "EVENT_STREAM_HISTORY_SIZE": "5",
        "METRICS_RETENTION_HOURS": "7",
    }
    resolved = resolve({"service": "from-keyword"}, {"service": "from-config", "history_size": 6}, environ)
    settings, sources = resolved.settings, resolved.sources
    assert (settings.service, sources["service"]) == ("from-keyword", "keyword")
    assert (settings.history_size, sources["history_size"]) == (6, "config")
    assert (settings.retention_hours, sources["retention_hours"]) == (7, "environment METRICS_RETENTION_HOURS")
    assert sources["max_subscribers"] == "default"


def test_none_means_not_given() -> None:
    assert resolve({"service": None}, environ={"MONITORING_SERVICE_NAME": "seed"}).settings.service == "seed"


def test_opentelemetry_variables_win_over_the_products_own() -> None:
    environ = {"OTEL_SERVICE_NAME": "otel", "MONITORING_SERVICE_NAME": "seed", "OTEL_METRIC_EXPORT_INTERVAL": "1500"}
    environ["METRICS_COLLECTION_INTERVAL"] = "30"
    settings = resolve({}, environ=environ).settings
    assert (settings.service, settings.metric_interval) == ("otel", 1.5)


@pytest.mark.parametrize(
    ("name", "text", "option", "value"),
    [
        ("MONITORING_SERVICE_NAME", "liap", "service", "liap"),
        ("MONITORING_ENABLE_TRACING", "false", "traces", ()),
        ("MONITORING_ENABLE_CONSOLE_EXPORT", "true", "console", True),
        ("EVENT_STREAM_HISTORY_SIZE", "123", "history_size", 123),
        ("EVENT_STREAM_MAX_SUBSCRIBERS", "4", "max_subscribers", 4),
        ("METRICS_RETENTION_HOURS", "48", "retention_hours", 48),
        ("METRICS_COLLECTION_INTERVAL", "30", "metric_interval", 30.0),
    ],
)
def test_every_variable_of_the_first_document_takes_effect(name: str, text: str, option: str, value: object) -> None:
    resolved = resolve({}, environ={name: text})
    assert getattr(resolved.settings, option) == value
    assert resolved.sources[option] == f"environment {name}"


def test_an_empty_variable_is_not_given() -> None:
    assert resolve({}, environ={"OTEL_SERVICE_NAME": " "}).settings.service == "liap-tui"


def test_every_problem_is_in_one_error_with_value_source_and_expectation() -> None:
    found = problems(
        {"collector": "localhost:4318", "metric_interval": -1, "nonsense": 1},
        {"OTEL_SDK_DISABLED": "maybe", "METRICS_RETENTION_HOURS": "a day"},
    )
    text = "\n".join(found)
    assert len(found) == 5
    assert "keyword collector is 'localhost:4318'; expected a URL with its scheme" in text
    assert "keyword metric_interval is -1; expected a number above 0" in text
    assert "keyword nonsense: there is no such option" in text
    assert "environment OTEL_SDK_DISABLED is 'maybe'; expected true or false" in text
    assert "environment METRICS_RETENTION_HOURS is 'a day'; expected a number" in text


def test_the_grpc_port_is_told_apart() -> None:
    [said] = problems({"collector": "http://collector:4317"})
    assert "the port of http://collector:4317 is OTLP's for grpc, and the protocol is http/protobuf" in said
    [said] = problems({"collector": "http://collector:4318", "protocol": "grpc"})
    assert "the port of http://collector:4318 is OTLP's for http/protobuf, and the protocol is grpc" in said


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 0, "10", True])
def test_an_interval_must_be_a_number_above_zero(value: object) -> None:
    assert "expected a number above 0" in problems({"metric_interval": value})[0]


def test_an_unsound_business_metric_is_refused() -> None:
    unsound = Metric(name="Shots", kind=Kind.COUNTER, unit="1", description="", moves="")
    found = problems({"business_metrics": [unsound]})
    assert len(found) == 2
    assert all("the catalogue of liap_tui: metric 'Shots'" in problem for problem in found)


def test_secrets_are_masked_in_reports_and_errors() -> None:
    text = report(resolve({}, environ={"OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20sesame"}))
    assert "authorization=***" in text
    assert "sesame" not in text
    found = problems({"headers": "authorization=sesame"})
    assert "sesame" not in found[0]


def test_the_report_has_every_option_with_its_source() -> None:
    lines = report(resolve({"service": "x"}, environ={})).splitlines()
    assert [line.split()[0] for line in lines] == [option.name for option in OPTIONS]
    assert lines[0].split()[:3] == ["service", "x", "keyword"]


def test_options_and_settings_name_the_same_things() -> None:
    names = [option.name for option in OPTIONS]
    assert [*names, "destinations"] == list(Settings.__dataclass_fields__)
    assert names == list(Options.__annotations__)


def test_resource_attributes_of_the_environment_name_the_service() -> None:
    environ = {"OTEL_RESOURCE_ATTRIBUTES": "service.name=from-resource,region=north%20sea"}
    settings = resolve({}, environ=environ).settings
    assert settings.service == "from-resource"
    assert settings.resource["region"] == "north sea"


def test_retention_reaches_the_ledger() -> None:
    assert resolve({"retention_hours": 3, "bounds": Bounds(max_players=5)}, environ={}).settings.bounds == Bounds(
        max_players=5, retention_hours=3
    )
