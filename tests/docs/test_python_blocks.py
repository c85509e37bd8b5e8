"""Every ``python`` block of README.md and docs/ runs as it stands, in a process that has just started."""

from __future__ import annotations

import ast
import asyncio
import inspect
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from otel_setup.telemetry import current_telemetry
from otel_setup.testing import Recorded
from tests.docs.markdown import Block, pages
from tests.otel_setup.receiver import Receiver, receiving

COLLECTOR = "http://localhost:4318"
"""Where the pages expect a Collector; a receiver stands in for it here."""

# The blocks of CONTRIBUTING.md change files instead, and those of testing.md are files of tests.
ELSEWHERE = {
    "CONTRIBUTING.md": "tests/docs/test_contributing.py",
    "docs/testing.md": "tests/otel_setup/testing/test_page.py",
}
BLOCKS = {
    f"{page.name}:{block.line}": block
    for page in pages()
    if page.name not in ELSEWHERE
    for block in page.blocks
    if block.language == "python"
}


@pytest.fixture
def receiver(telemetry: Recorded) -> Iterator[Receiver]:
    with receiving() as running:
        yield running
        handle = current_telemetry()
        assert handle is None or handle.shutdown(10)


def run(block: Block, receiver: Receiver) -> dict[str, Any]:
    """Runs a block, top-level ``await`` allowed; returns the names it leaves."""
    names: dict[str, Any] = {"__name__": "__main__"}
    text = block.text.replace(COLLECTOR, receiver.url)
    code = compile(text, f"line {block.line}", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    result = eval(code, names)  # noqa: S307 - the block under test
    if inspect.isawaitable(result):
        asyncio.run(_awaited(result))
    return names


async def _awaited(result: Any) -> None:
    await result


def readme(containing: str) -> Block:
    """The one block of README.md with this text in it."""
    (found,) = (block for where, block in BLOCKS.items() if where.startswith("README.md:") and containing in block.text)
    return found


@pytest.mark.parametrize("where", BLOCKS)
def test_a_block_runs(where: str, receiver: Receiver, telemetry: Recorded) -> None:
    run(BLOCKS[where], receiver)
    faults = {key: value for key, value in telemetry.samples().items() if key[0].startswith("otel_setup_internal")}
    assert not any(faults.values()), faults


def test_the_first_example_plays_a_game_that_arrives_at_the_collector(receiver: Receiver, telemetry: Recorded) -> None:
    names = run(readme("otel_setup.configure("), receiver)
    asyncio.run(names["play_a_game"]())
    handle = current_telemetry()
    assert handle is not None
    assert handle.flush(10)
    assert receiver.resource("/v1/traces")["service.name"] == "liap-tui"
    assert [span.name for span in receiver.spans()] == [
        "state_transition.waiting_to_preparation",
        "action.play_pieces",
    ]
    assert {record.event_name for record in receiver.log_records()} >= {"game.started", "game.ended"}
    rejected = {"action_type": "play_pieces", "outcome": "rejected", "actor": "human"}
    assert telemetry.value("liap_tui_actions_total", rejected) == 1
    assert telemetry.value("liap_tui_games_completed_total") == 1
    assert telemetry.value("liap_tui_player_wins_total", {"type": "human"}) == 1


def test_the_second_example_mounts_metrics(receiver: Receiver) -> None:
    app = run(readme("prometheus_router"), receiver)["app"]

    async def get() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://game") as client:
            return await client.get("/metrics")

    answer = asyncio.run(get())
    assert answer.status_code == 200
    assert "liap_tui_games_active 0.0" in answer.text


def test_the_third_example_sees_its_event(receiver: Receiver, capsys: pytest.CaptureFixture[str]) -> None:
    run(readme("subscribe_to_events"), receiver)
    assert capsys.readouterr().out == "game.started game1\n"
