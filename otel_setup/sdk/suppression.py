"""Marks the telling of telemetry itself, so that what it logs or calls does not become telemetry again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

# The specification has no public name for it yet. The SDK's own processors, its instrumentations and everybody else's
# know this one, which makes it worth using: a key of our own would be seen by nobody but us.
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, attach, detach, get_value, set_value


def suppressed() -> bool:
    """Whether what runs here and now is an export, or something else that asks not to be observed."""
    return bool(get_value(_SUPPRESS_INSTRUMENTATION_KEY))


@contextmanager
def suppressing() -> Iterator[None]:
    """A block that is not observed; the SDK's batch processors put their exports into the same."""
    token = attach(set_value(_SUPPRESS_INSTRUMENTATION_KEY, True))
    try:
        yield
    finally:
        detach(token)
