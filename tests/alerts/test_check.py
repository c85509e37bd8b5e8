"""The checks of rules: each finds the fault it is for, leaves alone what is nearly so, and is right about our rules."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from alerts.__main__ import main
from alerts.check import CHECKS, check, findings
from alerts.groups import groups
from alerts.known import known
from alerts.parts import Alert, Recording, Severity
from examples.arena.model import ARENA
from examples.arena.model import CATALOGUE as ARENA_CATALOGUE
from otel_setup.catalogue import Catalogue, build
from otel_setup.catalogue.build import BuiltMetric
from settings import Settings, parse
from tests.alerts.rule_faults import ALERT, ALL, CHECKS_OF_TEXT, FAILED, FAULTS, GAMES, Fault, alerting, said_of

RATIO = Recording("job:failed:ratio_rate5m", f"{FAILED} / ({ALL} > 0)")


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.wrong)
def test_a_fault_is_found_by_its_check_and_what_is_nearly_so_is_not(fault: Fault) -> None:
    found = said_of(alerting(fault.wrong))
    assert found
    for said in found:
        assert fault.said in said, "one fault is told as one"
        assert re.fullmatch(r"Example: .+; .+", said), "it says where it is and what to do"
    assert said_of(alerting(fault.right)) == []


def test_every_check_has_a_fault_here() -> None:
    assert {fault.check for fault in FAULTS} | set(CHECKS_OF_TEXT) == set(CHECKS)


def test_what_cannot_be_read_is_told_with_everything_else() -> None:
    said = said_of(alerting("up >"), alerting("up > 1"))
    assert said[0].startswith("Example: an expression cannot be read: invalid promql query")
    assert "never so" in said[1]


@pytest.mark.parametrize(
    ("alert", "what"),
    [
        (replace(ALERT, hold_seconds=0), "fires at once and does not say why"),
        (replace(ALERT, severity=Severity.NONE), "no severity"),
        (replace(ALERT, summary=" "), "no summary"),
        (replace(ALERT, description=""), "no description"),
        (replace(ALERT, description="{{ $labels.instance }}"), "description uses label instance"),
        (replace(ALERT, summary='{{ index $labels "instance" }}.'), "summary uses label instance"),
        (replace(ALERT, labels={"where": "{{ $labels.instance }}"}), "where uses label instance"),
        (replace(ALERT, labels={"number": "{{ $value }}"}), "label number has the value in it"),
        (replace(ALERT, labels={"job": "all"}), "its label job takes the place"),
        (replace(ALERT, expr=f"{GAMES} > 1 or absent(up)"), "description uses label job"),
        (replace(ALERT, description="{{ with query `sum(game)` }}{{ end }}"), "there is no metric game"),
        (replace(ALERT, description="{{ with query `sum(` }}{{ end }}"), "cannot be read"),
    ],
)
def test_alerts_are_complete_and_their_messages_say_what_there_is(alert: Alert, what: str) -> None:
    (said,) = said_of(alert)
    assert what in said


@pytest.mark.parametrize(
    "alert",
    [
        ALERT,
        replace(ALERT, hold_seconds=0, why="One is enough."),
        replace(ALERT, expr="vector(1)", description="Always.", hold_seconds=0, severity=Severity.NONE),
        replace(ALERT, description="{{ $labels.where }} {{ $labels.severity }}", labels={"where": "{{ $labels.job }}"}),
        replace(ALERT, description="No action: $labels.instance"),
        replace(ALERT, description="{{ with query `sum(liap_tui_games_active)` }}{{ . | first | value }}{{ end }}"),
        replace(ALERT, expr=f'{GAMES} > 1 or absent(up{{job="hub"}})'),
    ],
)
def test_what_is_complete_is_left_alone(alert: Alert) -> None:
    assert said_of(alert) == []


def test_no_rule_is_there_twice() -> None:
    same = replace(ALERT, expr=f"{GAMES} > 2")
    assert "it is there twice with the same labels" in "".join(said_of(ALERT, same))
    assert "it says what Example says" in "".join(said_of(ALERT, replace(ALERT, name="Other")))
    assert said_of(ALERT, replace(same, severity=Severity.CRITICAL)) == []
    assert said_of(ALERT, replace(same, labels={"long": "1h"})) == []
    recorded = Recording("job:games:sum", GAMES)
    assert "twice" in "".join(said_of(recorded, replace(recorded, expr=f"{GAMES} + 1")))
    assert said_of(recorded, replace(recorded, labels={"kind": "second"})) == []


def test_what_is_recorded_is_known_with_its_labels_and_values() -> None:
    assert said_of(RATIO, alerting("job:failed:ratio_rate5m > 0.5")) == []
    assert "no metric job:failed:ratio_rate5m" in "".join(said_of(alerting("job:failed:ratio_rate5m > 0.5")))
    assert "never so" in "".join(said_of(RATIO, alerting("job:failed:ratio_rate5m > 1")))
    assert "has no label instance" in "".join(said_of(RATIO, alerting('job:failed:ratio_rate5m{instance="a"} > 0.5')))
    assert "is no counter" in "".join(said_of(RATIO, alerting("rate(job:failed:ratio_rate5m[5m]) > 0.5")))


def test_what_is_recorded_from_nothing_is_told_once_where_it_begins() -> None:
    typo = Recording("job:games:sum", "sum by (job) (liap_tui_games_activ)")
    twice = Recording("job:games:double", "2 * job:games:sum")
    (said,) = said_of(typo, twice, alerting("job:games:double > 1"))
    assert said.startswith("job:games:sum: there is no metric liap_tui_games_activ;")


def by_type(part: str) -> str:
    """Actions of each kind, of a histogram's part."""
    return f"sum by (job, action_type) (rate(liap_tui_action_duration_seconds_{part}[5m]))"


def test_recordings_of_one_name_are_told_apart_by_their_labels() -> None:
    """As objectives are: one has a label more, and the whole of each is found by its own label."""
    rules = (
        Recording("slo:bad", FAILED, {"slo": "a"}),
        Recording("slo:all", ALL, {"slo": "a"}),
        Recording("slo:bad", f"{by_type('count')} - {by_type('bucket')}", {"slo": "b"}),
        Recording("slo:all", by_type("count"), {"slo": "b"}),
        Recording("slo:budget", "vector(0.01)", {"slo": "a"}),
        Recording("slo:budget", "vector(0.02)", {"slo": "b"}),
        Recording("slo:ratio", "sum_over_time(slo:bad[1h]) / (sum_over_time(slo:all[1h]) > 0)"),
        Recording("slo:burn", "slo:ratio / on(slo) group_left slo:budget"),
    )
    assert said_of(*rules, alerting('slo:burn{slo="a"} > 14.4')) == []
    assert said_of(*rules, alerting('slo:ratio{slo="a"} > 0.99')) == []
    assert "never so" in "".join(said_of(*rules, alerting('slo:ratio{slo="a"} > 1')))
    assert "slo of slo:ratio is never 'c'" in "".join(said_of(*rules, alerting('slo:ratio{slo="c"} > 1')))
    unmatched = said_of(*rules, alerting('slo:ratio{slo="a"} > 0.5 and slo:budget{slo="a"}'))
    assert "different labels: (job, slo) and (slo)" in "".join(unmatched)
    beside = alerting('slo:ratio{slo="a"} > 0.5 and slo:all > 1')
    assert said_of(*rules, beside) == []
    assert "uses label action_type" in "".join(said_of(*rules, replace(beside, summary="{{ $labels.action_type }}")))
    many = said_of(*rules, Recording("slo:twice", "slo:ratio / on(job) slo:ratio"))
    assert "many series on the left" in "".join(many)
    many = said_of(*rules, Recording("slo:other", "up / on() group_left() slo:budget"))
    assert "many series on the right" in "".join(many), "there is a budget of each objective"
    of_types = alerting('slo:ratio{slo="b"} > 0.5')
    assert said_of(*rules, replace(of_types, description="{{ $labels.action_type }}")) == []
    all_of_them = replace(of_types, expr="slo:ratio > 0.5", description="{{ $labels.action_type }}")
    assert "which its expression does not always have" in "".join(said_of(*rules, all_of_them))


def test_values_of_a_new_label_are_those_that_it_was_made_of() -> None:
    states = "sum by (job, state) (liap_tui_state_active_games)"
    copied = Recording("job_phase:games:sum", f'label_replace({states}, "phase", "$1", "state", "(.+)")')
    assert said_of(copied, alerting('job_phase:games:sum{phase="scoring"} > 1')) == []
    assert "phase of job_phase:games:sum is never 'score'" in "".join(
        said_of(copied, alerting('job_phase:games:sum{phase="score"} > 1'))
    )
    fixed = Recording("job:up:min", 'label_replace(min by (job) (up), "kind", "scraped", "", "")')
    assert said_of(fixed, alerting('job:up:min{kind="scraped"} < 1')) == []
    assert "never 'pushed'" in "".join(said_of(fixed, alerting('job:up:min{kind="pushed"} < 1')))
    some = Recording("job:up:max", 'label_replace(max by (job) (up), "job", "games", "job", "hub")')
    assert said_of(some, alerting('job:up:max{job=~"games|otelcol"} < 1')) == []
    made = Recording("job:up:sum", 'label_replace(sum by (job) (up), "job", "$1-1", "job", "(.*)")')
    assert said_of(made, alerting('job:up:sum{job="hub-1"} < 1')) == []


def test_values_are_those_that_both_sides_of_an_operation_have() -> None:
    each = Recording("job:games:ratio", f"{GAMES} / (sum by (job) (up) > 0)")
    assert said_of(each, alerting('job:games:ratio{job="hub"} > 1')) == []
    assert "never 'games'" in "".join(said_of(each, alerting('job:games:ratio{job="games"} > 1')))
    turned = Recording("job:games:ratio", f"sum by (job) (up) / ({GAMES} > 0)")
    assert "never 'games'" in "".join(said_of(turned, alerting('job:games:ratio{job="games"} > 1')))
    apart = Recording("job:up:ratio", 'sum by (job) (up{job="hub"}) / (sum by (job) (up) > 0)')
    assert said_of(apart, alerting('job:up:ratio{job="hub"} < 1')) == []
    assert "never 'otelcol'" in "".join(said_of(apart, alerting('job:up:ratio{job="otelcol"} < 1')))


def test_a_counter_under_another_name_is_still_a_counter() -> None:
    alias = Recording("liap_tui_state_errors", "liap_tui_state_errors_total")
    assert said_of(alias, alerting("rate(liap_tui_state_errors[5m]) > 1")) == []
    assert "only rises" in "".join(said_of(alias, alerting("liap_tui_state_errors > 1")))
    summed = Recording("job:state_errors:sum", "sum by (job) (liap_tui_state_errors_total)")
    assert "only rises" in "".join(said_of(summed)), "a sum falls where one of several counters begins anew"


def test_a_recording_takes_no_other_name_and_does_not_come_from_itself() -> None:
    assert "a metric of this name already" in "".join(said_of(Recording("up", "vector(1)")))
    circle = (Recording("a:b:c", "d:e:f"), Recording("d:e:f", "a:b:c + 1"))
    assert [said.partition(":")[0] for said in said_of(*circle)] == ["a", "d"]
    assert all("recorded from itself" in said for said in said_of(*circle))


@pytest.mark.parametrize("catalogue", [build(), build(prefix="chess"), build(ARENA), ARENA_CATALOGUE])
def test_our_rules_have_no_fault(catalogue: Catalogue) -> None:
    assert check(Settings(), catalogue) == []


def test_our_rules_have_no_fault_without_a_hub() -> None:
    assert check(parse({"hub": {"enabled": False}}), build()) == []


@pytest.mark.parametrize(
    ("settings", "rule", "what"),
    [
        ({"bots_percent": 100}, "BotsOnly", "is never so"),
        ({"queue_percent": 100}, "CollectorQueueFilling", "is never so"),
        ({"abandoned_percent": 100}, "GamesAbandoned", "is never so"),
        ({"loop_lag_seconds": 5}, "EventLoopLagging", "is between 0 and 5"),
        ({"time_scale": 0.1}, 'slo:errors:rate5m{slo="action_success"}', "make it 40s or more"),
    ],
)
def test_thresholds_that_make_a_rule_useless_are_found(settings: dict[str, float], rule: str, what: str) -> None:
    found = [finding for finding in check(parse({"alerts": settings}), build()) if finding.rule == rule]
    assert any(what in str(finding) for finding in found), found


def changed(name: str, **changes: object) -> Catalogue:
    """The catalogue with another form of one metric."""
    catalogue = build()
    assert [metric for metric in catalogue.metrics if metric.prometheus == name]
    return replace(
        catalogue,
        metrics=tuple(_other(metric, changes) if metric.prometheus == name else metric for metric in catalogue.metrics),
    )


def _other(metric: BuiltMetric, changes: dict[str, object]) -> BuiltMetric:
    if buckets := changes.get("buckets"):
        return replace(metric, declared=replace(metric.declared, buckets=buckets))  # type: ignore[arg-type]
    return replace(metric, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("catalogue", "rule", "what"),
    [
        (
            changed("liap_tui_games_abandoned_total", prometheus="liap_tui_games_left_total"),
            "GamesAbandoned",
            "there is no metric liap_tui_games_abandoned_total",
        ),
        (
            changed("liap_tui_seats_total", labels={"type": ("human",)}),
            "BotsOnly",
            "type of liap_tui_seats_total is never 'bot'; there is human, other",
        ),
        (
            changed("liap_tui_state_illegal_transitions_total", labels={"from": ("turn",)}),
            "IllegalTransitions",
            "increase(liap_tui_state_illegal_transitions_total[10m]) has no label to",
        ),
        (
            changed("liap_tui_action_duration_seconds", buckets=(0.1, 15.0)),
            'slo:errors:rate5m{slo="action_latency"}',
            "le of liap_tui_action_duration_seconds_bucket is never '0.25'",
        ),
    ],
    ids=["a metric", "a value", "a label", "a bound"],
)
def test_rules_are_held_against_the_catalogue(catalogue: Catalogue, rule: str, what: str) -> None:
    """Rules as of before, in a catalogue where something was renamed or taken out since."""
    found = findings(groups(Settings(), build()), Settings(), known(Settings(), catalogue))
    assert [finding for finding in found if finding.rule == rule and what in str(finding)], found


def test_the_command_prints_all_faults_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check"]) == 0
    assert main(["check", "--model", "examples.arena.model:CATALOGUE"]) == 0
    assert capsys.readouterr().out == ""
    settings = tmp_path / "settings.yaml"
    settings.write_text("alerts: {bots_percent: 100, loop_lag_seconds: 5}\n", encoding="utf-8")
    assert main(["check", "--prefix", "chess", "--settings", str(settings)]) == 1
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("BotsOnly: ")
    assert "chess_seats_total" in first
    assert second.startswith("EventLoopLagging: ")
