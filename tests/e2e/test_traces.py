"""What the real Collector has of requests and messages that cross services, and of games that outlive them."""

from __future__ import annotations

import asyncio
import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

import examples.arena.players as arena
import examples.liap_tui.players as liap_tui
from deploy.native import Collector
from deploy.otlp_json import Item
from deploy.process import running, wait_until
from examples.common.pace import MAX_SPEED
from tests.support.peers import free_ports, running_collector

pytestmark = pytest.mark.peer("otelcol")

ARRIVE_SECONDS = 30.0
CORRELATION = "correlation.id"
SERVICES = ("lobby", "game", "bare")
# OTLP's SpanKind (opentelemetry/proto/trace/v1/trace.proto).
SERVER, CONSUMER = 2, 5
PARENT = "b7ad6b7169203331"


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    with running_collector(tmp_path_factory.mktemp("traces")) as started:
        yield started


# --- one trace across services ---------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Services:
    """A lobby and the game servers it may ask, and what propagates traces between them."""

    collector: Collector
    addresses: dict[str, str]
    carriers: list[str]

    def ask(self, way: str, server: str, headers: dict[str, str]) -> httpx.Response:
        """Have the lobby ask a game server; its answer tells what of the carrier it saw."""
        target = f"http://{self.addresses[server]}" if way == "by-http" else f"ws://{self.addresses[server]}/ws"
        url = f"http://{self.addresses['lobby']}/{way}"
        return httpx.post(url, params={"game": target}, headers=headers, trust_env=False, timeout=30)


@pytest.fixture(scope="module", params=[("tracecontext,baggage", ["traceparent"]), ("b3", ["b3"])], ids=["w3c", "b3"])
def services(
    request: pytest.FixtureRequest, collector: Collector, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Services]:
    propagators, carriers = request.param
    folder = tmp_path_factory.mktemp("services")
    ports = dict(zip(SERVICES, free_ports(len(SERVICES)), strict=True))
    with ExitStack() as stack:
        for service in SERVICES:
            command = [sys.executable, "-m", "tests.e2e.two_services", service]
            command += [f"--port={ports[service]}", f"--collector={collector.otlp_http}"]
            url = f"http://127.0.0.1:{ports[service]}/ready"
            environment = {"OTEL_PROPAGATORS": propagators, "OTEL_METRIC_EXPORT_INTERVAL": "500"}
            stack.enter_context(running(service, command, folder / f"{service}.log", url, environment))
        yield Services(collector, {service: f"127.0.0.1:{port}" for service, port in ports.items()}, carriers)


@pytest.mark.parametrize(
    ("way", "server", "expected"),
    [
        ("by-http", "game", ["POST /by-http", "POST /games", "action.declare"]),
        ("by-message", "game", ["POST /by-message", "websocket.message.play", "action.declare"]),
        ("by-message", "bare", ["POST /by-message", "websocket.message.play", "action.declare"]),
    ],
)
def test_two_services_are_one_trace_under_one_correlation_id(
    services: Services, way: str, server: str, expected: list[str]
) -> None:
    asked = f"asked-{way}-{server}-{services.carriers[0]}"
    answer = services.ask(way, server, {"X-Correlation-ID": asked})
    assert (answer.status_code, answer.headers["x-correlation-id"]) == (200, asked)
    assert answer.json() == services.carriers, "only the configured propagator writes"
    spans = arrived(services.collector.spans, asked, len(expected))
    (trace,) = {span.data["traceId"] for span in spans}
    whole = [span for span in services.collector.spans() if span.data["traceId"] == trace]
    assert len(whole) == len(spans), f"without the id: {[span.data['name'] for span in whole]}"

    chain = [next(span for span in spans if span.data["name"] == name) for name in expected]
    assert [span.data.get("parentSpanId", "") for span in chain] == ["", *(span.data["spanId"] for span in chain[:-1])]
    assert [service_of(span) for span in chain] == ["lobby", server, server]

    records = arrived(services.collector.log_records, asked, 6)
    assert {record.data["traceId"] for record in records} == {trace}
    told = {
        (service_of(record), record.data.get("eventName") or record.data["body"]["stringValue"]) for record in records
    }
    asking = "asking by http" if way == "by-http" else "asking by message"
    assert told == {
        ("lobby", "room.created"),
        ("lobby", asking),
        (server, "action.queued"),
        (server, "action.processing"),
        (server, "acting"),
        (server, "action.completed"),
    }


def test_a_message_of_another_service_is_linked_to_its_connection(services: Services) -> None:
    for server in ("game", "bare"):
        asked = f"linked-{server}-{services.carriers[0]}"
        services.ask("by-message", server, {"X-Correlation-ID": asked})
        (message,) = (s for s in arrived(services.collector.spans, asked, 3) if s.data["kind"] == CONSUMER)
        (link,) = message.data["links"]
        (connect,) = (s for s in services.collector.spans() if s.data["spanId"] == link["spanId"])
        assert (connect.data["name"], connect.data["kind"]) == ("websocket.connect", SERVER)
        assert connect.attributes["connection.id"] == message.attributes["connection.id"]


def test_what_the_first_caller_does_not_sample_no_service_does(services: Services) -> None:
    (carrier,) = services.carriers
    for sampled in (False, True):
        trace = secrets.token_hex(16)
        value = f"00-{trace}-{PARENT}-{sampled:02d}" if carrier == "traceparent" else f"{trace}-{PARENT}-{sampled:d}"
        asked = f"sampled-{sampled}-{carrier}"
        services.ask("by-http", "game", {carrier: value, "X-Correlation-ID": asked})
        # Events are told all the same, and name the trace that the caller gave.
        records = arrived(services.collector.log_records, asked, 6)
        assert {record.data["traceId"] for record in records} == {trace}
        if sampled:
            arrived(services.collector.spans, asked, 3)  # so those before them, had there been any, are here as well
    assert not [s for s in services.collector.spans() if s.attributes.get(CORRELATION) == f"sampled-False-{carrier}"]


def test_http_requests_counted_are_requests_made(services: Services) -> None:
    """FastAPI instruments itself and our middleware is around it: one span and one measurement each all the same."""
    path, times = f"/nowhere/{services.carriers[0]}", 7
    with httpx.Client(base_url=f"http://{services.addresses['game']}", trust_env=False) as client:
        for number in range(times):
            assert client.get(path, headers={"X-Correlation-ID": f"{number}-of-{times}"}).status_code == 404
    spans = wait_until(
        lambda: [span for span in services.collector.spans() if span.attributes.get("url.path") == path],
        lambda found: len(found) >= times,
        ARRIVE_SECONDS,
        "every request's span has arrived",
    )
    assert [span.data["kind"] for span in spans] == [SERVER] * times
    (instance,) = {span.resource["service.instance.id"] for span in spans}
    counted = wait_until(
        lambda: not_found(services.collector, instance),
        lambda count: count >= times,
        ARRIVE_SECONDS,
        "the requests were counted",
    )
    assert counted == times


def not_found(collector: Collector, instance: str) -> float:
    """Requests that a process answered with 404, by its last word; every scope that measures requests counts."""
    last: dict[str, float] = {}
    for point in collector.points():
        if (
            point.metric["name"] == "http.server.request.duration"
            and point.resource["service.instance.id"] == instance
            and point.attributes["http.response.status_code"] == 404
        ):
            last[f"{point.scope} {sorted(point.attributes.items())}"] = float(point.data["count"])
    return sum(last.values())


def test_no_metric_has_a_correlation_id(services: Services) -> None:
    """Metrics lead to requests by exemplars, which name traces; as a label each id would be a series of its own."""
    points = wait_until(services.collector.points, bool, ARRIVE_SECONDS, "metrics have arrived")
    assert not [point.metric["name"] for point in points if CORRELATION in point.attributes]


# --- a game that a request or a message begins -----------------------------------------------------------------------
GAMES = 2
HTTP = ("GET", "GET /healthz", "GET /matches", "POST /matches", "GET /metrics")
LOOPS: dict[str, tuple[Any, str, str, set[str]]] = {
    # the game, what answers when it is ready, the event inside the handler, events of the loop it leaves behind
    "liap_tui": (
        lambda address: liap_tui.simulate(address, liap_tui.Crowd(games=GAMES, speed=MAX_SPEED, seed=3)),
        "/healthz",
        "game.started",
        {"state.transition.start", "state.transition.complete", "phase.completed", "round.completed", "game.ended"},
    ),
    "arena": (
        lambda address: arena.simulate(address, arena.Crowd(games=GAMES, speed=MAX_SPEED, seed=3)),
        "/matches",
        "room.created",
        {"game.started", "state.transition.start", "state.transition.complete", "phase.completed", "room.closed"},
    ),
}


@dataclass(frozen=True)
class Played:
    """What the Collector has of some games on an example's server."""

    spans: list[Item]
    births: list[Item]
    loops: list[Item]
    later: set[str]


@pytest.fixture(scope="module", params=LOOPS)
def played(request: pytest.FixtureRequest, collector: Collector, tmp_path_factory: pytest.TempPathFactory) -> Played:
    """The example as it is shipped, in a process of its own."""
    game = request.param
    play, ready, birth, later = LOOPS[game]
    (port,) = free_ports(1)
    command = [sys.executable, "-m", f"examples.{game}", "serve", f"--port={port}", "--speed=max"]
    command += [f"--collector={collector.otlp_http}", *(["--target=12"] if game == "liap_tui" else [])]
    log = tmp_path_factory.mktemp(game) / "server.log"
    with running(game, command, log, f"http://127.0.0.1:{port}{ready}"):
        asyncio.run(play(f"127.0.0.1:{port}"))
    service = game.replace("_", "-")  # ended, and so everything has been sent
    events = wait_until(
        lambda: [r for r in collector.log_records() if service_of(r) == service and r.data.get("eventName")],
        lambda found: sum(record.data["eventName"] == "room.closed" for record in found) == GAMES,
        ARRIVE_SECONDS,
        "every room was closed",
    )
    return Played(
        [span for span in collector.spans() if service_of(span) == service],
        [record for record in events if record.data["eventName"] == birth],
        [record for record in events if record.data["eventName"] in later],
        later,
    )


def test_a_games_loop_carries_nothing_of_the_request_it_was_born_in(played: Played) -> None:
    assert len(played.births) == GAMES
    assert {record.data["eventName"] for record in played.loops} == played.later
    ids: dict[str, Callable[[Item], object]] = {
        "correlation": lambda record: record.attributes.get(CORRELATION),
        "trace": lambda record: record.data.get("traceId"),
    }
    for what, of in ids.items():
        born = {of(record) for record in played.births}
        assert len(born - {None, ""}) == GAMES, f"the handler's event has its {what}"
        assert not born & {of(record) for record in played.loops}


def test_an_action_is_in_the_trace_of_its_message(played: Played) -> None:
    """Queued by a handler and executed by the loop: the token carries trace and correlation across."""
    messages = {s.data["spanId"]: s for s in played.spans if s.data["name"].startswith("websocket.message.")}
    connects = {s.data["spanId"] for s in played.spans if s.data["name"] == "websocket.connect"}
    caused = [s for s in played.spans if s.data.get("parentSpanId") in messages and "action.type" in s.attributes]
    assert len(caused) >= 5 * GAMES
    assert len({span.data["traceId"] for span in caused}) == len(caused), "one action, one trace"
    for span in caused:
        message = messages[span.data["parentSpanId"]]
        assert span.data["traceId"] == message.data["traceId"]
        assert span.attributes[CORRELATION] == message.attributes[CORRELATION]
        (link,) = message.data["links"]
        assert link["spanId"] in connects


def test_no_span_lasts_as_long_as_a_connection(played: Played) -> None:
    """Whatever a socket's handler does begins its own trace, so no trace holds two messages."""
    roots = [s for s in played.spans if s.data["name"].startswith("websocket.")]
    assert not [s for s in roots if s.data.get("parentSpanId")]
    assert len({s.data["traceId"] for s in roots}) == len(roots)
    assert {s.data["name"] for s in played.spans if s.data["kind"] == SERVER} <= {"websocket.connect", *HTTP}


# --- helpers ---------------------------------------------------------------------------------------------------------
def arrived(items: Any, correlation_id: str, count: int) -> list[Item]:
    """Everything under a correlation id, once there is as much as expected."""
    return wait_until(
        lambda: [item for item in items() if item.attributes.get(CORRELATION) == correlation_id],
        lambda found: len(found) >= count,
        ARRIVE_SECONDS,
        f"{count} of {correlation_id} have arrived",
    )


def service_of(item: Item) -> str:
    return str(item.resource["service.name"])
