"""The benchmark of live viewing runs: every viewer of either server gets every event, or it fails."""

from __future__ import annotations

import asyncio
import importlib.util

import pytest

from benchmarks import sse


@pytest.mark.slow
@pytest.mark.parametrize("viewers", [0, 3])
def test_the_hub_shows_each_viewer_each_event(viewers: int) -> None:
    assert asyncio.run(sse.hub(500, viewers)) > 0


@pytest.mark.slow
def test_the_other_server_shows_each_viewer_each_event() -> None:
    if importlib.util.find_spec("sse_starlette") is None:
        pytest.skip("sse-starlette is not installed")
    assert asyncio.run(sse.peer(200, 3)) > 0
