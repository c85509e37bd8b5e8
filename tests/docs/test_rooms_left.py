"""What docs/architecture.md says is missing is missing: whoever builds it is told here to take it from the list."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from otel_setup.testing import Recorded
from tests.docs.markdown import ROOT

PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
LEFT = " ".join(PAGE.split("## Rooms left for later")[1].split("\n## ")[0].split())


def absent(*folders: str) -> Callable[[Recorded], bool]:
    return lambda _: not any((ROOT / folder).exists() for folder in folders)


MISSING: dict[str, Callable[[Recorded], bool]] = {
    "bands of what is usual, seasonal comparison": absent("alerts/analytics.py"),
    "Dashboards, container": absent("grafana", "docker"),
}


@pytest.mark.parametrize("claim", MISSING)
def test_what_is_said_to_be_missing_is_missing(claim: str, telemetry: Recorded) -> None:
    assert claim in LEFT, "the list no longer says so: remove the line here as well"
    assert MISSING[claim](telemetry), f"it is there now: take it from the list in docs/architecture.md: {claim}"
