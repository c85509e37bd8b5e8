"""``check`` finds what is wrong with a server, by how the server was set up."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from otel_setup.cli import check
from otel_setup.diagnosis import probe
from tests.otel_setup.diagnosis.certificates import Authority, Pair
from tests.otel_setup.diagnosis.servers import (
    answering,
    closes,
    garbage,
    hangs,
    server_context,
    silent_port,
    talking,
)
from tests.otel_setup.receiver import receiving

SIGNALS = ("traces", "metrics", "logs")
LOCAL = "DNS:localhost,IP:127.0.0.1"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in os.environ:
        if name.startswith("OTEL_") or name.lower().endswith("_proxy") or name.endswith("CA_BUNDLE"):
            monkeypatch.delenv(name)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def local(authority: Authority) -> Pair:
    return authority.issue("local", LOCAL)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs ``check``; gives its exit code and what it said, by step."""

    def run_check(*arguments: str, timeout: float = 20.0) -> tuple[int, dict[str, Any]]:
        code = check.main([*arguments, "--format", "json", "--timeout", str(timeout)])
        document = json.loads(capsys.readouterr().out)
        return code, {step["step"]: step for step in document["steps"]}

    return run_check


def test_one_of_each_signal_arrives_marked_as_a_check(run: Any) -> None:
    with receiving() as receiver:
        code, steps = run("--collector", receiver.url, "--service", "mygame", "--header", "x-tenant=blue")
    assert code == 0
    assert [steps[signal]["result"] for signal in SIGNALS] == ["ok"] * 3
    assert len(receiver.spans()) == len(receiver.metrics()) == len(receiver.log_records()) == 1
    for path in ("/v1/traces", "/v1/metrics", "/v1/logs"):
        assert receiver.resource(path)["service.name"] == "mygame"
        assert "otel_setup.check" in receiver.resource(path)
    assert {headers["x-tenant"] for headers in receiver.headers} == {"blue"}


@pytest.mark.parametrize(
    ("status", "headers", "problem", "seen"),
    [
        (301, {"Location": "https://elsewhere.example/"}, "redirected", "https://elsewhere.example/"),
        (400, {}, "bad_request", "HTTP 400"),
        (401, {"WWW-Authenticate": "Bearer"}, "credentials", "WWW-Authenticate: Bearer"),
        (403, {}, "forbidden", "HTTP 403"),
        (404, {}, "wrong_path", "HTTP 404"),
        (413, {}, "too_large", "HTTP 413"),
        (429, {"Retry-After": "17"}, "overloaded", "Retry-After: 17"),
        (500, {}, "server_failed", "HTTP 500"),
        (503, {"Retry-After": "30"}, "overloaded", "Retry-After: 30"),
    ],
)
def test_the_status_of_the_answer_says_what_is_wrong(
    run: Any, status: int, headers: dict[str, str], problem: str, seen: str
) -> None:
    with answering(status, headers) as url:
        code, steps = run("--collector", url)
    assert code == 1
    for signal in SIGNALS:
        assert (steps[signal]["result"], steps[signal]["problem"]) == ("failed", problem)
        assert seen in steps[signal]["seen"]
        assert steps[signal]["remedy"]


def test_a_web_page_in_answer_is_no_acceptance(run: Any) -> None:
    with answering(200, {"Content-Type": "text/html"}, b"<h1>Welcome</h1>") as url:
        code, steps = run("--collector", url)
    assert (code, steps["logs"]["problem"]) == (1, "no_receiver")


@pytest.mark.parametrize(("status", "problem"), [(200, "cut"), (401, "credentials")])
def test_an_answer_that_is_cut_short(run: Any, status: int, problem: str) -> None:
    def cut_short(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 %d X\r\nContent-Length: 100\r\n\r\nhalf" % status)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # ends by a reset

    with talking(cut_short) as port:
        code, steps = run("--collector", f"http://127.0.0.1:{port}")
    assert (code, steps["logs"]["problem"]) == (1, problem)


def test_items_that_the_receiver_rejects_are_no_acceptance(run: Any) -> None:
    # ExportTraceServiceResponse{partial_success{rejected_spans: 1, error_message: "quota"}}, by the protocol's numbers
    body = bytes([0x0A, 9, 0x08, 1, 0x12, 5]) + b"quota"
    with answering(200, {"Content-Type": "application/x-protobuf"}, body) as url:
        code, steps = run("--collector", url)
    assert (code, steps["traces"]["problem"]) == (1, "partly_rejected")
    assert "1 rejected: quota" in steps["traces"]["seen"]


def test_a_clock_that_is_wrong_is_told_and_does_not_fail_the_check(run: Any) -> None:
    with answering(200, {"Date": formatdate(time.time() + 3600, usegmt=True)}) as url:
        code, steps = run("--collector", url)
    assert code == 0
    assert (steps["clock"]["result"], steps["clock"]["problem"]) == ("warning", "clock")
    assert "ahead" in steps["clock"]["seen"]
    with answering(200, {"Date": formatdate(usegmt=True)}) as url:
        assert run("--collector", url)[1]["clock"]["result"] == "ok"
    with answering(200) as url:
        assert run("--collector", url)[1]["clock"]["result"] == "not tried"


def test_a_name_that_does_not_resolve(run: Any) -> None:
    code, steps = run("--collector", "http://collector.invalid:4318")  # RFC 6761: never resolves
    assert (code, steps["name"]["problem"]) == (1, "name_unknown")
    assert [steps[signal]["result"] for signal in SIGNALS] == ["not tried"] * 3


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_a_port_on_which_nothing_listens(run: Any, protocol: str) -> None:
    code, steps = run("--collector", f"http://127.0.0.1:{silent_port()}", "--protocol", protocol)
    assert (code, steps["connection"]["problem"]) == (1, "nothing_listens")


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
@pytest.mark.parametrize(("talk", "problem"), [(garbage, "no_receiver"), (closes, "cut"), (hangs, "no_answer")])
def test_a_server_that_does_not_speak_the_protocol(run: Any, protocol: str, talk: Any, problem: str) -> None:
    with talking(talk) as port:
        code, steps = run("--collector", f"http://127.0.0.1:{port}", "--protocol", protocol, timeout=4.0)
    assert code == 1
    assert {steps[signal]["problem"] for signal in SIGNALS} == {problem}


def test_tls_with_a_server_that_hangs(run: Any) -> None:
    with talking(hangs) as port:
        code, steps = run("--collector", f"https://127.0.0.1:{port}", timeout=2.0)
    assert (code, steps["TLS"]["problem"]) == (1, "no_answer")


def test_a_name_server_that_hangs_is_not_waited_for_longer_than_was_said(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = threading.Event()
    monkeypatch.setattr(probe.socket, "getaddrinfo", lambda *_, **__: ended.wait(100) and [])
    try:
        code, steps = run("--collector", "http://collector.example:4318", timeout=0.5)
    finally:
        ended.set()
    assert (code, steps["name"]["problem"]) == (1, "no_answer")
    assert [steps[signal]["result"] for signal in SIGNALS] == ["not tried"] * 3


# --- TLS --------------------------------------------------------------------------------------------------------------


def test_tls_with_a_trusted_authority(run: Any, authority: Authority, local: Pair) -> None:
    with answering(200, tls=server_context(local)) as url:
        code, steps = run("--collector", url, "--certificate-file", authority.certificate)
    assert (code, steps["TLS"]["result"]) == (0, "ok")


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_what_is_wrong_with_a_certificate(run: Any, authority: Authority, local: Pair, protocol: str) -> None:
    old = authority.issue("old", LOCAL, "20200101000000Z", "20200201000000Z")
    early = authority.issue("early", LOCAL, "20900101000000Z", "20910101000000Z")
    elsewhere = authority.issue("elsewhere", "DNS:elsewhere.example")
    trusted = ["--certificate-file", authority.certificate]
    for pair, arguments, problem in (
        (old, trusted, "expired"),
        (early, trusted, "not_yet_valid"),
        (elsewhere, trusted, "name_mismatch"),
        (local, [], "untrusted"),
    ):
        with answering(200, tls=server_context(pair)) as url:
            code, steps = run("--collector", url, "--protocol", protocol, *arguments)
        assert (code, steps["TLS"]["problem"]) == (1, problem)


def test_a_client_certificate_that_is_missing_or_of_a_stranger(
    run: Any, authority: Authority, local: Pair, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path / "stranger", "another authority").issue("stranger", "DNS:client")
    client = authority.issue("client", "DNS:client")
    with answering(200, tls=server_context(local, authority.certificate)) as url:
        for pair, problem in ((None, "client_certificate"), (stranger, "client_certificate"), (client, None)):
            own = ["--client-certificate-file", pair.certificate, "--client-key-file", pair.key] if pair else []
            code, steps = run("--collector", url, "--certificate-file", authority.certificate, *own)
            assert (code, steps["logs"]["problem"]) == (1 if problem else 0, problem)


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_tls_spoken_to_a_plain_port(run: Any, protocol: str) -> None:
    with answering(200) as url:
        code, steps = run("--collector", url.replace("http:", "https:"), "--protocol", protocol)
    assert (code, steps["TLS"]["problem"]) == (1, "tls_to_plain")


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_plain_spoken_to_a_tls_port(run: Any, local: Pair, protocol: str) -> None:
    with answering(200, tls=server_context(local)) as url:
        code, steps = run("--collector", url.replace("https:", "http:"), "--protocol", protocol)
    assert (code, steps["logs"]["problem"]) == (1, "plain_to_tls")


# --- the environment --------------------------------------------------------------------------------------------------


def test_a_proxy_of_the_environment_is_named_and_its_password_is_not(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(407) as proxy:
        monkeypatch.setenv("http_proxy", proxy.replace("http://", "http://user:hush@"))
        code, steps = run("--collector", "http://collector.example:4318")
    assert (code, steps["proxy"]["result"], steps["logs"]["problem"]) == (1, "warning", "proxy")
    assert proxy.removeprefix("http://") in steps["proxy"]["seen"]
    assert "hush" not in json.dumps(steps)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with answering(200) as url:
        assert run("--collector", url)[1]["proxy"]["result"] == "ok"


def test_authorities_that_only_the_environment_names(
    run: Any, authority: Authority, local: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Authority(tmp_path / "other", "another authority")
    with answering(200, tls=server_context(local)) as url:
        for bundle, expected in ((authority.certificate, (0, None)), (other.certificate, (1, "untrusted"))):
            monkeypatch.setenv("REQUESTS_CA_BUNDLE", bundle)
            code, steps = run("--collector", url)
            assert (code, steps["TLS"]["problem"]) == expected
            assert "REQUESTS_CA_BUNDLE" in steps["proxy"]["seen"]
        code, steps = run("--collector", url, "--certificate-file", authority.certificate)
    assert (code, steps["proxy"]["result"]) == (0, "ok")


def test_every_problem_of_the_configuration_is_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    assert check.main(["--collector", "tcp://user:hush@x", "--compression", "brotli", "--format", "json"]) == 2
    said = capsys.readouterr().out
    steps = json.loads(said)["steps"]
    assert [step["step"] for step in steps] == ["configuration", "configuration"]
    assert "hush" not in said


@pytest.mark.parametrize(
    ("variable", "value", "names"),
    [
        ("OTEL_SDK_DISABLED", "true", "disabled"),
        ("OTEL_LOGS_EXPORTER", "none", "logs"),
    ],
)
def test_a_signal_that_is_switched_off_does_not_arrive(
    run: Any, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, names: str
) -> None:
    monkeypatch.setenv(variable, value)
    with receiving() as receiver:
        code, steps = run("--collector", receiver.url)
    assert code == 1
    assert steps["logs"]["problem"] == "switched_off"
    assert names in steps["logs"]["seen"]
    assert receiver.log_records() == []


def test_a_secret_that_the_server_repeats_is_not_shown(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20hush-hush")
    for filling in (0, 227, 230, 233):  # where a long answer is cut, too
        body = b"no such token: " + b"." * filling + b"hush-hush \x1b]0;title\x07"
        with answering(401, {"WWW-Authenticate": "Bearer"}, body=body) as url:
            _, steps = run("--collector", url)
        said = json.dumps(steps, ensure_ascii=False)
        assert "WWW-Authenticate: Bearer" in said
        assert "no such token: " in said
        assert "hush" not in said
        assert "\x1b" not in said


# --- the command ------------------------------------------------------------------------------------------------------


def test_the_table_fits_a_terminal_and_says_what_to_do(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with answering(401) as url:
        assert check.main(["--collector", url]) == 1
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    assert "OTEL_EXPORTER_OTLP_HEADERS" in out
    assert "Nothing was accepted" in out


@pytest.mark.parametrize(
    "arguments", [["--timeout", "0"], ["--timeout", "nan"], ["--header", "x"], ["--format", "xml"]]
)
def test_arguments_that_make_no_sense(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        check.main(arguments)
    assert ended.value.code == 2


def test_a_fault_of_the_check_itself_is_told_with_what_was_found_before(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe.socket, "create_connection", lambda *_: {}["no such key"])
    code, steps = run("--collector", "http://127.0.0.1:43180")
    assert (code, steps["name"]["result"]) == (1, "ok")
    assert "no such key" in steps["connection"]["seen"]
    assert [steps[signal]["result"] for signal in SIGNALS] == ["not tried"] * 3
