"""From text to values, and what a value must be. Each raises ``ValueError`` saying what is expected."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

# RFC 9110, 5.6.2 (token) and 5.5 (visible characters, spaces and tabs between them).
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\x21-\x7e]([\x20\x09\x21-\x7e]*[\x21-\x7e])?")
_LEAST_TIMEOUT_MS = 100


# --- from the environment ---------------------------------------------------------------------------------------------


def switch_text(value: str) -> bool:
    """``true`` or ``false``, or another usual word for it."""
    words = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
    try:
        return words[value.strip().lower()]
    except KeyError:
        raise ValueError("true or false") from None


def number_text(value: str) -> float:
    """A number."""
    try:
        return float(value)
    except ValueError:
        raise ValueError("a number") from None


def milliseconds(value: str) -> float:
    """Milliseconds, given as seconds."""
    return number_text(value) / 1000


def timeout_milliseconds(value: str) -> float:
    """``OTEL_EXPORTER_OTLP_TIMEOUT``, given as seconds.

    The specification counts it in milliseconds, Python's SDK alone in seconds. A value that only makes sense as
    seconds is refused rather than guessed.
    """
    number = number_text(value)
    if 0 < number < _LEAST_TIMEOUT_MS:
        raise ValueError(f"milliseconds, {_LEAST_TIMEOUT_MS} or more (as OpenTelemetry specifies; {number:g} s is "
                         f"{number * 1000:g})")  # fmt: skip
    return number / 1000


def pairs_text(value: str) -> dict[str, str]:
    """``key=value,key=value``, percent-encoded (W3C Baggage)."""
    pairs = {}
    for entry in filter(None, (part.strip() for part in value.split(","))):
        key, separator, text = entry.partition("=")
        if not separator or not key.strip():
            raise ValueError("key=value pairs joined by commas")
        pairs[unquote(key.strip())] = unquote(text.strip())
    return pairs


def words_text(value: str) -> tuple[str, ...]:
    """Words joined by commas; ``none`` for no word."""
    words = tuple(word.strip().lower() for word in value.split(",") if word.strip())
    return () if words == ("none",) else words


def traces_switch_text(value: str) -> tuple[str, ...]:
    """A switch for a signal: exported by OTLP, or not at all."""
    return ("otlp",) if switch_text(value) else ()


def level_text(value: str) -> str | bool:
    """A level of Python's logging, or a word for off."""
    return False if value.strip().lower() in ("off", "false", "none") else value.strip()


# --- checks -----------------------------------------------------------------------------------------------------------


def text(value: Any) -> str:
    """Text."""
    if not isinstance(value, str):
        raise ValueError("text")
    return value


def switch(value: Any) -> bool:
    """True or False."""
    if not isinstance(value, bool):
        raise ValueError("True or False")
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def above_zero(value: Any) -> float:
    """A number above 0."""
    if not _is_number(value) or value <= 0:
        raise ValueError("a number above 0")
    return float(value)


def not_negative(value: Any) -> float:
    """A number, 0 or more."""
    if not _is_number(value) or value < 0:
        raise ValueError("a number, 0 or more")
    return float(value)


def ratio(value: Any) -> float:
    """A number from 0 to 1."""
    if not _is_number(value) or not 0 <= value <= 1:
        raise ValueError("a number from 0 to 1")
    return float(value)


def count(value: Any) -> int:
    """A whole number, 1 or more."""
    if not _is_number(value) or value != value // 1 or value < 1:
        raise ValueError("a whole number, 1 or more")
    return int(value)


def port(value: Any) -> int:
    """A TCP port; 0 lets the system choose."""
    if not _is_number(value) or value != value // 1 or not 0 <= value <= 65535:  # noqa: PLR2004
        raise ValueError("a port, 0 to 65535")
    return int(value)


def mapping(value: Any) -> dict[str, Any]:
    """A mapping of names to values."""
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise ValueError("a mapping of names to values")
    return dict(value)


def headers(value: Any) -> dict[str, str]:
    """HTTP headers, which are gRPC metadata as well."""
    for name, content in mapping(value).items():
        if not _HEADER_NAME.fullmatch(name):
            raise ValueError("names of HTTP headers: letters, digits and dashes")
        if not isinstance(content, str) or not _HEADER_VALUE.fullmatch(content):
            raise ValueError("values of HTTP headers: visible ASCII characters on one line")
    return dict(value)


def endpoint(value: Any) -> str:
    """Where an OTLP receiver listens; False, given as "", for nowhere."""
    if value is False:
        return ""
    example = "a URL with its scheme, such as http://localhost:4318, or False to export nothing"
    if not isinstance(value, str):
        raise ValueError(example)
    try:
        parts = urlsplit(value.strip())
        parts.port  # noqa: B018 - raises where there is none that could be
    except ValueError:
        raise ValueError(example) from None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(example)
    if parts.username or parts.password:
        raise ValueError("a URL without a password; credentials go into the option headers")
    return value.strip().rstrip("/")


def one_of(*allowed: str) -> Callable[[Any], str]:
    """One of some words."""

    def check(value: Any) -> str:
        word = value.strip().lower() if isinstance(value, str) else value
        if word not in allowed:
            raise ValueError(" or ".join(allowed))
        return str(word)

    return check


def some_of(*allowed: str) -> Callable[[Any], tuple[str, ...]]:
    """Some of some words; True for the first, False for none."""

    def check(value: Any) -> tuple[str, ...]:
        if isinstance(value, bool):
            return allowed[:1] if value else ()
        words = (value,) if isinstance(value, str) else tuple(value)
        if not all(word in allowed for word in words):
            raise ValueError(f"some of {', '.join(allowed)}, or none")
        return tuple(dict.fromkeys(words))

    return check


def instance_of(kind: type, example: str) -> Callable[[Any], Any]:
    """An object of a class."""

    def check(value: Any) -> Any:
        if not isinstance(value, kind):
            raise ValueError(example)
        return value

    return check


def many_of(kind: type, example: str) -> Callable[[Any], tuple[Any, ...]]:
    """Objects of a class."""

    def check(value: Any) -> tuple[Any, ...]:
        if isinstance(value, str) or not all(isinstance(item, kind) for item in value):
            raise ValueError(example)
        return tuple(value)

    return check


def level(value: Any) -> str:
    """A level of Python's logging; False, given as "", for none."""
    levels = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
    if value is False:
        return ""
    if not isinstance(value, str) or value.upper() not in levels:
        raise ValueError(f"{', '.join(levels)}, or False")
    return value.upper()
