"""How readers wait and are woken: tasks of any loop, and threads.

A bell is what those wait for who wait for the same thing. It is rung once for any number of events that come before
they run, and each loop is told once.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Collection

Waiter = asyncio.Future[None] | threading.Event


class Bell:
    """Who waits. Guarded by the stream's lock, but for :func:`wake`."""

    __slots__ = ("waiters",)

    def __init__(self) -> None:
        self.waiters: set[Waiter] = set()

    def take(self) -> Collection[Waiter]:
        """Those to be woken: events that come before they run find none and wake nobody."""
        waiters, self.waiters = self.waiters, set()
        return waiters


def wake(waiters: Collection[Waiter]) -> None:
    """Wakes them, of each loop in one call, from whatever thread this is."""
    elsewhere: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
    here = _running_loop()
    for waiter in waiters:
        if isinstance(waiter, threading.Event):
            waiter.set()
        elif (loop := waiter.get_loop()) is not here:
            elsewhere.setdefault(loop, []).append(waiter)
        elif not waiter.done():
            waiter.set_result(None)
    for loop, futures in elsewhere.items():
        try:
            loop.call_soon_threadsafe(release, futures)
        except RuntimeError:  # the loop is closed, and whoever waited in it is gone
            continue


def release(futures: Collection[asyncio.Future[None]]) -> None:
    """Ends the waits; runs in their loop."""
    for future in futures:
        if not future.done():
            future.set_result(None)


def is_waiting(waiter: Waiter) -> bool:
    """Whether somebody still waits: the loop of a task may be gone."""
    return isinstance(waiter, threading.Event) or not waiter.get_loop().is_closed()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
