"""The two pages, ``/metrics`` and ``/metrics/health``, for every way of serving them."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

from otel_setup.prometheus.exposition import Exposition, Rendering, ScrapeError, Wanted, prefers_openmetrics

MAX_PARAMETERS = 100
"""Most query parameters (``name[]``) of a request; one with more is answered with 400."""
METHODS = ("GET", "HEAD")
METRICS_PATH = "/metrics"
HEALTH = "/health"
INSTANCE_HEADER = "X-Service-Instance-Id"

_SAFE = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",  # label values may hold what a browser would take for a page
}
_NOT_WANTED = re.compile(r"\s*q\s*=\s*0(\.0*)?\s*")

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]


@dataclass(frozen=True)
class Request:
    """What of a request matters here. ``accept`` and ``accept_encoding`` are the headers of these names."""

    method: str
    path: str
    query: str = ""
    accept: str = ""
    accept_encoding: str = ""

    def wanted(self) -> Wanted:
        """Raises ScrapeError (400) for too many parameters."""
        try:
            names = parse_qs(self.query, max_num_fields=MAX_PARAMETERS).get("name[]", [])
        except ValueError as error:
            raise ScrapeError(f"at most {MAX_PARAMETERS} parameters, please", HTTPStatus.BAD_REQUEST) from error
        return Wanted(prefers_openmetrics(self.accept), accepts_gzip(self.accept_encoding), frozenset(names))


@dataclass(frozen=True)
class Answer:
    """An HTTP response."""

    status: int
    headers: dict[str, str]
    body: bytes


async def answer(source: Callable[[], Exposition], request: Request, base: str = METRICS_PATH) -> Answer:
    """The page that is asked for, or why there is none.

    Parameters:
        source: gives the exposition; it may raise ScrapeError.
        request: the request.
        base: the path of the metrics.
    """
    try:
        if page := _other_page(source, request, base):
            return page
        wanted = request.wanted()
        return _metrics(await source().render(wanted), wanted, request)
    except ScrapeError as error:
        return _plain(error.status, str(error), request)


def answer_sync(source: Callable[[], Exposition], request: Request, base: str = METRICS_PATH) -> Answer:
    """As ``answer()``, for threads."""
    try:
        if page := _other_page(source, request, base):
            return page
        wanted = request.wanted()
        return _metrics(source().render_sync(wanted), wanted, request)
    except ScrapeError as error:
        return _plain(error.status, str(error), request)


def _other_page(source: Callable[[], Exposition], request: Request, base: str) -> Answer | None:
    """The answer to whatever does not ask for the metrics."""
    path = request.path.rstrip("/")
    if path not in (base, base + HEALTH):
        return _plain(HTTPStatus.NOT_FOUND, f"there are {base or '/'} and {base}{HEALTH}", request)
    if request.method not in METHODS:
        return _plain(HTTPStatus.METHOD_NOT_ALLOWED, "metrics can only be read", request, Allow=", ".join(METHODS))
    if path != base:
        status, body, instance = source().health()
        return _answer(status, "application/json", body, request, **{INSTANCE_HEADER: _header_safe(instance)})
    return None


def _metrics(rendering: Rendering, wanted: Wanted, request: Request) -> Answer:
    headers = {INSTANCE_HEADER: _header_safe(rendering.instance)}
    if wanted.gzip:
        headers["Content-Encoding"] = "gzip"
    return _answer(HTTPStatus.OK, rendering.content_type, rendering.body, request, **headers)


def _plain(status: HTTPStatus, text: str, request: Request, **headers: str) -> Answer:
    return _answer(status, "text/plain; charset=utf-8", f"{text}\n".encode(), request, **headers)


def _answer(status: HTTPStatus, content_type: str, body: bytes, request: Request, **headers: str) -> Answer:
    headers |= {"Content-Type": content_type, "Content-Length": str(len(body)), **_SAFE}
    return Answer(status.value, headers, b"" if request.method == "HEAD" else body)


def accepts_gzip(header: str) -> bool:
    """Whether an Accept-Encoding header names gzip."""
    for offer in header.split(","):
        coding, _, weight = offer.partition(";")
        if coding.strip().lower() == "gzip":
            return not _NOT_WANTED.fullmatch(weight)
    return False


def _header_safe(text: str) -> str:
    return text.encode("ascii", "replace").decode("ascii")


def asgi_app(exposition: Exposition, path: str = METRICS_PATH) -> ASGIApp:
    """An ASGI application that serves the metrics at ``path`` and their health at ``path``/health.

    It needs no web framework. Where one mounts it, ``path`` is below the mount point.

    Parameters:
        exposition: what to serve.
        path: where; ``""`` for an application that is mounted at ``/metrics``.
    """
    base = path.rstrip("/")

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await _respond(await answer(lambda: exposition, _request(scope), base), send)
        elif scope["type"] == "lifespan":
            await _lifespan(receive, send)
        else:
            await send({"type": "websocket.close"})

    return app


def _request(scope: Scope) -> Request:
    def header(name: bytes) -> str:
        return ",".join(value.decode("latin-1") for key, value in scope["headers"] if key.lower() == name)

    query = scope.get("query_string", b"").decode("latin-1")
    return Request(scope["method"], _path_below_mount(scope), query, header(b"accept"), header(b"accept-encoding"))


def _path_below_mount(scope: Scope) -> str:
    path, root = str(scope["path"]), str(scope.get("root_path", ""))
    return path.removeprefix(root) if f"{path}/".startswith(f"{root}/") else path


async def _respond(reply: Answer, send: Send) -> None:
    headers = [(name.lower().encode(), value.encode()) for name, value in reply.headers.items()]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
