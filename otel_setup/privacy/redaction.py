"""Secrets and addresses, taken out of what leaves the process.

Two nets: keys that say their value is a secret, and forms that give a secret away in any text.
"""

from __future__ import annotations

import ipaddress
import re
import threading
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from opentelemetry.semconv.attributes import network_attributes, server_attributes

from otel_setup.text import clean_text

REDACTED = "[redacted]"
"""Stands for what was taken out."""
MAX_LENGTH = 8192
"""Characters of one text that are exported."""
MAX_DEPTH = 8
"""Levels of nested data that are looked into; what lies deeper is redacted."""
MAX_ITEMS = 1024
"""Entries of one map or list that are exported."""

_UNKNOWN = "?"  # no key has words like that
_KEY, _LENGTH, _DEPTH, _ITEMS = "key", "length", "depth", "items"
_MARGIN = 256
_MAX_REMEMBERED, _MAX_REMEMBERED_LENGTH = 4096, 128
_Remembered = TypeVar("_Remembered", set[str], dict[str, str | None])
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+(?:\d+[a-z]+)*|\d+|[^\W\d_A-Za-z]+")

DEFAULT_KEYS = (
    *("password", "passwd", "passphrase", "pwd", "secret", "token", "jwt", "credential", "credentials"),
    *("authorization", "cookie", "set_cookie", "api_key", "apikey", "access_key", "private_key", "session_key"),
    *("email", "e_mail", "mail_address", "phone", "phone_number", "ip", "ip_address", "client_address", "peer_address"),
    *("card_number", "credit_card", "cvv", "cvc", "iban", "ssn"),
)
"""Words, or words joined by ``_``, that tell of a secret where they are whole words of a key."""
DEFAULT_EXEMPT = frozenset({server_attributes.SERVER_ADDRESS, network_attributes.NETWORK_LOCAL_ADDRESS}) | {
    "host.ip",
    "k8s.pod.ip",
}
"""Keys that are left alone: the server's own addresses, by which backends tell servers apart."""


@dataclass(frozen=True)
class Rule:
    """A form of text that is taken out.

    Parameters:
        reason: under which it is counted.
        pattern: regular expression of what is taken out.
        check: whether a match is one, where the expression alone cannot tell.
        hint: a text that lacks it (in any case) has no match; spares the search.
    """

    reason: str
    pattern: str | re.Pattern[str]
    check: Callable[[str], bool] | None = None
    hint: str = ""


def _is_address(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return not address.is_loopback and not address.is_unspecified  # these say nothing about anybody


_CARD = re.compile(
    r"4(\d{12}|\d{15}|\d{18})|(5[1-5]|2[2-7])\d{14}|3[47]\d{13}|(6011|65\d\d|64[4-9]\d)\d{12}|35\d{14}"
    r"|3(0[0-5]|[68]\d)\d{11}|62\d{14,17}"
)


def _is_card(text: str) -> bool:
    """Whether digits are of an issuer's form (ISO/IEC 7812) and end in the right check digit (Luhn)."""
    digits = re.sub(r"\D", "", text)
    if not _CARD.fullmatch(digits):
        return False
    doubled = [int(digit) * 2 for digit in digits[-2::-2]]
    return (sum(map(int, digits[-1::-2])) + sum(n - 9 if n > 9 else n for n in doubled)) % 10 == 0  # noqa: PLR2004


_OPAQUE = r"(?:[\w.~+/=-]{20,}|(?=[a-z.~+/=_-]*\d)[\w.~+/=-]{8,})"
_NAMED = r"(?<![A-Za-z])(?:password|passwd|pwd|secret|token|api[_-]?key)"
_OCTET = r"(?:25[0-5]|2[0-4]\d|1?\d?\d)"
DEFAULT_PATTERNS: tuple[Rule, ...] = (
    Rule("credentials", r"(?<=://)[^\s/:@]*:[^\s/@]+(?=@)", hint="@"),
    Rule("email", r"(?<![\w.%+-])[\w.%+-]+@(?:[\w-]+\.)+[^\W\d_]{2,}(?!\w)", hint="@"),
    Rule("token", rf"\bbearer\s+{_OPAQUE}", hint="bearer"),
    Rule("token", rf"\bbasic\s+{_OPAQUE}", hint="basic"),
    Rule("token", r"\beyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?", hint="eyj"),
    Rule("token", rf"{_NAMED}=[^\s&;,\"']+", hint="="),
    Rule("token", rf"{_NAMED}[\"']\s*:\s*[\"'][^\"']+", hint=":"),
    Rule("ip", rf"(?<![\w.]){_OCTET}(?:\.{_OCTET}){{3}}(?!\.?\w)", check=_is_address, hint="."),
    Rule("ip", r"(?<![\w:.])[0-9a-f]{1,4}:(?:[0-9a-f]{0,4}:){1,6}[0-9a-f]{0,4}(?![\w:])", check=_is_address, hint=":"),
    Rule("card", r"(?<![\w.-])[2-6](?:[ -]?\d){12,18}(?![\w-]|\.\d)", check=_is_card),
)
"""Email addresses, IP addresses, bearer tokens, passwords in URLs and assignments, numbers of payment cards."""


@dataclass(frozen=True)
class _Net:
    reason: str
    pattern: re.Pattern[str]
    check: Callable[[str], bool] | None
    hint: str


class Redaction:
    """Takes secrets out of attributes, log bodies and resources. Any thread may call anything.

    Parameters:
        patterns: forms of secrets in texts; a plain text is a regular expression, counted as ``pattern``.
        keys: words of keys whose values are secrets.
        exempt: whole keys that are left alone.
        max_length: characters kept of a text.

    Attributes:
        counts: what was taken out, by reason: ``key``, ``length``, ``depth``, ``items``, and those of the rules.

    Raises:
        ValueError: naming every pattern and key that is not sound.
    """

    def __init__(
        self,
        patterns: Iterable[Rule | str | re.Pattern[str]] = DEFAULT_PATTERNS,
        keys: Iterable[str] = DEFAULT_KEYS,
        *,
        exempt: Container[str] = DEFAULT_EXEMPT,
        max_length: int = MAX_LENGTH,
    ) -> None:
        problems: list[str] = []
        rules = [rule if isinstance(rule, Rule) else Rule("pattern", rule) for rule in patterns]
        self._nets = [net for rule in rules if (net := _net(rule, problems)) is not None]
        self._keys = _key_pattern(list(keys), problems)
        if max_length < 1:
            problems.append(f"max_length {max_length} keeps nothing; expected 1 or more")
        if problems:
            raise ValueError("redaction: " + "; ".join(problems))
        self._exempt = exempt
        self._max_length = max_length
        self.counts = dict.fromkeys([_KEY, _LENGTH, _DEPTH, _ITEMS, *(net.reason for net in self._nets)], 0)
        self._lock = threading.RLock()  # re-entrant: a signal handler may come here in the middle
        # Most texts come again and again; never a secret is remembered.
        self._harmless: set[str] = set()
        self._after: dict[str, str | None] = {}

    @property
    def max_searched(self) -> int:
        """Characters of a text that are looked at: more than are kept, so that the cut goes through no secret."""
        return self._max_length + _MARGIN

    def after_fork(self) -> None:
        """Begins afresh in a forked child, where the lock may be held by a thread the child does not have."""
        self._lock = threading.RLock()

    def attributes(self, attributes: Mapping[str, Any] | None) -> dict[str, Any]:
        """Attributes of a record or resource without their secrets."""
        return self._mapping(attributes or {}, MAX_DEPTH)

    def value(self, value: Any, depth: int = MAX_DEPTH) -> Any:
        """Any data, such as a log record's body, without the secrets in it."""
        if isinstance(value, str):
            return self.text(value)
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, bytes):
            text = value.decode("utf-8", "surrogateescape")
            return value if (kept := self.text(text)) == text else kept.encode("utf-8", "surrogateescape")
        if not isinstance(value, Mapping | Sequence | set | frozenset):
            return self.text(clean_text(value))
        if depth == 0:
            self._count(_DEPTH)
            return REDACTED
        if isinstance(value, Mapping):
            return self._mapping(value, depth)
        self._count(_ITEMS, max(0, len(value) - MAX_ITEMS))
        return [self.value(item, depth - 1) for item in islice(value, MAX_ITEMS)]

    def text(self, text: str) -> str:
        """A text without the secrets in it, cut where it is too long."""
        if text in self._harmless:
            return text
        whole = text
        too_long = len(text) > self._max_length
        if too_long:
            text = text[: self.max_searched]
        lowered = text.lower()
        for net in self._nets:
            if net.hint in lowered:
                text = self._without(net, text)
        if too_long:
            self._count(_LENGTH)
            text = text[: self._max_length - 1] + "…"
        if text == whole and len(text) <= _MAX_REMEMBERED_LENGTH:
            _limited(self._harmless).add(text)
        return text

    def is_secret(self, key: str) -> bool:
        """Whether a key says that its value is a secret: ``user.ip`` does, ``recipient_count`` does not."""
        return self._find(key) is not None

    def is_ordinary(self, key: str) -> bool:
        """Whether what stands under a key is looked at like any text: it is neither a secret by its key nor exempt."""
        return key not in self._exempt and not self.is_secret(key) and self.text(key) == key

    def _find(self, key: str) -> str | None:
        """What follows the words of a key that tell of a secret; None where there are none."""
        known = self._after.get(key, _UNKNOWN)
        if known != _UNKNOWN:
            return known
        ends = []
        if self._keys is not None:
            words = f"_{'_'.join(_WORDS.findall(key[:MAX_LENGTH])).lower()}_"
            ends = [words[match.end() + 1 :] for match in self._keys.finditer(words)]
        after = ends[-1] if ends else None
        if len(key) <= _MAX_REMEMBERED_LENGTH:
            _limited(self._after)[key] = after
        return after

    def _without(self, net: _Net, text: str) -> str:
        found = 0

        def taken_out(match: re.Match[str]) -> str:
            nonlocal found
            if REDACTED in match[0] or (net.check is not None and not net.check(match[0])):
                return match[0]
            found += 1
            return REDACTED

        text = net.pattern.sub(taken_out, text)
        self._count(net.reason, found)
        return text

    def _mapping(self, values: Mapping[Any, Any], depth: int) -> dict[Any, Any]:
        self._count(_ITEMS, max(0, len(values) - MAX_ITEMS))
        kept: dict[Any, Any] = {}
        for key, value in islice(values.items(), MAX_ITEMS):
            name = key
            if isinstance(key, str):
                name = self._key(key, kept)
                if key in self._exempt:
                    kept[name] = value
                    continue
                if self._hides(key, value):
                    kept[name] = REDACTED
                    continue
            kept[name] = self.value(value, depth - 1)
        return kept

    def _hides(self, key: str, value: Any) -> bool:
        """Whether a key makes its value a secret. A number is one where the words end the key: not ``token_count``."""
        if value is None or isinstance(value, bool):
            return False
        after = self._find(key)
        if after is None or (after and isinstance(value, int | float)):
            return False
        if value != REDACTED:
            self._count(_KEY)
        return True

    def _key(self, key: str, taken: Container[str]) -> str:
        name = free = self.text(key)
        number = 1
        while free in taken:  # two keys that became one
            number += 1
            free = f"{name} {number}"
        return free

    def _count(self, reason: str, number: int = 1) -> None:
        if number:
            with self._lock:
                self.counts[reason] += number


def _net(rule: Rule, problems: list[str]) -> _Net | None:
    try:
        pattern = re.compile(rule.pattern, re.IGNORECASE) if isinstance(rule.pattern, str) else rule.pattern
    except re.error as problem:
        problems.append(f"pattern {rule.pattern!r} is no regular expression ({problem})")
        return None
    if pattern.match(""):
        problems.append(f"pattern {pattern.pattern!r} matches nothing at all, so it would match everywhere")
        return None
    return _Net(rule.reason, pattern, rule.check, rule.hint.lower())


def _key_pattern(keys: Sequence[str], problems: list[str]) -> re.Pattern[str] | None:
    words = []
    for key in keys:
        parts = _WORDS.findall(key)
        if not parts:
            problems.append(f"key {key!r} has no word in it")
        words.append("_".join(map(re.escape, parts)).lower())
    # The longest first, so that what follows a key's words is really what follows.
    return re.compile(f"_(?:{'|'.join(sorted(words, key=len, reverse=True))})(?=_)") if words else None


def _limited(remembered: _Remembered) -> _Remembered:
    """What is remembered, or nothing where that is too much: hostile texts must not grow it."""
    if len(remembered) >= _MAX_REMEMBERED:
        remembered.clear()
    return remembered
