"""Whose event it is: the uid of an event names its producer, which is one epoch of one server, and its number there."""

from __future__ import annotations

import re
from functools import lru_cache

LARGEST_NUMBER = 10**15
"""No producer tells more events; a larger number is no number of one."""
_UID = re.compile(r"(.+-[0-9a-f]{8})-([1-9][0-9]{0,15})", re.DOTALL)


def parse_uid(uid: str) -> tuple[str, int] | None:
    """A producer, ``instance-epoch``, and the number of one of its events; None for uids of any other form.

    An epoch is eight hexadecimal digits, so no UUID is taken for the uid of a numbered event.

    >>> parse_uid("server-1-9f8e7d6c-42")
    ('server-1-9f8e7d6c', 42)
    """
    found = _UID.fullmatch(uid)
    if found is None:
        return None
    number = int(found[2])
    return (found[1], number) if number <= LARGEST_NUMBER else None


@lru_cache(maxsize=4096)
def split_producer(producer: str) -> tuple[str, str]:
    """A producer's instance and epoch."""
    instance, _, epoch = producer.rpartition("-")
    return instance, epoch
