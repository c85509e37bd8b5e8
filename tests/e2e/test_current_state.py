"""What is so now, of a fleet whose servers come and go: Prometheus says what the servers' own records say.

How soon it does is measured by a drill.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.process import wait_until
from tests.drills.live_fleet import DEFAULT_LOOKBACK, Fleet, running_fleet

pytestmark = [pytest.mark.peer("otelcol"), pytest.mark.peer("prometheus")]

INTERVAL = 1.0
SOON = 60.0


def is_right(fleet: Fleet) -> None:
    wait_until(fleet.seen, fleet.live().__eq__, SOON, f"Prometheus says {fleet.live()}")


def test_servers_that_stop_are_killed_or_begin_again(tmp_path: Path) -> None:
    with running_fleet(tmp_path, INTERVAL) as fleet:
        fleet.begin("one", games=3, sockets=5)
        fleet.begin("two", games=4, sockets=7)
        is_right(fleet)
        before = fleet.live()
        fleet.kill("two")
        is_right(fleet)
        assert fleet.seen(DEFAULT_LOOKBACK) == before, "it is the lookback that lets the killed one go"
        fleet.begin("two", games=2, sockets=1)
        is_right(fleet)
        fleet.stop("one")
        is_right(fleet)
