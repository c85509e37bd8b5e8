"""The real programs behind the game server, built or fetched into a per-user cache.

:func:`find` says whether a program is there, :func:`ensure` builds it where it is not. Nothing is written to the
source tree.
"""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
import sys
import time
from pathlib import Path
from typing import TextIO

from deploy.tools.cache import build_lock, cache_dir
from deploy.tools.recipes import RECIPES, Recipe
from deploy.tools.stage import Stages, ToolchainMissingError, ToolError

__all__ = ["PROGRAMS", "ToolError", "ToolchainMissingError", "build", "ensure", "find", "home"]

PROGRAMS = {program: recipe for recipe in RECIPES.values() for program in recipe.binaries}
"""Every program that can be built (``otelcol``, ``promtool``, ``kafka`` ...) and the recipe that yields it."""

RECORD = "build.json"


def home(recipe: Recipe, cache: Path | None = None) -> Path:
    """The folder that holds, or will hold, a recipe's programs; its name changes with all that decides them."""
    inputs = f"{recipe.inputs} {platform.system()} {platform.machine()}"
    key = hashlib.sha256(inputs.encode()).hexdigest()[:12]
    return cache_dir(cache) / "tools" / f"{recipe.name}-{recipe.version}-{key}"


def find(program: str, cache: Path | None = None) -> Path | None:
    """The path of a built program (see :data:`PROGRAMS`), or None where it is not built yet."""
    path = home(PROGRAMS[program], cache) / program
    return path if path.exists() else None


def ensure(program: str, cache: Path | None = None, out: TextIO = sys.stderr) -> Path:
    """The path of a program, built first where need be (minutes; progress goes to ``out``).

    :raises ToolchainMissingError: where there is no Go, or no Java and Maven, to build with
    :raises ToolError: where the build fails; the message names the log
    """
    return find(program, cache) or build(PROGRAMS[program], cache, out) / program


def build(recipe: Recipe, cache: Path | None = None, out: TextIO = sys.stderr) -> Path:
    """Build one recipe unless it is built, and return its folder.

    An interrupted build leaves its working folder and Go's or Maven's own caches, from which the next one continues;
    the finished folder appears in one rename.
    """
    base, target = cache_dir(cache), home(recipe, cache)
    if target.exists():
        return target
    with build_lock(base, out) as lock:
        if target.exists():  # another run built it while this one waited
            return target
        started = time.monotonic()
        command = recipe.toolchain(base, out, lock)
        work = base / "work" / target.name
        finished = work / "finished"
        shutil.rmtree(finished, ignore_errors=True)
        finished.mkdir(parents=True)
        label, log = f"{recipe.name} {recipe.version}", base / "logs" / f"{target.name}.log"
        stages = Stages(label, recipe.stages, log, out, lock)
        recipe.build(command, work, finished, stages)
        if missing := [program for program in recipe.binaries if not (finished / program).exists()]:
            raise ToolError(f"{label}: the build ended well but did not yield {', '.join(missing)}; see {log}")
        seconds = round(time.monotonic() - started, 1)
        record = {"seconds": seconds, "stages": stages.seconds, "with": str(command)}
        (finished / RECORD).write_text(json.dumps(record, indent=2) + "\n")
        target.parent.mkdir(parents=True, exist_ok=True)
        finished.rename(target)
        shutil.rmtree(work)
        print(f"[{label}] built in {seconds:.0f} s: {target}", file=out, flush=True)
    return target
