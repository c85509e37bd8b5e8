"""The error that lists everything wrong with a configuration."""

from __future__ import annotations

from collections.abc import Sequence


class ConfigError(ValueError):
    """Something is wrong with the configuration. ``problems`` lists everything that is, one sentence each."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
        super().__init__(f"{count} in the telemetry configuration:\n" + "\n".join(f"  - {text}" for text in problems))
