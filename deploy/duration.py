"""Durations as Go programs and Prometheus spell them."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """``10s``, or milliseconds (``500ms``, ``2.5ms``) where seconds do not come out even."""
    milliseconds = round(seconds * 1000, 6)
    return f"{milliseconds:g}ms" if milliseconds % 1000 else f"{milliseconds // 1000:.0f}s"
