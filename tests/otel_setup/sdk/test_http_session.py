"""What an export is sent with: as configured, whatever the environment of a machine says."""

from __future__ import annotations

from pathlib import Path

import pytest

import otel_setup
from otel_setup.config import Destination
from otel_setup.sdk.http_session import ExportSession
from otel_setup.testing import Recorded
from tests.otel_setup.receiver import receiving

PLAIN = Destination(
    endpoint="https://collector.invalid:4318/v1/traces",
    protocol="http/protobuf",
    headers={},
    compression="none",
    timeout=1.0,
    certificate_file="",
    client_certificate_file="",
    client_key_file="",
)


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_the_configured_authority_wins_over_the_environments(
    variable: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, "/machine/wide.pem")
    configured = Destination(**{**vars(PLAIN), "certificate_file": "/our/own.pem"})
    sent = ExportSession(configured).merge_environment_settings(PLAIN.endpoint, {}, None, None, None)
    assert sent["verify"] == "/our/own.pem"
    sent = ExportSession(PLAIN).merge_environment_settings(PLAIN.endpoint, {}, None, None, None)
    assert sent["verify"] == "/machine/wide.pem"


def test_a_netrc_does_not_replace_the_configured_credentials(
    telemetry: Recorded, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    with receiving() as receiver:
        handle = otel_setup.configure(collector=receiver.url, headers={"Authorization": "Bearer sesame"})
        receiver.wait_for(receiver.metrics)
        handle.shutdown()
    assert {
        value for headers in receiver.headers for name, value in headers.items() if name.lower() == "authorization"
    } == {"Bearer sesame"}
