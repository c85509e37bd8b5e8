"""Chance that can be repeated."""

from __future__ import annotations

from random import Random


def seeded(*origin: object) -> Random:
    """Random numbers that follow from this origin alone."""
    return Random(":".join(map(str, origin)))  # noqa: S311 - games, not secrets
