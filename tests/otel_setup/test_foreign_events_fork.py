"""Events that other code emits in a forked child: the child's own, never numbered as the parent's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from tests.otel_setup.receiver import Receiver, receiving

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")

SETUP = """
    import json, os, sys, warnings
    warnings.simplefilter("ignore", DeprecationWarning)
    from opentelemetry import _logs
    from opentelemetry.sdk._logs import LoggerProvider
    import otel_setup
    from otel_setup import current_telemetry, get_enterprise_monitor

    def in_a_child(work):
        pid = os.fork()
        if pid == 0:
            try:
                work()
                os._exit(0)
            except BaseException:
                sys.excepthook(*sys.exc_info())
                os._exit(99)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0

    def tell():
        ids = [event.event_id for event in get_enterprise_monitor().event_stream.get_history()]
        os.write(1, (json.dumps(ids) + chr(10)).encode())

    chat = _logs.get_logger("chat")
"""


def run(script: str) -> tuple[list[list[str]], Receiver]:
    """The ids of each stream that told its own, and what was received."""
    with receiving() as receiver:
        done = subprocess.run(
            [sys.executable, "-c", dedent(SETUP) + dedent(script), receiver.url],
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()], receiver


def uids(receiver: Receiver) -> list[str]:
    def uid(record: Any) -> str:
        return next((item.value.string_value for item in record.attributes if item.key == "log.record.uid"), "")

    return [uid(record) for record in receiver.events() if record.event_name != "producer.stopped"]


def test_a_child_exports_its_events_as_an_instance_of_its_own() -> None:
    (child, parent), receiver = run(
        """
        telemetry = otel_setup.configure(collector=sys.argv[1])
        chat.emit(event_name="in the parent")

        def work():
            for _ in range(3):
                chat.emit(event_name="in the child")
            tell()
            assert current_telemetry().shutdown(10)

        in_a_child(work)
        chat.emit(event_name="in the parent")
        tell()
        assert telemetry.shutdown(10)
        """
    )
    assert [uid.rpartition("-")[2] for uid in parent] == ["1", "2"]
    assert [uid.rpartition("-")[2] for uid in child] == ["1", "2", "3"]
    assert len({uid.rsplit("-", 2)[0] for uid in (*parent, *child)}) == 2
    assert sorted(uids(receiver)) == sorted([*parent, *child])


def test_on_adopted_providers_a_child_uses_up_no_number_of_its_parent() -> None:
    """Nothing of it leaves before the child's first call of the monitor, so it has no number there either."""
    (before, after, parent), receiver = run(
        """
        _logs.set_logger_provider(LoggerProvider())
        telemetry = otel_setup.configure(collector=sys.argv[1], adopt=True)
        chat.emit(event_name="in the parent")

        def work():
            core = otel_setup.telemetry._state._core
            chat.emit(event_name="before the child's first call")
            os.write(1, (json.dumps([event.event_id for event in core.stream.get_history()]) + chr(10)).encode())
            get_enterprise_monitor().core
            chat.emit(event_name="after it")
            tell()
            assert current_telemetry().shutdown(10)

        in_a_child(work)
        chat.emit(event_name="in the parent")
        tell()
        assert telemetry.shutdown(10)
        """
    )
    (early,) = before
    assert "-local" in early
    assert [uid.rpartition("-")[2] for uid in after] == ["local1", "1"]
    assert [uid.rpartition("-")[2] for uid in parent] == ["1", "2"]
    assert sorted(uids(receiver)) == sorted([*parent, after[-1]])
