"""The real stores behind the Collector for tests, on free ports. Their logs' ends are shown for failing tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol, TypeVar

from deploy import alertmanager, jaeger, loki, zipkin
from deploy.process import Process
from settings import Settings
from tests.support.peers import free_settings, require

__all__ = ["running_alertmanager", "running_jaeger", "running_loki", "running_zipkin"]


class Backend(Protocol):
    """What all of them are."""

    @property
    def process(self) -> Process:
        """The program."""


B = TypeVar("B", bound=Backend)


@contextmanager
def _shown(
    program: str,
    run: Callable[[Settings, Path], AbstractContextManager[B]],
    tmp_path: Path,
    settings: Settings | None,
) -> Iterator[B]:
    require(program)
    with run(settings or free_settings(), tmp_path / program) as backend:
        try:
            yield backend
        finally:
            print(f"--- the end of {backend.process.log}\n{backend.process.log_tail()}")


def running_jaeger(tmp_path: Path, settings: Settings | None = None) -> AbstractContextManager[jaeger.Jaeger]:
    """A Jaeger with its data in ``tmp_path/jaeger``.

    :param settings: as from ``free_settings``; the same ones and the same folder continue an earlier run
    """
    return _shown(jaeger.PROGRAM, jaeger.running_jaeger, tmp_path, settings)


def running_loki(tmp_path: Path, settings: Settings | None = None) -> AbstractContextManager[loki.Loki]:
    """A Loki with its data in ``tmp_path/loki``; settings as above."""
    return _shown(loki.PROGRAM, loki.running_loki, tmp_path, settings)


def running_zipkin(tmp_path: Path, settings: Settings | None = None) -> AbstractContextManager[zipkin.Zipkin]:
    """A Zipkin, which keeps nothing."""
    return _shown(zipkin.PROGRAM, zipkin.running_zipkin, tmp_path, settings)


def running_alertmanager(
    tmp_path: Path, settings: Settings | None = None
) -> AbstractContextManager[alertmanager.Alertmanager]:
    """An Alertmanager with its data in ``tmp_path/alertmanager``."""
    return _shown(alertmanager.PROGRAM, alertmanager.running_alertmanager, tmp_path, settings)
