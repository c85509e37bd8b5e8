"""Free ports of this machine, for runs beside others."""

from __future__ import annotations

import atexit
import random
import socket
from collections.abc import Iterator
from dataclasses import fields, replace
from functools import cache
from itertools import cycle, islice
from typing import Any

from deploy.collector.variables import LOOPBACK
from settings import Settings

# Below the range from which systems take the ports of outgoing connections (32768 and up on Linux), so that none of
# those can take a port between its choice here and its use.
PORT_RANGE = range(20_000, 32_000)
BLOCK = 500
"""Ports that one process has to itself: between the choice of a port and its use no other process chooses it."""


def free_ports(count: int) -> list[int]:
    """Different ports of the loopback address on which nothing listens, chosen in turn: old ones come back last.

    :raises RuntimeError: where there are fewer
    """
    free = (port for port in islice(_own_ports(), BLOCK - 1) if is_free(port))
    found = list(islice(free, count))
    if len(found) < count:
        raise RuntimeError(f"fewer than {count} free ports in this process's block of {BLOCK}")
    return found


@cache
def _own_ports() -> Iterator[int]:
    """The ports of a block, over and over. The block is of the process that holds its first port."""
    blocks = PORT_RANGE[::BLOCK]
    for first in random.sample(blocks, len(blocks)):
        guard = socket.socket()
        try:
            guard.bind((LOOPBACK, first))
        except OSError:
            guard.close()
            continue
        atexit.register(guard.close)
        return cycle(range(first + 1, first + BLOCK))
    raise RuntimeError(f"every block of {BLOCK} ports in {PORT_RANGE} is taken by another process")


def is_free(port: int) -> bool:
    """Whether nothing listens on a port of the loopback address."""
    with socket.socket() as probe:
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def free_settings(settings: Settings | None = None) -> Settings:
    """Settings on free ports; the Collector also writes metrics to a file, to be compared with."""
    base = settings or Settings()
    free = iter(free_ports(sum(len(ports_of(section)) for section in _sections(base).values())))
    moved = {
        name: replace(section, **{port: next(free) for port in ports_of(section)})
        for name, section in _sections(base).items()
    }
    result = replace(base, **moved)
    return replace(result, collector=replace(result.collector, metrics_file=True))


def _sections(settings: Settings) -> dict[str, Any]:
    return {each.name: getattr(settings, each.name) for each in fields(settings)}


def ports_of(section: Any) -> list[str]:
    """The names of a section's ports."""
    return [each.name for each in fields(section) if each.metadata.get("is_port")]
