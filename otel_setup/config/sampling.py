"""What can be said about which traces are recorded, and which measurements point to theirs."""

from __future__ import annotations

from dataclasses import dataclass

SAMPLERS = (
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
    "always_on",
    "always_off",
    "traceidratio",
)
"""Names as in the OpenTelemetry specification ("General SDK Configuration")."""
EXEMPLARS = ("kept", "trace_based", "always_on", "always_off")
"""The specification's filters, and ``kept``: traces that were marked to be kept."""


@dataclass(frozen=True)
class SampleRule:
    """The share of traces that is recorded where the first span has a certain name.

    Parameters:
        span: the name; ``*``, ``?`` and ``[...]`` as in a shell.
        ratio: from 0 to 1.

    Raises:
        ValueError: where either is something else.
    """

    span: str
    ratio: float

    def __post_init__(self) -> None:
        if not isinstance(self.span, str) or not self.span:
            raise ValueError(f"span is {self.span!r:.80}; give a span's name, such as 'action.play' or 'GET /health*'")
        if isinstance(self.ratio, bool) or not isinstance(self.ratio, int | float) or not 0 <= self.ratio <= 1:
            raise ValueError(f"ratio is {self.ratio!r:.80}; give a number from 0 to 1")
