"""What tests rely on when they ask for a real program."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.peers import free_settings, require


@pytest.fixture
def nothing_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SETUP_CACHE", str(tmp_path))


@pytest.mark.usefixtures("nothing_built")
@pytest.mark.parametrize(
    ("ci", "outcome"), [("", pytest.skip.Exception), ("true", pytest.fail.Exception)], ids=["elsewhere", "in CI"]
)
def test_a_missing_program_skips_a_test_but_fails_it_in_ci(
    monkeypatch: pytest.MonkeyPatch, ci: str, outcome: type[BaseException]
) -> None:
    monkeypatch.setenv("CI", ci)
    with pytest.raises(outcome, match="promtool is not built: python -m deploy tools prometheus"):
        require("promtool")


def test_settings_for_a_test_share_no_port() -> None:
    settings = free_settings()
    collector, kafka = settings.collector, settings.kafka
    ports = {
        settings.prometheus.port,
        collector.otlp_grpc_port,
        collector.otlp_http_port,
        collector.health_port,
        collector.telemetry_port,
        settings.hub.port,
        kafka.port,
        kafka.controller_port,
    }
    assert len(ports) == 8
