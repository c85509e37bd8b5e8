"""One request to a receiver, sent as the exporters send theirs, once and without repetition."""

from __future__ import annotations

import gzip
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from otel_setup.config import Destination
from otel_setup.diagnosis.probe import GRPC
from otel_setup.diagnosis.problems import Problem, one_line, problem_of, problem_of_status
from otel_setup.diagnosis.samples import SERVICES, rejection

_CONTENT_TYPE = "application/x-protobuf"
_READ = 2000
_COMPRESS: Mapping[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "deflate": zlib.compress}
_MS = 1000
_SHORTEST_SECRET = 4
_TELLING_HEADERS = ("Retry-After", "Location", "WWW-Authenticate")


@dataclass(frozen=True)
class Sent:
    """What became of a request.

    Attributes:
        problem: None where everything was accepted.
        seen: the receiver's answer, or what came instead of one, in words.
        answered: whether there was an answer in the protocol that was spoken.
        clock_skew: seconds by which the receiver's clock is ahead of this one; None where it does not tell the time.
    """

    problem: Problem | None
    seen: str
    answered: bool = True
    clock_skew: float | None = None


def send(signal: str, body: bytes, destination: Destination, timeout: float) -> Sent:
    """Sends one request of a signal.

    Parameters:
        body: the request, serialised.
        timeout: seconds to wait for the answer.
    """
    started = time.monotonic()
    sent = (_over_grpc if destination.protocol == GRPC else _over_http)(signal, body, destination, timeout)
    seen = _without_secrets(sent.seen, destination.headers)
    if sent.problem is None:
        seen += f" in {(time.monotonic() - started) * _MS:.0f} ms"
    return Sent(sent.problem, seen, sent.answered, sent.clock_skew)


def _without_secrets(text: str, headers: Mapping[str, str]) -> str:
    """A server may repeat what it was sent."""
    words = {word for value in headers.values() for word in (value, value.partition(" ")[2])}
    for word in sorted(words, key=len, reverse=True):
        if len(word) >= _SHORTEST_SECRET:
            text = text.replace(word, "***")
    return text


def _over_http(signal: str, body: bytes, destination: Destination, timeout: float) -> Sent:
    import requests
    import urllib3

    from otel_setup.sdk.http_session import ExportSession

    headers = {"Content-Type": _CONTENT_TYPE, **destination.headers}
    if compress := _COMPRESS.get(destination.compression):
        body, headers["Content-Encoding"] = compress(body), destination.compression
    with ExportSession(destination) as session:
        started = time.time()
        try:
            try:
                response = session.post(
                    destination.endpoint, body, headers=headers, timeout=timeout, allow_redirects=False, stream=True
                )
            except requests.HTTPError as refused:  # so that exporters see it too
                if refused.response is None:
                    raise
                response = refused.response
            answered = time.time()
        except requests.Timeout:
            return Sent(Problem.NO_ANSWER, f"no answer within {timeout:.1f} s", answered=False)
        except (requests.RequestException, OSError, ValueError) as error:
            return Sent(problem_of(str(error)), _innermost(error), answered=False)
        try:
            content, cut = response.raw.read(_READ, decode_content=True) or b"", False
        except (urllib3.exceptions.HTTPError, OSError):
            content, cut = b"", True
    skew = _skew(response.headers.get("Date"), started, answered)
    content_type = response.headers.get("Content-Type", "")
    seen = one_line(f"HTTP {response.status_code} {response.reason or ''}")
    problem = problem_of_status(response.status_code) or (Problem.CUT if cut else None)
    if problem is None and not _is_otlp(content_type, content):
        problem = Problem.NO_RECEIVER
    if problem is not None:
        told = [f"{name}: {response.headers[name]}" for name in _TELLING_HEADERS if name in response.headers]
        said = _without_secrets("; ".join([seen, *told, content.decode(errors="replace")]), destination.headers)
        return Sent(problem, one_line(said).rstrip("; "), clock_skew=skew)
    return _judged(signal, content if _CONTENT_TYPE in content_type else b"", seen, skew)


def _is_otlp(content_type: str, content: bytes) -> bool:
    """Whether what was answered with success may be an OTLP response: some receivers answer with nothing, or JSON."""
    return not content or _CONTENT_TYPE in content_type or "json" in content_type


def _judged(signal: str, response: bytes, seen: str, skew: float | None) -> Sent:
    try:
        rejected = rejection(signal, response)
    except ValueError as error:
        return Sent(Problem.NO_RECEIVER, f"{seen}, {error}", clock_skew=skew)
    if rejected is None:
        return Sent(None, f"accepted ({seen})", clock_skew=skew)
    items, said = rejected
    if items:
        seen += f", but {items} rejected: {said or 'without a word'}"
        return Sent(Problem.PARTLY_REJECTED, seen, clock_skew=skew)
    return Sent(None, f"accepted ({seen}), with a warning: {said}", clock_skew=skew)


def _innermost(error: BaseException) -> str:
    """The cause that libraries wrap: the outermost names addresses of objects, and the path again."""
    while (inner := getattr(error, "reason", None) or next(iter(error.args), None)) and isinstance(inner, Exception):
        error = inner
    if len(error.args) > 1 and isinstance(error.args[1], Exception):
        error = error.args[1]
    return one_line(error)


def _skew(date: str | None, started: float, answered: float) -> float | None:
    try:
        told = parsedate_to_datetime(date or "")
    except ValueError:
        return None
    # The header is cut to whole seconds, and made at some time between.
    earliest = told.replace(tzinfo=told.tzinfo or UTC).timestamp()
    if earliest > answered:
        return earliest - answered
    return min(0.0, earliest + 1 - started)


def _over_grpc(signal: str, body: bytes, destination: Destination, timeout: float) -> Sent:
    import grpc

    from otel_setup.sdk.grpc_tls import grpc_credentials

    address = urlsplit(destination.endpoint)
    compression = grpc.Compression.Gzip if destination.compression == "gzip" else grpc.Compression.NoCompression
    if address.scheme == "http":
        channel = grpc.insecure_channel(address.netloc, compression=compression)
    else:
        channel = grpc.secure_channel(address.netloc, grpc_credentials(destination), compression=compression)
    metadata = tuple((name.lower(), value) for name, value in destination.headers.items())
    with channel:
        export = channel.unary_unary(SERVICES[signal].method)  # requests and responses stay bytes
        try:
            response = export(body, timeout=timeout, metadata=metadata)
        except grpc.RpcError as error:
            return _grpc_failure(error.code().name, error.details() or "", timeout)
    return _judged(signal, response, "gRPC OK", None)


# Of gRPC's codes what tells by itself; what the transport fails at is UNAVAILABLE, and told by its words.
_GRPC_CODES: Mapping[str, Problem] = {
    "UNAUTHENTICATED": Problem.CREDENTIALS,
    "PERMISSION_DENIED": Problem.FORBIDDEN,
    "UNIMPLEMENTED": Problem.NO_RECEIVER,
    "INVALID_ARGUMENT": Problem.BAD_REQUEST,
    "INTERNAL": Problem.SERVER_FAILED,
    "ABORTED": Problem.SERVER_FAILED,
    "DATA_LOSS": Problem.SERVER_FAILED,
}


def _grpc_failure(code: str, details: str, timeout: float) -> Sent:
    seen = one_line(f"gRPC {code}: {details}")
    if code == "DEADLINE_EXCEEDED":
        return Sent(Problem.NO_ANSWER, f"no answer within {timeout:.1f} s", answered=False)
    problem = problem_of(f"StatusCode.{code} {details}")
    if problem is Problem.GRPC_TO_HTTP or code == "UNAVAILABLE":
        return Sent(problem, seen, answered=False)  # of a Collector or of the transport: gRPC does not tell
    return Sent(_GRPC_CODES.get(code, problem), seen)
