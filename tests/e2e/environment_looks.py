"""What is looked at, from outside, of a server with a variable set and of one without."""

from __future__ import annotations

import itertools
import statistics
import subprocess
import sys
from collections.abc import Callable
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

from otel_setup import LIAP_TUI, EventType
from otel_setup.catalogue.spans import ACTION_SPAN
from tests.e2e.environment_app import ACTIONS, PLAYER, SAID
from tests.e2e.environment_receiver import Delivery
from tests.e2e.environment_runs import ENDPOINT, ROOT, SIGNALS, Run, items

OTLP = "OTEL_EXPORTER_OTLP_"
EVERYTHING = set(SIGNALS)
KEY = "a key of this test, and of nothing else"
REFUSED = 1
"""The exit code of a Python program that an exception ends."""
OFTEN = {"OTEL_METRIC_EXPORT_INTERVAL": "200"}


def with_endpoint(door: str = "http", **more: str) -> dict[str, str]:
    return {ENDPOINT: f"{{{door}}}", **more}


# --- what is looked at ------------------------------------------------------------------------------------------------


def arrived(run: Run) -> set[str]:
    return run.arrived()


def gave_up(run: Run) -> dict[str, bool]:
    """Of which signals it says that an export took too long."""
    lines = [line for line in run.errors.splitlines() if "in time" in line]
    return {signal: any(f"{signal} do not reach" in line for line in lines) for signal in SIGNALS}


def refusal(*words: str) -> Callable[[Run], bool]:
    """Whether it did not start, and said why in these words."""
    return lambda run: run.code == REFUSED and all(word in run.errors for word in ("ConfigError", *words))


def of_each(look: Callable[[Delivery], object]) -> Callable[[Run], object]:
    """Something of the first export of each signal, None where there was none; how it was refused, where it was."""

    def observe(run: Run) -> object:
        if run.code == REFUSED:
            return next((said for said in NEEDS_BOTH if said in run.errors), run.errors)
        return dict.fromkeys(SIGNALS) | run.by_signal(look)

    return observe


NEEDS_BOTH = (
    "client_key_file is given without client_certificate_file",
    "client_certificate_file is given without client_key_file",
)


def resource(name: str) -> Callable[[Run], Any]:
    return lambda run: run.resource().get(name)


def remembered(what: str) -> Callable[[Run], int]:
    return lambda run: run.remembered(what)


def largest(signal: str) -> Callable[[Run], bool]:
    """Whether any export had more than two items."""
    return lambda run: max(run.batches(signal)) > 2


def all_there(run: Run) -> dict[str, bool]:
    """Whether as many spans and log records arrived as there were actions."""
    return {signal: len(run.items(signal)) > ACTIONS for signal in ("traces", "logs")}


def seen(run: Run) -> object:
    return run.seen


def called_with(run: Run) -> set[str]:
    """Headers by which the other server learns of the trace."""
    return {"traceparent", "b3", "x-b3-traceid"} & set(run.doors.called[0])


def pseudonym(run: Run) -> set[str]:
    return {
        attribute.value.string_value
        for span in run.items("traces")
        for attribute in span.attributes
        if attribute.key == "player.id"
    }


def named(run: Run) -> bool:
    return PLAYER.encode() in run.bytes_of("traces", "logs")


def said(run: Run) -> bool:
    return SAID.encode() in run.bytes_of("logs")


def told_of(words: str) -> Callable[[Run], bool]:
    return lambda run: words.encode() in run.bytes_of("logs")


def points(run: Run) -> list[tuple[str, Any]]:
    return [
        (metric.WhichOneof("data"), point)
        for metric in run.items("metrics")
        for point in getattr(metric, metric.WhichOneof("data")).data_points
    ]


def kinds(run: Run) -> bool:
    """Whether histograms are exponential."""
    return "exponential_histogram" in {kind for kind, _ in points(run)}


def exemplars(run: Run) -> bool:
    return any(point.exemplars for _, point in points(run) if hasattr(point, "exemplars"))


def printed(*words: str) -> Callable[[Run], tuple[bool, ...]]:
    return lambda run: tuple(word in run.output for word in words)


SPAN = f'"name": "{ACTION_SPAN.name.format(type="play_pieces")}"'
EVENT = f'"event_name": "{EventType.GAME_STARTED.value}"'
METRIC = f'"name": "{LIAP_TUI.name}.'


# --- what is done meanwhile -------------------------------------------------------------------------------------------


def has_not_come_though_metrics_came(signal: str) -> Callable[[Run], bool]:
    """Whether nothing of a signal came by the time that several exports of metrics, begun later, have."""

    def look(run: Run) -> bool:
        run.more()
        wanted = len(run.doors.of("metrics")) + 4
        run.doors.wait_until(lambda: len(run.doors.of("metrics")) >= wanted, "exports of metrics")
        return not run.doors.of(signal)

    return look


def has_come(signal: str) -> Callable[[Run], bool]:
    def look(run: Run) -> bool:
        run.doors.wait_until(lambda: run.doors.of(signal), f"{signal} by themselves")
        return False

    return look


def open_the_gate(run: Run) -> None:
    """Lets the exports through, of which the first ones have been waiting since the server began to play."""
    run.doors.wait_until(lambda: {"traces", "logs"} <= set(run.doors.asked), "exports that wait at the gate")
    for _ in range(ACTIONS):
        run.more()
    run.doors.gate.set()


def scraped(*hosts: str) -> Callable[[Run], dict[str, bool]]:
    return lambda run: {host: _answers(f"http://{host}:{run.doors['port']}/metrics") for host in hosts}


def _answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=10) as answer:  # noqa: S310
            return f"{LIAP_TUI.name}_games_active".encode() in answer.read()
    except URLError:
        return False


def is_every_fifth_second(run: Run) -> bool:
    """Whether metrics come 200 ms apart by the times of their points; or where they were not waited for, never."""
    times = [
        max(point.time_unix_nano for item in items(delivery) for point in points_of(item))
        for delivery in run.doors.of("metrics")
    ]
    apart = [(later - earlier) / 1e9 for earlier, later in itertools.pairwise(times)]
    return len(times) >= 8 and 0.15 < statistics.median(apart) < 2.0  # between, because the machine may be busy


def nothing(run: Run) -> None:
    """At the interval of 10 seconds nobody waits for so many."""


def eight_exports(run: Run) -> None:
    run.doors.wait_until(lambda: len(run.doors.of("metrics")) >= 8, "exports of metrics")


def points_of(metric: Any) -> Any:
    return getattr(metric, metric.WhichOneof("data")).data_points


def debug(run: Run) -> bool:
    """Whether the control socket takes an order."""
    command = [sys.executable, "-m", "otel_setup", "debug", "--pid", str(run.pid), "--room", "room1", "--for", "10s"]
    return (
        subprocess.run(
            command, cwd=ROOT, env=dict(run.environment), capture_output=True, timeout=60, check=False
        ).returncode
        == 0
    )
