"""Rules with one fault each, and what is nearly the same and right: names are typed by hand, as in Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from alerts.check import findings
from alerts.checks import conditions, messages, selectors
from alerts.checks.scope import Finding
from alerts.known import known
from alerts.parts import Alert, Group, Recording, Severity
from otel_setup.catalogue import build
from otel_setup.catalogue.dashboards import Panels
from settings import Settings

SETTINGS = Settings()
SERIES = known(SETTINGS, build())

FAILED = 'sum by (job) (rate(liap_tui_actions_total{outcome="failed"}[5m]))'
ALL = "sum by (job) (rate(liap_tui_actions_total[5m]))"
GAMES, ROOMS = "sum by (job) (liap_tui_games_active)", "sum by (job) (liap_tui_rooms_active)"
LAG = "rate(asyncio_event_loop_lag_seconds_bucket[5m])"


def within(le: str) -> str:
    """Actions within a bound, as a matcher of buckets."""
    return f"sum(rate(liap_tui_action_duration_seconds_bucket{{{le}}}[5m])) > 1"


@dataclass(frozen=True)
class Fault:
    """An alert's expression with a fault, what must be said of it, and one that has none."""

    check: Callable[..., Iterable[Finding]]
    wrong: str
    said: str
    right: str


FAULTS = (
    Fault(selectors.exist, "liap_tui_games_activ > 1", "no metric liap_tui_games_activ", "liap_tui_games_active > 1"),
    Fault(
        selectors.exist,
        "up == 0 and on(job) liap_tui_games_activ",
        "no metric liap_tui_games_activ",
        "up == 0 and on(job) liap_tui_games_active",
    ),
    Fault(selectors.exist, '{job="games/liap_tui"} > 1', "names no metric", 'up{job="hub"} < 1'),
    Fault(
        selectors.exist,
        'liap_tui_games_active{state="scoring"} > 1',
        "liap_tui_games_active has no label state",
        'liap_tui_state_active_games{state="scoring"} > 1',
    ),
    Fault(
        selectors.exist,
        'sum(rate(liap_tui_actions_total{outcome="explosion"}[5m])) > 1',
        "outcome of liap_tui_actions_total is never 'explosion'",
        'sum(rate(liap_tui_actions_total{outcome="other"}[5m])) > 1',
    ),
    Fault(
        selectors.exist,
        'sum(rate(liap_tui_actions_total{outcome=~"failed|explosion"}[5m])) > 1',
        "never 'explosion'",
        'sum(rate(liap_tui_actions_total{outcome=~"failed|cancelled"}[5m])) > 1',
    ),
    Fault(
        selectors.exist,
        'sum(rate(liap_tui_actions_total{outcome!="rejectd"}[5m])) > 1',
        "never 'rejectd'; there is rejected",
        'sum(rate(liap_tui_actions_total{outcome!="rejected"}[5m])) > 1',
    ),
    Fault(
        selectors.exist,
        'sum(rate(liap_tui_actions_total{outcome=~"fax.*"}[5m])) > 1',
        "no outcome of liap_tui_actions_total is like 'fax.*'",
        'sum(rate(liap_tui_actions_total{outcome=~"fai.*"}[5m])) > 1',
    ),
    Fault(
        selectors.exist,
        'liap_tui_state_active_games{state="scoring",state!~"scor.*"} > 1',
        "no series has all that",
        'liap_tui_state_active_games{state="scoring",state!~"turn.*"} > 1',
    ),
    Fault(selectors.exist, within('le="0.3"'), "never '0.3'", within('le="0.25"')),
    Fault(selectors.exist, 'up{job="games"} == 0', "job of up is never 'games'", 'up{job="otelcol"} == 0'),
    Fault(
        selectors.exist,
        'increase(otel_setup_hub_refused_requests_total{reason="mood"}[5m]) > 1',
        "never 'mood'",
        'increase(otel_setup_hub_refused_requests_total{reason="token"}[5m]) > 1',
    ),
    Fault(
        selectors.bounds_by_both_ways,
        within('le="15"'),
        'le="15" is the bucket by OTLP or by a scraped page',
        within('le=~"15|15\\\\.0"'),
    ),
    Fault(
        selectors.labels_exist,
        "sum by (phase) (liap_tui_state_active_games) > 1",
        "liap_tui_state_active_games has no label phase",
        "sum by (state) (liap_tui_state_active_games) > 1",
    ),
    Fault(
        selectors.labels_exist,
        f"{GAMES} > 1 and on(instance) {ROOMS}",
        "has no label instance for",
        f"{GAMES} > 1 and on(job) {ROOMS}",
    ),
    Fault(
        selectors.labels_exist,
        "up * on(job, instance) group_left(version) target_info == 0",
        "target_info has no label version",
        "up * on(job, instance) group_left() target_info == 0",
    ),
    Fault(
        selectors.labels_exist,
        'label_replace(up, "where", "$1", "host", "(.+)") == 0',
        "up has no label host",
        'label_replace(up, "where", "$1", "instance", "(.+)") == 0',
    ),
    Fault(
        selectors.labels_exist,
        f"histogram_quantile(0.99, sum by (job) ({LAG})) > 1",
        "has no label le",
        f"histogram_quantile(0.99, sum by (job, le) ({LAG})) > 1",
    ),
    Fault(
        selectors.counters,
        "liap_tui_games_started_total > 5",
        "liap_tui_games_started_total only rises: its value says nothing",
        "increase(liap_tui_games_started_total[5m]) > 5",
    ),
    Fault(
        selectors.counters,
        "avg_over_time(liap_tui_games_started_total[5m]) > 5",
        "avg_over_time of it says nothing",
        "changes(liap_tui_games_started_total[5m]) > 5",
    ),
    Fault(
        selectors.counters,
        "last_over_time(liap_tui_games_started_total[5m]) > 5",
        "only rises",
        "absent(last_over_time(liap_tui_games_started_total[5m]))",
    ),
    Fault(
        selectors.counters,
        "rate(liap_tui_games_active[5m]) > 1",
        "liap_tui_games_active is no counter: it has no rate",
        "deriv(liap_tui_games_active[5m]) > 1",
    ),
    Fault(
        selectors.counters,
        "liap_tui_games_started_total unless liap_tui_games_completed_total offset 10m",
        "liap_tui_games_started_total only rises",
        "liap_tui_games_started_total unless liap_tui_games_started_total offset 10m",
    ),
    Fault(
        selectors.counters,
        "liap_tui_games_started_total unless liap_tui_games_active > 1",
        "only rises",
        "liap_tui_games_active > 1 unless liap_tui_games_started_total",
    ),
    Fault(selectors.counters, "sum(up) < sum(liap_tui_games_started_total)", "only rises", "sum(up) < count(up)"),
    Fault(
        selectors.windows,
        "rate(liap_tui_games_started_total[39s]) > 1",
        "shorter than 4 exports, one every 10s",
        "rate(liap_tui_games_started_total[40s]) > 1",
    ),
    Fault(
        selectors.windows,
        "max_over_time(liap_tui_games_active[30s:10s]) > 1",
        "[30s:10s] is shorter",
        "max_over_time(liap_tui_games_active[40s:10s]) > 1",
    ),
    Fault(
        conditions.matching,
        f"{GAMES} / (sum by (job, instance) (liap_tui_rooms_active) > 0) > 1",
        "have different labels: (job) and (instance, job)",
        f"{GAMES} / ({ROOMS} > 0) > 1",
    ),
    Fault(
        conditions.matching,
        f"{GAMES} > 1 and vector(1)",
        "have different labels: (job) and ()",
        f"{GAMES} > 1 and on() vector(1)",
    ),
    Fault(
        conditions.matching,
        f"sum by (job, instance) (liap_tui_games_active) / on(job) ({ROOMS} > 0) > 1",
        "many series on the left",
        f"sum by (job, instance) (liap_tui_games_active) / on(job) group_left() ({ROOMS} > 0) > 1",
    ),
    Fault(
        conditions.matching,
        f"{GAMES} / ignoring(instance) (sum by (job, instance) (liap_tui_rooms_active) > 0) > 1",
        "many series on the right",
        f"{GAMES} / ignoring(instance) group_right() (sum by (job, instance) (liap_tui_rooms_active) > 0) > 1",
    ),
    Fault(
        conditions.matching,
        'sum by (state) (liap_tui_state_active_games{state="scoring"}) > 1 '
        'unless sum by (state) (liap_tui_state_active_games{state="turn"})',
        "nothing of",
        'sum by (state) (liap_tui_state_active_games{state="scoring"}) > 1 '
        "unless sum by (state) (liap_tui_state_active_games) > 9",
    ),
    Fault(
        conditions.divisions,
        f"{FAILED} / {ALL} > 0.5",
        f"divides by what can be 0; leave that out: / ({ALL.replace(') (', ')(')} > 0)",
        f"{FAILED} / ({ALL} > 0) > 0.5",
    ),
    Fault(conditions.divisions, f"{GAMES} / ({ROOMS} < 9) > 5", "divides by", f"{GAMES} / ({ROOMS} >= 1) > 5"),
    Fault(conditions.divisions, f"{GAMES} / ({ROOMS} - 1) > 5", "divides by", f"{GAMES} / ({ROOMS} + 1) > 5"),
    Fault(
        conditions.divisions,
        f"{FAILED} / (({ROOMS} < 9) + {GAMES}) > 5",
        "divides by",
        f"{FAILED} / (({ROOMS} > 0) + {GAMES}) > 5",
    ),
    Fault(conditions.divisions, f"{GAMES} / ({ROOMS} != 1) > 5", "divides by", f"{GAMES} / ({ROOMS} != 0) > 5"),
    Fault(conditions.divisions, f"{GAMES} % clamp_min({ROOMS}, 0) > 5", "by", f"{GAMES} % clamp_min({ROOMS}, 1) > 5"),
    Fault(
        conditions.reachable,
        f"{FAILED} / ({ALL} > 0) > 1",
        "is never so",
        f"{FAILED} / ({ALL} > 0) >= 1",
    ),
    Fault(
        conditions.reachable,
        f"({ALL} - {FAILED}) / ({ALL} > 0) > 1.5",
        "is never so",
        f"({ALL} + {FAILED}) / ({ALL} > 0) > 1.5",
    ),
    Fault(
        conditions.reachable,
        f"{GAMES} / ({GAMES} + {ROOMS} > 0) > 1",
        "is never so",
        f"{GAMES} / ({GAMES} - {ROOMS} > 0) > 1",
    ),
    Fault(
        conditions.reachable,
        "otelcol_exporter_queue_size / (otelcol_exporter_queue_capacity > 0) > 1",
        "is between 0 and 1",
        "otelcol_exporter_queue_capacity / (otelcol_exporter_queue_size > 0) > 1",
    ),
    Fault(conditions.reachable, "up > 1", "up > 1 is never so: up is between 0 and 1", "up < 1"),
    Fault(conditions.reachable, "group by (job) (up) > 1", "group by (job)(up) is always 1", "count by (job) (up) > 1"),
    Fault(conditions.reachable, "absent(up) == 2", "absent(up) is always 1", "sum(up) == 2"),
    Fault(conditions.reachable, "sum_over_time(up[5m]) < 0", "never below 0", "delta(up[5m]) < 0"),
    Fault(conditions.reachable, "clamp_max(up, 0.5) > 0.5", "between 0 and 0.5", "clamp_min(up, 0.5) > 0.5"),
    Fault(conditions.reachable, "-up > 0", "is between -1 and 0", "-up < 0"),
    Fault(conditions.reachable, "up * 10 > 10", "is between 0 and 10", "up * 10 > 9"),
    Fault(conditions.reachable, "1 - up > 1", "is between 0 and 1", "2 - up > 1"),
    Fault(conditions.reachable, "(up > 0) / 2 > 0.5", "never so", "up / 2 > 0.4"),
    Fault(
        conditions.reachable, "quantile_over_time(0.9, up[5m]) > 1", "is between 0 and 1", "max_over_time(up[5m]) < 1"
    ),
    Fault(conditions.reachable, "stddev_over_time(up[5m]) < 0", "is never below 0", "abs(up - 1) > 0.5"),
    Fault(
        conditions.reachable, "up < 1 and (up > 0.5 and up > 1)", "is never so", "up < 1 and (up > 0.5 and up > 0.6)"
    ),
    Fault(
        conditions.reachable,
        f"{GAMES} > 1 and on() (vector(1) > 2)",
        "vector(1) is always 1",
        f"{GAMES} > 1 and on() (hour() > 6)",
    ),
    Fault(
        conditions.reachable,
        "(up and on(job) liap_tui_memory_growth_rate) < 0",
        "is between 0 and 1",
        "(liap_tui_memory_growth_rate and on(job) up) < 0",
    ),
    Fault(conditions.reachable, f"-{GAMES} > 0", "is never above 0", f"-{GAMES} < 0"),
    Fault(conditions.reachable, f"({GAMES} > 0) + 1 <= 1", "is never at or below 1", f"({GAMES} >= 0.5) + 1 <= 1.5"),
    Fault(conditions.reachable, "up != 2", "up != 2 is always so", "up != 0.5"),
    Fault(conditions.reachable, "vector(1) != 1", "is never so", "up != 1"),
    Fault(conditions.reachable, "1 < up", "1 < up is never so", "1 > up"),
    Fault(conditions.reachable, f"{GAMES} < 0", "is never below 0", "liap_tui_memory_growth_rate < 0"),
    Fault(conditions.reachable, f"{GAMES} >= 0", "is always so", f"{GAMES} > 0"),
    Fault(
        conditions.reachable,
        f"histogram_quantile(0.99, sum by (le) ({LAG})) > 5",
        "is between 0 and 5",
        f"histogram_quantile(0.99, sum by (le) ({LAG})) > 4.9",
    ),
    Fault(
        conditions.reachable,
        f"{GAMES} > 5 and {ROOMS} > 1 and {GAMES} < 5",
        "exclude each other",
        f"{GAMES} > 5 and {ROOMS} < 1 and {GAMES} < 6",
    ),
    Fault(conditions.reachable, f"3 > {GAMES} > 5", "is never so", f"5 > {GAMES} > 3"),
    Fault(conditions.conditional, GAMES, "is always so; compare it", f"{GAMES} == 0"),
    Fault(
        conditions.conditional,
        f"{GAMES} / ({ROOMS} > 0)",
        "is always so",
        f"{GAMES} / ({ROOMS} > 0) unless {ROOMS}",
    ),
    Fault(conditions.conditional, f"{GAMES} > 1 or {ROOMS}", "is always so", f"{GAMES} > 1 or absent({ROOMS})"),
)

CHECKS_OF_TEXT = (messages.complete, messages.templates, messages.overwrites)
"""These have tests of their own, since they look at more than the expression."""

ALERT = Alert(
    name="Example",
    expr=f"{GAMES} > 1",
    severity=Severity.WARNING,
    hold_seconds=60,
    summary="Something is so.",
    description="{{ $labels.job }}: {{ $value }} games.",
    panel=Panels.GAMES_ACTIVE,
)


def said_of(*rules: Recording | Alert, settings: Settings = SETTINGS) -> list[str]:
    """What the checks find, a line each."""
    return [str(finding) for finding in findings([Group("examples", rules)], settings, SERIES)]


def alerting(expr: str) -> Alert:
    """An alert on an expression, whose message uses no label."""
    return replace(ALERT, expr=expr, description="It is so.")
