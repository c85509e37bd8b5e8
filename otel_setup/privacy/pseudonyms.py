"""Players' names, as they leave the process: keyed pseudonyms, the same everywhere for whoever has the key.

``p_`` and 16 hexadecimal digits: 12 of the name's HMAC-SHA256 (RFC 2104) and 4 that prove, to the holder of the key,
that the pseudonym is one. So what is a pseudonym already is left as it is, however often a record passes, while a
player who takes ``p_0123456789abcdef`` for a name gets a pseudonym like everybody else.
"""

from __future__ import annotations

import hmac
import re
import threading
from collections import OrderedDict
from collections.abc import Container, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

from otel_setup.catalogue import build
from otel_setup.privacy.names import KnownNames
from otel_setup.privacy.vocabulary import CLOSED, FREE_FORM, PERSONAL, PERSONAL_KEYS, UNTOUCHED, vocabulary
from otel_setup.text import MAX_ID_LENGTH, clean_id, clean_text

MAX_CACHED = 10_000
"""Names remembered with their pseudonyms, and looked for in texts; the least recently seen goes first."""
MAX_DEPTH = 8
"""Levels of nested data that are looked into; what lies deeper is left out."""
MAX_ITEMS = 1024
"""Entries of one map or list that are looked into; the others are left out."""
MAX_SEARCHED = 65_536
"""Characters of one text in which names are looked for; what follows is cut off."""
LEFT_OUT = "[left out]"
"""Stands for what lies deeper than MAX_DEPTH."""

_NO_TEXT = (int, float, bool)
_PLAYER, _ENTRY = "player", frozenset({"player", "is_bot", "score"})
_PREFIX = "p_"
_ID_DIGITS, _PROOF_DIGITS = 12, 4
_SHAPE = re.compile(rf"{_PREFIX}[0-9a-f]{{{_ID_DIGITS + _PROOF_DIGITS}}}")


def looks_like_pseudonym(text: str) -> bool:
    """Whether a text has the form of a pseudonym; whether it is one, only the holder of the key can tell."""
    return _SHAPE.fullmatch(text) is not None


class Pseudonyms:
    """Pseudonyms for one key. Any thread may call anything; nothing raises, whatever the names are.

    Parameters:
        key: the secret, see :mod:`otel_setup.privacy.keys`; None for no pseudonyms, all names stay.
        max_cached: names remembered.
        reserved: words no name is searched for in texts, see
            :func:`~otel_setup.privacy.vocabulary.vocabulary`; None for those of the default game.

    Attributes:
        evictions: names that were forgotten because there were ``max_cached``.
        cut: texts and data that exceeded MAX_SEARCHED, MAX_ITEMS or MAX_DEPTH.
    """

    def __init__(
        self, key: bytes | None, max_cached: int = MAX_CACHED, *, reserved: Container[str] | None = None
    ) -> None:
        self.active = key is not None
        self.max_cached = max_cached
        self.evictions = 0
        self.cut = 0
        # A key of its own for each use: no name's pseudonym says anything about a proof.
        self._name_key = hmac.digest(key or b"", b"name", "sha256")
        self._proof_key = hmac.digest(key or b"", b"proof", "sha256")
        self._cache: OrderedDict[str, str] = OrderedDict()
        self._issued: set[str] = set()
        self._lock = threading.RLock()  # re-entrant: a signal handler may come here in the middle
        self._reserved = (vocabulary(build()) if reserved is None else reserved) if self.active else ()
        self._names = KnownNames(self._reserved)
        # Keys in which there is no name, now and later. There are as many as the vocabulary has, whatever players do.
        self._fixed: set[str] = set()

    @classmethod
    def off(cls) -> Pseudonyms:
        """No pseudonyms: everything is returned as it is."""
        return cls(None)

    def __repr__(self) -> str:
        return f"Pseudonyms(active={self.active}, max_cached={self.max_cached})"

    def __len__(self) -> int:
        return len(self._cache)

    @property
    def unsearched(self) -> int:
        """Names that are not looked for inside texts, because too many of their kind are."""
        return self._names.unsearched

    def after_fork(self) -> None:
        """Begins afresh in a forked child, where the lock may be held by a thread the child does not have."""
        self._lock = threading.RLock()

    # --- one name ---------------------------------------------------------------------------------------------------

    def of(self, name: object) -> str:
        """A name's pseudonym; of a pseudonym, itself; of nothing, nothing.

        Names count as equal where they are equal as they are kept, see :func:`~otel_setup.text.clean_id`.
        """
        if isinstance(name, str):
            try:
                pseudonym = self._cache[name]
                self._cache.move_to_end(name)
            except KeyError:
                pass  # not known, or forgotten between the two lines
            else:
                return pseudonym
        if not self.active:
            return name if isinstance(name, str) else clean_id(name)
        cleaned = clean_id(name)
        if not cleaned or self.is_pseudonym(cleaned):
            return cleaned
        return self._remembered(cleaned)

    def is_pseudonym(self, text: str) -> bool:
        """Whether a text is a pseudonym that this key made."""
        if text in self._issued:
            return True
        if not looks_like_pseudonym(text):
            return False
        digits = text[len(_PREFIX) :]
        return hmac.compare_digest(self._proof(digits[:_ID_DIGITS]), digits[_ID_DIGITS:])

    def _remembered(self, name: str) -> str:
        digits = hmac.digest(self._name_key, name.encode("utf-8", "replace"), "sha256").hex()[:_ID_DIGITS]
        pseudonym = f"{_PREFIX}{digits}{self._proof(digits)}"
        with self._lock:
            if name in self._cache:
                self._cache.move_to_end(name)
            else:
                self._cache[name] = pseudonym
                self._issued.add(pseudonym)
                self._names.add(name, pseudonym)
            while len(self._cache) > self.max_cached:
                oldest, its_pseudonym = self._cache.popitem(last=False)
                self._issued.discard(its_pseudonym)
                self._names.remove(oldest)
                self.evictions += 1
        return pseudonym

    def _proof(self, digits: str) -> str:
        return hmac.digest(self._proof_key, digits.encode(), "sha256").hex()[:_PROOF_DIGITS]

    # --- data that consists of names --------------------------------------------------------------------------------

    def of_value(self, value: Any) -> Any:
        """The value of an attribute that is declared to hold names: a name, or names in maps and lists.

        A map keyed by players becomes a list of ``{"player": pseudonym, "score": value}``, so that no key is a name.
        Entries of lists that have a ``player`` keep ``is_bot`` and ``score``. All other text is taken for a name.
        """
        if not self.active or value is None or isinstance(value, bool):
            return value
        if type(value) is str and value != LEFT_OUT:
            return self.of(value)
        if isinstance(value, int | float):
            return self.of(value)  # a player's number
        if isinstance(value, list | tuple):
            value = [self.of(item) if isinstance(item, int) and not isinstance(item, bool) else item for item in value]
        return self._data(value, MAX_DEPTH)

    def _data(self, value: Any, depth: int) -> Any:
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, str):
            return value if value == LEFT_OUT else self.of(value)
        if isinstance(value, bytes):
            return self.of(value.decode("utf-8", "replace"))
        if depth == 0:
            self.cut += 1
            return LEFT_OUT
        if isinstance(value, Mapping):
            return [
                {_PLAYER: self.of(player), "score": self._data(score, depth - 1)}
                for player, score in self._first(value.items(), len(value))
            ]
        if isinstance(value, Sequence | set | frozenset):
            return [self._entry(entry, depth - 1) for entry in self._first(value, len(value))]
        return self.of(value)

    def _entry(self, entry: Any, depth: int) -> Any:
        if not isinstance(entry, Mapping) or _PLAYER not in entry:
            return self._data(entry, depth)
        made = {}
        for key, value in self._first(entry.items(), len(entry)):
            numbered = key == _PLAYER and isinstance(value, int) and not isinstance(value, bool)
            made[key if key in _ENTRY else self.of(key)] = self.of(value) if numbered else self._data(value, depth)
        return made

    def _first(self, items: Iterable[Any], count: int) -> Iterable[Any]:
        self.cut += count > MAX_ITEMS
        return islice(items, MAX_ITEMS)

    # --- text and data in which names may occur ---------------------------------------------------------------------

    def text(self, text: str) -> str:
        """Free text, with every known name in it that stands as a word of its own replaced.

        A text that is a known name is replaced however short it is.
        """
        if not self._cache or (text in self._reserved and text.isidentifier()):
            return text  # a single word that no name is searched for
        if len(text) > MAX_SEARCHED:
            self.cut += 1
            text = text[: MAX_SEARCHED - 1] + "…"
        return self._names.whole(text) or self._names.replace(text)

    def free_form(self, value: Any, depth: int = MAX_DEPTH) -> Any:
        """Any data: known names in its texts and keys, and all names under keys that say so (``player_id``)."""
        if not self.active:
            return value
        if isinstance(value, str):
            return self.text(value)
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, bytes):
            text = value.decode("utf-8", "surrogateescape")
            return value if (found := self.text(text)) == text else found.encode("utf-8", "surrogateescape")
        if depth == 0:
            self.cut += 1
            return LEFT_OUT
        if isinstance(value, Mapping):
            made: dict[Any, Any] = {}
            for key, item in self._first(value.items(), len(value)):
                made[_not_in(made, self._key(key))] = self._under(key, item, depth - 1)
            return made
        if isinstance(value, Sequence | set | frozenset):
            return [self.free_form(item, depth - 1) for item in self._first(value, len(value))]
        return self.text(clean_text(value))

    def pseudonymised(self, attributes: Mapping[str, Any], personal: Container[str] = PERSONAL) -> dict[str, Any]:
        """Attributes of a span, event or log record as they may leave the process. Once or often, it is the same.

        Parameters:
            attributes: those of the record.
            personal: names of those that hold players' names.
        """
        if not self.active:
            return dict(attributes)
        made: dict[str, Any] = {}
        searched = []
        for key, value in attributes.items():  # names first: the others may mention them
            made[key] = value
            if key in personal and key != FREE_FORM:
                made[key] = self.of_value(value)
            elif key in CLOSED:
                if type(value) is not str or value not in CLOSED[key]:
                    searched.append(key)
            elif key not in UNTOUCHED and (type(value) not in _NO_TEXT or key not in self._fixed):
                searched.append(key)
        renamed: dict[str, str] = {}
        for key in searched:
            made[key] = self._under(key, made[key], MAX_DEPTH)
            if (name := self._key(key)) != key:
                renamed[key] = name
        return _renamed(made, renamed) if renamed else made

    def _under(self, key: Any, value: Any, depth: int) -> Any:
        """A value by what its key says. ``players`` may be a list of names in one record, their number in another."""
        if key in PERSONAL_KEYS:
            return self._data(value, depth)
        return self.free_form(value, depth)

    def _key(self, key: Any) -> Any:
        """A key; one that is a known name, or ends in one after a dot, with the pseudonym instead."""
        if not isinstance(key, str):
            return key if key is None or isinstance(key, bool | int | float) else self.text(clean_id(key))
        if key in self._fixed:
            return key
        start, end = "", key
        reserved = key.isascii()
        for _ in range(MAX_DEPTH):
            if found := self._names.whole(clean_id(end)):
                return start + found
            reserved = reserved and end in self._reserved
            first, dot, end = end.partition(".")
            if not dot:
                if reserved:  # so no name is equal to any of its endings
                    self._fixed.add(key)
                break
            start += first + dot
        # A long one was cut, perhaps inside a name: then it is like any text.
        return self.text(key) if len(key) >= MAX_ID_LENGTH else key


def _renamed(made: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    renamed: dict[str, Any] = {}
    for key, value in made.items():
        renamed[_not_in(renamed, names.get(key, key))] = value
    return renamed


def _not_in(made: Mapping[Any, Any], key: Any) -> Any:
    """The key, or where it is taken, the key with a number: nothing is lost by two keys becoming one."""
    number, free = 1, key
    while free in made:
        number += 1
        free = f"{key} {number}"
    return free
