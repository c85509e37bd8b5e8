"""How fast memory grows: samples of a window, and the line through them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence

_HOUR = 3600


class Growth:
    """Samples of the resident memory of this process.

    Parameters:
        window: seconds of samples that count.
        min_span: seconds that they must span before a growth is given.
        max_samples: most samples kept.
        clock: a monotonic clock in seconds.

    Attributes:
        dropped: samples that ``max_samples`` pushed out while still inside the window.
    """

    def __init__(self, window: float, min_span: float, max_samples: int, clock: Callable[[], float]) -> None:
        self._window = window
        self._min_span = min_span
        self._clock = clock
        self._sampling = threading.Lock()
        self._samples: deque[tuple[float, float]] = deque(maxlen=max_samples)  # (clock seconds, MB)
        self._rate: tuple[float, float] | None = None  # (clock seconds of the last sample, MB per hour)
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._samples)

    def sample(self, read: Callable[[], float | None]) -> None:
        """Takes a sample, in MB, and brings the growth up to date."""
        if not self._sampling.acquire(blocking=False):
            return  # another thread is sampling just now, and its sample is as good
        try:
            megabytes = read()
            if megabytes is None:
                return
            now = self._clock()
            while self._samples and self._samples[0][0] < now - self._window:
                self._samples.popleft()
            if len(self._samples) == self._samples.maxlen:
                self.dropped += 1
            self._samples.append((now, megabytes))
            long_enough = now - self._samples[0][0] >= self._min_span
            self._rate = (now, _slope(self._samples) * _HOUR) if long_enough else None
        finally:
            self._sampling.release()

    def mb_per_hour(self) -> float | None:
        """The growth; None until it is known, and when the last sample is older than the window."""
        rate = self._rate
        if rate is None or self._clock() - rate[0] > self._window:
            return None
        return rate[1]


def _slope(points: Sequence[tuple[float, float]]) -> float:
    """The slope of the least-squares line through points (x, y) of which at least two x differ."""
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / sum((x - mean_x) ** 2 for x, _ in points)
