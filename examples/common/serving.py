"""Runs an example's server: in the foreground, or inside this process on a free port for players and tests."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import uvicorn
from fastapi import FastAPI

from otel_setup import current_telemetry
from otel_setup.correlation import ASGIApp

MAX_MESSAGE = 64 * 1024
"""Bytes of the largest message a client may send; a larger one closes its socket with 1009."""

DRAIN_SECONDS = 5
"""Time that open sockets have to finish when the server stops."""


def observed(app: FastAPI) -> ASGIApp:
    """The application with its requests and sockets observed, where this process is configured.

    It goes around everything: FastAPI, which would otherwise tell a socket by a span as long as the connection, leaves
    to it what it has told already.
    """
    telemetry = current_telemetry()
    return telemetry.asgi(app) if telemetry else app


def serve(app: ASGIApp, host: str, port: int) -> None:
    """Run until SIGINT or SIGTERM."""
    with suppress(KeyboardInterrupt):
        uvicorn.Server(_config(app, host, port, log_level="info")).run()


@asynccontextmanager
async def running(app: ASGIApp, host: str = "127.0.0.1") -> AsyncIterator[str]:
    """The application on a free port of this machine, while the block runs; yields ``host:port``.

    Raises:
        RuntimeError: if the server does not start.
    """
    listener = socket.create_server((host, 0))
    server = uvicorn.Server(_config(app, host, 0, log_level="warning"))
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        while not server.started:
            if task.done():
                raise RuntimeError("the server did not start") from task.exception()
            await asyncio.sleep(0.01)
        yield f"{host}:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task


def _config(app: ASGIApp, host: str, port: int, log_level: str) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        log_level=log_level,
        access_log=False,
        ws_max_size=MAX_MESSAGE,
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )
