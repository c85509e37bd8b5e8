"""What in a process's surroundings changes the way to a receiver, without an option saying so."""

from __future__ import annotations

import os
from dataclasses import dataclass

from requests import utils

from otel_setup.config import Destination
from otel_setup.diagnosis.probe import CA_VARIABLES, GRPC, Peer
from otel_setup.diagnosis.problems import shown_url

# gRPC core, "Environment Variables"; in lower case only.
_GRPC_PROXIES = ("grpc_proxy", "https_proxy", "http_proxy")
_GRPC_EXCEPTIONS = ("no_grpc_proxy", "no_proxy")


@dataclass(frozen=True)
class Surroundings:
    """What changes the way.

    Attributes:
        proxy: whom one connects to instead; None where no proxy is used.
        notes: what somebody should know, a sentence each.
    """

    proxy: Peer | None
    notes: tuple[str, ...]

    @property
    def words(self) -> str:
        """The notes, or that there is none."""
        return "; ".join(self.notes) or "none, and nothing else in the environment that changes the way"


def surroundings(destination: Destination) -> Surroundings:
    """What the libraries that send will find around them."""
    proxy = _grpc_proxy(destination) if destination.protocol == GRPC else _http_proxy(destination)
    notes = [f"goes by the proxy {shown_url(proxy)}, as the environment says"] if proxy else []
    if destination.protocol != GRPC:
        notes += _authorities(destination)
    return Surroundings(Peer.of(proxy) if proxy else None, tuple(notes))


def _http_proxy(destination: Destination) -> str | None:
    return utils.select_proxy(destination.endpoint, utils.get_environ_proxies(destination.endpoint))


def _grpc_proxy(destination: Destination) -> str | None:
    exceptions = next(filter(None, map(os.environ.get, _GRPC_EXCEPTIONS)), "")
    if utils.should_bypass_proxies(destination.endpoint, exceptions):
        return None
    return next(filter(None, map(os.environ.get, _GRPC_PROXIES)), None)


def _authorities(destination: Destination) -> list[str]:
    if destination.certificate_file or not destination.endpoint.startswith("https:"):
        return []
    variable = next((name for name in CA_VARIABLES if os.environ.get(name)), None)
    return [f"{variable} says which authorities are trusted"] if variable else []
