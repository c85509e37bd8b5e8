"""The way to a receiver, a step at a time, by own sockets: what fails there says more than an exporter's error."""

from __future__ import annotations

import errno
import os
import socket
import ssl
import time
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

import certifi

from otel_setup.config import Destination
from otel_setup.diagnosis.problems import Problem, one_line, problem_of

GRPC = "grpc"
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
"""How an HTTP/2 client begins (RFC 9113, 3.4), with an empty SETTINGS frame."""
_FRAME_HEADER = 9
_SETTINGS, _GOAWAY = 4, 7
_TLS_ALERT = b"\x15\x03"
_ENOUGH = 64
_LISTEN_SECONDS = 0.5
CA_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
"""Name the authorities that OTLP/HTTP trusts where no option does: they are of the library it is sent with."""

Address = tuple[Any, ...]


class TroubleError(Exception):
    """A step failed: the problem, and what was seen of it."""

    def __init__(self, problem: Problem, seen: str) -> None:
        self.problem = problem
        self.seen = one_line(seen)
        super().__init__(self.seen)


class Deadline:
    """A time by which everything is over."""

    def __init__(self, seconds: float) -> None:
        self._ends = time.monotonic() + seconds

    def share(self, part: float) -> float:
        """A part of the seconds that are left; at least a hundredth of a second, as 0 would mean without end."""
        return max(0.01, (self._ends - time.monotonic()) * part)


@dataclass(frozen=True)
class Peer:
    """Host and port to connect to."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def of(cls, url: str) -> Peer:
        """Whom a URL means; the ports are those of its scheme where it names none."""
        parts = urlsplit(url)
        return cls(parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))


def resolve(peer: Peer) -> list[Address]:
    """The addresses of a peer.

    Raises:
        TroubleError: its name does not resolve.
    """
    try:
        found = socket.getaddrinfo(peer.host, peer.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise TroubleError(Problem.NAME_UNKNOWN, f"{peer.host}: {error}") from None
    return list(dict.fromkeys(entry[4] for entry in found))


def connect(addresses: list[Address], timeout: float) -> socket.socket:
    """A connection to the first address that takes one.

    Raises:
        TroubleError: none does.
    """
    failures: list[OSError] = []
    for address in addresses:
        try:
            return socket.create_connection(address[:2], timeout / len(addresses))
        except OSError as error:
            failures.append(error)
    problems = {_connect_problem(error) for error in failures}
    seen = "; ".join(f"{address[0]}: {error}" for address, error in zip(addresses, failures, strict=True))
    # Where one address only refuses and another is silent, the silent one may be the Collector's.
    raise TroubleError(min(problems, key=_MOST_TELLING.index), seen)


_MOST_TELLING = [Problem.NO_ANSWER, Problem.UNREACHABLE, Problem.NOTHING_LISTENS]


def _connect_problem(error: OSError) -> Problem:
    if isinstance(error, TimeoutError):
        return Problem.NO_ANSWER
    return Problem.NOTHING_LISTENS if error.errno == errno.ECONNREFUSED else Problem.UNREACHABLE


def trusted_file(destination: Destination) -> str:
    """The file of authorities an exporter trusts for this destination."""
    if destination.certificate_file:
        return destination.certificate_file
    named = () if destination.protocol == GRPC else map(os.environ.get, CA_VARIABLES)
    # Requests has certifi's list, gRPC one of its own, which like that one is Mozilla's.
    return next(filter(None, named), certifi.where())


def tls_context(destination: Destination) -> ssl.SSLContext:
    """TLS as the exporters speak it.

    Raises:
        TroubleError: certificates or keys cannot be read, or do not belong together.
    """
    file = trusted_file(destination)
    try:
        where: dict[str, str] = {"capath": file} if os.path.isdir(file) else {"cafile": file}
        context = ssl.create_default_context(**where)  # type: ignore[arg-type]
        if destination.client_certificate_file:
            file = destination.client_certificate_file
            # A key with a password would be asked for at the terminal, and cannot be given to an exporter.
            context.load_cert_chain(file, destination.client_key_file or None, password=lambda: "")
    except OSError as error:  # ssl.SSLError is one
        raise TroubleError(Problem.CERTIFICATE_FILES, f"{file}: {error}") from None
    context.set_alpn_protocols(["h2"] if destination.protocol == GRPC else ["http/1.1"])
    return context


def handshake(connection: socket.socket, host: str, context: ssl.SSLContext, destination: Destination) -> ssl.SSLSocket:
    """TLS on a connection.

    Raises:
        TroubleError: it does not come about.
    """
    try:
        return context.wrap_socket(connection, server_hostname=host)
    except ssl.SSLCertVerificationError as error:
        problem = problem_of(error.verify_message)
        seen = f"{error.verify_message} (trusted: {trusted_file(destination)})"
        raise TroubleError(Problem.UNTRUSTED if problem is Problem.UNKNOWN else problem, seen) from None
    except TimeoutError:
        raise TroubleError(Problem.NO_ANSWER, "no answer to the TLS handshake") from None
    except OSError as error:
        if "ALERT_NO_APPLICATION_PROTOCOL" in str(error):
            wrong = Problem.GRPC_TO_HTTP if destination.protocol == GRPC else Problem.HTTP_TO_GRPC
            raise TroubleError(wrong, str(error)) from None
        problem = problem_of(str(error))
        known = (Problem.CLIENT_CERTIFICATE, Problem.TLS_TO_PLAIN)
        raise TroubleError(problem if problem in known else Problem.TLS_FAILED, str(error)) from None


class Spoken(StrEnum):
    """What a peer answers with."""

    HTTP_1 = "HTTP/1"
    HTTP_2 = "HTTP/2"
    TLS = "TLS"
    OTHER = "something unknown"
    NOTHING = "nothing, and closes"
    SILENCE = "nothing"


def answer_to(connection: socket.socket, destination: Destination) -> tuple[Spoken, bytes]:
    """What a peer answers to the first words of the destination's protocol, and how it begins.

    Raises:
        TroubleError: TLS is broken off, as it is for want of a client certificate.
    """
    hello = b"OPTIONS * HTTP/1.1\r\nHost: " + Peer.of(destination.endpoint).host.encode() + b"\r\n\r\n"
    try:
        # Speaking at once to a server that has just refused the client's certificate would lose its last word.
        begins = _first_words(connection)
        if begins is None:
            connection.sendall(_PREFACE if destination.protocol == GRPC else hello)
            begins = connection.recv(_ENOUGH)
    except TimeoutError:
        return Spoken.SILENCE, b""
    except ssl.SSLError as error:
        problem = problem_of(str(error))
        raise TroubleError(problem if problem is Problem.CLIENT_CERTIFICATE else Problem.CUT, str(error)) from None
    except OSError:
        return Spoken.NOTHING, b""
    return _recognised(begins), begins


def _first_words(connection: socket.socket) -> bytes | None:
    """What a peer says unasked; None where it waits to be spoken to."""
    patience = connection.gettimeout()
    connection.settimeout(min(_LISTEN_SECONDS, patience or _LISTEN_SECONDS))
    try:
        return connection.recv(_ENOUGH)
    except TimeoutError:
        return None
    finally:
        connection.settimeout(patience)


def _recognised(begins: bytes) -> Spoken:
    if not begins:
        return Spoken.NOTHING
    if begins.startswith(b"HTTP/"):
        return Spoken.HTTP_1
    if begins.startswith(_TLS_ALERT):
        return Spoken.TLS
    if len(begins) >= _FRAME_HEADER and begins[3] in (_SETTINGS, _GOAWAY) and not any(begins[5:_FRAME_HEADER]):
        return Spoken.HTTP_2
    return Spoken.OTHER


def speaks_tls(addresses: list[Address], host: str, timeout: float) -> bool:
    """Whether TLS is spoken there, with whatever certificate; nothing is sent over it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with connect(addresses, timeout) as connection:
            connection.settimeout(timeout)
            context.wrap_socket(connection, server_hostname=host).close()
    except ssl.SSLError as error:
        return "ALERT" in str(error)  # only a speaker of TLS sends one
    except (OSError, TroubleError):
        return False
    return True
