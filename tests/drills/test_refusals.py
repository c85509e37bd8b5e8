"""Who may not send, or will not: wrong tokens and expired certificates, of a real game server and a real Collector.

What was lost is in the server's account, to the item; once the cause is mended, what is sent arrives.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from deploy import native, ports
from deploy.collector.roles import files
from deploy.otlp_json import Item
from deploy.process import wait_until
from settings import parse
from tests.deploy.collectors import CATALOGUE, ITEMS, post, running
from tests.deploy.test_roles import client, door, gets_in, tls_environment
from tests.drills.pipeline_ends import eventually, unexpected
from tests.drills.proof import Finding, write_proof
from tests.support.certificates import Certificates, make_certificates
from tests.support.fault_runs import Game, lost, running_game, with_the_end

pytestmark = [pytest.mark.drill, pytest.mark.timeout(300)]

PROTOCOLS = ("http/protobuf", "grpc")
REFUSED, TAKEN = 500, 50
"""Actions while nothing is let in, and once the cause is mended."""
EACH = {"traces": 1, "logs": 3}
"""An action is a span, and events that it is queued, processed and completed."""
QUEUE = 200
"""What the server holds of a signal: less than it makes while nothing is let in."""
TIMEOUT = 3.0
"""Seconds of one export: enough for the SDK to try twice, since it tells the reason of a first try alone."""
SERVICE = "faults"
SOON = 60.0


# --- why nothing is let in --------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Cause:
    """Why a server's items are not let in.

    :ivar options: of the server
    :ivar mend: takes the cause away; returns once a client made by hand gets in
    :ivar word: of the remedy that the server names
    :ivar sure: whether it has to. With TLS 1.3 a server refuses a client's certificate when that one takes itself for
        connected, so that what it sees may be a connection that breaks off (RFC 8446, 4.4.4 and 6)
    """

    collector: native.Collector
    scheme: str
    options: dict[str, Any]
    mend: Callable[[], None]
    word: str
    sure: bool = True


@contextmanager
def wrong_token(folder: Path) -> Iterator[Cause]:
    """The server knows another token than the Collector; then that one is added to the Collector's."""
    headers = {"Authorization": "Bearer the-wrong-one"}
    with running(folder / "collector", files) as collector:

        def mend() -> None:
            (collector.data_dir / "tokens").write_text(f"{collector.token}\nthe-wrong-one\n")
            port = collector.settings.otlp_http_port
            wait_until(lambda: post(port, "logs", headers), HTTPStatus.OK.__eq__, SOON, "the token is known")

        yield Cause(collector, "http", {"headers": headers}, mend, "other credentials")


@contextmanager
def expired(folder: Path, whose: str, word: str) -> Iterator[Cause]:
    """The certificate of one side has expired; then it is renewed, in its file.

    The roles look at their files once an hour, here once a second.
    """
    certificates = make_certificates(folder / "certificates")
    renew(certificates, whose, days=-1)
    settings = ports.free_settings(parse({"collector": {"mutual_tls": True}}))
    config = folder / "files.yaml"
    config.write_text(files(settings, CATALOGUE).render().replace("reload_interval: 1h", "reload_interval: 1s"))
    with running(folder / "collector", files, settings, config, **tls_environment(certificates)) as collector:

        def mend() -> None:
            renew(certificates, whose, days=2)
            ours, port = client(certificates, certificates), collector.settings.otlp_http_port
            wait_until(lambda: gets_in(port, collector, ours), bool, SOON, "a client gets in")

        options = {
            "headers": collector.headers,
            "certificate_file": str(certificates.authority),
            "client_certificate_file": str(certificates.client),
            "client_key_file": str(certificates.client_key),
        }
        yield Cause(collector, "https", options, mend, word, sure=whose == "server")


def renew(certificates: Certificates, whose: str, days: int) -> None:
    """Have the authority sign a certificate again, for so many days from now, into its file."""
    command = ["openssl", "x509", "-req", "-in", f"{whose}.csr", "-CA", "authority.pem", "-CAkey", "authority.key"]
    command += ["-CAcreateserial", "-days", str(days), "-extfile", f"{whose}.ext", "-out", f"{whose}.pem"]
    subprocess.run(command, check=True, capture_output=True, cwd=certificates.authority.parent)


CAUSES: dict[str, Callable[[Path], AbstractContextManager[Cause]]] = {
    "wrong-token": wrong_token,
    "expired-server-certificate": partial(expired, whose="server", word="its certificate has expired"),
    "expired-client-certificate": partial(expired, whose="client", word="client certificate"),
}


# --- what comes of it -------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Told:
    """What server and Collector have to say at a moment."""

    accepted: dict[str, int]
    lost: dict[str, int]
    arrived: dict[str, int]
    let_in: int
    refused: int
    lines: list[str]
    of_grpc: int

    @classmethod
    def by(cls, game: Game, collector: native.Collector) -> Told:
        """By both, now."""
        counts, items = game.counts(), {"traces": collector.spans(), "logs": collector.log_records()}
        let_in, refused = (
            sum(door(collector, f"otelcol_receiver_{what}_{item}_total") for item in ITEMS.values())
            for what in ("accepted", "refused")
        )
        return cls(
            accepted={signal: counts[signal]["accepted"] for signal in EACH},
            lost={signal: lost(counts[signal]) for signal in EACH},
            arrived={signal: len([each for each in items[signal] if is_the_games(each)]) for signal in EACH},
            let_in=int(let_in),
            refused=int(refused),
            lines=game.said("reach"),
            of_grpc=len(re.findall(r"^[EIW]\d{4} ", game.log, re.MULTILINE)),
        )


def is_the_games(item: Item) -> bool:
    return bool(item.resource["service.name"] == SERVICE)


def flows_again(game: Game) -> int:
    """Actions until something of each signal is accepted, or for long."""
    played = 0

    def one_more() -> bool:
        nonlocal played
        game.play(1)
        played += 1
        return all(game.counts()[signal]["accepted"] for signal in EACH)

    eventually(one_more, SOON)
    return played


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("why", CAUSES)
def test_nothing_gets_in_until_the_cause_is_mended(
    tmp_path: Path, pytestconfig: pytest.Config, why: str, protocol: str
) -> None:
    with CAUSES[why](tmp_path) as cause:
        url = cause.collector.otlp_grpc if protocol == "grpc" else cause.collector.otlp_http
        url = url.replace("http:", f"{cause.scheme}:")
        options = {"protocol": protocol, "queue_size": QUEUE, "export_timeout": TIMEOUT, **cause.options}
        with running_game(tmp_path, url, **options) as game:
            game.play(REFUSED)
            wait_until(lambda: game.said("do not reach"), lambda lines: len(lines) == 3, SOON, "it says so")
            before = Told.by(game, cause.collector)
            cause.mend()
            played = REFUSED + flows_again(game) + TAKEN
            game.play(TAKEN)
            game.tell("shutdown", timeout=30)
            eventually(lambda: (told := Told.by(game, cause.collector)).arrived == told.accepted, SOON)
            after = Told.by(game, cause.collector)
    # gRPC's channel keeps the client's certificate that it began with.
    again = "yes" if cause.sure or protocol != "grpc" else None
    made = with_the_end({signal: each * played for signal, each in EACH.items()})
    findings = [
        Finding("until it is mended: items that the Collector lets in", "0", str(before.let_in)),
        Finding("items accepted, by the server's account", "0", str(sum(before.accepted.values()))),
        Finding("items that the Collector counts as refused", None, str(before.refused)),
        Finding("lines in which the server says so, one a signal", "3", str(len(before.lines))),
        Finding("of them with the cause", "3" if cause.sure else None, str(sum(cause.word in s for s in before.lines))),
        Finding("in the end: lines of gRPC's own library beside them", None, str(after.of_grpc)),
        Finding("taken again without a restart", again, "yes" if all(after.accepted.values()) else "no"),
    ]
    for signal in EACH:
        accepted, gone = after.accepted[signal], after.lost[signal]
        findings += [
            Finding(f"{signal}, accepted", None, str(accepted)),
            Finding(f"{signal}, lost by the server's account", str(made[signal] - accepted), str(gone)),
            Finding(f"{signal}, in the Collector's files", str(accepted), str(after.arrived[signal])),
        ]
    write_proof(
        pytestconfig,
        f"refused-{why}-{protocol.partition('/')[0]}",
        f"A game server and a Collector that asks for {'mutual TLS' if cause.scheme == 'https' else 'a token'}: "
        f"{why.replace('-', ' ')}, over {protocol}. {REFUSED} actions are played, the cause is mended, then as many as "
        f"it takes until one is accepted, and {TAKEN} more. The server's queue holds {QUEUE} items of a signal.",
        findings,
    )
    assert unexpected(findings) == []
