"""Helps with testing a game server that is monitored; a pytest plugin with the fixture ``telemetry``.

pytest finds it by itself where this package is installed; elsewhere say ``pytest_plugins = ["otel_setup.testing"]``.
See docs/testing.md. (PYTEST_DONT_REWRITE: there is no assert here, and a conftest.py may import this first.)
"""

from __future__ import annotations

from collections.abc import Generator, Iterator

import pytest

from otel_setup.config import Options
from otel_setup.testing.recorded import Recorded, Sample
from otel_setup.testing.recording import Recording, fresh_telemetry, recording
from otel_setup.testing.standins import STARTS_AT, FakeClock, SequentialIds
from otel_setup.testing.streams import EventStreamTester

__all__ = [
    "STARTS_AT",
    "EventStreamTester",
    "FakeClock",
    "Recorded",
    "Recording",
    "Sample",
    "SequentialIds",
    "event_stream_tester",
    "fresh_telemetry",
    "recording",
    "telemetry",
    "telemetry_options",
]

MAX_STORY_LINES = 60
"""Lines of the story that stand under a failed test: the last ones."""
_RECORDED = pytest.StashKey[Recording]()


@pytest.fixture(scope="session")
def telemetry_options() -> Options:
    """Options of ``configure()`` for every test; override it in conftest.py with those of your game."""
    return {}


@pytest.fixture
def telemetry(request: pytest.FixtureRequest, telemetry_options: Options) -> Iterator[Recording]:
    """Everything the game tells during the test, in memory, by a clock that the test moves."""
    with recording(telemetry_options) as recorded:
        request.node.stash[_RECORDED] = recorded
        yield recorded
        del request.node.stash[_RECORDED]


@pytest.fixture
def event_stream_tester() -> EventStreamTester:
    """An event stream that the test fills, for what reads events."""
    return EventStreamTester()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Under a failed test stands what happened in it."""
    report = yield
    recorded = item.stash.get(_RECORDED, None)
    if report.failed and recorded is not None:
        lines = recorded.story().splitlines()
        cut = [f"({len(lines) - MAX_STORY_LINES} lines before these)"] if len(lines) > MAX_STORY_LINES else []
        report.sections.append(("what the monitoring saw", "\n".join(cut + lines[-MAX_STORY_LINES:])))
    return report
