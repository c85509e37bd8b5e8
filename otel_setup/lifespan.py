"""A server's lifespan: the monitor's background work, and an end that the event loop does not stand still for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from otel_setup.monitor import EnterpriseMonitor


@asynccontextmanager
async def observed(monitor: EnterpriseMonitor, shutdown: Callable[[], object], seconds: float) -> AsyncIterator[None]:
    """Background work during the block, ``shutdown`` after it.

    Parameters:
        shutdown: exports everything, in a thread; what it raises is counted.
        seconds: how long it is waited for.
    """

    def guarded() -> None:
        with monitor.core.faults.guard("export"):
            shutdown()

    await monitor.start()
    try:
        yield
    finally:
        await monitor.stop()
        if not await in_thread(guarded, seconds):
            monitor.core.faults.count("export", TimeoutError(f"shutdown took more than {seconds} s"))


async def in_thread(work: Callable[[], object], seconds: float) -> bool:
    """Runs work in a thread that the interpreter does not wait for at exit, as it does for those of an executor.

    Returns:
        False where it was not done after so many ``seconds``; it goes on then.
    """
    loop, done = asyncio.get_running_loop(), asyncio.Event()

    def run() -> None:
        try:
            work()
        finally:
            with suppress(RuntimeError):  # too late: the loop is closed
                loop.call_soon_threadsafe(done.set)

    threading.Thread(target=run, daemon=True, name="otel_setup-shutdown").start()
    try:
        await asyncio.wait_for(done.wait(), seconds)
    except TimeoutError:
        return False
    return True
