"""A game without a server, which ends as its argument says: ``python -m tests.e2e.lifecycle_script sys_exit``.

It says ``ready`` when it has played. Nothing is exported on the way, so what arrives was exported at the end.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor

import otel_setup
from otel_setup import Seat

NEVER = 3600.0
ENDLESS = "endless"
"""The game that goes on until the script ends."""

monitor = otel_setup.get_enterprise_monitor()


async def begin(game: str) -> None:
    await monitor.record_game_start(game, f"room of {game}", 2, 1, players=[Seat("ann"), Seat("Bot 2", is_bot=True)])


async def end(game: str) -> None:
    await monitor.record_game_end(game, "ann", {"ann": 50})


async def play(game: str) -> None:
    await begin(game)
    await end(game)


def ready() -> None:
    print("ready", flush=True)


def default() -> None:
    """Ended by whatever ends it."""
    asyncio.run(play("played"))
    ready()
    while True:
        time.sleep(NEVER)


def busy() -> None:
    """Ended in the middle of a monitoring call, as often as not."""
    asyncio.run(play("played"))

    async def play_on() -> None:
        await begin(ENDLESS)
        ready()
        while True:
            async with monitor.monitor_action_processing(ENDLESS, "declare", "ann"):
                pass

    asyncio.run(play_on())


def own_handler() -> None:
    """The event loop's handler ends the game, and then the script ends as always."""

    async def main() -> None:
        asked = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asked.set)
        await begin(ENDLESS)
        ready()
        await asked.wait()
        await end(ENDLESS)

    asyncio.run(main())


def cleaning_up() -> None:
    """What ``Ctrl+C`` ends, ends its game."""

    async def main() -> None:
        await begin(ENDLESS)
        ready()
        try:
            await asyncio.sleep(NEVER)
        finally:
            await end(ENDLESS)

    asyncio.run(main())


def lifespan() -> None:
    async def main() -> None:
        telemetry = otel_setup.current_telemetry()
        assert telemetry is not None
        async with telemetry.lifespan():
            await play("played")
            print("background work:", monitor.get_monitoring_status()["background_running"], flush=True)
        print("background work:", monitor.get_monitoring_status()["background_running"], flush=True)
        print("configured:", otel_setup.current_telemetry() is not None, flush=True)

    asyncio.run(main())


def sys_exit() -> None:
    asyncio.run(play("played"))
    sys.exit(3)


def unhandled_exception() -> None:
    asyncio.run(play("played"))
    raise RuntimeError("the game's own fault")


def reconfigured() -> None:
    """What the old configuration has not exported yet is still on its way when the script ends."""
    asyncio.run(play("before"))
    otel_setup.configure(service="another", batch_delay=NEVER, metric_interval=NEVER)
    asyncio.run(play("after"))


def in_a_worker() -> None:
    """Children that ``multiprocessing`` forks: one that it starts, one of a pool."""
    context = multiprocessing.get_context("fork")
    worker = context.Process(target=_work, args=("in a process",))
    worker.start()
    worker.join()
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        pool.submit(_work, "in a pool").result()


def _work(game: str) -> None:
    asyncio.run(play(game))


def forked_while_exporting() -> None:
    """The parent's export hangs at the receiver when the child is made. Both end as scripts do."""
    asyncio.run(play("of the parent"))
    telemetry = otel_setup.current_telemetry()
    assert telemetry is not None
    exporting = threading.Thread(target=telemetry.flush, args=(NEVER,), daemon=True)
    exporting.start()
    sys.stdin.readline()  # "it hangs"
    child = os.fork()
    if child == 0:
        asyncio.run(play("of the child"))
        ready()
        return
    os.waitpid(child, 0)


def forked_and_ended() -> None:
    """A child that is ended by SIGTERM, under the handler it inherited."""
    asyncio.run(play("of the parent"))
    child = os.fork()
    if child == 0:
        default()
    sys.stdin.readline()  # "it is ready"
    os.kill(child, signal.SIGTERM)
    print("child:", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


SCRIPTS: dict[str, Callable[[], None]] = {
    script.__name__: script
    for script in (
        default,
        busy,
        own_handler,
        cleaning_up,
        lifespan,
        sys_exit,
        unhandled_exception,
        reconfigured,
        in_a_worker,
        forked_while_exporting,
        forked_and_ended,
    )
}

if __name__ == "__main__":
    otel_setup.configure(batch_delay=NEVER, metric_interval=NEVER, shutdown_timeout=float(sys.argv[2]))
    SCRIPTS[sys.argv[1]]()
