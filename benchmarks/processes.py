"""Parts of a benchmark in processes of their own, so that none finds what another left behind."""

from __future__ import annotations

import json
import subprocess
import sys

Figures = dict[str, float]


def in_a_process(module: str, *arguments: str, timeout: float) -> Figures:
    """Runs a module with arguments; it prints its figures as JSON.

    Parameters:
        timeout: seconds it may take.

    Raises:
        subprocess.SubprocessError: it failed or took too long.
    """
    command = [sys.executable, "-m", module, *arguments]
    ended = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=timeout)  # noqa: S603 - our own
    figures: Figures = json.loads(ended.stdout)
    return figures


def tell(figures: Figures) -> None:
    """What such a module does with its figures."""
    print(json.dumps(figures))
