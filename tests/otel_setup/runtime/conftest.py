"""Fixtures of these tests."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from types import SimpleNamespace

import psutil
import pytest

from tests.otel_setup.runtime.helpers import MIB


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """What the operating system reports as this process's memory, in bytes."""
    reported = SimpleNamespace(rss=100 * MIB, vms=400 * MIB)
    monkeypatch.setattr(psutil.Process, "memory_info", lambda self: SimpleNamespace(rss=reported.rss, vms=reported.vms))
    return reported


@pytest.fixture
def quiet_gc() -> Iterator[None]:
    """No collection but those a test asks for."""
    was_enabled, thresholds = gc.isenabled(), gc.get_threshold()
    gc.collect()
    gc.disable()
    yield
    gc.set_threshold(*thresholds)
    if was_enabled:
        gc.enable()
