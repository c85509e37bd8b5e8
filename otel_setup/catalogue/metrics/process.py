"""Metrics of the server process."""

from __future__ import annotations

from otel_setup.catalogue import attributes as a
from otel_setup.catalogue.types import Kind, Metric


class Process:
    """The process."""

    MEMORY_USAGE = Metric(
        name="memory.usage_mb",
        kind=Kind.OBSERVABLE_UP_DOWN_COUNTER,
        unit="",
        description="Memory of this process, in MB (2^20 bytes).",
        moves="A steady rise without more games is a leak.",
        attributes=(a.MEMORY_TYPE,),
    )
    MEMORY_GROWTH = Metric(
        name="memory.growth_rate",
        kind=Kind.OBSERVABLE_GAUGE,
        unit="",
        description="Growth of resident memory in MB per hour, least squares over 10 minutes. Absent until known.",
        moves="Above 50 for long: a leak.",
    )
    CPU_USAGE = Metric(
        name="cpu.usage",
        kind=Kind.OBSERVABLE_GAUGE,
        unit="%",
        description="CPU of this process; 100 is one whole core.",
        moves="Near 100: the event loop has no time left and every game stutters.",
    )
    GC_COLLECTIONS = Metric(
        name="gc.collections",
        kind=Kind.OBSERVABLE_COUNTER,
        unit="{collection}",
        description="Runs of the garbage collector.",
        moves="Many of generation 2: long pauses.",
        attributes=(a.GENERATION,),
    )
    GC_OBJECTS_COLLECTED = Metric(
        name="gc.objects_collected",
        kind=Kind.OBSERVABLE_COUNTER,
        unit="{object}",
        description="Objects the garbage collector freed.",
        moves="Rising fast: code builds reference cycles.",
    )
    THREADS_ACTIVE = Metric(
        name="threads.active",
        kind=Kind.OBSERVABLE_UP_DOWN_COUNTER,
        unit="{thread}",
        description="Living Python threads.",
        moves="A steady rise is a leak.",
    )
    ASYNCIO_TASKS = Metric(
        name="asyncio.tasks",
        kind=Kind.OBSERVABLE_UP_DOWN_COUNTER,
        unit="{task}",
        description="asyncio tasks that are not done; sampled while the monitor's background work runs.",
        moves="Rising without more games: tasks are never awaited.",
    )
    FILE_DESCRIPTORS = Metric(
        name="file_descriptors.open",
        kind=Kind.OBSERVABLE_UP_DOWN_COUNTER,
        unit="{descriptor}",
        description="Open file descriptors of this process.",
        moves="Near the limit new players cannot connect.",
    )
