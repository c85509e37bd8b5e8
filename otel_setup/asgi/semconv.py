"""A request in the words of the stable HTTP semantic conventions (OpenTelemetry, "HTTP Server" and "URL").

Everything that comes from the client is made safe here: it is checked, percent-encoded, cut or left out.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from otel_setup.catalogue import attributes as a
from otel_setup.correlation import Scope
from otel_setup.text import clean_id

OTHER_VALUE = "_OTHER"
"""What the conventions put for a method or an error outside the known ones."""
MAX_URL_PATH = 256
"""Characters of ``url.path`` that are kept."""
_KNOWN_METHODS_VARIABLE = "OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS"
_PATH_CHARACTERS = "/:@!$&'()*+,;=~"  # RFC 3986, 3.3: pchar, and the slash between segments
_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(?::([0-9]{1,5}))?")
_DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
_VERSIONS = frozenset({"1.0", "1.1", "2", "3"})


def known_methods() -> frozenset[str]:
    """The conventions' methods, or those that the variable they name for this lists instead."""
    listed = os.environ.get(_KNOWN_METHODS_VARIABLE, "")
    return frozenset(method.strip() for method in listed.split(",") if method.strip()) or frozenset(a.HTTP_METHODS)


@dataclass(frozen=True, kw_only=True)
class Describer:
    """Describes requests.

    Parameters:
        user_agent: whether to tell the User-Agent.
        client_address: whether to tell the client's address, which is personal data in many places.
    """

    user_agent: bool
    client_address: bool
    methods: frozenset[str] = field(default_factory=known_methods)

    def method(self, scope: Scope) -> str:
        """The method, or ``_OTHER``."""
        method = scope.get("method")
        return method if method in self.methods else OTHER_VALUE

    def span_name(self, method: str, route: str | None) -> str:
        """``{method} {route}``; HTTP in place of ``_OTHER``."""
        verb = "HTTP" if method == OTHER_VALUE else method
        return f"{verb} {route}" if route else verb

    def request(self, scope: Scope) -> dict[str, Any]:
        """Attributes of an HTTP request's span that are known at its start."""
        method = self.method(scope)
        told: dict[str, Any] = {a.HTTP_METHOD.name: method, **self._common(scope, "http")}
        if method == OTHER_VALUE:
            told[a.HTTP_METHOD_ORIGINAL.name] = clean_id(scope.get("method"))
        if (version := scope.get("http_version")) in _VERSIONS:
            told[a.PROTOCOL_VERSION.name] = version
        return told

    def handshake(self, scope: Scope) -> dict[str, Any]:
        """Attributes of a socket's connect span that are known at its start."""
        return {a.PROTOCOL_NAME.name: "websocket", **self._common(scope, "ws")}

    def measurement(self, scope: Scope, status: int | None, route: str | None, error: str) -> dict[str, Any]:
        """Labels of the request's duration; each of a set that clients cannot enlarge."""
        labels: dict[str, Any] = {
            a.HTTP_METHOD.name: self.method(scope),
            a.URL_SCHEME.name: _scheme(scope, "http"),
            a.HTTP_ROUTE.name: route,
            a.PROTOCOL_VERSION.name: scope.get("http_version") if scope.get("http_version") in _VERSIONS else None,
            a.HTTP_STATUS.name: status if status in _STATUSES else None,
            a.ERROR_TYPE.name: error,
        }
        return {label: value for label, value in labels.items() if value}

    def _common(self, scope: Scope, default_scheme: str) -> dict[str, Any]:
        scheme = _scheme(scope, default_scheme)
        told: dict[str, Any] = {a.URL_PATH.name: url_path(scope.get("path", "")), a.URL_SCHEME.name: scheme}
        told |= _server(scope, scheme)
        if self.user_agent and (agent := _header(scope, b"user-agent")):
            told[a.USER_AGENT.name] = clean_id(agent)
        if self.client_address and (client := scope.get("client")):
            told[a.CLIENT_ADDRESS.name] = clean_id(client[0])
        return told


_STATUSES = frozenset(status.value for status in HTTPStatus)


def url_path(path: str) -> str:
    """A decoded path as it stands in a URL, where nothing in it can be taken for anything else."""
    # Encoding can only lengthen, so no more than these characters are needed of a path of any length.
    encoded = quote(path[: MAX_URL_PATH + 1], safe=_PATH_CHARACTERS, errors="replace")
    return encoded if len(encoded) <= MAX_URL_PATH else encoded[: MAX_URL_PATH - 1] + "…"


def _scheme(scope: Scope, default: str) -> str:
    scheme = scope.get("scheme", default)
    return scheme if scheme in _DEFAULT_PORTS else default


def _server(scope: Scope, scheme: str) -> Mapping[str, Any]:
    """The host that was asked for; where the client named none, or nonsense, the one that listens."""
    if match := _AUTHORITY.fullmatch(_header(scope, b"host")):
        address, port = match[1].strip("[]"), int(match[2] or _DEFAULT_PORTS[scheme])
    else:
        server: Sequence[Any] = scope.get("server") or ("", None)
        address, port = server[0], server[1] or 0
    told = {a.SERVER_ADDRESS.name: address, a.SERVER_PORT.name: port}
    return {key: value for key, value in told.items() if value}


def _header(scope: Scope, wanted: bytes) -> str:
    return next((value.decode("latin-1") for name, value in scope.get("headers") or () if name.lower() == wanted), "")
