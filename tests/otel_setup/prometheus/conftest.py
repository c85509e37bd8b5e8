from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from otel_setup.prometheus import Exposition
from tests.otel_setup.prometheus.support import OPENMETRICS, Process, Source


@pytest.fixture
def process() -> Iterator[Process]:
    made = Process()
    yield made
    made.provider.shutdown()


@pytest.fixture(params=[None, OPENMETRICS], ids=["text", "openmetrics"])
def accept(request: pytest.FixtureRequest) -> str | None:
    parameter: str | None = request.param
    return parameter


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def default(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Exposition] | None], None]:
    """Sets the default exposition for one test."""
    return lambda factory: monkeypatch.setattr("otel_setup.prometheus.default._factory", factory)
