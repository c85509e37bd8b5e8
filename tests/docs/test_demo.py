"""The demo of README.md, shorter and faster: it shows something, and what it shows at the end agrees."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.docs.markdown import ROOT
from tests.support.peers import require

pytestmark = pytest.mark.slow


def demo(*more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "otel_setup", "demo", "--duration", "6", "--speed", "60", "--no-color", *more]
    return subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=240)


@pytest.mark.parametrize(
    ("more", "accounts"),
    [(["--local"], ["/metrics"]), ([], ["/metrics", "Prometheus"])],
    ids=["local", "through a Collector to every store"],
)
def test_the_demo_shows_games_and_everybody_agrees_about_them(more: list[str], accounts: list[str]) -> None:
    if not more:
        for program in ("otelcol", "prometheus", "jaeger", "loki", "alertmanager"):
            require(program)
    done = demo(*more)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr
    (heads,) = re.findall(r"^family +record(.*)$", done.stdout, re.MULTILINE)
    assert heads.split() == accounts
    assert re.search(r"^\d{2} families, .* all equal to the record$", done.stdout, re.MULTILINE)
    (started,) = re.findall(r"^ +games +(\d+) started", done.stdout, re.MULTILINE)
    assert int(started) > 0, "else nothing was compared"
    shown = re.findall(r"^\d\d:\d\d:\d\d\.\d{3} +(\w+)", done.stdout, re.MULTILINE)
    assert {"room", "player", "game", "transition"} <= set(shown), "events scroll by"
    at_the_hub = re.findall(r"^([\d,]+) events published, ([\d,]+) of them at the hub$", done.stdout, re.MULTILINE)
    assert len(at_the_hub) == len(accounts) - 1, "only through a Collector"
    assert all(published == arrived for published, arrived in at_the_hub)
