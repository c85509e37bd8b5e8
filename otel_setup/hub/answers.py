"""Answers in JSON, and errors that say what to do: for readers as JSON, for senders as OTLP wants them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.responses import Response

from otel_setup.hub.otlp import JSON, PROTOBUF, Refused, encode_status, media_type
from otel_setup.hub.security import LOGS_PATH, Message, Scope, Send


def as_json(value: Any, status: int = HTTPStatus.OK, headers: Mapping[str, str] | None = None) -> Response:
    """A value as JSON; text in it stays readable."""
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str).encode("utf-8", "replace")
    return Response(body, status, headers, media_type=JSON)


def error(status: int, message: str, headers: Mapping[str, str] | None = None, **more: Any) -> Response:
    """An error for a reader.

    Parameters:
        message: what is wrong and what to do.
        more: further values beside it, such as the paths there are.
    """
    return as_json({"error": {"status": int(status), "message": message, **more}}, status, headers)


def status(refused: Refused, content_type: str, headers: Mapping[str, str] | None = None) -> Response:
    """An error for a sender: a ``google.rpc.Status`` in the encoding of its request."""
    kind = media_type(content_type) or PROTOBUF
    return Response(encode_status(refused, kind), refused.status, headers, media_type=kind)


async def refuse(scope: Scope, send: Send, status_code: HTTPStatus, text: str, headers: Mapping[str, str]) -> None:
    """Answers a request that may not go on, in the form that whoever sent it reads."""
    if scope["path"] == LOGS_PATH:
        kinds = [value.decode("latin-1") for name, value in scope["headers"] if name == b"content-type"]
        response = status(Refused(status_code, text), kinds[0] if kinds else PROTOBUF, headers)
    else:
        response = error(status_code, text, headers)
    await response(scope, _nothing, send)


async def _nothing() -> Message:
    return {"type": "http.disconnect"}
