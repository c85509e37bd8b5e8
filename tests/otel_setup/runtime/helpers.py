"""A clock that stands still, forked children, garbage."""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from otel_setup.runtime import SystemMetricsCollector

MIB = 1024 * 1024
needs_proc = pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="reads /proc as the independent record")
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")


class FakeClock:
    def __init__(self, now: float = 5000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def in_forked_child(report: Callable[[], Any]) -> Any:
    """Fork, run `report` in the child and return its JSON-able answer; a child that hangs is killed and fails."""
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(write_end, json.dumps(report()).encode())
        except BaseException as error:
            os.write(write_end, json.dumps({"child failed": repr(error)}).encode())
        finally:
            os._exit(0)
    os.close(write_end)
    try:
        answered, _, _ = select.select([read_end], [], [], 30)
        if not answered:
            os.kill(pid, signal.SIGKILL)
            pytest.fail("the forked child hung")
        answer = json.loads(os.read(read_end, 65536))
    finally:
        os.close(read_end)
        os.waitpid(pid, 0)
    assert not (isinstance(answer, dict) and "child failed" in answer), answer
    return answer


async def soon(condition: Callable[[], Any]) -> None:
    """Gives the loop back until something is so, which it has to be within half a minute."""
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.001)


def take_samples(
    collector: SystemMetricsCollector, clock: FakeClock, memory: SimpleNamespace, points: list[tuple[float, float]]
) -> None:
    start = clock.now
    for seconds, megabytes in points:
        clock.now = start + seconds
        memory.rss = round(megabytes * MIB)
        collector.sample()


def make_garbage(pairs: int) -> None:
    for _ in range(pairs):
        one: list[Any] = []
        one.append([one])
