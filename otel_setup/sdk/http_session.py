"""The HTTP session of exports: what is configured holds, whatever else the environment says."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import requests

from otel_setup.config.settings import Destination
from otel_setup.sdk.export_log import hear


class ExportSession(requests.Session):
    """Requests' session, without two of its surprises, and two of the exporters'.

    ``REQUESTS_CA_BUNDLE`` and ``CURL_CA_BUNDLE`` would silently win over the certificates of a session, and a
    ``.netrc`` that knows the host over its ``Authorization`` header. Proxies of the environment are used as usual.
    The exporters take a redirection, which they do not follow, for success; and where they give up they do not say
    what the answer was.
    """

    def __init__(self, destination: Destination) -> None:
        super().__init__()
        self._trusted = destination.certificate_file
        self.auth = _as_it_is
        if destination.client_key_file:
            self.cert = (destination.client_certificate_file, destination.client_key_file)

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        """Sends a request.

        Raises:
            requests.HTTPError: the answer is a redirection.
        """
        response = super().send(request, **options)
        if response.status_code >= HTTPStatus.MULTIPLE_CHOICES:
            said = f"code: {response.status_code}, reason: {response.reason or 'none'}"
            hear(said)
            if response.status_code < HTTPStatus.BAD_REQUEST:
                raise requests.HTTPError(said, response=response)
        return response

    def merge_environment_settings(self, *request: Any, **settings: Any) -> dict[str, Any]:
        """What a request is sent with."""
        merged = dict(super().merge_environment_settings(*request, **settings))
        return {**merged, "verify": self._trusted} if self._trusted else merged


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request
