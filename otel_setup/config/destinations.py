"""Where each signal goes: the general options, and what the environment says of one signal alone."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from otel_setup.catalogue.attributes import SIGNALS
from otel_setup.config.finding import checked, from_environment
from otel_setup.config.options import OPTIONS, Option
from otel_setup.config.settings import Destination

_GENERAL = "OTEL_EXPORTER_OTLP_"
FIELDS = {
    "collector": "endpoint",
    "protocol": "protocol",
    "headers": "headers",
    "compression": "compression",
    "export_timeout": "timeout",
    "certificate_file": "certificate_file",
    "client_certificate_file": "client_certificate_file",
    "client_key_file": "client_key_file",
}
"""Options that a signal may have of its own, and what they are in its destination."""
_PORTS = {4317: "grpc", 4318: "http/protobuf"}


def destinations(
    values: Mapping[str, Any], sources: Mapping[str, str], environ: Mapping[str, str], problems: list[str]
) -> tuple[dict[str, Destination], dict[str, str]]:
    """Every signal's destination, none where nothing is exported by OTLP.

    A variable of one signal wins over the general one (OpenTelemetry Protocol Exporter, "Configuration Options"), and
    like that one gives way to a keyword.

    Parameters:
        values: of the options.
        sources: of the options.
        environ: the environment.
        problems: takes what is wrong.

    Returns:
        The destinations by signal; and the sources of what a signal has of its own, by ``signal.option``.
    """
    if not values["collector"]:
        return {}, {}
    options = [option for option in OPTIONS if option.name in FIELDS]
    found: dict[str, Destination] = {}
    own_sources: dict[str, str] = {}
    for signal in SIGNALS:
        fields: dict[str, Any] = {}
        for option in options:
            value, source = values[option.name], sources[option.name]
            own = [] if source in ("keyword", "config") else _own(option, signal, environ, problems)
            if own:
                value, source = checked(option, own[0][1], own[0][0], problems), own[0][1]
                own_sources[f"{signal}.{option.name}"] = source
            fields[FIELDS[option.name]] = value
        if any(value is None for value in fields.values()):
            continue  # it is among the problems
        has_own_address = f"{signal}.collector" in own_sources
        if f"{signal}.protocol" in own_sources and not has_own_address and sources["collector"] == "default":
            fields["endpoint"] = _default_address(fields["protocol"])
        if fields["protocol"] == "http/protobuf" and not has_own_address:
            fields["endpoint"] += f"/v1/{signal}"
        found[signal] = Destination(**fields)
    problems += dict.fromkeys(problem for signal in found for problem in _unfit(found[signal]))
    return found, own_sources


def _default_address(protocol: str) -> str:
    return next(f"http://localhost:{port}" for port, spoken in _PORTS.items() if spoken == protocol)


def _own(option: Option, signal: str, environ: Mapping[str, str], problems: list[str]) -> list[tuple[Any, str]]:
    [(_, parse)] = option.environment
    return from_environment(option, ((own_variable(option, signal), parse),), environ, problems)


def own_variable(option: Option, signal: str) -> str:
    """The variable that gives an option to one signal alone."""
    [(general, _)] = option.environment
    return general.replace(_GENERAL, f"{_GENERAL}{signal.upper()}_")


def _unfit(destination: Destination) -> list[str]:
    """What would not work, or what an exporter would ignore in silence."""
    problems = []
    address = urlsplit(destination.endpoint)
    base = f"{address.scheme}://{address.netloc}"  # so that what holds for all signals is said once
    spoken = _PORTS.get(address.port or 0, destination.protocol)
    if spoken != destination.protocol:
        problems.append(
            f"the port of {base} is OTLP's for {spoken}, and the protocol is {destination.protocol}: "
            f"use the other port, or the option protocol={spoken!r}"
        )
    if destination.protocol == "grpc" and destination.compression == "deflate":
        problems.append("compression is deflate, which OTLP/gRPC does not have: use gzip or none")
    if destination.protocol == "grpc" and address.path:
        problems.append(f"{destination.endpoint} has a path, which OTLP/gRPC does not have: leave it out")
    files = {
        "certificate_file": destination.certificate_file,
        "client_certificate_file": destination.client_certificate_file,
        "client_key_file": destination.client_key_file,
    }
    if address.scheme == "http":
        problems += [
            f"{name} is {path!r}, which has no effect without TLS: use https in {base}, or leave it out"
            for name, path in files.items()
            if path
        ]
        return problems
    return problems + _unfit_files(**files)


def _unfit_files(certificate_file: str, client_certificate_file: str, client_key_file: str) -> list[str]:
    problems = []
    context = ssl.create_default_context()
    if certificate_file:
        try:
            context.load_verify_locations(certificate_file)
        except (OSError, ssl.SSLError) as wrong:
            problems.append(f"certificate_file is {certificate_file!r}; expected a PEM file of certificates ({wrong})")
    if bool(client_certificate_file) != bool(client_key_file):
        given, missing = ("client_certificate_file", "client_key_file")[:: 1 if client_certificate_file else -1]
        problems.append(f"{given} is given without {missing}: mutual TLS needs both")
    elif client_certificate_file:
        try:
            context.load_cert_chain(client_certificate_file, client_key_file, password=_no_password)
        except (OSError, ssl.SSLError, ValueError) as wrong:
            problems.append(
                f"client_certificate_file {client_certificate_file!r} and client_key_file {client_key_file!r}; "
                f"expected PEM files of a certificate and its key, without a password ({wrong})"
            )
    return problems


def _no_password() -> str:
    """Else OpenSSL asks for one on the terminal."""
    raise ValueError("the key has a password")
