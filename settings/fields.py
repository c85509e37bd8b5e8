"""Fields of settings, with the bounds that the loader holds them to."""

from __future__ import annotations

from dataclasses import field
from typing import Any

HIGHEST_PORT = 65535
WORD = r"[A-Za-z0-9][A-Za-z0-9._-]{0,200}"
"""What Kafka accepts as the name of a topic, less what would need quotes somewhere."""
URL = r"https?://[^\s\"'{}<>]{1,500}(?<!/)"
"""An address to which a path is added; nothing in it that a template or a YAML file would take for its own."""


def number(default: float, minimum: float = 1, maximum: float | None = None) -> Any:
    """A numeric setting."""
    return field(default=default, metadata={"minimum": minimum, "maximum": maximum})


def port(default: int) -> Any:
    """A TCP port."""
    return field(default=default, metadata={"minimum": 1, "maximum": HIGHEST_PORT, "is_port": True})


def word(default: str) -> Any:
    """A name that goes into files of several formats as it is."""
    expected = "a word of letters, digits, dots, dashes and underscores"
    return field(default=default, metadata={"pattern": WORD, "expected": expected})


def url(default: str) -> Any:
    """An address without a slash at its end."""
    return field(default=default, metadata={"pattern": URL, "expected": "http(s)://…, without a slash at its end"})
