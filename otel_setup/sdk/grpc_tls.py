"""TLS for gRPC."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from otel_setup.config.settings import Destination


def grpc_credentials(destination: Destination) -> Any:
    """The channel's credentials. The SDK's own way ignores a client's key where no authority's file is given."""
    import grpc  # it takes some 14 MB, so only where it is used

    def content(path: str) -> bytes | None:
        return Path(path).read_bytes() if path else None

    return grpc.ssl_channel_credentials(
        root_certificates=content(destination.certificate_file),
        private_key=content(destination.client_key_file),
        certificate_chain=content(destination.client_certificate_file),
    )
