"""HTTP requests: one server span and one duration each, by the conventions, whoever else instruments them."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import BackgroundTasks, FastAPI, HTTPException
from opentelemetry import baggage, metrics, trace
from opentelemetry.trace import SpanKind
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.opentelemetry import OpenTelemetryMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route

from otel_setup import EventType, get_correlation_id
from otel_setup.asgi import ObservabilityMiddleware
from otel_setup.testing import Recorded
from tests.otel_setup.asgi.support import (
    HOSTILE_CORRELATION_IDS,
    HOSTILE_TRACEPARENTS,
    PARENT,
    SERVER,
    TRACE,
    TRACEPARENT,
    Exported,
    asked,
    attributes_of,
)

GENERATED = re.compile(r"corr_[0-9a-f]{16}")


async def room(request: Request) -> Response:
    return PlainTextResponse(f"room {request.path_params['room_id']} {get_correlation_id()}")


async def refuse(_: Request) -> Response:
    return PlainTextResponse("no", 404)


async def fail(_: Request) -> Response:
    raise LookupError("no such piece")


async def unavailable(_: Request) -> Response:
    return PlainTextResponse("later", 503)


async def slowly(_: Request) -> Response:
    async def parts() -> Any:
        yield b"a"
        yield b"b"

    return StreamingResponse(parts())


ROUTES = [
    Route("/rooms/{room_id}", room),
    Route("/refuse", refuse, methods=["GET", "POST"]),
    Route("/fail", fail),
    Route("/unavailable", unavailable),
    Route("/slowly", slowly),
]


def starlette() -> Any:
    return Starlette(routes=ROUTES)


def fastapi(**telemetry: Any) -> FastAPI:
    app = FastAPI(telemetry={"operation_spans": False, **telemetry})  # type: ignore[arg-type,typeddict-item,unused-ignore]

    @app.get("/rooms/{room_id}")
    async def room(room_id: str) -> str:
        return room_id

    @app.get("/fail")
    async def fail() -> str:
        raise HTTPException(500)

    return app


def middleware_added(app: FastAPI) -> Any:
    app.add_middleware(ObservabilityMiddleware)
    return app


class Foreign:
    """A middleware that tells requests and leaves no mark, as that of OpenTelemetry's contrib."""

    __module__ = "opentelemetry.instrumentation.asgi"

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        measured = metrics.get_meter(self.__module__).create_histogram("http.server.request.duration", unit="s")
        with trace.get_tracer(self.__module__).start_as_current_span("request", kind=SpanKind.SERVER) as span:
            status = 0

            async def send_noting_the_status(message: Any) -> None:
                nonlocal status
                status = message.get("status", status)
                await send(message)

            try:
                await self.app(scope, receive, send_noting_the_status)
            finally:
                route = getattr(scope.get("route"), "path", None)
                span.update_name(f"GET {route}" if route else "GET")
                span.set_attribute("url.path", scope["path"])
                told = {"http.route": route, "http.response.status_code": status}
                measured.record(0.1, {key: value for key, value in told.items() if value})


def both(app: FastAPI) -> Any:
    return ObservabilityMiddleware(middleware_added(app))


ARRANGEMENTS: dict[str, Callable[[], Any]] = {
    "bare": lambda: ObservabilityMiddleware(starlette()),
    "twice": lambda: ObservabilityMiddleware(ObservabilityMiddleware(starlette())),
    "added to starlette": lambda: Starlette(routes=ROUTES, middleware=[Middleware(ObservabilityMiddleware)]),
    "starlette's own inside": lambda: ObservabilityMiddleware(
        Starlette(routes=ROUTES, middleware=[Middleware(OpenTelemetryMiddleware)])
    ),
    "starlette's own outside": lambda: OpenTelemetryMiddleware(ObservabilityMiddleware(starlette())),
    "a foreign one inside": lambda: ObservabilityMiddleware(Foreign(starlette())),
    "a foreign one outside": lambda: Foreign(ObservabilityMiddleware(starlette())),
    "fastapi inside": lambda: ObservabilityMiddleware(fastapi()),
    "fastapi outside": lambda: middleware_added(fastapi()),
    "fastapi between": lambda: both(fastapi()),
    "fastapi without spans": lambda: ObservabilityMiddleware(fastapi(tracing=False)),
    "fastapi without metrics": lambda: ObservabilityMiddleware(fastapi(metrics=False)),
    "fastapi without metrics outside": lambda: middleware_added(fastapi(metrics=False)),
    "fastapi with neither": lambda: ObservabilityMiddleware(fastapi(tracing=False, metrics=False)),
    "fastapi with neither outside": lambda: middleware_added(fastapi(tracing=False, metrics=False)),
    "fastapi mounted": lambda: ObservabilityMiddleware(Starlette(routes=[*ROUTES[:1], Mount("/", fastapi())])),
    "fastapi in another wrapper": lambda: ObservabilityMiddleware(ObservabilityMiddleware(fastapi())),
}


@pytest.mark.parametrize("arrangement", ARRANGEMENTS)
async def test_requests_counted_are_requests_made(exported: Exported, arrangement: str) -> None:
    made = {"/rooms/1": 5, "/rooms/2": 3, "/fail": 2, "/nowhere": 4}
    async with asked(ARRANGEMENTS[arrangement]()) as client:
        answers: Counter[int] = Counter()
        for path, times in made.items():
            for _ in range(times):
                answer = await client.get(path)
                answers[answer.status_code] += 1
                assert GENERATED.fullmatch(answer.headers.get("x-correlation-id", "")) or path == "/fail"
    assert answers == {200: 8, 500: 2, 404: 4}
    spans = exported.spans(SERVER)
    assert Counter(attributes_of(span)["url.path"] for span in spans) == made
    unmatched = "/{path}" if "mounted" in arrangement else None  # a mount at / matches everything
    nowhere = f"GET {unmatched}" if unmatched else "GET"
    assert Counter(span.name for span in spans) == {"GET /rooms/{room_id}": 8, "GET /fail": 2, nowhere: 4}
    counted: Counter[tuple[Any, Any]] = Counter()
    for point in exported.durations():
        attributes = attributes_of(point)
        status = attributes.get("http.response.status_code", 500)  # the server's own answer to an exception
        counted[attributes.get("http.route"), status] += point.count
    assert counted == {("/rooms/{room_id}", 200): 8, ("/fail", 500): 2, (unmatched, 404): 4}


@pytest.mark.parametrize(
    ("arrangement", "teller"),
    [
        ("fastapi inside", "fastapi"),
        ("fastapi outside", "fastapi"),
        ("fastapi without spans", "otel_setup"),
        ("starlette's own inside", "starlette"),
        ("starlette's own outside", "starlette"),
        ("a foreign one inside", Foreign.__module__),
        ("a foreign one outside", Foreign.__module__),
        ("bare", "otel_setup"),
    ],
)
async def test_whoever_tells_requests_already_goes_on_doing_so(
    exported: Exported, arrangement: str, teller: str
) -> None:
    async with asked(ARRANGEMENTS[arrangement]()) as client:
        await client.get("/rooms/1")
    assert exported.scopes(SERVER) == {teller}


async def test_baggage_reaches_the_handler_of_its_request_alone(exported: Exported) -> None:
    async def who(_: Request) -> Response:
        return PlainTextResponse(str(baggage.get_baggage("who")))

    async with asked(ObservabilityMiddleware(Starlette(routes=[Route("/who", who)]))) as client:
        answers = [await client.get("/who", headers=headers) for headers in ({"baggage": "who=ann"}, {})]
    assert [answer.text for answer in answers] == ["ann", "None"]


async def test_a_span_is_told_by_the_conventions(exported: Exported) -> None:
    async with asked(ObservabilityMiddleware(starlette())) as client:
        await client.get("/rooms/4%202?secret=1", headers={"X-Correlation-ID": "from-client"})
    (span,) = exported.spans(SERVER)
    host, port = client.base_url.host, client.base_url.port
    assert attributes_of(span) == {
        "http.request.method": "GET",
        "http.route": "/rooms/{room_id}",
        "http.response.status_code": 200,
        "url.path": "/rooms/4%202",
        "url.scheme": "http",
        "server.address": host,
        "server.port": port,
        "network.protocol.version": "1.1",
        "correlation.id": "from-client",
    }
    assert (span.status.code, span.parent_span_id) == (0, b"")


async def test_user_agent_and_client_address_are_told_where_asked_for(exported: Exported) -> None:
    app = ObservabilityMiddleware(starlette(), user_agent=True, client_address=True)
    async with asked(app) as client:
        await client.get("/rooms/1", headers={"User-Agent": "tester/1"})
    (span,) = exported.spans(SERVER)
    told = attributes_of(span)
    assert told["user_agent.original"] == "tester/1"
    assert "client.address" in told  # its value may be redacted on the way out


@pytest.mark.parametrize(
    ("path", "status", "error_type"),
    [("/refuse", 404, None), ("/unavailable", 503, "503"), ("/fail", None, "LookupError"), ("/rooms/1", 200, None)],
)
async def test_only_server_errors_are_errors(
    exported: Exported, path: str, status: int | None, error_type: str | None
) -> None:
    # the observed application is Starlette's router alone, so nobody answers for an exception before it comes out
    async with asked(ObservabilityMiddleware(starlette().router)) as client:
        assert (await client.get(path)).status_code == status or path == "/fail"
    (span,) = exported.spans(SERVER)
    (point,) = exported.durations()
    for told in (attributes_of(span), attributes_of(point)):
        assert told.get("http.response.status_code") == status
        assert told.get("error.type") == error_type
    assert span.status.code == (2 if error_type else 0)


async def test_the_buckets_and_unit_are_those_of_the_specification(exported: Exported) -> None:
    async with asked(ObservabilityMiddleware(starlette())) as client:
        await client.get("/slowly")
    (point,) = exported.durations()
    # semantic conventions, "Metric: http.server.request.duration", ExplicitBucketBoundaries
    bounds = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10]
    assert list(point.explicit_bounds) == bounds
    (metric,) = {m.unit for m in exported.receiver.metrics() if m.name == "http.server.request.duration"}
    assert metric == "s"
    assert 0 < point.sum < 5


async def test_the_server_span_is_remote_s_child_and_the_monitor_s_parent(
    exported: Exported, telemetry: Recorded
) -> None:
    async def act(_: Request) -> Response:
        async with telemetry.monitor.monitor_action_processing("g", "declare", "ann"):
            return PlainTextResponse("ok")

    app = ObservabilityMiddleware(Starlette(routes=[Route("/act", act)]))
    async with asked(app) as client:
        await client.get("/act", headers={"traceparent": TRACEPARENT})
    (server,) = exported.spans(SERVER)
    (action,) = exported.named("action.declare")
    assert (server.trace_id.hex(), server.parent_span_id.hex()) == (TRACE, PARENT)
    assert (action.trace_id, action.parent_span_id) == (server.trace_id, server.span_id)
    (event,) = telemetry.events(EventType.ACTION_COMPLETED)
    assert event.correlation_id == attributes_of(server)["correlation.id"]


async def test_a_malformed_traceparent_starts_anew(exported: Exported) -> None:
    async with asked(ObservabilityMiddleware(starlette())) as client:
        for traceparent in HOSTILE_TRACEPARENTS:
            assert (await client.get("/rooms/1", headers={"traceparent": traceparent})).status_code == 200
    spans = exported.spans(SERVER)
    assert len(spans) == len(HOSTILE_TRACEPARENTS)
    assert {span.parent_span_id for span in spans} == {b""}
    assert TRACE not in {span.trace_id.hex() for span in spans}


async def test_several_traceparents_start_anew(exported: Exported) -> None:
    async with asked(ObservabilityMiddleware(starlette())) as client:
        await client.get("/rooms/1", headers=[("traceparent", TRACEPARENT), ("traceparent", TRACEPARENT)])
    (span,) = exported.spans(SERVER)
    assert span.trace_id.hex() != TRACE


async def test_a_hostile_correlation_id_is_replaced(exported: Exported) -> None:
    answered = []
    async with asked(ObservabilityMiddleware(starlette())) as client:
        for value in HOSTILE_CORRELATION_IDS:
            answer = await client.get("/rooms/1", headers=[(b"X-Correlation-ID", value.encode())])
            answered.append(answer.headers["x-correlation-id"])
            assert answer.text.split()[-1] == answered[-1]
    assert all(GENERATED.fullmatch(correlation_id) for correlation_id in answered)
    assert [attributes_of(span)["correlation.id"] for span in exported.spans(SERVER)] == answered


async def test_odd_methods_and_paths_make_no_new_names(exported: Exported) -> None:
    async with asked(ObservabilityMiddleware(starlette())) as client:
        for number in range(30):
            await client.request(f"BREW{number}", "/refuse")
            await client.get(f"/{'x' * 3000}/{number}%0a%e2%80%ae")
    spans = exported.spans(SERVER)
    assert len(spans) == 60
    assert {span.name for span in spans} == {"HTTP /refuse", "GET"}
    for span in spans:
        told = attributes_of(span)
        assert told["http.request.method"] in ("_OTHER", "GET")
        assert told["url.path"].isprintable()
        assert len(told["url.path"]) <= 256
    assert {point.count for point in exported.durations()} == {30}


async def test_known_methods_can_be_named(exported: Exported, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS", "BREW, WHEN")
    async with asked(ObservabilityMiddleware(starlette())) as client:
        await client.request("BREW", "/nowhere")
        await client.get("/rooms/1")
    assert [span.name for span in exported.spans(SERVER)] == ["BREW", "HTTP /rooms/{room_id}"]


async def test_a_request_ends_with_its_answer_not_with_its_background_work(exported: Exported) -> None:
    released = asyncio.Event()

    async def wait() -> None:
        await released.wait()

    app = fastapi(tracing=False, metrics=False)

    @app.get("/work")
    async def work(tasks: BackgroundTasks) -> str:
        tasks.add_task(wait)
        return "accepted"

    async with asked(ObservabilityMiddleware(app)) as client:
        await client.get("/work")
        assert [span.name for span in exported.spans(SERVER)] == ["GET /work"]
        released.set()
