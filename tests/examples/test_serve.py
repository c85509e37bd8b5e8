"""The servers as programs of their own: started, played on, stopped by SIGTERM in the middle of games."""

from __future__ import annotations

import asyncio
import importlib
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deploy.ports import free_ports
from examples.common.client import get_text
from examples.common.record import Record, expected
from tests.examples.support import check_everyone_counted_once, of, read_facts


async def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


async def answers(address: str, path: str) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                await get_text(address, path)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                return


@pytest.mark.parametrize(
    ("game", "record_class", "asks"),
    [("liap_tui", "LiapTuiRecord", "/healthz"), ("arena", "ArenaRecord", "/matches")],
)
async def test_sigterm_in_mid_game_leaves_a_balanced_record(
    tmp_path: Path, game: str, record_class: str, asks: str
) -> None:
    players: Any = importlib.import_module(f"examples.{game}.players")
    recording: Any = importlib.import_module(f"examples.{game}.record")
    [port], path = free_ports(1), tmp_path / "record.jsonl"
    address = f"127.0.0.1:{port}"
    command = [sys.executable, "-m", f"examples.{game}", "serve", "--port", str(port), "--speed", "20"]
    server = await asyncio.create_subprocess_exec(*command, "--record", str(path))
    try:
        await answers(address, asks)
        async with asyncio.TaskGroup() as group:
            crowd = group.create_task(players.simulate(address, players.Crowd(games=3, speed=20, seed=1)))
            await until(lambda: path.read_text().count('"fact":"action"') > 20)
            assert not crowd.done()
            server.send_signal(signal.SIGTERM)
            async with asyncio.timeout(60):
                await server.wait()
    finally:
        if server.returncode is None:
            server.kill()
    assert server.returncode == -signal.SIGTERM
    facts = read_facts(path)
    check_everyone_counted_once(facts)
    assert len(of(facts, "game_abandoned")) == len(of(facts, "game_started")) == 3
    assert {fact["code"] for fact in of(facts, "socket_closed")} >= {1012}
    record: Record = getattr(recording, record_class).load(path)
    values = {family: value for (family, labels), value in expected(record).items() if not labels}
    assert values["websocket_connections_opened_total"] == values["websocket_connections_closed_total"] > 0


@pytest.mark.parametrize("game", ["liap_tui", "arena"])
async def test_play_prints_a_summary_and_agrees_with_its_metrics(game: str) -> None:
    command = [sys.executable, "-m", f"examples.{game}", "play", "--games", "2", "--speed", "max", "--reconcile"]
    program = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    async with asyncio.timeout(120):
        output, _ = await program.communicate()
    text = output.decode()
    assert program.returncode == 0, text
    assert "2 games in" in text or "2 matches in" in text
    assert "all equal to the record" in text
    assert "2 started" in text


@pytest.mark.parametrize("wrong", [["--speed", "0"], ["--speed", "fast"], ["--drop", "1.5"], ["--abandon", "many"]])
async def test_options_that_make_no_sense_are_refused(wrong: list[str]) -> None:
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "examples.arena", "play", *wrong, stderr=asyncio.subprocess.PIPE
    )
    _, errors = await program.communicate()
    assert program.returncode == 2
    assert wrong[0] in errors.decode()
