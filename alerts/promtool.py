"""Runs the cases through Prometheus' own ``promtool test rules``."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from deploy import tools
from deploy.generating import write

RULES, TESTS = "alerts/rules", "alerts/tests"
TIMEOUT_SECONDS = 300


def run(files: Mapping[str, str]) -> int:
    """Hold generated rules against generated cases, and print where they differ.

    :param files: texts by path, as from :func:`alerts.build.generated`
    :returns: the exit code: 0 where all is as it should be, 1 where not, 2 where that cannot be told
    """
    tests = [name for name in files if name.startswith(f"{TESTS}/")]
    if not tests:
        print(
            "There are no cases: they hold for the default thresholds, and these settings have others.", file=sys.stderr
        )
        return 2
    promtool = tools.find("promtool")
    if promtool is None:
        print("promtool is not built: python -m deploy tools prometheus", file=sys.stderr)
        return 2
    failures = failing(promtool, files)
    print(failures or f"{len(tests)} files of cases: all as they should be")
    return 1 if failures else 0


def failing(promtool: Path, files: Mapping[str, str]) -> str:
    """What promtool says of cases that fail; empty where none does.

    :raises subprocess.TimeoutExpired: after :data:`TIMEOUT_SECONDS`
    """
    with TemporaryDirectory(prefix="alerts-") as folder:
        write(files, Path(folder))
        tests = sorted(name for name in files if name.startswith(f"{TESTS}/"))
        command = [str(promtool), "test", "rules", *(str(Path(folder, name)) for name in tests)]
        done = subprocess.run(  # noqa: S603 - the program that this project built
            command, capture_output=True, text=True, check=False, timeout=TIMEOUT_SECONDS
        )
    return "" if done.returncode == 0 else f"{done.stdout}{done.stderr}"
