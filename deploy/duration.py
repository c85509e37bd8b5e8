"""Durations as Go programs and Prometheus spell them."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """``10s``, or whole milliseconds (``500ms``) where seconds do not come out even."""
    milliseconds = round(seconds * 1000)
    return f"{milliseconds}ms" if milliseconds % 1000 else f"{milliseconds // 1000}s"
