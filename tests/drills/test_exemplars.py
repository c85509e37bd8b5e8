"""From a measurement to its trace, at a stated load: every exemplar in Prometheus is looked for in Jaeger.

Which traces were marked to be kept is known from the game server, which looks at its own spans.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from deploy import native
from deploy.collector.roles import standalone
from deploy.jaeger import Jaeger
from deploy.process import http_get
from settings import TraceSettings, parse
from tests.deploy.collectors import own_metrics
from tests.drills.pipeline_ends import eventually, unexpected
from tests.drills.proof import Finding, write_proof
from tests.drills.steady_game import SERVICE
from tests.e2e.processes import PYTHON, process
from tests.support.backends import running_jaeger
from tests.support.peers import free_settings, require, running_prometheus

pytestmark = [pytest.mark.drill, pytest.mark.timeout(400)]

RATE, SECONDS = 100, 60
"""The load: actions a second, each a trace of one span, and how long."""
SHARE = 0.10
"""Of all traces, so many may be marked at most."""
BUDGETS = {"budget-of-the-settings": TraceSettings().budget_spans_per_second, "budget-a-tenth-of-the-load": RATE // 10}
"""Spans a second that are kept of what is not marked: the one keeps all of this load, the other throws most away."""
WAIT = 60.0


def exemplars(store: native.Prometheus) -> list[dict[str, Any]]:
    """All that Prometheus has, of any metric."""
    asked = urlencode({"query": '{__name__=~".+"}', "start": 0, "end": 4_102_444_800})
    data = json.loads(http_get(f"{store.url}/api/v1/query_exemplars?{asked}")[1])["data"]
    return [exemplar for series in data for exemplar in series["exemplars"]]


def unresolved(jaeger: Jaeger, traces: set[str]) -> set[str]:
    """Those that Jaeger does not have, after a while."""
    left = set(traces)

    def none_left() -> bool:
        left.difference_update({trace for trace in left if jaeger.trace(trace)})
        return not left

    eventually(none_left, WAIT)
    return left


@pytest.mark.parametrize("which", BUDGETS)
def test_every_exemplar_leads_to_its_trace(tmp_path: Path, pytestconfig: pytest.Config, which: str) -> None:
    require("otelcol")
    budget, record = BUDGETS[which], tmp_path / "record.json"
    settings = free_settings(parse({"traces": {"budget_spans_per_second": budget}, "hub": {"enabled": False}}))
    with (
        running_prometheus(tmp_path, settings=settings) as store,
        running_jaeger(tmp_path, settings) as jaeger,
        native.running_collector(settings, tmp_path / "collector", store.url, role=standalone) as collector,
    ):
        command = (PYTHON, "-m", "tests.drills.steady_game", f"--record={record}")
        command += (f"--rate={RATE}", f"--seconds={SECONDS}")
        environment = native.server_environment(settings, collector)
        with process(command, collector.otlp_http, **environment) as game:
            assert game.end(timeout=SECONDS + WAIT) == 0, game.said
            assert "shut down" in game.said
        played = json.loads(record.read_text())
        marked = {trace for trace, kept in played["marked"].items() if kept}
        calls = f'sum(last_over_time(traces_spanmetrics_calls_total{{service_name="{SERVICE}"}}[5m]))'
        eventually(lambda: (found := store.query(calls)) and found[0][1] >= len(played["marked"]), WAIT)
        [(_, counted)] = store.query(calls)
        missing = unresolved(jaeger, marked)
        found = exemplars(store)
        pointed = {exemplar["labels"]["trace_id"] for exemplar in found}
        nowhere = unresolved(jaeger, pointed)
        sent = own_metrics(collector)["otelcol_exporter_sent_spans_total"]
        collector.process.kill()  # in order it would first try to reach the store of logs, which is not there
    traces, share = len(played["marked"]), len(marked) / len(played["marked"])
    findings = [
        Finding("traces in all, by the game server's record", f"{RATE * SECONDS}", f"{traces}"),
        Finding("a second", None, f"{traces / played['seconds']:.1f}"),
        Finding("spans that the Collector counted", f"{traces}", f"{counted:.0f}"),
        Finding("traces marked to be kept", None, f"{len(marked)}"),
        Finding("their share", f"≤ {SHARE:.0%}", f"{share:.1%}"),
        Finding("marked traces that are not in Jaeger", "0", f"{len(missing)}"),
        Finding("spans sent on to Jaeger", None, f"{sent:.0f}"),
        Finding("exemplars in Prometheus", None, f"{len(found)}"),
        Finding("traces that they point to", None, f"{len(pointed)}"),
        Finding("of them not marked", "0", f"{len(pointed - marked)}"),
        Finding("of them not in Jaeger: unresolved exemplars", "0", f"{len(nowhere)}"),
    ]
    write_proof(
        pytestconfig,
        f"exemplars-{which}",
        f"A game server begins {RATE} actions a second for {SECONDS} s, not configured further; a few fail, are slow "
        f"or illegal. Behind it are a standalone Collector, which keeps {budget} spans a second of what is not marked, "
        "Prometheus and Jaeger.",
        findings,
    )
    assert unexpected([each for each in findings if each.what != "their share"]) == []
    assert 0 < share <= SHARE
    assert len(pointed) >= 10, "else next to nothing was looked up"
    if budget < RATE:
        assert sent < traces / 2, "else nothing was thrown away, and any exemplar would resolve"
