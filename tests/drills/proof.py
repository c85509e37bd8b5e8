"""Writes the result of a drill to docs/proof/, where ``--proof`` asks for it."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "proof"
PRODUCT = ("otel_setup", "deploy", "settings", "alerts")


class Finding(NamedTuple):
    """One line of a proof; what was only measured has nothing expected."""

    what: str
    expected: str | None
    observed: str


def write_proof(config: pytest.Config, name: str, what: str, findings: Sequence[Finding]) -> None:
    """Prints a result and, with ``--proof``, writes it.

    Parameters:
        name: of the file, without its suffix.
        what: the proof in a few sentences.
        findings: what was expected beside what was observed.
    """
    lines = [(finding.what, finding.expected or "-", finding.observed) for finding in findings]
    width = max(len(measured) for measured, _, _ in lines)
    print(f"\n{what}")
    print(
        "\n".join(f"{measured:<{width}}  {observed} (expected: {expected})" for measured, expected, observed in lines)
    )
    if not config.getoption("--proof"):
        return
    rows = "\n".join(f"| {measured} | {expected} | {observed} |" for measured, expected, observed in lines)
    text = (
        f"# {name.replace('-', ' ').capitalize()}\n\n{what}\n\n"
        f"- commit: {_commit()}\n- date: {datetime.now(UTC):%Y-%m-%d %H:%M} UTC\n"
        f"- machine: {os.cpu_count()} cores, {platform.system()} {platform.machine()}, load {os.getloadavg()[0]:.1f}; "
        f"Python {platform.python_version()}\n\n"
        f"| | expected | observed |\n|---|---|---|\n{rows}\n"
    )
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / f"{name}.md").write_text(text, encoding="utf-8")


def _commit() -> str:
    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", "--", *PRODUCT)
    unsaid = f", with uncommitted changes of {' or '.join(PRODUCT)}" if changed else ""
    return git("rev-parse", "--short=12", "HEAD") + unsaid
