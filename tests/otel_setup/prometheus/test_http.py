"""The pages over HTTP: three ways to be served, one behaviour."""

from __future__ import annotations

import asyncio
import gzip
import http.client
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from otel_setup import prometheus
from otel_setup.prometheus import Exposition, ScrapeError, asgi_app, start_metrics_server
from tests.otel_setup.prometheus.support import PROMETHEUS_ACCEPT, Process, Source, run_python, shown

Reply = tuple[int, httpx.Headers, bytes]
Ask = Callable[..., Awaitable[Reply]]


@asynccontextmanager
async def served_by_asgi(app: Any) -> AsyncIterator[Ask]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://game") as client:

        async def ask(method: str, path: str, **headers: str) -> Reply:
            request = client.build_request(method, path)
            request.headers = httpx.Headers(headers)
            response = await client.send(request, stream=True)
            return response.status_code, response.headers, b"".join([part async for part in response.aiter_raw()])

        yield ask


@asynccontextmanager
async def served_by_itself(exposition: Exposition) -> AsyncIterator[Ask]:
    with start_metrics_server(exposition=exposition) as server:

        def request(method: str, path: str, headers: dict[str, str]) -> Reply:
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
            connection.putrequest(method, path, skip_accept_encoding=True)
            for name, value in headers.items():
                connection.putheader(name, value)
            connection.endheaders()
            response = connection.getresponse()
            return response.status, httpx.Headers(response.getheaders()), response.read()

        async def ask(method: str, path: str, **headers: str) -> Reply:
            return await asyncio.to_thread(request, method, path, headers)

        yield ask


@pytest.fixture(params=["asgi_app", "prometheus_router", "start_metrics_server"])
async def ask(request: pytest.FixtureRequest, source: Source, default: Any) -> AsyncIterator[Ask]:
    exposition = source.expose(ttl=60.0, collectors=lambda: {"game": True, "system": False})
    default(lambda: exposition)
    if request.param == "start_metrics_server":
        served = served_by_itself(exposition)
    elif request.param == "asgi_app":
        served = served_by_asgi(asgi_app(exposition))
    else:
        app = FastAPI()
        app.include_router(prometheus.prometheus_router)
        served = served_by_asgi(app)
    async with served as ask_it:
        yield ask_it


async def test_get_metrics(ask: Ask) -> None:
    status, headers, body = await ask("GET", "/metrics")
    assert status == 200
    assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert headers["X-Service-Instance-Id"] == "arena-7"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    assert int(headers["Content-Length"]) == len(body)
    assert shown(body) == 1


async def test_get_metrics_as_prometheus_does(ask: Ask) -> None:
    status, headers, body = await ask("GET", "/metrics", Accept=PROMETHEUS_ACCEPT, **{"Accept-Encoding": "gzip"})
    assert status == 200
    assert headers["Content-Type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert headers["Content-Encoding"] == "gzip"
    (family,) = parse_openmetrics(gzip.decompress(body).decode())
    assert [sample.value for sample in family.samples] == [1]


@pytest.mark.parametrize(
    ("header", "compressed"),
    [
        ("gzip", True),
        ("deflate, GZip;q=0.5", True),
        ("identity", False),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("x-gzip", False),
    ],
)
async def test_gzip_only_where_it_is_accepted(ask: Ask, header: str, compressed: bool) -> None:
    _, headers, body = await ask("GET", "/metrics", **{"Accept-Encoding": header})
    assert (headers.get("Content-Encoding") == "gzip") is compressed
    assert shown(gzip.decompress(body) if compressed else body) == 1


async def test_head_is_a_get_without_a_body(ask: Ask) -> None:
    for path in ("/metrics", "/metrics/health"):
        status, headers, body = await ask("HEAD", path)
        _, full_headers, full_body = await ask("GET", path)
        assert (status, body) == (200, b"")
        assert headers["Content-Type"] == full_headers["Content-Type"]
        if path == "/metrics":
            assert int(headers["Content-Length"]) == len(full_body)


async def test_names_can_be_chosen(ask: Ask) -> None:
    _, _, other = await ask("GET", "/metrics?name[]=other_total")
    _, _, chosen = await ask("GET", "/metrics?name%5B%5D=collections_total&name[]=other")
    assert b"collections_total" not in other
    assert shown(chosen) == 1


async def test_too_many_parameters_are_refused(ask: Ask) -> None:
    status, _, body = await ask("GET", "/metrics?" + "&".join(f"name[]=n{n}" for n in range(101)))
    assert (status, body) == (400, b"at most 100 parameters, please\n")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_metrics_can_only_be_read(ask: Ask, method: str) -> None:
    status, headers, _ = await ask(method, "/metrics")
    assert status == 405
    assert {word.strip() for word in headers["Allow"].split(",")} == {"GET", "HEAD"}


@pytest.mark.parametrize("path", ["/", "/metric", "/metrics/healthy", "/metricsx", "/x/metrics", "//["])
async def test_nothing_else_is_there(ask: Ask, path: str) -> None:
    assert (await ask("GET", path))[0] == 404


async def test_a_failing_collection_is_a_500_in_plain_words(ask: Ask, source: Source) -> None:
    source.failing = ValueError("secret")
    status, headers, body = await ask("GET", "/metrics")
    assert status == 500
    assert headers["Content-Type"] == "text/plain; charset=utf-8"
    assert b"ValueError" in body
    assert b"secret" not in body
    assert len(body) < 200
    status, _, body = await ask("GET", "/metrics/health")
    assert (status, json.loads(body)["status"]) == (503, "unhealthy")
    assert json.loads(body)["collectors"] == {"base": False, "game": True, "system": False}
    source.failing = None
    assert (await ask("GET", "/metrics"))[0] == 200
    assert (await ask("GET", "/metrics/health"))[0] == 200


async def test_health(ask: Ask, source: Source) -> None:
    await ask("GET", "/metrics")
    status, headers, body = await ask("GET", "/metrics/health")
    assert status == 200
    assert headers["Content-Type"] == "application/json"
    assert headers["X-Service-Instance-Id"] == "arena-7"
    health = json.loads(body)
    assert abs(datetime.fromisoformat(health.pop("timestamp")) - datetime.now(UTC)) < timedelta(hours=1)
    assert health == {
        "status": "healthy",
        "instance": "arena-7",
        "collectors": {"base": True, "game": True, "system": False},
        "scrapes": {"requests": 1, "collections": 1, "failures": 0, "refused": 0, "timeouts": 0},
    }
    assert source.collections == 1, "asking for the health collects nothing"


async def test_without_a_description_the_health_is_bad_news(source: Source) -> None:
    def fail() -> Any:
        raise ZeroDivisionError

    for exposition in (Exposition(lambda: source.registry, fail), source.expose(collectors=fail)):
        status, body, instance = exposition.health()
        assert (status, json.loads(body)["status"], instance) == (503, "unhealthy", "")


async def test_an_instance_that_no_header_can_carry_is_made_to_fit(source: Source) -> None:
    exposition = Exposition(lambda: source.registry, lambda: {"instance": "Zürich\r\nSet-Cookie: x"})
    for served in (served_by_asgi(asgi_app(exposition)), served_by_itself(exposition)):
        async with served as ask:
            for path in ("/metrics", "/metrics/health"):
                _, headers, _ = await ask("GET", path)
                assert headers["X-Service-Instance-Id"] == "Z?rich??Set-Cookie: x"
                assert "Set-Cookie" not in headers


# --- each way's own --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mount", "path"), [("/obs", "/metrics"), ("/metrics", "")])
async def test_the_asgi_app_can_be_mounted(source: Source, mount: str, path: str) -> None:
    app = FastAPI()
    app.mount(mount, asgi_app(source.expose(), path))
    whole = mount + path
    async with served_by_asgi(app) as ask:
        assert (await ask("GET", f"{whole}/health"))[0] == 200
        assert (await ask("GET", f"{whole}/"))[0] == 200
        assert (await ask("GET", f"{mount}/nothing"))[0] == 404


async def test_the_asgi_app_and_the_router_send_no_body_after_head(source: Source, default: Any) -> None:
    exposition = source.expose()
    default(lambda: exposition)
    routed = FastAPI()
    routed.include_router(prometheus.prometheus_router)
    scope = {"type": "http", "method": "HEAD", "path": "/metrics", "query_string": b"", "headers": []}
    for app in (asgi_app(exposition), routed):
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request"}

        async def send(message: Any, sent: list[Any] = sent) -> None:
            sent.append(message)

        await app(scope, receive, send)
        start, *rest = sent
        assert int(dict(start["headers"])[b"content-length"]) > 0
        assert b"".join(message["body"] for message in rest) == b""


async def test_the_asgi_app_knows_the_other_protocols(source: Source) -> None:
    sent: list[str] = []
    received = iter(["lifespan.startup", "lifespan.shutdown"])

    async def receive() -> dict[str, Any]:
        return {"type": next(received)}

    async def send(message: Any) -> None:
        sent.append(message["type"])

    app = asgi_app(source.expose())
    await app({"type": "lifespan"}, receive, send)
    await app({"type": "websocket", "path": "/metrics", "headers": []}, receive, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete", "websocket.close"]


async def test_the_router_can_have_a_prefix_and_is_not_in_the_schema(source: Source, default: Any) -> None:
    exposition = source.expose()
    default(lambda: exposition)
    app = FastAPI()
    app.include_router(prometheus.prometheus_router, prefix="/internal")
    async with served_by_asgi(app) as ask:
        assert (await ask("GET", "/internal/metrics"))[0] == 200
        assert (await ask("GET", "/internal/metrics/health"))[0] == 200
    assert app.openapi()["paths"] == {}


async def test_without_a_default_the_router_says_so(default: Any) -> None:
    default(None)
    app = FastAPI()
    app.include_router(prometheus.prometheus_router)
    async with served_by_asgi(app) as ask:
        for path in ("/metrics", "/metrics/health"):
            status, _, body = await ask("GET", path)
            assert status == 503
            assert b"import otel_setup" in body
    with pytest.raises(ScrapeError):
        start_metrics_server()
    with pytest.raises(ScrapeError):
        prometheus.PrometheusExporter().export_metrics()


WITHOUT_FASTAPI = """
import sys
sys.modules["fastapi"] = None
from otel_setup import prometheus
prometheus.asgi_app, prometheus.start_metrics_server
try:
    from otel_setup.prometheus import prometheus_router
except ImportError as error:
    print(error)
try:
    prometheus.nothing
except AttributeError as error:
    print(error)
"""


def test_without_fastapi_everything_but_the_router_works() -> None:
    run = run_python(WITHOUT_FASTAPI)
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines() == [
        "prometheus_router needs FastAPI: pip install 'otel-setup[web]'",
        "module 'otel_setup.prometheus' has no attribute 'nothing'",
    ]


def test_importing_prometheus_does_not_import_fastapi() -> None:
    run = run_python("import sys, otel_setup.prometheus; sys.exit('fastapi' in sys.modules)")
    assert run.returncode == 0, run.stderr


def test_the_exporter_gives_the_text_of_the_default_exposition(process: Process, default: Any) -> None:
    process.meter().create_counter("turns").add(2)
    default(lambda: process.exposition)
    text = prometheus.PrometheusExporter(game_metrics=object(), system_metrics=None).export_metrics()
    samples = {sample.name: sample.value for family in parse_text(text) for sample in family.samples}
    assert samples["turns_total"] == 2
