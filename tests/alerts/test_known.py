"""What may be in Prometheus: as whoever sends it names it."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from alerts.known import known
from otel_setup.catalogue import build
from otel_setup.hub.metrics import DISCONNECTED, FAMILIES, PRODUCERS, REFUSED, Family, Values, exposition
from settings import Settings, parse

PROMOTED = {
    "service_name",
    "service_namespace",
    "service_instance_id",
    "service_version",
    "deployment_environment_name",
}
EVERY = known(Settings(), build())


def test_what_a_server_sends_has_its_own_labels_and_those_that_prometheus_adds() -> None:
    actions = EVERY["liap_tui_actions_total"]
    (labels,) = actions.variants
    assert set(labels) == {"job", "instance", "action_type", "outcome", "actor"} | PROMOTED
    assert labels["outcome"] == frozenset({"accepted", "rejected", "invalid", "failed", "cancelled", "other"})
    assert labels["instance"] is None
    assert (actions.counts, actions.low) == (True, 0)
    assert not EVERY["liap_tui_games_active"].counts


def test_promoted_attributes_are_those_of_the_settings() -> None:
    settings = parse({"prometheus": {"promoted_attributes": ["host.name"]}})
    (labels,) = known(settings, build())["liap_tui_games_active"].variants
    assert set(labels) == {"job", "instance", "host_name"}


def test_a_histogram_is_three_series_and_only_its_buckets_have_bounds() -> None:
    name = "asyncio_event_loop_lag_seconds"
    assert f"{name}_count" in EVERY
    assert f"{name}_sum" in EVERY
    assert name not in EVERY
    (labels,) = EVERY[f"{name}_bucket"].variants
    assert labels["le"] is not None
    assert {"0.001", "0.25", "1", "1.0", "5", "5.0", "+Inf"} <= labels["le"]
    assert not {"0.0010", "+inf", "6", ""} & labels["le"]
    assert "le" not in EVERY[f"{name}_count"].variants[0]


def test_what_the_hub_says_is_known_by_the_names_of_its_page() -> None:
    values: dict[Family, Values] = {family: {"a": 1.0} if family.label else 1.0 for family in FAMILIES}
    page = exposition(lambda: values).decode()
    said = {sample.name: sample for family in text_string_to_metric_families(page) for sample in family.samples}
    ours = {name: series for name, series in EVERY.items() if name.startswith("otel_setup_hub_")}
    assert said.keys() == ours.keys()
    for name, sample in said.items():
        assert set(ours[name].variants[0]) == {"job", "instance", *sample.labels}
    for family in (REFUSED, DISCONNECTED):
        assert ours[f"{family.name}_total"].variants[0][family.label]
    assert ours[PRODUCERS.name].variants[0][PRODUCERS.label] is None


def test_the_collectors_own_metrics_are_scraped_and_have_no_label_of_a_server() -> None:
    (labels,) = EVERY["otelcol_exporter_queue_size"].variants
    assert labels == {"job": {"otelcol"}, "instance": None, "exporter": None, "data_type": None}
    assert EVERY["otelcol_receiver_refused_spans_total"].counts


def test_only_what_is_scraped_is_up() -> None:
    assert EVERY["up"].variants[0]["job"] == frozenset({"otelcol", "hub"})
    without = known(parse({"hub": {"enabled": False}}), build())
    assert without["up"].variants[0]["job"] == frozenset({"otelcol"})
    assert not [name for name in without if name.startswith("otel_setup_hub_")]


def test_prometheus_tells_of_its_alerts() -> None:
    """Its manual: https://prometheus.io/docs/prometheus/latest/configuration/alerting_rules/."""
    (labels,) = EVERY["ALERTS"].variants
    assert labels["alertstate"] == frozenset({"pending", "firing"})
    assert labels["severity"] == frozenset({"critical", "warning", "none"})


def test_the_canary_is_known_whatever_the_game() -> None:
    (labels,) = known(Settings(), build(prefix="chess"))["canary_attempts_total"].variants
    assert labels["outcome"] == frozenset({"ok", "refused", "lost", "timeout", "other"})
