"""A small game server that is ended in every way there is.

``python -m tests.e2e.lifecycle_app`` configures monitoring before the server takes the signals over, ``uvicorn
tests.e2e.lifecycle_app:app`` when it has. Environment variables say how it is set up: ``CONFIGURE_IN`` (``import`` or
``lifespan``), ``END_BY`` (``nothing``, ``asgi`` or ``lifespan``), and ``OPTIONS``.

One game is on as long as the server runs and ends at the very end of its lifespan; another is on as long as somebody
is connected to ``/play/GAME``, which ends when the server closes its sockets.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext

import uvicorn
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

import otel_setup
from otel_setup import Seat, current_telemetry
from otel_setup.correlation import ASGIApp
from tests.e2e.processes import EVENING

CONFIGURE_IN = os.environ.get("CONFIGURE_IN", "import")
END_BY = os.environ.get("END_BY", "nothing")
ACTION = "declare"

OPTIONS = json.loads(os.environ.get("OPTIONS", '{"batch_delay": 3600, "metric_interval": 3600}'))
"""Of ``configure()``. Without others nothing is exported until the end."""

monitor = otel_setup.get_enterprise_monitor()
if CONFIGURE_IN == "import":
    otel_setup.configure(OPTIONS)


async def begin(game: str) -> None:
    await monitor.record_game_start(game, f"room of {game}", 2, 1, players=[Seat("ann"), Seat("Bot 2", is_bot=True)])


def evening() -> str:
    """The game of this process."""
    return f"{EVENING}{os.getpid()}"


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    telemetry = otel_setup.configure(OPTIONS) if CONFIGURE_IN == "lifespan" else None
    ends = (telemetry or current_telemetry()) if END_BY == "lifespan" else None
    async with ends.lifespan(app) if ends else nullcontext():
        await begin(evening())
        yield
        await monitor.record_game_end(evening(), "ann")


async def play(socket: WebSocket) -> None:
    """A game of which every message is an action."""
    game = socket.path_params["game"]
    await socket.accept()
    await begin(game)
    await socket.send_text(evening())
    try:
        while True:
            player = await socket.receive_text()
            async with monitor.monitor_action_processing(game, ACTION, player):
                pass
            await socket.send_text("done")
    except WebSocketDisconnect:
        await monitor.record_game_end(game, "ann")


def shut_down() -> None:
    telemetry = current_telemetry()
    if telemetry is not None:
        telemetry.shutdown()


api = Starlette(routes=[WebSocketRoute("/play/{game}", play)], lifespan=lifespan)
app: ASGIApp = otel_setup.ObservabilityMiddleware(api, on_shutdown=shut_down) if END_BY == "asgi" else api

if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=0)
