"""Which OpenTelemetry is supported, and that it is the one these tests run with."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DECLARED = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
OURS = [requirement for requirement in DECLARED if requirement.startswith("opentelemetry")]


@pytest.mark.parametrize("requirement", OURS)
def test_the_oldest_that_is_supported_is_what_the_tests_run_with(requirement: str) -> None:
    """While there is no later release, oldest and newest are one. With a later one in the lock this fails: then the
    oldest needs a run of its own, or the minimum rises.
    """
    found = re.fullmatch(r"([\w-]+)>=([\w.]+)(,<[\w.]+)?", requirement)
    assert found, requirement
    name, oldest, _ = found.groups()
    assert version(name) == oldest


def test_the_monitor_takes_label_limits_from_the_sdk() -> None:
    """The reason for the minimum: earlier releases have no limit at all, and 100,000 label sets are 120 MB."""
    from opentelemetry.sdk.metrics.export import CardinalityLimits

    assert CardinalityLimits
