"""The FastAPI router. Import it as ``otel_setup.prometheus.prometheus_router``, which says what is missing."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from otel_setup.prometheus import http
from otel_setup.prometheus.default import default_exposition

prometheus_router = APIRouter()


@prometheus_router.api_route(http.METRICS_PATH, methods=list(http.METHODS), include_in_schema=False)
async def metrics(request: Request) -> Response:
    """This process's metrics."""
    return await _answer(request, http.METRICS_PATH)


@prometheus_router.api_route(http.METRICS_PATH + http.HEALTH, methods=list(http.METHODS), include_in_schema=False)
async def health(request: Request) -> Response:
    """Whether the metrics can be collected."""
    return await _answer(request, http.METRICS_PATH + http.HEALTH)


async def _answer(request: Request, path: str) -> Response:
    def header(name: str) -> str:
        return ",".join(request.headers.getlist(name))

    asked = http.Request(request.method, path, request.url.query, header("accept"), header("accept-encoding"))
    reply = await http.answer(default_exposition, asked)
    return Response(reply.body, reply.status, reply.headers)
