"""Which modules a Go program is linked from, as it says itself."""

from __future__ import annotations

import re
from pathlib import Path

# One line of the build information that Go links into each program (package runtime/debug, BuildInfo.String).
_DEPENDENCY = re.compile(rb"\ndep\t([^\t\n]+)\t([^\t\n]+)\t(h1:[^\t\n]+)")


def linked_modules(program: Path) -> list[str]:
    """Module, version and checksum of each, a line each, in the order of their names.

    :raises OSError: where the program cannot be read
    """
    # It is in there twice: as the program's own text and as data.
    return sorted({b" ".join(found).decode() for found in _DEPENDENCY.findall(program.read_bytes())})
