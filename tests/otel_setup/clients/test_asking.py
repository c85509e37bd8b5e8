"""What is written into the query of a URL is what the hub reads out of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from urllib.parse import parse_qsl

import pytest

from otel_setup.clients.asking import query_of
from otel_setup.hub.query import From, parse

MOMENT = datetime(2031, 5, 7, 20, 30, 0, 250_000, tzinfo=UTC)


@pytest.mark.parametrize(
    "since",
    [MOMENT, MOMENT.astimezone(timezone(timedelta(hours=5, minutes=30))), MOMENT.timestamp()],
    ids=["UTC", "another zone", "seconds"],
)
def test_a_time_is_the_same_time(since: datetime | float) -> None:
    assert dict(parse_qsl(query_of(since=since))) == {"since": "2031-05-07T20:30:00.250000+00:00"}
    asked = parse(query_of(since=since), 0, default_policy="drop_oldest", default_limit=1, max_limit=1)
    assert asked.since == From(1_935_952_200_250_000_000)
