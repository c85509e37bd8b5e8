"""An agent and two gateways with every real store behind them: a few games, looked for in each store.

What is expected of spans comes from the servers' own records, of events from the numbers that servers give them.
"""

from __future__ import annotations

import json
import secrets
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import format_span_id
from prometheus_client.parser import text_string_to_metric_families

from deploy import native, ports
from deploy.collector import variables as v
from deploy.collector.roles import agent, gateway
from deploy.jaeger import Jaeger
from deploy.loki import Loki
from deploy.process import http_get, wait_until
from settings import AgentSettings, Settings, parse
from tests.deploy.collectors import post
from tests.drills.pipeline_ends import LOCAL, span, spans
from tests.e2e.test_hub import hub_process
from tests.e2e.witness import LAST_WORD, play_witnessed, trace_id
from tests.support.backends import running_jaeger, running_loki
from tests.support.peers import require, running_prometheus

pytestmark = [pytest.mark.slow, *(pytest.mark.peer(name) for name in ("otelcol", "prometheus", "jaeger", "loki"))]

SOON = 60.0
NAMES = ("gateway-one", "gateway-two")
MOST_GAMES = 20
"""A service's name decides which gateway counts its spans. With so many it is one gateway for all once in a million."""
CALLER, CALLED, CALLS = "lobby", "match", 20
"""Calls of one service to another, each a trace of its own, so that each gateway sees some."""


@dataclass(frozen=True)
class Deployment:
    """What stands behind the games, after they were played.

    :ivar games: the spans of each service, as its server ended them
    """

    settings: Settings
    prometheus: native.Prometheus
    jaeger: Jaeger
    loki: Loki
    gateways: list[native.Collector]
    games: dict[str, list[ReadableSpan]]

    def events(self) -> list[dict[str, Any]]:
        """What the hub has of the servers, oldest first."""
        page = http_get(f"http://{LOCAL}:{self.settings.hub.port}/events?since=oldest&limit=10000")[1]
        return [event for event in json.loads(page)["events"] if not event["event_type"].startswith("stream.")]


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    require("otelcol")
    folder = tmp_path_factory.mktemp("two-tiers")
    soon = {"metrics": {"export_interval_seconds": 1}, "traces": {"decision_seconds": 1}}
    settings = ports.free_settings(parse({**soon, "collector": {"host_metrics_seconds": 1}}))
    of_gateways = [with_its_stores(settings) for _ in NAMES]
    addresses = tuple(f"{LOCAL}:{of.collector.otlp_grpc_port}:{of.gateway.services_port}" for of in of_gateways)
    tokens = {v.TOKENS_FILE: str(folder / "tokens")}
    with ExitStack() as stack:
        prometheus = stack.enter_context(running_prometheus(folder, settings=settings))
        jaeger = stack.enter_context(running_jaeger(folder, settings))
        stack.callback(jaeger.process.kill)  # an end in order takes it a quarter of a minute
        loki = stack.enter_context(running_loki(folder, settings))
        stack.enter_context(hub_process(settings, folder))

        def run(name: str, role: Any, of: Settings) -> native.Collector:
            started = native.running_collector(
                of, folder / name, prometheus.url, role=role, environment={**tokens, v.INSTANCE: name}
            )
            collector = stack.enter_context(started)
            stack.callback(lambda: print(f"--- the end of {name}'s log\n{collector.process.log_tail()}"))
            return collector

        gateways = [run(name, gateway, of) for name, of in zip(NAMES, of_gateways, strict=True)]
        collector = run("agent", agent, replace(settings, agent=AgentSettings(addresses)))
        games = play_games(collector, prometheus)
        make_calls(collector)
        yield Deployment(settings, prometheus, jaeger, loki, gateways, games)


def with_its_stores(settings: Settings) -> Settings:
    """Those of another Collector that sends to the same stores."""
    other = ports.free_settings(settings)
    return replace(settings, collector=other.collector, gateway=other.gateway)


def play_games(collector: native.Collector, prometheus: native.Prometheus) -> dict[str, list[ReadableSpan]]:
    """A game on a server of each service, until both gateways have counted spans of one."""
    games: dict[str, list[ReadableSpan]] = {}
    for number in range(MOST_GAMES):
        service = f"server-{secrets.token_hex(4)}"
        games[service] = play_witnessed(collector.otlp_http, collector.headers, f"game{number}", service=service)
        prometheus.wait_for(f'traces_spanmetrics_calls_total{{service_name="{service}"}}', timeout=SOON)
        if len(prometheus.query("count by (collector_instance_id) (traces_spanmetrics_calls_total)")) == len(NAMES):
            return games
    raise AssertionError(f"one gateway counts the spans of all of {', '.join(games)}")


def make_calls(collector: native.Collector) -> None:
    """One service calls another one, each with a span of its own."""
    for number in range(1, CALLS + 1):
        call, answer = span(number, 2 * number, "call"), span(number, 2 * number + 1, "answer")
        call.kind, answer.kind = Span.SPAN_KIND_CLIENT, Span.SPAN_KIND_SERVER
        answer.parent_span_id = call.span_id
        for service, one in ((CALLER, call), (CALLED, answer)):
            body = spans([one], service).SerializeToString()
            port = collector.settings.otlp_http_port
            assert post(port, "traces", collector.headers, body) == HTTPStatus.OK


def spans_to_count(collector: native.Collector) -> float:
    """How many spans came to a gateway to be counted, as its own page says it."""
    page = http_get(collector.telemetry_url)[1].decode()
    return sum(
        sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.name == "otelcol_receiver_accepted_spans_total" and sample.labels["receiver"] == "otlp/services"
    )


# --- traces ----------------------------------------------------------------------------------------------------------
def test_every_trace_is_in_jaeger_whole(played: Deployment) -> None:
    """All are kept: they are few."""
    for ended in played.games.values():
        traces: dict[str, list[str]] = {}
        for one in ended:
            traces.setdefault(trace_id(one), []).append(format_span_id(one.get_span_context().span_id))
        assert max(map(len, traces.values())) > 1
        for trace, parts in traces.items():
            whole = len(parts).__le__
            found = played.jaeger.wait_for(trace, lambda found, whole=whole: whole(len(found)), timeout=SOON)  # type: ignore[misc]
            assert sorted(one.data["spanId"] for one in found) == sorted(parts)


def test_every_span_is_counted_by_one_gateway(played: Deployment) -> None:
    """The names of spans, and how many of each; both gateways together, and none by both."""
    expected = {service: Counter(one.name for one in ended) for service, ended in played.games.items()}

    def counted() -> dict[str, Counter[str]]:
        sums: dict[str, Counter[str]] = {}
        for labels, value in played.prometheus.query('traces_spanmetrics_calls_total{service_name=~"server-.+"}'):
            sums.setdefault(labels["service_name"], Counter())[labels["span_name"]] += int(value)
        return sums

    wait_until(counted, lambda found: found == expected, SOON, "every span is counted")
    by_whom = played.prometheus.query("count by (service_name, collector_instance_id) (traces_spanmetrics_calls_total)")
    services = Counter(labels["service_name"] for labels, _ in by_whom)
    assert set(services.values()) == {1}, by_whom


def test_what_a_gateway_counts_is_what_came_to_it(played: Deployment) -> None:
    """So each has an id of its own."""
    came = sorted(map(spans_to_count, played.gateways))

    def counted() -> list[float]:
        of_each = played.prometheus.query("sum by (collector_instance_id) (traces_spanmetrics_calls_total)")
        return sorted(calls for _, calls in of_each)

    assert min(came) > 0
    wait_until(counted, lambda found: found == came, SOON, "each has counted its own")


def test_who_calls_whom_is_signed_by_the_gateway_that_saw_it(played: Deployment) -> None:
    series = f'traces_service_graph_request_total{{client="{CALLER}", server="{CALLED}"}}'
    found = played.prometheus.wait_for(series, lambda found: sum(n for _, n in found) >= CALLS, timeout=SOON)
    assert sum(calls for _, calls in found) == CALLS
    assert sorted((labels["job"], labels["instance"]) for labels, _ in found) == [("otelcol", name) for name in NAMES]


# --- what the agent sends by itself ----------------------------------------------------------------------------------
def test_metrics_of_every_server_are_in_prometheus(played: Deployment) -> None:
    """Their servers have ended, so their last values are asked for."""
    completed = "last_over_time(liap_tui_games_completed_total[10m])"
    expected = dict.fromkeys(played.games, 1.0)

    def known() -> dict[str, float]:
        return {labels["service_name"]: value for labels, value in played.prometheus.query(completed)}

    wait_until(known, lambda found: found == expected, SOON, "each has completed one game")
    played.prometheus.wait_for('system_memory_usage_bytes{job="host"}', timeout=SOON)


def test_every_event_is_in_the_hub_and_in_loki_and_counted(played: Deployment) -> None:
    """Servers number their events, and end with one that says so: none is missing where the numbers have no gap."""
    wait_until(
        lambda: Counter(event["event_type"] for event in played.events()),
        lambda found: found["producer.stopped"] == len(played.games),
        SOON,
        "all servers' last events came",
    )
    events = played.events()
    numbers: dict[str, list[int]] = {}
    for event in events:
        producer, _, number = event["event_id"].rpartition("-")
        numbers.setdefault(producer, []).append(int(number))
    assert len(numbers) == len(played.games)
    assert all(of_one == [*range(1, len(of_one) + 1)] for of_one in numbers.values())

    streamed = Counter(event["event_type"] for event in events)
    assert streamed["game.ended"] == 2 * len(played.games), "one is played to its end, and one is abandoned"

    def counted() -> dict[str, float]:
        by_name = played.prometheus.query("sum by (event_name) (last_over_time(liap_tui_events_total[10m]))")
        return {labels["event_name"]: value for labels, value in by_name}

    wait_until(counted, lambda found: found == streamed, SOON, "Prometheus counts what the hub has")
    lines = played.loki.wait_for(
        '{service_name=~"server-.+"} | event_name != ""',
        lambda found: len(found) >= streamed.total(),
        timeout=SOON,
    )
    assert Counter(line.metadata["event_name"] for line in lines) == streamed


def test_logs_of_servers_and_collectors_are_in_loki(played: Deployment) -> None:
    for service in played.games:
        assert len(played.loki.wait_for(f'{{service_name="{service}"}} |= "{LAST_WORD}"', timeout=SOON)) == 1
    lines = played.loki.wait_for(
        '{service_name="otelcol"} |= "Everything is ready"', lambda found: len(found) >= 3, timeout=SOON
    )
    assert Counter(line.labels["service_namespace"] for line in lines) == {"agent": 1, "gateway": 2}
