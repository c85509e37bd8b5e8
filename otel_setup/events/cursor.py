"""A place in a stream, from which a reader may go on."""

from __future__ import annotations

import re
from typing import NamedTuple

_WRITTEN = re.compile(r"([0-9A-Za-z]{1,64})-(0|[1-9][0-9]{0,18})")


class Cursor(NamedTuple):
    """After this event: the ``sequence``-th of the stream that ``epoch`` names.

    Written as ``epoch-sequence``, which is what a reader over HTTP gets as the ``id:`` of each event.
    """

    epoch: str
    sequence: int

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """The cursor that was written so.

        Raises:
            ValueError: it is none.
        """
        found = _WRITTEN.fullmatch(text.strip()) if isinstance(text, str) else None
        if found is None:
            raise ValueError(f"{text!r:.80} is no cursor; one looks like 9f8e7d6c-42 (epoch-sequence)")
        return cls(found[1], int(found[2]))

    def __str__(self) -> str:
        return f"{self.epoch}-{self.sequence}"
