"""``telemetry.lifespan`` inside an event loop; whole processes are ended in tests/e2e/test_lifecycle.py."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

import otel_setup
from otel_setup import EnterpriseMonitor, current_telemetry
from otel_setup.lifespan import in_thread, observed
from otel_setup.testing import Recorded


def background_running(monitor: EnterpriseMonitor) -> bool:
    return bool(monitor.get_monitoring_status()["background_running"])


def test_it_is_a_lifespan_of_fastapi(telemetry: Recorded) -> None:
    handle = otel_setup.configure(collector=False)
    app = FastAPI(lifespan=handle.lifespan)

    @app.get("/running")
    async def running() -> bool:
        return background_running(telemetry.monitor)

    with TestClient(app) as client:
        assert client.get("/running").json() is True
        assert current_telemetry() is handle
    assert not background_running(telemetry.monitor)
    assert current_telemetry() is None


def test_around_a_lifespan_of_the_application(telemetry: Recorded) -> None:
    handle = otel_setup.configure(collector=False)
    configured: list[bool] = []

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with handle.lifespan(app):
            yield
            configured.append(current_telemetry() is handle)

    with TestClient(FastAPI(lifespan=lifespan)):
        pass
    assert configured == [True]
    assert current_telemetry() is None


async def test_what_goes_wrong_inside_passes_on_and_everything_ends(telemetry: Recorded) -> None:
    handle = otel_setup.configure(collector=False)
    with pytest.raises(RuntimeError, match="the game's own"):
        async with handle.lifespan():
            raise RuntimeError("the game's own fault")
    assert not background_running(telemetry.monitor)
    assert current_telemetry() is None


async def test_the_loop_goes_on_while_everything_is_exported(telemetry: Recorded) -> None:
    turned = threading.Event()
    waited: list[bool] = []
    async with observed(telemetry.monitor, lambda: waited.append(turned.wait(30)), 60):
        asyncio.get_running_loop().call_later(0.01, turned.set)
    assert waited == [True]


async def test_an_end_that_takes_too_long_is_counted_and_left_to_itself(telemetry: Recorded) -> None:
    hold = threading.Event()
    async with observed(telemetry.monitor, lambda: hold.wait(60), 0.05):
        pass
    assert telemetry.monitor.core.fault_counts()["export"] == 1
    hold.set()


async def test_a_shutdown_that_fails_is_counted(telemetry: Recorded) -> None:
    def fail() -> None:
        raise OSError("no way out")

    async with observed(telemetry.monitor, fail, 30):
        pass
    assert telemetry.monitor.core.fault_counts()["export"] == 1


async def test_work_that_outlives_its_loop_says_nothing() -> None:
    """The thread finds the loop closed."""
    hold, failures = threading.Event(), list[object]()

    def run_and_close() -> None:
        asyncio.run(in_thread(lambda: hold.wait(60), 0.01))

    earlier = set(threading.enumerate())
    before, threading.excepthook = threading.excepthook, lambda arguments: failures.append(arguments.exc_value)
    try:
        await asyncio.to_thread(run_and_close)
        (thread,) = (new for new in set(threading.enumerate()) - earlier if new.name == "otel_setup-shutdown")
        hold.set()
        await asyncio.to_thread(thread.join)
    finally:
        threading.excepthook = before
    assert failures == []
