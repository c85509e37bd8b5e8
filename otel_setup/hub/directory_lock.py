"""One process at a time in a directory; and whether the machine went down while the last one was in it."""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from otel_setup.hub.segment_file import LogError

NAME = "lock"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")  # Linux: new with every start of the machine


class DirectoryLock:
    """A lock that ends with the process, whatever ends it.

    Parameters:
        directory: that it is for; a file in it is locked.
    """

    def __init__(self, directory: Path) -> None:
        self.machine_went_down = False
        """Whether what the last holder wrote may be gone: it had the directory when the machine went down."""
        self._path = directory / NAME
        self._file = -1

    def take(self) -> None:
        """Takes the lock.

        Raises:
            LogError: another process has it.
            OSError: its file cannot be made.
        """
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _read(file).get("pid", "unknown")
            os.close(file)
            raise LogError(
                f"{self._path.parent} is in use by another hub, process {holder}; stop it, or name another directory"
            ) from None
        self._file = file
        last = _read(file)
        # What the last holder left stays, until what is to be done about it is done.
        self.machine_went_down = not last.get("safe", True) and last.get("boot") != _boot_id()
        self._write({**last, "pid": os.getpid()})

    def settle(self, *, safe: bool) -> None:
        """Says that what the last holder may have lost has been seen to.

        Parameters:
            safe: nothing that this holder will have written can be lost when the machine goes down.
        """
        self._write({"pid": os.getpid(), "boot": _boot_id(), "safe": safe})

    def release(self, *, clean: bool) -> None:
        """Lets others take it. Released twice is released once.

        Parameters:
            clean: nothing of what was written can be lost any more.
        """
        if self._file < 0:
            return
        try:
            if clean:
                os.ftruncate(self._file, 0)
        finally:
            os.close(self._file)
            self._file = -1

    def _write(self, content: dict[str, Any]) -> None:
        text = json.dumps(content).encode()
        os.pwrite(self._file, text, 0)
        os.ftruncate(self._file, len(text))
        os.fsync(self._file)


def _read(file: int) -> dict[str, Any]:
    content = os.pread(file, 4096, 0)
    if not content:
        return {}
    with suppress(ValueError):
        if isinstance(found := json.loads(content), dict):
            return found
    return {"safe": False}  # half written, so nobody knows


def _boot_id() -> str:
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""
