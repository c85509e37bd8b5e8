"""What docs/architecture.md says is missing is missing: whoever builds it is told here to take it from the list."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

import otel_setup
from otel_setup.catalogue.attributes import BOUND
from otel_setup.testing import Recorded
from tests.docs.markdown import ROOT

PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
LEFT = " ".join(PAGE.split("## Rooms left for later")[1].split("\n## ")[0].split())


def nothing_handles_sigterm(_: Recorded) -> bool:
    before = signal.getsignal(signal.SIGTERM)
    otel_setup.configure(collector=False)
    return signal.getsignal(signal.SIGTERM) == before


def the_export_queue_counts_nothing(_: Recorded) -> bool:
    return isinstance(BOUND.values, tuple) and "queue_size" not in BOUND.values


def nothing_asks_what_is_slow(_: Recorded) -> bool:
    modules = [path for path in (ROOT / "otel_setup").rglob("*.py") if path.name != "game_model.py"]
    return not any("slow_" in path.read_text(encoding="utf-8") for path in modules)


def absent(*folders: str) -> Callable[[Recorded], bool]:
    return lambda _: not any((ROOT / folder).exists() for folder in folders)


MISSING: dict[str, Callable[[Recorded], bool]] = {
    "SIGTERM is not handled": nothing_handles_sigterm,
    "What the export queue drops is logged by the SDK and counted nowhere": the_export_queue_counts_nothing,
    "from which a transition or an action is slow are declared and not used": nothing_asks_what_is_slow,
    "a hub that receives, keeps and replays them": absent("otel_setup/hub", "otel_setup/events/receiver.py"),
    "Alert rules, dashboards": absent("alerts", "grafana"),
}


@pytest.mark.parametrize("claim", MISSING)
def test_what_is_said_to_be_missing_is_missing(claim: str, telemetry: Recorded) -> None:
    assert claim in LEFT, "the list no longer says so: remove the line here as well"
    assert MISSING[claim](telemetry), f"it is there now: take it from the list in docs/architecture.md: {claim}"
