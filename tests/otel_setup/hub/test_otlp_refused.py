"""Export requests that are not taken: malformed, too large, of another kind."""

from __future__ import annotations

import gzip
import zlib
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_setup.hub.otlp import JSON, PROTOBUF, Limits, Refused, decode
from tests.otel_setup.hub.otlp_support import (
    LIMITS,
    REQUEST,
    as_json,
    clean,
    now,
    record,
    request_of,
)

__all__ = ["now"]
pytestmark = pytest.mark.usefixtures("now")

# --- requests that are not taken ------------------------------------------------------------------------------------


def status_of(body: bytes, content_type: str = PROTOBUF, encoding: str = "", limits: Limits = LIMITS) -> int:
    with pytest.raises(Refused) as refused:
        decode(body, content_type, encoding, limits)
    assert refused.value.message
    return refused.value.status


@pytest.mark.parametrize(
    "content_type", ["", "text/plain", "application/grpc", "application/x-protobufx", "application/jsonp", "\x00"]
)
def test_another_media_type_is_refused(content_type: str) -> None:
    assert status_of(b"", content_type) == 415


@pytest.mark.parametrize("encoding", ["deflate", "br", "zstd", "gzip, gzip", "x"])
def test_another_encoding_is_refused(encoding: str) -> None:
    assert status_of(b"", PROTOBUF, encoding) == 415


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"\x0a", PROTOBUF),
        (b"\x0a\x05abc", PROTOBUF),
        (b"\x0b", PROTOBUF),
        (b"\x0a\x02\x12\x05" + b"\x0a\x05\x1a\x03abc", PROTOBUF),  # a field longer than its message, not than the body
        (b"\xff" * 11, PROTOBUF),
        (b"{}", PROTOBUF),
        (REQUEST.SerializeToString()[:-1], PROTOBUF),
        (b"", JSON),
        (b"[]", JSON),
        (b"null", JSON),
        (b"{", JSON),
        (b"\xff\xfe", JSON),
        (b'{"resourceLogs": 7}', JSON),
        (b'{"resourceLogs": [7]}', JSON),
        (b'{"resourceLogs": [{"scopeLogs": {}}]}', JSON),
        (b'{"resourceLogs": [{"scopeLogs": [{"logRecords": "x"}]}]}', JSON),
        (as_json(REQUEST)[:-1], JSON),
        (b"[" * 100_000, JSON),
        (b'{"resourceLogs":' * 100_000, JSON),
    ],
    ids=lambda part: ascii(part)[:24],
)
def test_what_is_no_request_is_refused(body: bytes, content_type: str) -> None:
    assert status_of(body, content_type) == 400


PACKED = gzip.compress(REQUEST.SerializeToString())


# Named, because the length of what is packed differs from run to run: it holds times and ids.
BROKEN = {
    "nothing": b"",
    "no gzip": b"x",
    "a byte short": PACKED[:-1],
    "cut early": PACKED[:20],
    "a byte more": PACKED + b"x",
    "twice": PACKED + PACKED,
    "a wrong checksum": PACKED[:-8] + bytes(8),
    "zlib": zlib.compress(b""),
}


@pytest.mark.parametrize("body", BROKEN.values(), ids=list(BROKEN))
def test_broken_gzip_is_refused(body: bytes) -> None:
    assert status_of(body, PROTOBUF, "gzip") == 400


@pytest.mark.parametrize(
    ("limits", "refused"),
    [
        (Limits(max_body_bytes=len(PACKED)), False),
        (Limits(max_body_bytes=len(PACKED) - 1), True),
        (Limits(max_decoded_bytes=len(REQUEST.SerializeToString())), False),
        (Limits(max_decoded_bytes=len(REQUEST.SerializeToString()) - 1), True),
        (Limits(max_records=3), False),
        (Limits(max_records=2), True),
    ],
)
def test_what_is_past_a_bound_is_refused(limits: Limits, refused: bool) -> None:
    if refused:
        assert status_of(PACKED, PROTOBUF, "gzip", limits) == 413
    else:
        assert len(decode(PACKED, PROTOBUF, "gzip", limits).events) == 3


def test_more_records_than_are_taken_are_refused_in_json_too() -> None:
    assert len(decode(as_json(REQUEST), JSON, "", Limits(max_records=3)).events) == 3
    assert status_of(as_json(REQUEST), JSON, "", Limits(max_records=2)) == 413


def test_a_gzip_bomb_is_stopped_while_it_inflates(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []

    class Watched:
        def __init__(self, *arguments: Any) -> None:
            self._inflater = original(*arguments)
            self.unused_data = b""
            self.eof = False

        def decompress(self, *arguments: Any) -> bytes:
            plain = self._inflater.decompress(*arguments)
            made.append(len(plain))
            return plain

    original = zlib.decompressobj
    bomb = gzip.compress(bytes(50_000_000))
    monkeypatch.setattr(zlib, "decompressobj", Watched)
    assert status_of(bomb, PROTOBUF, "gzip", Limits(max_decoded_bytes=1000)) == 413
    assert sum(made) == 1001


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"\x0a\x00" * 10_000, PROTOBUF),  # resources
        (b"\x10\x00" * 10_000, PROTOBUF),  # fields of no meaning
        (request_of(*[record(attributes={"a": [0] * 200})] * 50).SerializeToString(), PROTOBUF),
        (request_of(*[record(attributes={f"a{n}": 0 for n in range(100)})] * 100).SerializeToString(), PROTOBUF),
        (b'{"x": [' + b"{}," * 10_000 + b"{}]}", JSON),
        (b'{"x": [' + b"[]," * 10_000 + b"[]]}", JSON),
    ],
    ids=["resources", "fields", "lists", "attributes", "objects", "lists in json"],
)
def test_more_values_than_fit_into_memory_are_refused(body: bytes, content_type: str) -> None:
    assert status_of(body, content_type, "", Limits(max_values=9_999)) == 413


# --- anything at all ------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=300)
@given(
    body=st.binary(max_size=200) | st.text(max_size=100).map(lambda text: text.encode("utf-8", "replace")),
    content_type=st.sampled_from([PROTOBUF, JSON]),
    encoding=st.sampled_from(["", "gzip"]),
    packed=st.booleans(),
)
def test_any_bytes_are_decoded_or_refused(body: bytes, content_type: str, encoding: str, packed: bool) -> None:
    sent = gzip.compress(body) if packed else body
    with suppress(Refused):
        assert all(clean(event.to_dict()) for event in decode(sent, content_type, encoding, LIMITS).events)
