"""What can be wrong between a process and its Collector, by which signs one knows it, and what to do about it.

The one table of remedies: ``check`` and the line that a running process logs when its exports begin to fail say the
same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from http import HTTPStatus
from urllib.parse import urlsplit

from otel_setup.text import clean_text

MAX_REASON_LENGTH = 300
"""Characters kept of what an exporter or a server says."""


class Problem(StrEnum):
    """One kind of reason why a signal does not arrive."""

    CONFIGURATION = "configuration"
    SWITCHED_OFF = "switched_off"
    PROXY = "proxy"
    NAME_UNKNOWN = "name_unknown"
    NOTHING_LISTENS = "nothing_listens"
    UNREACHABLE = "unreachable"
    NO_ANSWER = "no_answer"
    UNTRUSTED = "untrusted"
    NAME_MISMATCH = "name_mismatch"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    CERTIFICATE_FILES = "certificate_files"
    CLIENT_CERTIFICATE = "client_certificate"
    TLS_TO_PLAIN = "tls_to_plain"
    PLAIN_TO_TLS = "plain_to_tls"
    TLS_FAILED = "tls_failed"
    GRPC_TO_HTTP = "grpc_to_http"
    HTTP_TO_GRPC = "http_to_grpc"
    CUT = "cut"
    NO_RECEIVER = "no_receiver"
    REDIRECTED = "redirected"
    BAD_REQUEST = "bad_request"
    CREDENTIALS = "credentials"
    FORBIDDEN = "forbidden"
    WRONG_PATH = "wrong_path"
    TOO_LARGE = "too_large"
    OVERLOADED = "overloaded"
    SERVER_FAILED = "server_failed"
    PARTLY_REJECTED = "partly_rejected"
    CLOCK = "clock"
    UNKNOWN = "unknown"


REMEDIES: Mapping[Problem, str] = {
    Problem.CONFIGURATION: "set the option as it is expected; `python -m otel_setup report` shows each with its source",
    Problem.SWITCHED_OFF: "switch it on again, where it was switched off",
    Problem.PROXY: "the proxy does not let it through: put the Collector's host into NO_PROXY, or correct the proxy",
    Problem.NAME_UNKNOWN: "the host's name does not resolve: check it in the option collector, or the DNS",
    Problem.NOTHING_LISTENS: (
        "nothing listens there: is the Collector running, and is that the address and port of its OTLP receiver?"
    ),
    Problem.UNREACHABLE: "no way leads there: check the network, the address, and routes and firewalls between",
    Problem.NO_ANSWER: "it does not answer in time: check the network, a firewall that swallows, the Collector's load",
    Problem.UNTRUSTED: (
        "its certificate comes from an authority that is not trusted here: name that authority's certificate in the "
        "option certificate_file (OTEL_EXPORTER_OTLP_CERTIFICATE); the system's own list is not used"
    ),
    Problem.NAME_MISMATCH: (
        "its certificate is for another name: use a name of the certificate in the option collector, or have the "
        "certificate issued for this one"
    ),
    Problem.EXPIRED: "its certificate has expired: renew it; if it has not, this machine's clock is wrong",
    Problem.NOT_YET_VALID: "its certificate is not valid yet: check this machine's clock, then the certificate",
    Problem.CERTIFICATE_FILES: (
        "certificate or key cannot be used: certificate_file, client_certificate_file and client_key_file take PEM "
        "files this user may read, and the key must belong to the certificate"
    ),
    Problem.CLIENT_CERTIFICATE: (
        "it wants a client certificate it trusts: set client_certificate_file and client_key_file, issued by the "
        "authority the Collector knows, and not expired"
    ),
    Problem.TLS_TO_PLAIN: (
        "TLS was spoken to a port that speaks plain: use http:// in the option collector, or switch TLS on in the "
        "Collector's receiver"
    ),
    Problem.PLAIN_TO_TLS: "plain was spoken to a port that speaks TLS: use https:// in the option collector",
    Problem.TLS_FAILED: "TLS does not come about: check the scheme, http or https, and the TLS versions on both sides",
    Problem.GRPC_TO_HTTP: (
        "gRPC was spoken to an HTTP port: use the OTLP/gRPC port, 4317 by default, or the protocol http/protobuf; "
        "4318 is OTLP/HTTP"
    ),
    Problem.HTTP_TO_GRPC: (
        "HTTP was spoken to a gRPC port: use the OTLP/HTTP port, 4318 by default, or the protocol grpc; 4317 is "
        "OTLP/gRPC"
    ),
    Problem.CUT: (
        "the connection is cut without an answer: is it the right port for the protocol (4318 is OTLP/HTTP, 4317 is "
        "OTLP/gRPC), does the Collector keep running, and does it trust the client's certificate, if it wants one?"
    ),
    Problem.NO_RECEIVER: (
        "something else than an OTLP receiver answers: check host, port and path; 4318 is OTLP/HTTP, 4317 is OTLP/gRPC"
    ),
    Problem.REDIRECTED: (
        "it answers with a redirection, which exporters do not follow: set the option collector to the address it "
        "points to (often https:// instead of http://)"
    ),
    Problem.BAD_REQUEST: "it refuses the request as malformed: check that it is an OTLP receiver, and its version",
    Problem.CREDENTIALS: (
        "the Collector wants other credentials: check the option headers (OTEL_EXPORTER_OTLP_HEADERS), such as "
        "authorization=Bearer%20TOKEN"
    ),
    Problem.FORBIDDEN: (
        "the credentials are known but may not send: check the option headers, and the rights they have there"
    ),
    Problem.WRONG_PATH: (
        "nothing receives at that path: the option collector takes the base address, to which /v1/traces, /v1/metrics "
        "and /v1/logs are added; 4318 is OTLP/HTTP, 4317 is OTLP/gRPC"
    ),
    Problem.TOO_LARGE: "the batch is too large for the receiver: lower the option batch_size, or raise its limit",
    Problem.OVERLOADED: (
        "the Collector is overloaded, or what stands behind it is away: look at its log and its queue; exporters try "
        "again by themselves"
    ),
    Problem.SERVER_FAILED: "the Collector failed at it: look at its log",
    Problem.PARTLY_REJECTED: "the receiver rejected items and said why: change what it names, or its configuration",
    Problem.CLOCK: (
        "set the clocks by NTP: times are taken from this machine, and stores refuse or misplace what is too old or "
        "in the future"
    ),
    Problem.UNKNOWN: "see the reason",
}
"""What to do about each."""

_SIGNS: tuple[tuple[Problem, str], ...] = (
    # The order matters: what is more special comes first, because one text often holds several signs.
    (Problem.PROXY, r"ProxyError|via proxy|to proxy|code: 407|407 Proxy"),
    (Problem.PLAIN_TO_TLS, r"HTTP request to an HTTPS|plain HTTP request was sent to HTTPS"),
    (Problem.CLIENT_CERTIFICATE, r"alert (certificate|bad certificate|unknown ca|handshake failure)|ALERT_CERTIFICATE"),
    # gRPC's word for a connection that its server ended after the handshake, as one does with a client it distrusts.
    (Problem.CLIENT_CERTIFICATE, r"TSI_DATA_CORRUPTED"),
    (Problem.EXPIRED, r"certificate has expired|CERT_HAS_EXPIRED"),
    (Problem.NOT_YET_VALID, r"not yet valid|CERT_NOT_YET_VALID"),
    (Problem.NAME_MISMATCH, r"(hostname|IP address) mismatch|doesn't match|hostname verification"),
    (Problem.UNTRUSTED, r"self.signed|issuer certificate|certificate.verify.failed"),
    (Problem.CERTIFICATE_FILES, r"TLS CA certificate|TLS certificate file|TLS key file|PEM lib|KEY_VALUES_MISMATCH"),
    (Problem.GRPC_TO_HTTP, r"http1\.x server|first frame, got frame type 80|http2 header with status|content-type"),
    (Problem.NO_RECEIVER, r"BadStatusLine|Failed parsing HTTP/2"),
    (Problem.TLS_TO_PLAIN, r"wrong.version.number|record layer failure"),
    (Problem.NAME_UNKNOWN, r"resol[vu]|getaddrinfo|name or service|nodename nor|\bDNS\b"),
    (Problem.NOTHING_LISTENS, r"refused|\b10061\b"),
    (Problem.UNREACHABLE, r"no route to host|unreachable"),
    (Problem.REDIRECTED, r"code: 3\d\d"),
    (Problem.CREDENTIALS, r"code: 401|unauthori[sz]ed|UNAUTHENTICATED"),
    (Problem.FORBIDDEN, r"code: 403|forbidden|PERMISSION_DENIED"),
    (Problem.WRONG_PATH, r"code: 40[45]|not found|UNIMPLEMENTED"),
    (Problem.TOO_LARGE, r"code: 413|too large|larger than max|max_request_size"),
    (Problem.NO_RECEIVER, r"code: 415"),
    (Problem.BAD_REQUEST, r"code: 4(00|22)|INVALID_ARGUMENT"),
    (
        Problem.OVERLOADED,
        # An answer of HTTP without words is "None" in the exporter's text, and only these are tried again.
        r"code: (429|50[234])|too many requests|service unavailable|bad gateway|gateway time|RESOURCE_EXHAUSTED"
        r"|Transient error None",
    ),
    (Problem.SERVER_FAILED, r"code: 5\d\d|StatusCode\.(INTERNAL|UNKNOWN|DATA_LOSS|ABORTED)"),
    (Problem.NO_ANSWER, r"timed out|timeout|DEADLINE_EXCEEDED"),
    (Problem.CUT, r"reset by peer|connection aborted|RemoteDisconnected|socket closed|broken pipe|EOF occurred"),
    (Problem.TLS_FAILED, r"\bSSL|\bTLS|handshake"),
    (Problem.OVERLOADED, r"UNAVAILABLE"),
)
_PASSWORD = re.compile(r"//[^/@\s]*@")
_STATUS: Mapping[int, Problem] = {
    HTTPStatus.UNAUTHORIZED: Problem.CREDENTIALS,
    HTTPStatus.FORBIDDEN: Problem.FORBIDDEN,
    HTTPStatus.NOT_FOUND: Problem.WRONG_PATH,
    HTTPStatus.METHOD_NOT_ALLOWED: Problem.WRONG_PATH,
    HTTPStatus.PROXY_AUTHENTICATION_REQUIRED: Problem.PROXY,
    HTTPStatus.REQUEST_TIMEOUT: Problem.NO_ANSWER,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: Problem.TOO_LARGE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: Problem.NO_RECEIVER,
    HTTPStatus.TOO_MANY_REQUESTS: Problem.OVERLOADED,
    HTTPStatus.BAD_GATEWAY: Problem.OVERLOADED,
    HTTPStatus.SERVICE_UNAVAILABLE: Problem.OVERLOADED,
    HTTPStatus.GATEWAY_TIMEOUT: Problem.OVERLOADED,
}


def problem_of(reason: str) -> Problem:
    """What is wrong, by what an exporter, a library or a server said."""
    return next((problem for problem, signs in _SIGNS if re.search(signs, reason, re.IGNORECASE)), Problem.UNKNOWN)


def problem_of_status(status: int) -> Problem | None:
    """What is wrong, by the status of an HTTP response; None where the request was accepted (2xx)."""
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return None
    if status < HTTPStatus.BAD_REQUEST:
        return Problem.REDIRECTED
    return _STATUS.get(
        status, Problem.BAD_REQUEST if status < HTTPStatus.INTERNAL_SERVER_ERROR else Problem.SERVER_FAILED
    )


def one_line(said: object) -> str:
    """What somebody else said, which may be hostile, as one short line of visible characters."""
    return " ".join(clean_text(said, MAX_REASON_LENGTH).split())


def shown_url(url: str) -> str:
    """A URL without what may be secret in it: user and password, and the query."""
    parts = urlsplit(url)
    _, at, host = parts.netloc.rpartition("@")
    masked = parts._replace(netloc=f"***@{host}" if at else host, query="***" if parts.query else "")
    return one_line(masked.geturl())


def shown_problem(problem: str) -> str:
    """A problem of a configuration, which may repeat a URL that it refuses, without that one's password."""
    return one_line(_PASSWORD.sub("//***@", problem))
