"""A game server that does as it is told, one JSON object a line: for tests of what fails around it.

It answers with one object each. ``{"do": "play", "actions": n}`` plays, ``log`` logs, ``flush`` and ``shutdown`` do
what they say, ``counts`` tells the product's own account, ``leave`` ends the process in the way it names. Times are
seconds.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from typing import Any

import psutil

import otel_setup
from otel_setup import EnterpriseMonitor

_logger = logging.getLogger("game")


async def play(monitor: EnterpriseMonitor, actions: int, pause: float) -> dict[str, Any]:
    """Actions of one player; what the game's own thread spent in monitoring."""
    spent = 0.0
    for _ in range(actions):
        began = time.perf_counter()
        async with monitor.monitor_action_processing("g", "play", "Ada"):
            pass
        spent += time.perf_counter() - began
        if pause:
            await asyncio.sleep(pause)
    return {"seconds": spent}


def counts(handle: otel_setup.Telemetry) -> dict[str, Any]:
    """What the product says became of what it was given."""
    exports = handle.core.exports
    told = {}
    for signal in ("traces", "logs"):
        dropped = {reason: items for (of, reason), items in exports.dropped.items() if of == signal}
        told[signal] = {"accepted": exports.accepted[signal], "failed": exports.failed[signal], **dropped}
    return {**told, "memory": psutil.Process().memory_info().rss}


def leave(way: str) -> None:
    """Ends the process: by ``exit``, an ``exception``, an ``interrupt`` (waits for it), or at the program's ``end``."""
    if way == "exit":
        sys.exit(3)
    if way == "exception":
        raise RuntimeError("the game is broken")
    if way == "interrupt":
        print(json.dumps({"ready": True}), flush=True)
        while True:
            time.sleep(0.1)


async def serve(handle: otel_setup.Telemetry, monitor: EnterpriseMonitor) -> str:
    """Does what it is told until it is told to leave, and how."""
    for line in sys.stdin:
        told = json.loads(line)
        match told["do"]:
            case "play":
                answer = await play(monitor, told["actions"], told.get("pause", 0.0))
            case "log":
                for number in range(told["records"]):
                    _logger.warning("the game says %d", number)
                answer = {}
            case "flush":
                answer = {"all": handle.flush(told["timeout"])}
            case "shutdown":
                began = time.monotonic()
                done = handle.shutdown(told["timeout"])
                answer = {"all": done, "seconds": time.monotonic() - began}
            case "counts":
                answer = counts(handle)
            case _:
                return str(told["way"])
        print(json.dumps(answer), flush=True)
    return "end"


def main() -> None:
    options = json.loads(sys.argv[1])
    level = options.pop("root_level", None)
    if level is not None:
        logging.basicConfig(level=level, format="%(name)s|%(message)s")
    handle = otel_setup.configure(**options)
    leave(asyncio.run(serve(handle, otel_setup.get_enterprise_monitor())))


if __name__ == "__main__":
    main()
