"""Each program explains itself, and says in a line what is wrong where no hub answers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PROGRAMS = {
    "chat_notifier": ["--webhook", "http://127.0.0.1:1/hook"],
    "anti_cheat": [],
    "games_csv": ["--file", "games.csv"],
}


def run(program: str, *arguments: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", f"examples.subscribers.{program}", *arguments],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("program", PROGRAMS)
def test_it_explains_itself(program: str) -> None:
    done = run(program, "--help")
    assert done.returncode == 0, done.stderr
    assert f"usage: python -m examples.subscribers.{program}" in done.stdout
    assert "--hub URL" in done.stdout


@pytest.mark.parametrize("program", PROGRAMS)
def test_without_a_hub_it_says_so(program: str, tmp_path: Path) -> None:
    done = run(program, "--hub", "http://127.0.0.1:1", *PROGRAMS[program], folder=tmp_path)
    assert done.returncode == 1
    assert "no hub answers at http://127.0.0.1:1" in done.stderr
    assert "Traceback" not in done.stderr
