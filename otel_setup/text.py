"""Text and data that came from players, made safe to keep and to show.

A player's name is chosen by the player: it may hold control characters, bidirectional overrides, or be 10 kB long.
``clean_text`` is applied once, where such text enters; whatever is shown or exported later has passed it.
"""

from __future__ import annotations

import hashlib
import math
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from typing import TypeVar

MAX_ID_LENGTH = 128
"""Characters of an id that are kept; a longer one ends in a digest of the whole, so that two stay two."""
MAX_TEXT_LENGTH = 2048
"""Characters of other text that are kept."""
MAX_DATA_ITEMS = 64
"""Entries kept of a map or list in an event's data."""
MAX_DATA_DEPTH = 4
"""Levels kept of nested data."""

JSONValue = None | bool | int | float | str | list["JSONValue"] | dict[str, "JSONValue"]

_T = TypeVar("_T")
_DIGEST_LENGTH = 12
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_UNSAFE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_PLAIN_NEWLINES = frozenset("\n\t")
_MAX_INT = 2**63


@lru_cache(maxsize=4096)
def _clean_id(text: str) -> str:
    if len(text) <= MAX_ID_LENGTH:
        return _visible(text, keep=frozenset())
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST_LENGTH]
    return f"{_visible(text[: MAX_ID_LENGTH - _DIGEST_LENGTH - 1], keep=frozenset())}~{digest}"


def clean_id(value: object) -> str:
    """An id as it is kept: visible characters only, at most 128 of them. None becomes the empty string.

    >>> clean_id("player\\x001")
    'player�1'
    """
    if value is None:
        return ""
    if type(value) is not str:
        # A member of an enumeration is a text of its own type, and with the SDK a label value of its own.
        value = str.__str__(value) if isinstance(value, str) else _text_of(value)
    if value.isascii() and value.isprintable() and len(value) <= MAX_ID_LENGTH:
        return value
    # Beyond this length the cache would hold megabytes of a hostile player's making.
    return _clean_id(value) if len(value) <= MAX_TEXT_LENGTH else _clean_id.__wrapped__(value)


def clean_text(value: object, limit: int = MAX_TEXT_LENGTH) -> str:
    """Free text as it is kept: line breaks stay, other control and direction characters become U+FFFD."""
    text = value if isinstance(value, str) else _text_of(value)
    cut = text if len(text) <= limit else text[: limit - 1] + "…"
    return cut if cut.isascii() and cut.isprintable() else _visible(cut, keep=_PLAIN_NEWLINES)


def clean_data(value: object, depth: int = MAX_DATA_DEPTH) -> JSONValue:
    """Anything, as JSON values of bounded size.

    Keys become text; NaN, infinities and objects JSON does not know become their text; what exceeds the bounds is cut.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value) if abs(value) < _MAX_INT else _text_of(value)[:MAX_ID_LENGTH]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(value)
    if isinstance(value, str):
        return clean_text(value)
    if depth > 0 and isinstance(value, Mapping):
        return {clean_id(key): clean_data(item, depth - 1) for key, item in _first(value.items())}
    if depth > 0 and isinstance(value, Sequence | set | frozenset) and not isinstance(value, bytes | bytearray):
        return [clean_data(item, depth - 1) for item in _first(value)]
    return clean_text(value)


def _first(items: Iterable[_T]) -> list[_T]:
    return list(islice(items, MAX_DATA_ITEMS))


def _visible(text: str, keep: frozenset[str]) -> str:
    return "".join(
        _REPLACEMENT if unicodedata.category(char) in _UNSAFE_CATEGORIES and char not in keep else char for char in text
    )


def _text_of(value: object) -> str:
    """``str(value)``, even of an object whose ``__str__`` raises: monitoring must not fail on what it is given."""
    try:
        return str(value)
    except Exception:  # noqa: BLE001
        return f"<unprintable {type(value).__name__}>"
