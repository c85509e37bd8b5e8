"""A fresh start in forked children, which inherit an object's memory but none of its threads."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable


def call_in_child(method: Callable[[], None]) -> None:
    """Call a bound method in every child forked from now on, for as long as its object lives."""
    if not hasattr(os, "register_at_fork"):  # Windows has no fork
        return
    reference = weakref.WeakMethod(method)

    def call() -> None:
        if live := reference():
            live()

    os.register_at_fork(after_in_child=call)
