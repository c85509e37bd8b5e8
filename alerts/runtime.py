"""Servers that run out of something."""

from __future__ import annotations

from collections.abc import Iterator

from alerts.parts import Alert, Group, Severity
from alerts.query import HOUR, INSTANCE, JOB, MINUTE, Query, number
from alerts.text import affected
from otel_setup.catalogue import M
from otel_setup.catalogue.dashboards import Panels

BY = (JOB, INSTANCE)
MEBIBYTE = 2**20
WHO = "{{ $labels.job }} on {{ $labels.instance }}"
NEAR = 0.7
"""A forecast counts from this share of a limit on: far below it a straight line says nothing."""


def rules(query: Query) -> Group:
    """The alerts."""
    return Group("runtime", tuple(_alerts(query)))


def _alerts(query: Query) -> Iterator[Alert]:
    given = query.settings.alerts
    hours = number(given.forecast_hours)
    yield Alert(
        name="EventLoopLagging",
        expr=f"{query.quantile(M.EVENT_LOOP_LAG, 0.99, 5 * MINUTE, by=BY)} > {number(given.loop_lag_seconds)}",
        severity=Severity.WARNING,
        hold_seconds=5 * MINUTE,
        summary="A server's event loop is late.",
        description=f"{WHO}: one timer of a hundred ran {{{{ $value | humanizeDuration }}}} late or more.",
        panel=Panels.LOOP_LAG,
        keep_seconds=5 * MINUTE,
    )
    yield Alert(
        name="GarbageCollectionPauses",
        expr=f"{query.quantile(M.CPYTHON_GC_PAUSE_DURATION, 0.99, 15 * MINUTE, by=BY)} > "
        f"{number(given.gc_pause_seconds)}",
        severity=Severity.WARNING,
        hold_seconds=5 * MINUTE,
        summary="Garbage collections hold a server up.",
        description=f"{WHO}: one collection of a hundred took {{{{ $value | humanizeDuration }}}} or more.",
        panel=Panels.GC_PAUSES,
    )
    memory = query.select(M.PROCESS_MEMORY_USAGE)
    limit = given.memory_mebibytes * MEBIBYTE
    yield Alert(
        name="MemoryExhaustionPredicted",
        expr=f"max by ({', '.join(BY)}) (\n"
        f"  {_forecast(query, memory, given.forecast_hours)} > {limit}\n"
        f"  and {memory} > {number(NEAR * limit)}\n)",
        severity=Severity.CRITICAL,
        hold_seconds=10 * MINUTE,
        summary="A server's memory will be used up within hours.",
        description=f"{WHO} will hold {{{{ $value | humanize1024 }}}}B in {hours} hours, if it goes on as within the "
        f"last one; it may hold {given.memory_mebibytes} MiB. {affected(query)}",
        panel=Panels.MEMORY,
    )
    descriptors = query.select(M.PROCESS_FILE_DESCRIPTORS)
    yield Alert(
        name="FileDescriptorsExhaustionPredicted",
        expr=f"max by ({', '.join(BY)}) (\n"
        f"  {_forecast(query, descriptors, given.forecast_hours)} > {given.descriptors}\n"
        f"  and {descriptors} > {number(NEAR * given.descriptors)}\n)",
        severity=Severity.CRITICAL,
        hold_seconds=10 * MINUTE,
        summary="A server will have no file descriptors left within hours, and then nobody can connect.",
        description=f'{WHO} will have {{{{ $value | printf "%.0f" }}}} open in {hours} hours, of {given.descriptors}. '
        f"{affected(query)}",
        panel=Panels.DESCRIPTORS,
    )
    yield Alert(
        name="TooManyTasks",
        expr=f"{query.now(M.ASYNCIO_TASK_COUNT, by=BY)} > {given.tasks}",
        severity=Severity.WARNING,
        hold_seconds=10 * MINUTE,
        summary="A server has very many asyncio tasks.",
        description=f"{WHO}: {{{{ $value }}}} tasks are not done.",
        panel=Panels.TASKS,
    )


def _forecast(query: Query, selector: str, hours: float) -> str:
    ahead = number(hours * HOUR * query.settings.alerts.time_scale)
    return f"predict_linear({selector}[{query.window(HOUR)}], {ahead})"
