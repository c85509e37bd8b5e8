"""A receiver of what is exported."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import otel_setup
from otel_setup.testing import Recorded
from tests.otel_setup.asgi.support import Exported
from tests.otel_setup.receiver import receiving


@pytest.fixture
def exported(telemetry: Recorded) -> Iterator[Exported]:
    """A configured process, and what it has exported."""
    with receiving() as receiver:
        handle = otel_setup.configure(service="game", collector=receiver.url, shutdown_timeout=5)
        yield Exported(handle, receiver)
        handle.shutdown()
