"""What the operating system says of one process: memory, CPU, threads, file descriptors, time of birth."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from functools import cached_property
from typing import TypeVar

import psutil

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

_T = TypeVar("_T")


class ProcessReadings:
    """Readings of the process that makes this object. One that the system refuses is None, and counted.

    Attributes:
        failures: readings that the system refused.
    """

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.failures = 0

    @cached_property
    def _process(self) -> psutil.Process:
        return psutil.Process(self.pid)

    @cached_property
    def _created(self) -> float:
        """When the process began, on the clock of ``time.monotonic``, which nobody sets."""
        return time.monotonic() - (time.time() - self._process.create_time())

    def _read(self, read: Callable[[psutil.Process], _T]) -> _T | None:
        try:
            return read(self._process)
        except (psutil.Error, OSError, AttributeError):  # AttributeError: this system does not know of such a thing
            self.failures += 1
            return None

    def memory(self) -> tuple[int, int] | None:
        """Resident and virtual memory in bytes."""
        memory = self._read(lambda process: process.memory_info())
        return None if memory is None else (memory.rss, memory.vms)

    def memory_percent(self) -> float | None:
        """Resident memory in percent of the machine's."""
        return self._read(lambda process: process.memory_percent())

    def cpu_times(self) -> dict[str, float]:
        """CPU seconds by mode, ``{"user": s, "system": s}``, since the process began."""
        if resource is None:
            times = os.times()
            return {"user": times.user, "system": times.system}
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return {"user": usage.ru_utime, "system": usage.ru_stime}

    def context_switches(self) -> dict[str, int]:
        """Context switches by type since the process began; empty where the system does not count them."""
        if resource is None:
            return {}
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return {"voluntary": usage.ru_nvcsw, "involuntary": usage.ru_nivcsw}

    def paging_faults(self) -> dict[str, int]:
        """Page faults by type since the process began; empty where the system does not count them."""
        if resource is None:
            return {}
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return {"major": usage.ru_majflt, "minor": usage.ru_minflt}

    def threads(self) -> int | None:
        """Threads of the process, those that Python did not start included."""
        try:
            return len(os.listdir("/proc/self/task"))
        except OSError:
            return self._read(lambda process: process.num_threads())

    def python_threads(self) -> int:
        """Python threads that are alive, the calling one included."""
        return threading.active_count()

    def file_descriptors(self) -> int | None:
        """Open file descriptors."""
        try:
            # Linux 6.2 and later gives the count itself. Listing them instead takes a millisecond with a thousand
            # sockets, and counts the descriptor it lists with.
            counted = os.stat("/proc/self/fd").st_size
        except OSError:
            counted = 0
        return counted or self._read(lambda process: process.num_fds())

    def uptime(self) -> float | None:
        """Seconds since the process began."""
        created = self._read(lambda _: self._created)
        return None if created is None else time.monotonic() - created
