"""``python -m otel_setup demo``: the example game, played and observed. It needs a checkout of the project."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str]) -> int:
    """Runs the demo; 2 where the examples are not there."""
    try:
        from examples import demo
    except ModuleNotFoundError as missing:
        if missing.name and missing.name.split(".")[0] in ("examples", "deploy", "settings"):
            print("The demo runs from a checkout of the project, in its top folder: make demo", file=sys.stderr)
        else:
            print(f"The demo needs {missing.name}: pip install 'otel-setup[web,generate]'", file=sys.stderr)
        return 2
    return demo.main(arguments)
