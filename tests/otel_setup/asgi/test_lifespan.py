"""The end of the server is the end of telemetry, within a deadline, whatever the callback does."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.applications import Starlette

from otel_setup.asgi import ObservabilityMiddleware
from otel_setup.testing import Recorded
from tests.otel_setup.asgi.support import Exported, serving


def application(told: list[str], *, fail_at: str = "") -> Starlette:
    @asynccontextmanager
    async def lifespan(_: Starlette) -> Any:
        told.append("up")
        if fail_at == "startup":
            raise RuntimeError("no database")
        yield
        told.append("down")
        if fail_at == "shutdown":
            raise RuntimeError("no database")

    return Starlette(lifespan=lifespan)


async def run(app: Any) -> list[dict[str, Any]]:
    """One lifespan as a server has it; what the application said."""
    said: list[dict[str, Any]] = []
    messages = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])

    async def receive() -> Any:
        return next(messages)

    async def send(message: Any) -> None:
        said.append(message)

    await app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, receive, send)
    return said


async def test_telemetry_ends_after_the_application(telemetry: Recorded) -> None:
    told: list[str] = []
    app = ObservabilityMiddleware(application(told), on_shutdown=lambda: told.append("telemetry"))
    async with serving(app):
        assert told == ["up"]
    assert told == ["up", "down", "telemetry"]


async def test_what_the_application_reports_last_is_exported(exported: Exported, telemetry: Recorded) -> None:
    @asynccontextmanager
    async def lifespan(_: Starlette) -> Any:
        yield
        await telemetry.monitor.record_game_end("g1", "ann")

    app = ObservabilityMiddleware(Starlette(lifespan=lifespan), on_shutdown=exported.handle.shutdown)
    async with serving(app):
        await telemetry.monitor.record_game_start("g1", "r1", 4, 0)
    assert [record.event_name for record in exported.receiver.log_records()][-2:] == ["game.ended", "producer.stopped"]


@pytest.mark.parametrize("fail_at", ["startup", "shutdown"])
async def test_a_failure_of_the_application_is_told_and_telemetry_ends_all_the_same(
    telemetry: Recorded, fail_at: str
) -> None:
    told: list[str] = []
    app = ObservabilityMiddleware(application(told, fail_at=fail_at), on_shutdown=lambda: told.append("telemetry"))
    with pytest.raises(RuntimeError, match="no database"):
        await run(app)
    assert told[-1] == "telemetry"


async def test_a_callback_that_hangs_is_left_behind(telemetry: Recorded) -> None:
    hold = threading.Event()
    app = ObservabilityMiddleware(application([]), on_shutdown=lambda: hold.wait(60), shutdown_timeout=0.05)
    started = time.monotonic()
    said = await run(app)
    waited = time.monotonic() - started
    hold.set()
    assert said[-1] == {"type": "lifespan.shutdown.complete"}
    assert waited < 30  # of the callback's 60
    assert telemetry.monitor.core.faults.counts["export"] == 1


async def test_the_loop_goes_on_while_the_callback_works(telemetry: Recorded) -> None:
    turned = threading.Event()
    app = ObservabilityMiddleware(application([]), on_shutdown=lambda: turned.wait(20), shutdown_timeout=30)
    asyncio.get_running_loop().call_later(0.05, turned.set)
    await run(app)
    assert telemetry.monitor.core.faults.counts["export"] == 0


async def test_a_callback_that_fails_is_counted(telemetry: Recorded) -> None:
    def fail() -> None:
        raise OSError("no route to host")

    said = await run(ObservabilityMiddleware(application([]), on_shutdown=fail))
    assert said[-1] == {"type": "lifespan.shutdown.complete"}
    assert telemetry.monitor.core.faults.counts["export"] == 1


async def test_an_application_without_lifespan_says_so_itself(telemetry: Recorded) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http", "no lifespan here"

    with pytest.raises(AssertionError, match="no lifespan here"):
        await run(ObservabilityMiddleware(app, on_shutdown=lambda: None))
