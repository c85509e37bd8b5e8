"""Sums over trailing windows of time, in a fixed amount of memory."""

from __future__ import annotations

from collections.abc import Iterator


class TimeBuckets:
    """Named sums in buckets of ``width`` seconds, kept for ``span`` seconds.

    Memory is bounded by ``span / width`` buckets whatever the traffic and whatever times it claims.

    Parameters:
        width: seconds a bucket covers; what is read is exact to one width.
        span: seconds after which a bucket is forgotten.
        fields: names of the sums.
    """

    def __init__(self, width: int, span: int, fields: tuple[str, ...]) -> None:
        self._width = width
        self._span = span
        self._fields = fields
        # One more than the window holds: the bucket that is being filled.
        self._limit = span // width + 1
        self._buckets: dict[int, list[float]] = {}

    def __len__(self) -> int:
        return len(self._buckets)

    def add(self, time_s: float, field: str, amount: float = 1) -> None:
        """Adds to the sum ``field`` of the bucket that ``time_s`` (seconds since 1970) falls into."""
        self._bucket(time_s)[self._fields.index(field)] += amount

    def add_all(self, time_s: float, amounts: tuple[float, ...]) -> None:
        """Adds to every sum, in the order of the fields."""
        bucket = self._bucket(time_s)
        for place, amount in enumerate(amounts):
            bucket[place] += amount

    def include(self, other: TimeBuckets) -> None:
        """Adds another's sums to these; both are of the same width and fields."""
        for index, sums in other._buckets.items():
            bucket = self._bucket(index * self._width)
            for place, amount in enumerate(sums):
                bucket[place] += amount

    def emptied(self) -> TimeBuckets:
        """Buckets of the same kind, with nothing in them."""
        return TimeBuckets(self._width, self._span, self._fields)

    def total(self, field: str, now_s: float, span: float | None = None) -> float:
        """The sum over the last ``span`` seconds (the whole window where not given)."""
        return sum(self.sums(field, now_s, span).values())

    def sums(self, field: str, now_s: float, span: float | None = None) -> dict[int, float]:
        """One sum of each bucket, by the bucket's start (seconds since 1970), in no order."""
        oldest, place = self._oldest(now_s, span), self._fields.index(field)
        return {index * self._width: sums[place] for index, sums in self._buckets.items() if index > oldest}

    def items(self, now_s: float, span: float | None = None) -> Iterator[tuple[int, dict[str, float]]]:
        """Each bucket's start (seconds since 1970) and sums, oldest first."""
        oldest = self._oldest(now_s, span)
        for index in sorted(self._buckets):
            if index > oldest:
                yield index * self._width, dict(zip(self._fields, self._buckets[index], strict=True))

    def forget(self, now_s: float) -> None:
        """Lets go of what has left the window. It is not told any more anyway; this gives its memory back."""
        oldest = self._oldest(now_s, None)
        for index in [index for index in self._buckets if index <= oldest]:
            del self._buckets[index]

    def _bucket(self, time_s: float) -> list[float]:
        index = int(time_s // self._width)
        bucket = self._buckets.get(index)
        if bucket is None:
            bucket = self._buckets[index] = [0.0] * len(self._fields)
            if len(self._buckets) > self._limit:
                del self._buckets[min(self._buckets)]
        return bucket

    def _oldest(self, now_s: float, span: float | None) -> float:
        """The bucket that has just left a window; no window is longer than what is kept."""
        return (now_s - min(self._span, self._span if span is None else span)) // self._width
