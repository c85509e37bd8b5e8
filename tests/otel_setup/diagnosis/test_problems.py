"""One table of remedies: every problem has one, and is known by what exporters and servers really say."""

from __future__ import annotations

import pytest

from otel_setup.diagnosis.problems import REMEDIES, Problem, one_line, problem_of, problem_of_status, shown_url

SAID = [
    # As the exporters of opentelemetry-exporter-otlp 1.45 said it, in trials against real servers.
    ("Max retries exceeded with url: /v1/logs (Caused by NewConnectionError(\"[Errno 111] Connection refused\"))",
     "nothing_listens"),
    ("Failed to resolve 'colector' ([Errno -2] Name or service not known)", "name_unknown"),
    ("Failed to export logs batch code: None, reason: code: 301, reason: Moved Permanently", "redirected"),
    ("Failed to export logs batch code: 401, reason: Unauthorized", "credentials"),
    ("Failed to export logs batch code: 403, reason: Forbidden", "forbidden"),
    ("Failed to export logs batch code: 404, reason: Not Found", "wrong_path"),
    ("Failed to export logs batch code: 413, reason: Request Entity Too Large", "too_large"),
    ("Failed to export logs batch code: 500, reason: Internal Server Error", "server_failed"),
    ("Transient error Service Unavailable encountered while exporting logs batch, retrying in 1.05s.", "overloaded"),
    ("Transient error None encountered while exporting logs batch, retrying in 1.05s.", "overloaded"),
    ("(Caused by SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: "
     "unable to get local issuer certificate (_ssl.c:1006)')))", "untrusted"),
    ("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: certificate has expired (_ssl.c:1006)", "expired"),
    ("certificate verify failed: IP address mismatch, certificate is not valid for '127.0.0.1'. (_ssl.c:1006)",
     "name_mismatch"),
    ("(Caused by SSLError(SSLError(1, '[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1006)')))",
     "tls_to_plain"),
    ("[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] tlsv13 alert certificate required (_ssl.c:2580)", "client_certificate"),
    ("('Connection aborted.', ConnectionResetError(104, 'Connection reset by peer'))", "cut"),
    ("(\'Connection aborted.\', BadStatusLine(\'SSH-2.0-something\'))", "no_receiver"),
    ("Read timed out. (read timeout=10)", "no_answer"),
    ("Failed to export traces to 127.0.0.1:4317, error code: StatusCode.UNAVAILABLE, error details: failed to connect "
     "to all addresses; last error: UNKNOWN: ipv4:127.0.0.1:4317: Failed to connect to remote host: Connection refused",
     "nothing_listens"),
    ("error code: StatusCode.UNAVAILABLE, error details: failed to connect to all addresses; last error: INTERNAL: "
     "ipv4:127.0.0.1:22935: Failed parsing HTTP/2 (Expected SETTINGS frame as the first frame, got frame type 80) "
     "(Trying to connect an http1.x server (HTTP status 400))", "grpc_to_http"),
    ("last error: UNKNOWN: ipv4:127.0.0.1:29649: Tls handshake failed (TSI_PROTOCOL_FAILURE): SSL_ERROR_SSL: "
     "error:100000f7:SSL routines:OPENSSL_internal:WRONG_VERSION_NUMBER: Invalid certificate verification context: OK",
     "tls_to_plain"),
    ("error code: StatusCode.UNAUTHENTICATED, error details: missing or empty authorization metadata", "credentials"),
    ("error code: StatusCode.DEADLINE_EXCEEDED, error details: Deadline Exceeded", "no_answer"),
    ("something else", "unknown"),
]  # fmt: skip


@pytest.mark.parametrize(("said", "problem"), SAID)
def test_a_problem_is_known_by_what_was_said(said: str, problem: str) -> None:
    assert problem_of(said) == problem


@pytest.mark.parametrize("problem", Problem)
def test_every_problem_has_a_remedy(problem: Problem) -> None:
    assert REMEDIES[problem]
    assert not REMEDIES[problem].endswith("."), "it stands within a sentence"


@pytest.mark.parametrize(
    ("status", "problem"),
    [(200, None), (202, None), (302, "redirected"), (400, "bad_request"), (418, "bad_request"), (405, "wrong_path"),
     (407, "proxy"), (415, "no_receiver"), (429, "overloaded"), (502, "overloaded"), (501, "server_failed")],
)  # fmt: skip
def test_a_problem_is_known_by_the_status(status: int, problem: str | None) -> None:
    assert problem_of_status(status) == problem


def test_what_others_said_becomes_one_line() -> None:
    assert one_line("a\n b\x1b[2J\u202e") == "a b�[2J�"
    assert len(one_line("x" * 10_000)) <= 300


def test_addresses_are_shown_without_secrets() -> None:
    assert shown_url("https://user:hush@host:1/path?key=hush") == "https://***@host:1/path?***"
    assert shown_url("http://[::1]:4318") == "http://[::1]:4318"
