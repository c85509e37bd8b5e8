"""OTLP/HTTP for logs: a request's body becomes events, and the answer to it.

Specification: https://opentelemetry.io/docs/specs/otlp/#otlphttp
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from google.protobuf.json_format import MessageToJson  # type: ignore[import-untyped]
from google.protobuf.message import Message  # type: ignore[import-untyped]
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsPartialSuccess,
    ExportLogsServiceResponse,
)

from otel_setup.events.record import SystemEvent
from otel_setup.hub.decoding import Decoding, Limits, Refused
from otel_setup.hub.otlp_json import read_json
from otel_setup.hub.otlp_protobuf import read_protobuf

__all__ = [
    "JSON",
    "PROTOBUF",
    "Decoded",
    "Limits",
    "Refused",
    "decode",
    "encode_response",
    "encode_status",
    "media_type",
]

PROTOBUF = "application/x-protobuf"
JSON = "application/json"
_READERS = {PROTOBUF: read_protobuf, JSON: read_json}
_GZIP = 16 + zlib.MAX_WBITS


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """What a request held.

    Parameters:
        events: of the records with an event name, in their order.
        rejected: records that are broken. The sender is told.
        ignored: records without an event name, which are no events. The sender is not told: it may send them.
        attributes_dropped: attributes past the bound of one record, left out of events.
        reason: why the first of the rejected ones was, or "".
    """

    events: list[SystemEvent]
    rejected: int = 0
    ignored: int = 0
    attributes_dropped: int = 0
    reason: str = ""


def decode(body: bytes, content_type: str, content_encoding: str, limits: Limits) -> Decoded:
    """The events in an export request.

    Everything in them is clean: visible characters, bounded lengths, values that JSON knows, a time that can be.

    Parameters:
        body: as received.
        content_type, content_encoding: the headers of these names; no encoding is "".

    Raises:
        Refused: the body is malformed (400) or too large (413), or of another media type or encoding (415).
    """
    if (kind := media_type(content_type)) is None:
        raise Refused(415, f"send {PROTOBUF} or {JSON}")
    plain = _inflated(body, content_encoding.strip().lower(), limits)
    decoding = Decoding(limits)
    _READERS[kind](plain, decoding)
    return Decoded(
        events=decoding.events,
        rejected=decoding.rejected,
        ignored=decoding.ignored,
        attributes_dropped=decoding.attributes_dropped,
        reason=decoding.reason,
    )


def encode_response(decoded: Decoded, content_type: str) -> bytes:
    """The answer to a request that was taken: an ``ExportLogsServiceResponse``, encoded like the request."""
    response = ExportLogsServiceResponse()
    if decoded.rejected:
        partial = ExportLogsPartialSuccess(rejected_log_records=decoded.rejected, error_message=decoded.reason)
        response.partial_success.CopyFrom(partial)
    return _encoded(response, content_type)


def encode_status(refused: Refused, content_type: str) -> bytes:
    """The answer to a request that was not taken: a ``google.rpc.Status``, encoded like the request.

    Its code stays unset: OTLP does not use it.
    """
    return _encoded(Status(message=refused.message), content_type)


def media_type(content_type: str) -> str | None:
    """:data:`PROTOBUF` or :data:`JSON`, without parameters, or None where it is neither."""
    kind = content_type.partition(";")[0].strip().lower()
    return kind if kind in _READERS else None


def _encoded(message: Message, content_type: str) -> bytes:
    if media_type(content_type) == JSON:
        return str(MessageToJson(message, indent=None)).encode()
    return bytes(message.SerializeToString())


def _inflated(body: bytes, encoding: str, limits: Limits) -> bytes:
    _refuse_above(limits.max_body_bytes, body)
    if encoding in {"", "identity"}:
        plain = body
    elif encoding in {"gzip", "x-gzip"}:
        plain = _gunzipped(body, limits.max_decoded_bytes + 1)
    else:
        raise Refused(415, "send the body with gzip or without encoding")
    _refuse_above(limits.max_decoded_bytes, plain)
    return plain


def _gunzipped(body: bytes, most: int) -> bytes:
    """As much as asked for: 20 MiB of zeros are 20 kB on the wire, so the bound must hold while it inflates."""
    inflater = zlib.decompressobj(_GZIP)
    try:
        plain = inflater.decompress(body, most)
    except zlib.error as error:
        raise Refused(400, f"not gzip: {error}") from None
    if len(plain) < most and not inflater.eof:
        raise Refused(400, "not gzip: its end is missing")
    if inflater.unused_data:
        raise Refused(400, "not gzip: something follows it")
    return plain


def _refuse_above(most: int, body: bytes) -> None:
    if len(body) > most:
        raise Refused(413, f"the body is larger than {most} bytes")
