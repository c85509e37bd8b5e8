"""The exposition that is used where none is given."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

from otel_setup.prometheus.exposition import Exposition, ScrapeError

_factory: Callable[[], Exposition] | None = None


def set_default_exposition(factory: Callable[[], Exposition]) -> None:
    """Say where ``default_exposition()`` comes from.

    Parameters:
        factory: called for every request, so it must be quick; as long as it gives the same object, scrapes share.
    """
    global _factory  # noqa: PLW0603
    _factory = factory


def default_exposition() -> Exposition:
    """The exposition of this process's telemetry.

    Raises:
        ScrapeError: there is none; importing ``otel_setup`` provides it.
    """
    if _factory is None:
        raise ScrapeError("this process has no metrics; import otel_setup", HTTPStatus.SERVICE_UNAVAILABLE)
    return _factory()


class PrometheusExporter:
    """The metrics as text, for programs that pass them on themselves.

    Parameters:
        game_metrics, system_metrics: accepted because callers pass them; there is one source, which has both.
    """

    def __init__(self, game_metrics: object = None, system_metrics: object = None) -> None:
        pass

    def export_metrics(self) -> str:
        """The metrics in the text format 0.0.4. In a coroutine, ``await default_exposition().scrape(None)`` instead.

        Raises:
            ScrapeError: as ``Exposition.scrape()``.
        """
        body, _ = default_exposition().scrape_sync()
        return body.decode()
