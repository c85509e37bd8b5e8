"""Compares what a test wanted with what there was, and says in a few lines what came nearest."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import isclose
from typing import Any, TypeVar

SHOWN = 3
"""Nearest candidates that a message shows."""
MAX_SHOWN_LENGTH = 80
"""Characters of one value that a message or a story shows."""
MAX_NAMES = 20
"""Names that a message lists."""
_TOLERANCE = 1e-9

_T = TypeVar("_T")
Facts = Mapping[str, Any]


def plain(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Facts by names that can be Python keywords: ``game.id`` is ``game_id``."""
    return {name.replace(".", "_"): value for name, value in facts.items()}


def same(actual: Any, wanted: Any) -> bool:
    """Whether a value is what was wanted; numbers may differ by what adding floats in another order may change."""
    numbers = (int, float)
    if isinstance(actual, numbers) and isinstance(wanted, numbers):
        return isclose(actual, wanted, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)
    return bool(wanted == actual)  # this way round, so that what was wanted may be ANY or approx()


def fits(facts: Facts, wanted: Facts) -> bool:
    """Whether all that was wanted is so. What is wanted to be None may be missing."""
    return not _wrong(facts, wanted)


def shown(value: Any) -> str:
    """A value on one line, cut where it is long. Whatever a player made up is escaped, as in Python's own notation."""
    line = repr(str(value)) if isinstance(value, str) else repr(value)
    return line if len(line) <= MAX_SHOWN_LENGTH else line[: MAX_SHOWN_LENGTH - 1] + "…"


def described(facts: Facts) -> str:
    """Facts on one line."""
    return " ".join(f"{name}={shown(value)}" for name, value in facts.items())


def nearest(
    candidates: Iterable[_T], facts_of: Callable[[_T], Facts], wanted: Facts, title: Callable[[_T], str]
) -> str:
    """The candidates that lack least, one a line, each with what is different."""
    ranked = sorted(((_wrong(facts_of(one), wanted), one) for one in candidates), key=lambda pair: len(pair[0]))
    lines = []
    for wrong, one in ranked[:SHOWN]:
        facts = facts_of(one)
        found = (
            f"{name}={shown(facts[name])}" if facts.get(name) is not None else f"no {name}{_meant(name, facts)}"
            for name in wrong
        )
        lines.append(f"    {title(one)}: {', '.join(found)}")
    if len(ranked) > SHOWN:
        lines.append(f"    and {len(ranked) - SHOWN} more")
    return "\n".join(lines)


def counted(names: Sequence[str]) -> str:
    """Names in the order of their first coming, with how often each came."""
    counts = Counter(names)
    listed = [name if count == 1 else f"{count} × {name}" for name, count in list(counts.items())[:MAX_NAMES]]
    rest = len(counts) - len(listed)
    return ", ".join(listed + [f"and {rest} other names"] * bool(rest)) or "nothing at all"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A question, where a known name resembles this one."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _wrong(facts: Facts, wanted: Facts) -> list[str]:
    return [name for name, value in wanted.items() if not same(facts.get(name), value)]


def _meant(name: str, facts: Facts) -> str:
    present = [key for key, value in facts.items() if value is not None]
    return did_you_mean(name, present) or (f" (it has {', '.join(present)})" if present else "")
