"""Known names, found in free text.

A text is split into words once, and only where a word begins a known name the text is looked at closer. So the cost
grows with the text and not with the number of names, and nothing is rebuilt when a name joins.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Container
from urllib.parse import unquote_plus

from otel_setup.text import MAX_ID_LENGTH, clean_text

MIN_LENGTH = 3
"""Characters from which on a name is looked for inside a text; 2 where it is not ASCII. Shorter ones hit too much."""
MIN_DIGITS = 6
"""Digits that a name like a number must have: fewer would hit durations, versions, ports and line numbers."""
MAX_SYMBOL_NAMES = 128
"""Names of ASCII punctuation only that are looked for; each of them costs every text a search."""
MAX_LEADS = 64
"""Names that are looked for and differ only in the punctuation they begin with."""

# Scripts that are written without spaces, or, as Korean, with endings joined to a name: each character is a word.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u2e80-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff"
    "\uff66-\uff9f\U00020000-\U0003ffff"
)
_WORD = rf"[^\W{_UNSPACED}]"
_TOKEN = re.compile(rf"{_WORD}+|[^\s\x00-\x7f]")
_ASCII_TOKEN = re.compile(r"\w+", re.ASCII)
"""Finds the same in ASCII text, several times as fast."""
_JOINED = re.compile(_WORD * 2)
_HIDDEN = "\N{REPLACEMENT CHARACTER}"
_BEGINNING = 64
"""Characters by which a name is found that is too long to be kept whole: also where another text was cut inside it."""
_ESCAPE = re.compile(r"\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8})|(.))", re.IGNORECASE | re.DOTALL)
_DIGEST = re.compile(r"~[0-9a-f]{12}\Z")
_MAX_CODE_POINT = 0x10FFFF
_NUMBER = re.compile(r"[-0-9.,:/ ]*[0-9][-0-9.,:/ ]*")
_HEX = re.compile(r"[0-9a-fA-F]{4,12}")
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_UUID_LENGTH = 36
_CONTROL_LETTERS = "abfnrtv0"

_Core = tuple[dict[str, str], dict[str, str]]
"""By what stands before a name's first word: the pseudonyms of names that end here, and of names that go on."""


class KnownNames:
    """Names with their pseudonyms. One thread at a time may add and remove; any may search meanwhile.

    Parameters:
        reserved: words that are not looked for inside texts, nor as whole values.

    Attributes:
        unsearched: names that are not looked for inside texts because of MAX_SYMBOL_NAMES or MAX_LEADS.
    """

    def __init__(self, reserved: Container[str] = ()) -> None:
        self.unsearched = 0
        self._reserved = reserved
        self._whole: dict[str, str] = {}
        self._symbols: dict[str, str] = {}
        self._cores: dict[str, _Core] = {}
        self._counts: dict[str, Counter[int]] = {}
        self._lengths: dict[str, tuple[int, ...]] = {}
        self._hidden = 0

    def add(self, name: str, pseudonym: str) -> None:
        """Takes a cleaned name in."""
        if name in self._reserved:
            return
        self._whole[name] = pseudonym
        self._hidden += _HIDDEN in name
        if not _is_searched(name):
            return
        for form, goes_on in _forms(name):
            first = _TOKEN.search(form)
            if first is not None:
                lead, core = form[: first.start()], form[first.start() :]
                self._add_core(first[0][:_BEGINNING], lead, core, pseudonym, goes_on=goes_on)
            elif len(self._symbols) < MAX_SYMBOL_NAMES:
                self._symbols[form] = pseudonym
            else:
                self.unsearched += 1

    def remove(self, name: str) -> None:
        """Forgets a name."""
        if self._whole.pop(name, None) is None:
            return
        self._hidden -= _HIDDEN in name
        for form, goes_on in _forms(name):
            self._symbols.pop(form, None)
            first = _TOKEN.search(form)
            if first is not None:
                self._remove_core(first[0][:_BEGINNING], form[: first.start()], form[first.start() :], goes_on=goes_on)

    def whole(self, text: str) -> str | None:
        """The pseudonym, where a text is a known name and nothing else."""
        return self._whole.get(text)

    def replace(self, text: str) -> str:
        """The text, with each known name in it replaced where it stands as a word of its own.

        Names are also found in the escaped forms of ``repr`` and JSON, and of URLs; then the whole text comes back
        without those escapes.
        """
        text = self._replace(text)
        if "\\" in text and (found := self._replace(plain := _unescaped(text))) != plain:
            text = found
        if ("%" in text or "+" in text) and (found := self._replace(plain := unquote_plus(text))) != plain:
            text = found
        return text

    def _replace(self, text: str) -> str:
        seen = text
        if self._hidden:  # names are known as cleaned, with a sign for what is invisible; so is the text then
            seen = clean_text(text, len(text)).replace("\n", _HIDDEN).replace("\t", _HIDDEN)
        words = _ASCII_TOKEN if seen.isascii() else _TOKEN
        found = words.findall(seen)
        if len(seen) > _BEGINNING:
            found = [word[:_BEGINNING] for word in found]
        if not self._lengths.keys().isdisjoint(found):
            pieces, done = [], 0
            for word in words.finditer(seen):
                start, first = word.start(), word[0][:_BEGINNING]
                if first in self._lengths and start >= done and (hit := self._at(seen, first, start, done)):
                    begin, end, pseudonym = hit
                    pieces += [text[done:begin], pseudonym]
                    done = end
            text = "".join([*pieces, text[done:]])
        for name, pseudonym in list(self._symbols.items()) if self._symbols else ():
            text = text.replace(name, pseudonym)
        return text

    def _at(self, text: str, token: str, start: int, done: int) -> tuple[int, int, str] | None:
        """Begin, end and pseudonym of the longest name whose first word is the one at ``start``."""
        for length in self._lengths.get(token, ()):
            found = self._cores.get(text[start : start + length])
            if found is None:
                continue
            for names, end in zip(found, (start + length, len(text)), strict=True):
                if (end < len(text) and _JOINED.match(text, end - 1)) or _is_in_uuid(text, start, end):
                    continue
                for lead in sorted(names, key=len, reverse=True):
                    if text.endswith(lead, done, start):
                        return start - len(lead), end, names[lead]
        return None

    def _add_core(self, first: str, lead: str, core: str, pseudonym: str, *, goes_on: bool) -> None:
        if core in self._reserved:
            return
        ends, continues = self._cores.get(core, ({}, {}))
        names = continues if goes_on else ends
        if lead not in names:
            if lead and len(names) >= MAX_LEADS:
                self.unsearched += 1
                return
            counts = self._counts.setdefault(first, Counter())
            counts[len(core)] += 1
            self._lengths[first] = tuple(sorted(counts, reverse=True))
        # Copied, because somebody may be reading it.
        changed = {**names, lead: pseudonym}
        self._cores[core] = (ends, changed) if goes_on else (changed, continues)

    def _remove_core(self, first: str, lead: str, core: str, *, goes_on: bool) -> None:
        ends, continues = self._cores.get(core, ({}, {}))
        names = continues if goes_on else ends
        if lead not in names:
            return
        changed = {other: pseudonym for other, pseudonym in names.items() if other != lead}
        ends, continues = (ends, changed) if goes_on else (changed, continues)
        if ends or continues:
            self._cores[core] = (ends, continues)
        else:
            del self._cores[core]
        counts = self._counts[first]
        counts[len(core)] -= 1
        counts += Counter()  # drops what fell to 0
        if counts:
            self._lengths[first] = tuple(sorted(counts, reverse=True))
        else:
            del self._counts[first], self._lengths[first]


def _is_searched(name: str) -> bool:
    if _NUMBER.fullmatch(name):
        return sum(map(str.isdigit, name)) >= MIN_DIGITS
    return len(name) >= (MIN_LENGTH if name.isascii() else MIN_LENGTH - 1)


def _forms(name: str) -> list[tuple[str, bool]]:
    """How a name may stand in a text, and whether it goes on from there.

    Of a long name only the beginning is kept (see ``clean_id``): where it ends in a text, nobody can tell.
    """
    if len(name) == MAX_ID_LENGTH and _DIGEST.search(name):
        return [(name, False), (name[:_BEGINNING], True)]
    return [(name, False)]


def _is_in_uuid(text: str, start: int, end: int) -> bool:
    """Whether what looks like a name is one of the five parts of a UUID (RFC 9562)."""
    if not _HEX.fullmatch(text, start, end):
        return False
    return any(
        uuid.start() <= start and uuid.end() >= end
        for uuid in _UUID.finditer(text, max(0, start - _UUID_LENGTH), end + _UUID_LENGTH)
    )


def _unescaped(text: str) -> str:
    plain = _ESCAPE.sub(_character, text)
    # JSON writes characters beyond the first plane as two halves.
    return plain.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _character(escape: re.Match[str]) -> str:
    two, four, eight, letter = escape.groups()
    if letter is not None:
        return _HIDDEN if letter in _CONTROL_LETTERS else letter
    code = int(two or four or eight, 16)
    return chr(code) if code <= _MAX_CODE_POINT else _HIDDEN
