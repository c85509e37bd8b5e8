"""SIGTERM: what was recorded up to the very end is exported before the process dies of it.

The handler itself never exports and hardly waits: it may have interrupted the main thread anywhere, also inside a lock
that an export needs. A thread of its own does the work and then sends the signal again, so that the process ends by
it (status 143), as whoever sent it expects.

- Over the system's default, it puts the default back at once, so that a second SIGTERM ends the process without delay.
- Over a handler of somebody else, it passes the signal on and lets them finish: a server closes its sockets now, and
  the last games end in that. Uvicorn then restores the default and raises SIGTERM once more, with which the process
  would be gone. That second one is blocked, in the main thread alone, until everything is exported; if not the default
  but another handler was restored, it is let through at once. This needs Linux, where one can see what waits for a
  thread; elsewhere ``telemetry.lifespan`` or ``telemetry.asgi`` export before. A program that the main thread starts
  meanwhile inherits the block.

``os._exit`` and SIGKILL end a process without a chance for anybody.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType

HOLD_SECONDS = 0.25
"""How long the handler keeps the main thread while everything is exported. An export takes some milliseconds; one that
has to wait for a lock of the main thread gets it when this is over."""
_POLL_SECONDS = 0.01
_TERM = frozenset({signal.SIGTERM})
_INIT = 1
_STATUS_BYTES = 65536

Handler = Callable[[int, FrameType | None], object]


class Sigterm:
    """What SIGTERM does in this process.

    Parameters:
        stop: exports everything and ends exporting, within a deadline of its own. It is called in a thread, and may be
            called again.
    """

    def __init__(self, stop: Callable[[], object]) -> None:
        self._stop = stop
        self._active = False
        self._installed: Handler | None = None
        self._previous: Handler | signal.Handlers | int | None = None
        self._blocked = False
        self._bell: int | None = None
        self._forget()

    def _forget(self) -> None:
        self._thread: threading.Thread | None = None
        self._dying = False

    def install(self) -> bool:
        """Puts a handler over the present one. Calling it again changes nothing, unless others came over it meanwhile.

        Returns:
            False where it must not: outside the main thread, where SIGTERM is ignored or is not Python's to handle,
            and on Windows, which has none that a process could handle.
        """
        if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "pthread_sigmask"):
            return False
        previous = signal.getsignal(signal.SIGTERM)
        ignored = previous == signal.SIG_IGN or (previous == signal.SIG_DFL and os.getpid() == _INIT)
        if previous is None or ignored or self._dying:
            return False
        self._active = True
        if previous is not self._installed:
            handler = self._over(previous)
            signal.signal(signal.SIGTERM, handler)
            self._installed, self._previous = handler, previous
        return True

    def uninstall(self) -> None:
        """Puts the previous handler back, if ours is still the one; one that others hold only passes on from now."""
        self._active = False
        if (
            threading.current_thread() is threading.main_thread()
            and self._installed is not None
            and signal.getsignal(signal.SIGTERM) is self._installed
        ):
            signal.signal(signal.SIGTERM, self._previous)
            self._installed = None

    def leave(self) -> None:
        """At the end of the interpreter, when everything is exported: dies of a SIGTERM that was held back."""
        if self._dying:
            signal.raise_signal(signal.SIGTERM)
        self._release()

    def after_fork(self) -> None:
        """In a child: what the parent waits for is not its business."""
        self._forget()
        self._release()

    def _over(self, previous: Handler | signal.Handlers | int) -> Handler:
        """A handler that knows what was there before it. Each installation has its own, or two of them would chain in
        a circle.
        """

        def on_sigterm(number: int, frame: FrameType | None) -> None:
            if not callable(previous):
                self._end()
                return
            if self._active and self._thread is None:
                self._hold_back_the_next()
            previous(number, frame)

        return on_sigterm

    def _end(self) -> None:
        """SIGTERM over the system's default: exports, then dies."""
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        again, self._dying = self._dying, True
        if again or not self._active or not (self._thread or self._start(self._export_and_die)):
            signal.raise_signal(signal.SIGTERM)
        elif self._thread is not None:
            self._thread.join(HOLD_SECONDS)

    def _hold_back_the_next(self) -> None:
        """Lets the handler below finish; the SIGTERM that it raises in the main thread when it has, waits."""
        try:
            status = os.open("/proc/thread-self/status", os.O_RDONLY)
        except OSError:  # this is not Linux
            return
        if self._bell is None:
            self._bell = _unused_signal()
            signal.signal(self._bell, self._on_bell)
        self._blocked = signal.SIGTERM not in signal.pthread_sigmask(signal.SIG_BLOCK, _TERM)
        if not (self._blocked and self._start(self._watch, status, self._bell)):
            os.close(status)
            self._release()

    def _start(self, work: Callable[..., None], *arguments: int) -> bool:
        thread = threading.Thread(target=work, args=arguments, daemon=True, name="otel_setup-sigterm")
        try:
            thread.start()
        except RuntimeError:  # the system, or an interpreter that ends, has no thread to give
            return False
        self._thread = thread
        return True

    def _watch(self, status: int, bell: int) -> None:
        """Waits for the SIGTERM that the main thread, whose ``status`` this is, raises and does not see."""
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _TERM)  # inherited; and somebody must take what others send us
        while not (self._dying or _has_sigterm_waiting(status)):
            time.sleep(_POLL_SECONDS)
        os.close(status)
        if self._dying or signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
            self._dying = True
            self._export_and_die()
            return
        while self._blocked and self._thread is threading.current_thread():  # it has a handler, which decides
            signal.pthread_kill(threading.main_thread().ident or 0, bell)
            time.sleep(_POLL_SECONDS)  # a call in the moment before the main thread falls asleep does not wake it

    def _export_and_die(self) -> None:
        try:
            self._stop()
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    def _on_bell(self, number: int, frame: FrameType | None) -> None:
        self._thread = None
        self._release()

    def _release(self) -> None:
        if self._blocked:
            self._blocked = False
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _TERM)


def _unused_signal() -> int:
    """One that nobody else handles, to call the main thread with: nothing else makes it look up from a lock."""
    return next(
        number for number in range(signal.SIGRTMAX, signal.SIGRTMIN, -1) if signal.getsignal(number) == signal.SIG_DFL
    )


def _has_sigterm_waiting(status: int) -> bool:
    """Whether a SIGTERM for one thread alone waits until it takes signals again, by the thread's status in /proc."""
    lines = os.pread(status, _STATUS_BYTES, 0).splitlines()
    (waiting,) = (line.split()[1] for line in lines if line.startswith(b"SigPnd:"))
    return bool(int(waiting, 16) >> (signal.SIGTERM - 1) & 1)
