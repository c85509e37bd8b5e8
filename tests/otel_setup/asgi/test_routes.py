"""The route in spans and labels is always the application's template, never what a client wrote."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Host, Mount, Route, Router

from otel_setup.asgi import routes
from otel_setup.asgi.routes import Routes, template
from otel_setup.asgi.semconv import MAX_URL_PATH, url_path


async def page(_: Request) -> Response:
    return PlainTextResponse("a")


def fastapi() -> FastAPI:
    app = FastAPI(telemetry={"tracing": False, "metrics": False})
    router = APIRouter(prefix="/api")
    router.add_api_route("/rooms/{room_id}", lambda room_id: room_id)
    app.include_router(router, prefix="/v1")
    tenant = FastAPI(telemetry={"tracing": False, "metrics": False})
    tenant.add_api_route("/x/{y}", lambda y: y)
    app.mount("/sub/{tenant}", tenant)
    return app


STARLETTE = Starlette(
    routes=[
        Route("/", page),
        Route("/r/{i:int}", page),
        Route("/files/{rest:path}", page),
        Mount("/m/{t}", routes=[Route("/q/{i}", page), Route("/", page)]),
        Mount("/n/{number:int}", routes=[Route("/q", page)]),
        Mount("/raw", app=PlainTextResponse("hi")),
        Mount("/rawof/{t}", app=PlainTextResponse("hi")),
        Mount("/deep", routes=[Mount("/er", routes=[Route("/est/{a}/{b}", page)])]),
        Host("other.example", app=Router(routes=[Route("/h/{x}", page)])),
    ]
)


async def route_of(app: Any, path: str, **settings: Any) -> str | None:
    found: list[str | None] = []

    async def outside(scope: Any, receive: Any, send: Any) -> None:
        await app(scope, receive, send)
        found.append(template(scope))

    transport = httpx.ASGITransport(outside, raise_app_exceptions=False, **settings)
    async with httpx.AsyncClient(transport=transport, base_url="http://game.example") as client:
        await client.get(path)
    return found[0]


@pytest.mark.parametrize(
    ("make", "path", "expected"),
    [
        (lambda: STARLETTE, "/", "/"),
        (lambda: STARLETTE, "/r/007", "/r/{i}"),
        (lambda: STARLETTE, "/files/a/b/c", "/files/{rest}"),
        (lambda: STARLETTE, "/m/acme/q/7", "/m/{t}/q/{i}"),
        (lambda: STARLETTE, "/m/acme/", "/m/{t}/"),
        (lambda: STARLETTE, "/n/7/q", "/n/{number}/q"),
        (lambda: STARLETTE, "/n/007/q", None),  # the converted value is not in the path: better no route than a new one
        (lambda: STARLETTE, "/raw/whatever/it/is", "/raw/{path}"),
        (lambda: STARLETTE, "/rawof/acme/it", "/rawof/{t}/{path}"),
        (lambda: STARLETTE, "/deep/er/est/1/2", "/deep/er/est/{a}/{b}"),
        (lambda: STARLETTE, "/nowhere", None),
        (fastapi, "/v1/api/rooms/1", "/v1/api/rooms/{room_id}"),
        (fastapi, "/sub/acme/x/2", "/sub/{tenant}/x/{y}"),
        (fastapi, "/nowhere", None),
        (lambda: PlainTextResponse("no routes"), "/anything", None),
    ],
)
async def test_the_template(make: Callable[[], Any], path: str, expected: str | None) -> None:
    assert await route_of(make(), path) == expected


async def test_a_prefix_that_a_proxy_took_away_is_left_out() -> None:
    assert await route_of(STARLETTE, "/r/7", root_path="/proxied") == "/r/{i}"


def test_routes_are_bounded_whatever_the_application_makes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "MAX_ROUTES", 3)
    beyond: list[None] = []
    known = Routes(lambda: beyond.append(None), "other")
    found = []
    for number in [*range(5), 0, 4]:
        route = Route(f"/r{number}", page)
        found.append(known.of({"route": route, "path": f"/r{number}"}))
    assert found == ["/r0", "/r1", "/r2", "other", "other", "/r0", "other"]
    assert len(beyond) == 3


def test_a_strange_route_object_is_no_route() -> None:
    for strange in (None, "text", 7, object(), type("R", (), {"path_format": "/x", "path_regex": "no pattern"})()):
        assert template({"route": strange, "path": "/x"}) is None


def test_a_path_is_shown_as_in_a_url() -> None:
    assert url_path("/a b/é\u202e\n\x00?#%<script>") == "/a%20b/%C3%A9%E2%80%AE%0A%00%3F%23%25%3Cscript%3E"
    assert url_path("/\ud800") == "/%3F"
    assert len(url_path("/" + "é" * 100_000)) == MAX_URL_PATH
