"""A real Kafka broker for tests, on free ports."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy import native
from settings import Settings
from tests.support.peers import free_settings, require

__all__ = ["running_kafka"]


@contextmanager
def running_kafka(tmp_path: Path, settings: Settings | None = None) -> Iterator[native.Kafka]:
    """A broker with its data in ``tmp_path/kafka``.

    :param settings: as from ``free_settings``; the same ones and the same folder continue an earlier run
    """
    require("kafka")
    with native.running_kafka(settings or free_settings(), tmp_path / "kafka") as broker:
        try:
            yield broker
        finally:
            print(f"--- the end of {broker.process.log}\n{broker.process.log_tail()}")
