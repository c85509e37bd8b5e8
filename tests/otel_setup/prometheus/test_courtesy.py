"""While metrics are collected, the interpreter changes threads more often; afterwards it is as it was."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry

from otel_setup.prometheus import Exposition
from otel_setup.prometheus.courtesy import INTERVAL_SECONDS, yielding_often


@pytest.fixture(autouse=True)
def usual() -> Iterator[float]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(0.005)
    yield 0.005
    sys.setswitchinterval(before)


def test_the_interval_is_short_inside_and_as_before_outside(usual: float) -> None:
    with yielding_often():
        assert sys.getswitchinterval() == pytest.approx(INTERVAL_SECONDS)
    assert sys.getswitchinterval() == pytest.approx(usual)


def test_blocks_may_overlap_and_fail(usual: float) -> None:
    first, second = yielding_often(), yielding_often()
    first.__enter__()
    with pytest.raises(ValueError, match="x"), second:
        raise ValueError("x")
    assert sys.getswitchinterval() == pytest.approx(INTERVAL_SECONDS)
    first.__exit__(None, None, None)
    assert sys.getswitchinterval() == pytest.approx(usual)


def test_an_interval_set_meanwhile_by_somebody_else_stays() -> None:
    with yielding_often():
        sys.setswitchinterval(0.002)
    assert sys.getswitchinterval() == pytest.approx(0.002)


def test_a_shorter_interval_of_the_application_stays() -> None:
    sys.setswitchinterval(0.0002)
    before = sys.getswitchinterval()
    with yielding_often():
        assert sys.getswitchinterval() == before
    assert sys.getswitchinterval() == before


def test_a_thousand_scrapes_take_nothing_off_the_interval() -> None:
    sys.setswitchinterval(0.0010999)
    before = sys.getswitchinterval()
    for _ in range(1000):
        with yielding_often():
            pass
    assert sys.getswitchinterval() == before


def test_a_scrape_collects_so(usual: float) -> None:
    seen: list[float] = []

    class Looks:
        def collect(self) -> list[object]:
            seen.append(sys.getswitchinterval())
            return []

    registry = CollectorRegistry()
    registry.register(Looks())  # type: ignore[arg-type]
    seen.clear()
    Exposition(lambda: registry, lambda: {"instance": "i"}).scrape_sync()
    assert seen == [pytest.approx(INTERVAL_SECONDS)]
    assert sys.getswitchinterval() == pytest.approx(usual)
