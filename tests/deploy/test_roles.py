"""Every role in the real Collector: it starts without a complaint, lets in whom it should, and says how it is."""

from __future__ import annotations

import gzip
import os
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest
import yaml

from deploy import build, native, ports
from deploy.collector.roles import agent, files, gateway
from deploy.generating import ROOT
from deploy.process import http_get, wait_until
from settings import Settings, parse
from tests.deploy.collectors import (
    ITEMS,
    OWN_LOG,
    RUN_HERE,
    SIGNALS,
    call,
    made,
    otelcol,
    own_metrics,
    post,
    request,
    running,
)
from tests.support.certificates import Certificates, make_certificates

pytestmark = pytest.mark.peer("otelcol")

GOLDEN = Path(__file__).parent / "golden"
WRITE = "GOLDEN"
"""Set to ``write``, this variable of the environment has the golden files written anew."""


# --- as the Collector resolves it


def resolved(name: str, folder: Path, **environment: str) -> Any:
    """A generated file as the Collector resolves it, with its own defaults and without secrets."""
    config = ROOT / build.COLLECTOR_DIR / f"{name}.yaml"
    done = otelcol("print-config", config, folder, "--mode=redacted", **environment)
    assert done.returncode == 0, done.stderr
    return yaml.safe_load(done.stdout)


def worth_reading(tree: Any) -> Any:
    """Without what is empty, and without the thousand lines on detectors that are not asked."""
    if isinstance(tree, dict):
        asked = tree.get("detectors")
        kept = {
            key: worth_reading(value)
            for key, value in tree.items()
            if not (asked and key not in asked and isinstance(value, dict) and "resource_attributes" in value)
        }
        return {key: value for key, value in kept.items() if value not in (None, {}, [], "")}
    return [worth_reading(item) for item in tree] if isinstance(tree, list) else tree


@pytest.mark.parametrize("name", RUN_HERE)
def test_the_collector_understands_the_configuration_as_it_always_did(name: str, tmp_path: Path) -> None:
    """All that it would run with, its own defaults too: a new release that changes one shows up here."""
    understood = yaml.safe_dump(worth_reading(resolved(name, tmp_path)), width=120)
    golden = GOLDEN / f"{name}.yaml"
    if os.environ.get(WRITE) == "write":
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(understood)
    again = f"{WRITE}=write python -m pytest tests/deploy/test_roles.py -k as_it_always_did"
    assert golden.exists(), f"to write it: {again}"
    assert understood == golden.read_text(), f"if that is meant: {again}, and read the diff"


def test_no_golden_file_is_of_a_role_that_is_gone() -> None:
    assert sorted(path.stem for path in GOLDEN.iterdir()) == sorted(RUN_HERE)


@pytest.mark.parametrize("name", OWN_LOG)
def test_no_token_is_in_what_is_printed(name: str) -> None:
    assert "a-token" not in (GOLDEN / f"{name}.yaml").read_text()


def servers(tree: object, path: str = "") -> dict[str, str]:
    """Every address on which a resolved configuration lets the Collector listen."""
    found: dict[str, str] = {}
    if isinstance(tree, dict):
        if isinstance(tree.get("endpoint"), str):
            found[path] = tree["endpoint"]
        if "host" in tree and "port" in tree:
            found[path] = f"{tree['host']}:{tree['port']}"
        for key, value in tree.items():
            found |= servers(value, f"{path}/{key}")
    elif isinstance(tree, list):
        for index, item in enumerate(tree):
            found |= servers(item, f"{path}/{index}")
    return found


@pytest.mark.parametrize("bind", [None, "0.0.0.0"])  # noqa: S104 - that is the question
@pytest.mark.parametrize("name", RUN_HERE)
def test_every_server_is_on_loopback_unless_told_and_then_only_those_for_senders(
    name: str, bind: str | None, tmp_path: Path
) -> None:
    tree = resolved(name, tmp_path, **({"OTLP_BIND": bind} if bind else {}))
    readers = tree["service"]["telemetry"]["metrics"]["readers"]
    own = servers(tree["extensions"]) | servers(readers)
    assert len(own) == 3, "health check, pages and metrics"
    doors = servers(tree["receivers"])
    private = {path for path in doors if path.startswith("/otlp/own/")}
    assert bool(private) == (name in OWN_LOG)
    for path, address in {**own, **{path: doors[path] for path in private}}.items():
        assert address.rpartition(":")[0] == "127.0.0.1", path
    for path in doors.keys() - private:
        assert doors[path].rpartition(":")[0] == (bind or "127.0.0.1"), path


# --- running


@dataclass(frozen=True)
class Running:
    """A role that runs."""

    name: str
    collector: native.Collector
    settings: Settings

    @property
    def signals(self) -> list[str]:
        """What it takes from senders."""
        taken = {
            pipeline.signal
            for pipeline in made(self.name).pipelines
            if any(receiver.id == "otlp" for receiver in pipeline.receivers)
        }
        return [signal for signal in SIGNALS if signal in taken]

    def received(self, signal: str) -> float:
        """How many items of a signal it has let in by the door for senders."""
        return door(self.collector, f"otelcol_receiver_accepted_{ITEMS[signal]}_total")


def door(collector: native.Collector, metric: str, receiver: str = "otlp") -> float:
    """The sum of a metric's series of one receiver."""
    return sum(
        float(line.rsplit(" ", 1)[1])
        for line in http_get(collector.telemetry_url)[1].decode().splitlines()
        if line.startswith(f"{metric}{{") and f'receiver="{receiver}"' in line
    )


def alone(settings: Settings) -> Settings:
    """An agent whose gateways are away: nobody listens at that address."""
    return replace(settings, agent=replace(settings.agent, gateways=("127.0.0.2",)))


@pytest.fixture(scope="module", params=RUN_HERE)
def role(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Each role, running; the stores that it sends to are all away."""
    settings = alone(ports.free_settings())
    with running(tmp_path_factory.mktemp(request.param), RUN_HERE[request.param], settings) as collector:
        yield Running(request.param, collector, settings)
        collector.process.kill()  # in order it would try once more to reach each store


def complaints(log: str) -> list[str]:
    """Lines of a Collector's log that should not be there."""
    found = []
    for line in log.splitlines():
        time, _, rest = line.partition("\t")
        level = rest.partition("\t")[0] if time.endswith("Z") else ""
        away = "connection refused" in line or "unable to open connection to broker" in line
        old = any(word in line.lower() for word in ("deprecat", "alias", "rewrite them"))
        if old or (level not in ("info", "warn") and not away):
            found.append(line)
    return found


def test_it_starts_and_complains_of_nothing_but_stores_that_are_away(role: Running) -> None:
    assert http_get(f"http://127.0.0.1:{role.settings.collector.health_port}/")[0] == 200
    assert http_get(f"http://127.0.0.1:{role.settings.collector.pages_port}/debug/servicez")[0] == 200
    log = role.collector.process.log.read_text()
    assert "Everything is ready." in log
    assert complaints(log) == []


def test_it_listens_on_the_loopback_address_alone(role: Running) -> None:
    listening = {
        connection.laddr
        for connection in psutil.Process(role.collector.process.pid).net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }
    assert {address.ip for address in listening} == {"127.0.0.1"}
    expected = {role.settings.collector.health_port, role.settings.collector.pages_port}
    expected.add(role.settings.collector.telemetry_port)
    if role.signals:
        expected |= {role.settings.collector.otlp_grpc_port, role.settings.collector.otlp_http_port}
    if role.name in OWN_LOG:
        expected.add(role.settings.collector.own_logs_port)
    if role.name == "gateway":
        expected.add(role.settings.gateway.services_port)
    assert {address.port for address in listening} == expected


WRONG: list[dict[str, str]] = [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "wrong"}]


def test_over_http_only_who_knows_the_token_gets_in(role: Running) -> None:
    port, right = role.settings.collector.otlp_http_port, role.collector.headers
    assert right
    for signal in role.signals:
        before = role.received(signal)
        assert [post(port, signal, headers) for headers in WRONG] == [401, 401, 401], signal
        assert role.received(signal) == before
        assert post(port, signal, right) == 200, signal
        assert role.received(signal) == before + 1


def test_over_grpc_only_who_knows_the_token_gets_in(role: Running) -> None:
    port, right = role.settings.collector.otlp_grpc_port, role.collector.headers
    for signal in role.signals:
        before = role.received(signal)
        assert [call(port, signal, headers) for headers in WRONG] == [grpc.StatusCode.UNAUTHENTICATED] * 3, signal
        assert role.received(signal) == before
        assert call(port, signal, right) == grpc.StatusCode.OK, signal
        assert role.received(signal) == before + 1


def test_further_doors_ask_for_the_token_too(role: Running) -> None:
    if role.name in OWN_LOG:
        assert [post(role.settings.collector.own_logs_port, "logs", headers) for headers in WRONG] == [401, 401, 401]
        assert post(role.settings.collector.own_logs_port, "logs", role.collector.headers) == 200
    if role.name == "gateway":
        services = role.settings.gateway.services_port
        assert call(services, "traces") == grpc.StatusCode.UNAUTHENTICATED
        assert call(services, "traces", role.collector.headers) == grpc.StatusCode.OK


# The names in the Collector's documentation, "Internal telemetry", each with the suffixes that Prometheus's format
# gives it: rules and dashboards ask for these.
ALWAYS = {
    "otelcol_process_memory_rss_bytes",
    "otelcol_process_uptime_seconds_total",
    "otelcol_process_cpu_seconds_total",
}
QUEUED = {"otelcol_exporter_queue_size", "otelcol_exporter_queue_capacity"}
PROCESSED = {"otelcol_processor_incoming_items_total", "otelcol_processor_outgoing_items_total"}


def pinned(signals: list[str]) -> set[str]:
    """What a Collector that takes these signals has to say of itself, once something came in."""
    received = {
        f"otelcol_receiver_{what}_{ITEMS[signal]}_total"
        for what in ("accepted", "refused", "failed")
        for signal in signals
    }
    return ALWAYS | received | (QUEUED | PROCESSED if signals else set())


def test_it_reports_on_itself_under_the_pinned_names(role: Running) -> None:
    for signal in role.signals:
        assert post(role.settings.collector.otlp_http_port, signal, role.collector.headers) == 200
    said = own_metrics(role.collector)
    assert pinned(role.signals) - said.keys() == set()
    page = http_get(role.collector.telemetry_url)[1].decode()
    assert "otel_scope_" not in page
    (target,) = [line for line in page.splitlines() if line.startswith("target_info{")]
    assert f'service_namespace="{role.name}"' in target


# --- its end


@pytest.mark.parametrize("name", ["standalone", "events", "files"])
def test_it_ends_in_order(name: str, tmp_path: Path) -> None:
    with running(tmp_path, RUN_HERE[name]) as collector:
        code = collector.process.stop()
        log = collector.process.log.read_text()
    assert "Shutdown complete." in log
    if name in OWN_LOG:
        # Its last words find its own receiver closed, which it takes for a failure.
        assert "Error: failed to shutdown service after error: failed to shutdown logger" in log.splitlines()[-1]
    else:
        assert code == 0


# --- who gets in


def test_a_second_token_is_good_as_soon_as_it_is_in_the_file(tmp_path: Path) -> None:
    """And the first one no longer, once it is out: tokens change without a restart."""
    settings = ports.free_settings()
    with running(tmp_path, files, settings) as collector:
        port, tokens = settings.collector.otlp_http_port, tmp_path / "tokens"
        second = {"Authorization": "Bearer the-second"}
        assert post(port, "logs", second) == 401
        tokens.write_text(f"{collector.token}\nthe-second\n")
        wait_until(lambda: post(port, "logs", second), lambda status: status == 200, 30, "the new token is good")
        assert post(port, "logs", collector.headers) == 200
        tokens.write_text("the-second\n")
        wait_until(
            lambda: post(port, "logs", collector.headers), lambda status: status == 401, 30, "the old one is not"
        )
        assert post(port, "logs", second) == 200


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


def tls_environment(certificates: Certificates) -> dict[str, str]:
    """Where a Collector's certificates are."""
    return {
        "OTLP_TLS_CERTIFICATE": str(certificates.server),
        "OTLP_TLS_KEY": str(certificates.server_key),
        "OTLP_TLS_CLIENT_CA": str(certificates.authority),
        "OTLP_TLS_CA": str(certificates.authority),
    }


def client(trusting: Certificates, showing: Certificates | None) -> ssl.SSLContext:
    """A client over HTTP."""
    context = ssl.create_default_context(cafile=str(trusting.authority))
    if showing:
        context.load_cert_chain(showing.client, showing.client_key)
    return context


def credentials(trusting: Certificates, showing: Certificates | None) -> Any:
    """A client over gRPC."""
    authority = trusting.authority.read_bytes()
    if not showing:
        return grpc.ssl_channel_credentials(authority)
    return grpc.ssl_channel_credentials(authority, showing.client_key.read_bytes(), showing.client.read_bytes())


def gets_in(port: int, collector: native.Collector, tls: ssl.SSLContext) -> bool:
    """Whether a client of this kind is answered at all."""
    try:
        return post(port, "logs", collector.headers, tls=tls) == 200
    except OSError:
        return False


def test_mutual_tls_lets_in_whose_certificate_the_own_authority_signed(
    certificates: Certificates, tmp_path: Path
) -> None:
    foreign = make_certificates(tmp_path / "foreign")
    settings = ports.free_settings(parse({"collector": {"mutual_tls": True}}))
    http_port, grpc_port = settings.collector.otlp_http_port, settings.collector.otlp_grpc_port
    with running(tmp_path / "collector", files, settings, **tls_environment(certificates)) as collector:
        ours = client(certificates, certificates)
        assert post(http_port, "logs", collector.headers, tls=ours) == 200
        assert post(http_port, "logs", tls=ours) == 401, "a certificate does not replace the token"
        assert (
            call(grpc_port, "logs", collector.headers, tls=credentials(certificates, certificates))
            == grpc.StatusCode.OK
        )
        for stranger, why in (
            (None, "tls: client didn't provide a certificate"),
            (foreign, "x509: certificate signed by unknown authority"),
        ):
            assert not gets_in(http_port, collector, client(certificates, stranger))
            wait_until(collector.process.log.read_text, lambda text: why in text, 30, why)  # noqa: B023 - called at once
            refused = call(grpc_port, "logs", collector.headers, tls=credentials(certificates, stranger))
            assert refused == grpc.StatusCode.UNAVAILABLE
        old = client(certificates, certificates)
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        assert not gets_in(http_port, collector, old)
        why = "tls: client offered only unsupported versions"
        wait_until(collector.process.log.read_text, lambda text: why in text, 30, why)
        assert post(http_port, "logs", collector.headers) == 400, "plain HTTP is told that this is TLS"
        assert door(collector, "otelcol_receiver_accepted_log_records_total") == 2


MEBIBYTE = 2**20


def test_a_request_above_the_bound_is_refused_for_good_and_the_next_one_taken(tmp_path: Path) -> None:
    settings = ports.free_settings(parse({"collector": {"request_mebibytes": 1}}))
    http_port, grpc_port = settings.collector.otlp_http_port, settings.collector.otlp_grpc_port
    small, large = (request("logs", "x" * size) for size in (MEBIBYTE - 1000, MEBIBYTE))
    packed = gzip.compress(large.SerializeToString())
    assert len(packed) < 10_000
    with running(tmp_path, files, settings) as collector:
        right = collector.headers
        assert post(http_port, "logs", right, large.SerializeToString()) == 400
        assert post(http_port, "logs", {**right, "Content-Encoding": "gzip"}, packed) == 400, "it counts unpacked"
        assert call(grpc_port, "logs", right, large) == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert door(collector, "otelcol_receiver_accepted_log_records_total") == 0
        assert post(http_port, "logs", right, small.SerializeToString()) == 200
        assert call(grpc_port, "logs", right, small) == grpc.StatusCode.OK


# --- from one to the next


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "mutual TLS"])
def test_spans_get_from_an_agent_into_both_doors_of_a_gateway(
    encrypted: bool, certificates: Certificates, tmp_path: Path
) -> None:
    there = ports.free_settings(parse({"collector": {"mutual_tls": encrypted}}))
    doors = f"127.0.0.1:{there.collector.otlp_grpc_port}:{there.gateway.services_port}"
    here = replace(ports.free_settings(there), agent=replace(there.agent, gateways=(doors,)))
    tokens = tmp_path / "tokens"
    tokens.write_text("of-the-whole-deployment")
    shared = {"OTLP_TOKENS_FILE": str(tokens), "OTLP_TOKEN_FILE": str(tokens), **tls_environment(certificates)}
    with (
        running(tmp_path / "gateway", gateway, there, **shared) as up,
        running(tmp_path / "agent", agent, here, **shared) as down,
    ):
        tls = client(certificates, certificates) if encrypted else None
        assert post(here.collector.otlp_http_port, "traces", down.headers, tls=tls) == 200
        for receiver in ("otlp", "otlp/services"):
            wait_until(
                lambda: door(up, "otelcol_receiver_accepted_spans_total", receiver),  # noqa: B023 - called at once
                lambda seen: seen == 1,
                30,
                f"the span is at the gateway's {receiver}",
            )
        for collector in (up, down):
            collector.process.kill()
