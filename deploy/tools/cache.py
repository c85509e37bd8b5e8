"""Where built tools live, and the lock that keeps two runs from building at once."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

CACHE_VARIABLE = "OTEL_SETUP_CACHE"


def cache_dir(override: Path | None = None) -> Path:
    """The per-user cache: ``override``, else ``$OTEL_SETUP_CACHE``, else ``$XDG_CACHE_HOME/otel-setup``."""
    if override is not None:
        return override.expanduser().resolve()
    if from_environment := os.environ.get(CACHE_VARIABLE):
        return Path(from_environment).expanduser().resolve()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "otel-setup"


@contextmanager
def build_lock(cache: Path, out: TextIO) -> Iterator[int]:
    """Hold the cache's one build lock; yields its file descriptor.

    Children that inherit the descriptor keep the lock: should this process be killed, a second run waits until
    the compiler it left behind has ended.
    """
    cache.mkdir(parents=True, exist_ok=True)
    with open(cache / "build.lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"another build is running in {cache}; waiting for it", file=out, flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock.fileno()
