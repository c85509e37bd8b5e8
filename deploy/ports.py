"""Free ports of this machine, for runs beside others."""

from __future__ import annotations

import random
import socket
from dataclasses import fields, replace
from typing import Any

from deploy.collector.variables import LOOPBACK
from settings import Settings

# Below the range from which systems take the ports of outgoing connections (32768 and up on Linux), so that none of
# those can take a port between its choice here and its use.
PORT_RANGE = range(20_000, 32_000)


def free_ports(count: int) -> list[int]:
    """Different ports of the loopback address on which nothing listens.

    :raises RuntimeError: where there are fewer
    """
    found: list[int] = []
    for port in random.sample(PORT_RANGE, len(PORT_RANGE)):
        with socket.socket() as probe:
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise RuntimeError(f"fewer than {count} free ports in {PORT_RANGE}")


def free_settings(settings: Settings | None = None) -> Settings:
    """Settings on free ports; the Collector also writes metrics to a file, to be compared with."""
    base = settings or Settings()
    free = iter(free_ports(sum(len(_ports(section)) for section in _sections(base).values())))
    moved = {
        name: replace(section, **{port: next(free) for port in _ports(section)})
        for name, section in _sections(base).items()
    }
    result = replace(base, **moved)
    return replace(result, collector=replace(result.collector, metrics_file=True))


def _sections(settings: Settings) -> dict[str, Any]:
    return {each.name: getattr(settings, each.name) for each in fields(settings)}


def _ports(section: Any) -> list[str]:
    return [each.name for each in fields(section) if each.metadata.get("is_port")]
