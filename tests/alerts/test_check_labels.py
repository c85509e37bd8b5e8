"""Which labels results have: as the checks infer them, and as Prometheus itself makes them of samples."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from alerts.checks.labels import variants_of
from alerts.checks.scope import Scope
from alerts.checks.syntax import parsed
from tests.alerts.rule_faults import SERIES, SETTINGS
from tests.support.peers import require

WHO = {
    "job": "j",
    "instance": "i",
    "service_name": "n",
    "service_namespace": "s",
    "service_instance_id": "i",
    "service_version": "v",
    "deployment_environment_name": "e",
}
GAMES, STATES = "liap_tui_games_active", "liap_tui_state_active_games"
BUCKETS = "asyncio_event_loop_lag_seconds_bucket"
SAMPLES: dict[str, list[dict[str, str]]] = {
    GAMES: [{}],
    STATES: [{"state": "scoring"}],
    "up": [{}],
    BUCKETS: [{"le": "0.001"}, {"le": "+Inf"}],
    "liap_tui_games_started_total": [{}],
}
ALL = set(WHO)
RESULTS: dict[str, tuple[set[str], float]] = {
    # what is asked: the labels of what comes, and its value where each sample is 4
    f"{GAMES} + 0": (ALL, 4),
    f"sum({GAMES})": (set(), 4),
    f"sum by (job, nothing) ({GAMES})": ({"job"}, 4),
    f"max without (instance, state) ({STATES})": (ALL - {"instance"}, 4),
    f"topk by (job) (1, {GAMES} + 0)": (ALL, 4),
    f'count_values by (job) ("how_many", {GAMES})': ({"job", "how_many"}, 1),
    f"rate({GAMES}[5m])": (ALL, 0),
    f"sum by (job, state) ({STATES}) / on(job) group_left sum by (job) ({GAMES})": ({"job", "state"}, 1),
    f"sum by (job) ({GAMES}) / on(job) group_right sum by (job, state) ({STATES})": ({"job", "state"}, 1),
    f"sum by (job) ({GAMES}) * on(job) group_left(state) sum by (job, state) ({STATES})": ({"job", "state"}, 16),
    f"sum by (job, instance) ({GAMES}) - on(job) sum by (job) ({GAMES})": ({"job"}, 0),
    f"sum by (job, instance) ({GAMES}) - ignoring(instance) sum by (job) ({GAMES})": ({"job"}, 0),
    f"sum by (job, state) ({STATES}) > ignoring(state) (sum by (job) ({GAMES}) - 1)": ({"job"}, 4),
    f"sum by (job, state) ({STATES}) and on(job) {GAMES}": ({"job", "state"}, 4),
    f"sum by (job, state) ({STATES}) unless on(job) absent(up)": ({"job", "state"}, 4),
    f"2 * sum by (job) ({GAMES})": ({"job"}, 8),
    'absent(up{job="x",instance=~"y"})': ({"job"}, 1),
    'absent_over_time(up{job="x"}[5m])': ({"job"}, 1),
    "absent(sum by (job) (liap_tui_rooms_active))": (set(), 1),
    "vector(3)": (set(), 3),
    f'label_replace(sum by (state) ({STATES}), "phase", "$1", "state", "(.+)")': ({"state", "phase"}, 4),
    f'label_replace(sum by (state) ({STATES}), "state", "", "", "")': (set(), 4),
    f'label_join(sum by (state) ({STATES}), "both", "-", "state")': ({"state", "both"}, 4),
    f"histogram_quantile(0, sum by (job, le) ({BUCKETS}))": ({"job"}, 0),
    f"timestamp(sum by (job) ({GAMES}))": ({"job"}, 600),
}


def test_labels_are_inferred() -> None:
    scope = Scope(SETTINGS, SERIES, {})
    inferred = {expr: [set(labels) for labels in variants_of(scope, parsed(expr)) or ()] for expr in RESULTS}
    assert inferred == {expr: [labels] for expr, (labels, _) in RESULTS.items()}


def test_prometheus_makes_the_same_labels(tmp_path: Path) -> None:
    values = WHO | {"state": "scoring", "phase": "scoring", "both": "scoring", "how_many": "4"}
    test = {
        "interval": "10s",
        "input_series": [
            {"series": name + _braces(WHO | labels), "values": "4x60"}
            for name, every in SAMPLES.items()
            for labels in every
        ],
        "promql_expr_test": [
            {
                "expr": expr,
                "eval_time": "10m",
                "exp_samples": [
                    {"labels": _braces({label: _value(expr, label, values) for label in labels}), "value": value}
                ],
            }
            for expr, (labels, value) in RESULTS.items()
        ],
    }
    file = tmp_path / "labels.yaml"
    file.write_text(json.dumps({"evaluation_interval": "10s", "tests": [test]}), encoding="utf-8")
    command = [str(require("promtool")), "test", "rules", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def _value(expr: str, label: str, values: dict[str, str]) -> str:
    return "x" if expr.startswith("absent") else values[label]


def _braces(labels: dict[str, str]) -> str:
    return "{" + ",".join(f'{label}="{value}"' for label, value in sorted(labels.items())) + "}"
