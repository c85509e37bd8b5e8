"""An example game server as a program of its own, which also tells what only its process knows.

``python -m tests.e2e.game_server liap_tui --port 8000 --collector URL --record FILE`` answers, beside everything the
example answers: ``/test/record`` with the totals of the game's own record, ``/test/ledger`` with what the monitor's
reports and views say, and ``/test/quiet`` with whether every room and socket is closed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sized
from pathlib import Path
from typing import Any, NamedTuple

from fastapi import APIRouter, FastAPI

import examples.arena.match as arena
import examples.arena.server
import examples.liap_tui.server
import otel_setup
from examples.arena.model import ARENA, BUSINESS_METRICS
from examples.arena.record import ArenaRecord
from examples.common.pace import MAX_SPEED
from examples.common.record import Record, Series, expected
from examples.common.serving import serve
from examples.liap_tui.record import LiapTuiRecord
from examples.liap_tui.services import Settings
from tests.e2e.support import Sample, ledger_samples

TARGET_POINTS = 12
"""Points that win a game of Liap Tui here; to 50 it takes longer without doing anything else."""
ILLEGAL = 0.2
"""Share of rounds in which the server attempts a transition that the rules forbid."""


class Game(NamedTuple):
    """A game server, its record, its open rooms, and what broke inside them."""

    app: FastAPI
    record: Record
    rooms: Sized
    failures: list[Exception]


def liap_tui(path: Path, collector: str) -> Game:
    otel_setup.configure(collector=collector)
    record = LiapTuiRecord(path)
    settings = Settings(speed=MAX_SPEED, target=TARGET_POINTS, illegal=ILLEGAL)
    app = examples.liap_tui.server.build_app(otel_setup.get_enterprise_monitor(), record, settings)
    return Game(app, record, app.state.lobby.rooms, app.state.lobby.services.failures)


def the_arena(path: Path, collector: str) -> Game:
    otel_setup.configure(model=ARENA, business_metrics=BUSINESS_METRICS, collector=collector)
    record = ArenaRecord(path)
    settings = arena.Settings(speed=MAX_SPEED, illegal=ILLEGAL)
    app = examples.arena.server.build_app(otel_setup.get_enterprise_monitor(), record, settings)
    return Game(app, record, app.state.arena.matches, app.state.arena.services.failures)


GAMES: dict[str, Callable[[Path, str], Game]] = {"liap_tui": liap_tui, "arena": the_arena}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.e2e.game_server")
    parser.add_argument("game", choices=GAMES)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--collector", required=True, metavar="URL")
    parser.add_argument("--record", type=Path, required=True, metavar="FILE")
    args = parser.parse_args()
    game = GAMES[args.game](args.record, args.collector)
    game.app.include_router(_told(game))
    serve(game.app, "127.0.0.1", args.port)


def _told(game: Game) -> APIRouter:
    routes = APIRouter(prefix="/test")

    @routes.get("/record")
    async def told_by_the_game() -> list[Sample]:
        return [(family, dict(labels), value) for (family, labels), value in with_gauges(game.record).items()]

    @routes.get("/ledger")
    async def told_by_the_monitor() -> list[Sample]:
        return list(ledger_samples(otel_setup.get_enterprise_monitor().core.ledger))

    @routes.get("/quiet")
    async def quiet() -> dict[str, Any]:
        open_sockets = with_gauges(game.record)["websocket_connections_active", frozenset()]
        failures = [repr(failure) for failure in game.failures]
        return {"rooms": len(game.rooms), "sockets": open_sockets, "failures": failures}

    return routes


def with_gauges(record: Record) -> dict[Series, float]:
    """What the record expects, and what must be going on now if nothing was lost."""
    ended = record.total("games_completed_total") + record.total("games_abandoned_total")
    opened, closed = (record.total(f"websocket_connections_{what}_total") for what in ("opened", "closed"))
    return expected(record) | {
        ("games_active", frozenset()): float(record.total("games_started_total") - ended),
        ("websocket_connections_active", frozenset()): float(opened - closed),
    }


if __name__ == "__main__":
    main()
