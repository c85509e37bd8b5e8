"""The hub's paths over HTTP: who asks, what is asked, and the answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from otel_setup import clock
from otel_setup.hub import metrics as m
from otel_setup.hub import pages
from otel_setup.hub.answers import as_json, error, refuse, status
from otel_setup.hub.connections import STATE, Connection
from otel_setup.hub.engine import Hub, Phase
from otel_setup.hub.intake import NotTaken
from otel_setup.hub.metrics import Refused
from otel_setup.hub.otlp import Refused as NotReadable
from otel_setup.hub.otlp import encode_response, media_type
from otel_setup.hub.query import Query, QueryError, parse
from otel_setup.hub.security import LOGS_PATH, Access, ASGIApp, Guard, Receive, Scope, Send, Tokens, allowed_names
from otel_setup.hub.settings import HubSettings

STREAM_PATH = "/events/stream"
_REASONS = {
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: Refused.TOO_LARGE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: Refused.MEDIA_TYPE,
    HTTPStatus.TOO_MANY_REQUESTS: Refused.FULL,
    HTTPStatus.SERVICE_UNAVAILABLE: Refused.SLOW_BODY,
}
_STREAM_HEADERS = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # a proxy that gathers answers would hold events back
)

Endpoint = Callable[[Request], Awaitable[Response]]


def build_app(hub: Hub, tokens: Tokens) -> ASGIApp:
    """The ASGI application of a hub, guarded.

    Parameters:
        hub: started and ended by whoever serves the application.
        tokens: who may ask.
    """
    settings = hub.settings
    routes = _Routes(hub)
    app = Starlette(routes=routes.table(), exception_handlers={HTTPException: _no_such_path})
    app.router.redirect_slashes = False
    return Guard(
        app,
        tokens,
        refuse,
        allowed_names(settings),
        settings.max_head_bytes,
        settings.max_requests,
        settings.retry_after_seconds,
        hub.counters.refuse,
        lambda path: path == STREAM_PATH,
    )


async def _no_such_path(_: Request, problem: Exception) -> Response:
    code = problem.status_code if isinstance(problem, HTTPException) else HTTPStatus.NOT_FOUND
    return error(code, "there is no such path", paths=list(pages.PATHS))


class _Routes:
    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._settings: HubSettings = hub.settings
        self._reading = 0

    def table(self) -> list[Route]:
        return [
            Route(LOGS_PATH, self._take, methods=["POST"]),
            Route(STREAM_PATH, _Streams(self._hub)),
            Route("/events", self._when_ready(self._events)),
            Route("/views/rooms/{room:path}", self._when_ready(self._room)),
            Route("/views/{name}", self._when_ready(self._view)),
            Route("/producers", self._when_ready(self._producers)),
            Route("/metrics", self._metrics),
            Route("/health", self._health),
            Route("/", self._index),
        ]

    # --- taking events in -------------------------------------------------------------------------------------------
    async def _take(self, request: Request) -> Response:
        content_type = request.headers.get("content-type", "")
        try:
            self._hub.check()
            body = await self._body(request)
            decoded = await self._hub.decode(body, content_type, request.headers.get("content-encoding", ""))
            await self._hub.take(decoded)
        except NotTaken as later:
            code = HTTPStatus.TOO_MANY_REQUESTS if later.reason is Refused.FULL else HTTPStatus.SERVICE_UNAVAILABLE
            return self._refused(NotReadable(code, later.message), later.reason, content_type)
        except NotReadable as refused:
            reason = _REASONS.get(HTTPStatus(refused.status), Refused.MALFORMED)
            return self._refused(refused, reason, content_type)
        counters = self._hub.counters
        counters.requests += 1
        counters.bytes += len(body)
        return Response(encode_response(decoded, content_type), media_type=media_type(content_type))

    def _refused(self, refused: NotReadable, reason: Refused, content_type: str) -> Response:
        self._hub.counters.refuse(reason)
        headers = {}
        if refused.status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
            headers["retry-after"] = str(self._settings.retry_after_seconds)
        return status(refused, content_type, headers)

    async def _body(self, request: Request) -> bytes:
        """The body, as far as bounds allow, whatever its length claims to be.

        Raises:
            NotReadable: it is too large, too slow, or too much is on its way already.
        """
        most = self._settings.max_body_bytes
        too_large = NotReadable(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is larger than {most} bytes")
        claimed = request.headers.get("content-length", "")
        if claimed.isdecimal() and int(claimed) > most:
            raise too_large
        chunks: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self._settings.body_seconds):
                async for chunk in request.stream():
                    size += len(chunk)
                    self._reading += len(chunk)
                    if size > most:
                        raise too_large
                    if self._reading > self._settings.intake_bytes:
                        raise NotReadable(HTTPStatus.TOO_MANY_REQUESTS, "too much is on its way; try again")
                    chunks.append(chunk)
        except TimeoutError:
            seconds = self._settings.body_seconds
            # Not 408, which a Collector takes for final: it would drop the batch.
            raise NotReadable(
                HTTPStatus.SERVICE_UNAVAILABLE, f"the body did not come within {seconds:g} seconds"
            ) from None
        finally:
            self._reading -= size
        return b"".join(chunks)

    # --- reading ----------------------------------------------------------------------------------------------------
    def _when_ready(self, endpoint: Endpoint) -> Endpoint:
        async def guarded(request: Request) -> Response:
            if self._hub.phase is Phase.STARTING:
                self._hub.counters.refuse(Refused.STARTING)
                return _later(self._settings, self._hub.progress)
            return await endpoint(request)

        return guarded

    async def _events(self, request: Request) -> Response:
        try:
            query = _query(request.scope, self._settings)
        except QueryError as problem:
            return error(HTTPStatus.BAD_REQUEST, str(problem))
        page = await self._hub.history.page(query, self._settings.max_scan)
        head = json.dumps({"epoch": page.cursor.epoch, "cursor": str(page.cursor)})[:-1]
        tail = json.dumps({"complete": page.complete, "more": page.more})[1:]
        body = b'%s,"events":[%s],%s' % (head.encode(), b",".join(page.payloads), tail.encode())
        return Response(body, media_type="application/json")

    async def _view(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in pages.VIEWS:
            return error(HTTPStatus.NOT_FOUND, f"there is no view {name!r:.80}", views=list(pages.VIEWS))
        return as_json(await self._hub.views.view(name))

    async def _room(self, request: Request) -> Response:
        try:
            return as_json(await self._hub.views.room(request.path_params["room"]))
        except pages.NoSuchRoom as problem:
            return error(HTTPStatus.NOT_FOUND, str(problem))

    async def _producers(self, _: Request) -> Response:
        return as_json(self._hub.producers())

    async def _metrics(self, _: Request) -> Response:
        return Response(m.exposition(self._hub.metrics), headers={"content-type": m.CONTENT_TYPE})

    async def _health(self, request: Request) -> Response:
        health = self._hub.health()
        code = HTTPStatus.OK if self._hub.takes_events else HTTPStatus.SERVICE_UNAVAILABLE
        # Whoever has no token learns what a probe has to know, and no more.
        may_read = request.scope.get("access", Access.NOTHING) >= Access.READ
        return as_json(health if may_read else {"status": health["status"]}, code)

    async def _index(self, _: Request) -> Response:
        return as_json({"name": "events hub", "status": self._hub.health()["status"], "paths": dict(pages.PATHS)})


class _Streams:
    """``/events/stream``, as an ASGI application: what it sends does not end."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = self._not_now(scope)
        if response is not None:
            await response(scope, receive, send)
            return
        query = _query(scope, self._hub.settings)
        await send({"type": "http.response.start", "status": HTTPStatus.OK, "headers": list(_STREAM_HEADERS)})
        if scope["method"] == "HEAD":
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        connection = scope.get("state", {}).get(STATE) or Connection()
        await self._hub.viewers.serve(query, connection, receive, send)

    def _not_now(self, scope: Scope) -> Response | None:
        """The answer where there is no stream to be had."""
        hub = self._hub
        try:
            query = _query(scope, hub.settings)
        except QueryError as problem:
            return error(HTTPStatus.BAD_REQUEST, str(problem))
        if hub.phase is not Phase.RUNNING:
            hub.counters.refuse(Refused.STARTING if hub.phase is Phase.STARTING else Refused.ENDING)
            return _later(hub.settings, hub.progress)
        if query.finished and not query.live:
            return Response(status_code=HTTPStatus.NO_CONTENT)
        if hub.viewers.full:
            hub.counters.refuse(Refused.VIEWERS)
            return _later(hub.settings, f"all {hub.settings.max_viewers} streams are taken; try again later")
        return None


def _query(scope: Scope, settings: HubSettings) -> Query:
    last_event_id = next((value for name, value in scope["headers"] if name == b"last-event-id"), b"")
    return parse(
        scope["query_string"].decode("latin-1"),
        clock.time_ns(),
        default_policy=settings.viewer_policy,
        default_limit=settings.default_limit,
        max_limit=settings.max_limit,
        last_event_id=last_event_id.decode("latin-1"),
    )


def _later(settings: HubSettings, text: str) -> Response:
    headers: Mapping[str, Any] = {"retry-after": str(settings.retry_after_seconds)}
    return error(HTTPStatus.SERVICE_UNAVAILABLE, text, headers)
