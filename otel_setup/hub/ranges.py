"""Sets of numbers kept as ranges: what they cost depends on how many ranges there are, not on how long they are."""

from __future__ import annotations

from bisect import bisect_right


class Ranges:
    """Whole numbers, in ranges that do not touch each other.

    Parameters:
        pairs: first and last number of each range, lowest first.
    """

    def __init__(self, pairs: list[list[int]] | None = None) -> None:
        self._firsts = [first for first, _ in pairs or ()]
        self._lasts = [last for _, last in pairs or ()]
        self.size = sum(last - first + 1 for first, last in pairs or ())

    def __len__(self) -> int:
        """How many ranges there are; ``size`` is how many numbers."""
        return len(self._firsts)

    def __contains__(self, number: int) -> bool:
        place = bisect_right(self._firsts, number) - 1
        return place >= 0 and number <= self._lasts[place]

    def pairs(self) -> list[list[int]]:
        """First and last number of each range, lowest first."""
        return [[first, last] for first, last in zip(self._firsts, self._lasts, strict=True)]

    def append(self, first: int, last: int) -> None:
        """Adds a range above all there are."""
        self.size += last - first + 1
        if self._lasts and self._lasts[-1] == first - 1:
            self._lasts[-1] = last
            return
        self._firsts.append(first)
        self._lasts.append(last)

    def remove(self, number: int) -> None:
        """Takes out a number that is in it."""
        place = bisect_right(self._firsts, number) - 1
        first, last = self._firsts[place], self._lasts[place]
        rest = [(low, high) for low, high in ((first, number - 1), (number + 1, last)) if low <= high]
        self._firsts[place : place + 1] = [low for low, _ in rest]
        self._lasts[place : place + 1] = [high for _, high in rest]
        self.size -= 1

    def pop_lowest(self) -> tuple[int, int]:
        """Takes out the lowest range: its first and last number."""
        first, last = self._firsts.pop(0), self._lasts.pop(0)
        self.size -= last - first + 1
        return first, last
