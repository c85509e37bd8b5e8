"""What the observable metrics read, whenever somebody collects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otel_setup.catalogue import M
from otel_setup.catalogue import attributes as a
from otel_setup.catalogue.metrics.standard import CONTEXT_SWITCH, CPU_MODE, GC_GENERATION, PAGING_FAULT
from otel_setup.correlation import dropped_metadata_count, evicted_count, refused_count
from otel_setup.instruments import Reading, Readings
from otel_setup.ledger import reports
from otel_setup.runtime import SystemMetricsCollector

if TYPE_CHECKING:
    from otel_setup.core import Core


def readings(core: Core) -> Readings:
    """Callbacks of every observable metric.

    Parameters:
        core: is read at each collection, as its parts may have been replaced.
    """
    # The middleware is built on the core, which is built on this.
    from otel_setup.asgi.totals import socket_readings

    system = core.system
    return {
        **socket_readings(),
        M.GAMES_ACTIVE.name: lambda: _one(reports.games_active(core.ledger)),
        M.GAMES_PER_HOUR.name: lambda: _one(reports.games_per_hour(core.ledger)),
        M.GAME_DURATION.name: lambda: _one(reports.mean_game_minutes(core.ledger)),
        M.STATE_ACTIVE_GAMES.name: lambda: _by("state", reports.games_by_state(core.ledger)),
        M.PLAYER_WIN_RATE.name: lambda: _by("type", reports.win_rates(core.ledger)),
        M.ROOMS_ACTIVE.name: lambda: _by("state", reports.rooms_by_state(core.ledger)),
        M.ROOM_HEALTH.name: lambda: _by("status", reports.rooms_by_health(core.ledger)),
        M.CONNECTIONS_ACTIVE.name: lambda: _one(reports.connections_active(core.ledger)),
        M.ACTION_QUEUE_DEPTH.name: lambda: _one(len(core.waiting)),
        M.MEMORY_USAGE.name: lambda: _by("type", system.memory_mb()),
        M.MEMORY_GROWTH.name: lambda: _one(system.growth_rate_mb_per_hour()),
        M.CPU_USAGE.name: lambda: _one(system.cpu_percent()),
        M.GC_COLLECTIONS.name: lambda: _by("generation", system.gc_collections()),
        M.GC_OBJECTS_COLLECTED.name: lambda: _one(system.gc_objects_collected()),
        M.THREADS_ACTIVE.name: lambda: _one(system.threads_active()),
        M.ASYNCIO_TASKS.name: lambda: _one(system.asyncio_tasks()),
        M.FILE_DESCRIPTORS.name: lambda: _one(system.file_descriptors_open()),
        **_standard(system),
        M.INTERNAL_ERRORS.name: lambda: _by("component", core.fault_counts()),
        M.CORRELATION_REFUSED.name: lambda: _one(refused_count()),
        M.EVENTS_PUBLISHED.name: lambda: _one(core.stream.total_events),
        M.DROPPED.name: lambda: _by("bound", _dropped(core)),
        M.EXPORTED.name: lambda: _by(a.SIGNAL.name, core.exports.accepted),
        M.EXPORT_FAILED.name: lambda: _by(a.SIGNAL.name, core.exports.failed),
        M.EXPORT_DROPPED.name: lambda: [
            (items, {a.SIGNAL.name: signal, a.EXPORT_BOUND.name: bound})
            for (signal, bound), items in core.exports.dropped.items()
        ],
        M.EXPORT_WAITING.name: lambda: _by(
            a.SIGNAL.name, {signal: waiting() for signal, waiting in core.exports.waiting.items()}
        ),
        M.SCRAPES.name: lambda: _one(core.scrapes()[0]),
    }


def _standard(system: SystemMetricsCollector) -> Readings:
    """The process under the names of the semantic conventions; from the same sources as the game's own names above."""
    generation = GC_GENERATION.name
    return {
        M.PROCESS_CPU_TIME.name: lambda: _by(CPU_MODE.name, system.cpu_times()),
        M.PROCESS_MEMORY_USAGE.name: lambda: _one(system.memory_bytes().get("rss")),
        M.PROCESS_MEMORY_VIRTUAL.name: lambda: _one(system.memory_bytes().get("vms")),
        M.PROCESS_CONTEXT_SWITCHES.name: lambda: _by(CONTEXT_SWITCH.name, system.context_switches()),
        M.PROCESS_PAGING_FAULTS.name: lambda: _by(PAGING_FAULT.name, system.paging_faults()),
        M.PROCESS_THREAD_COUNT.name: lambda: _one(system.thread_count()),
        M.PROCESS_FILE_DESCRIPTORS.name: lambda: _one(system.file_descriptors_open()),
        M.PROCESS_UPTIME.name: lambda: _one(system.uptime()),
        M.CPYTHON_GC_COLLECTIONS.name: lambda: _by(generation, system.gc_collections()),
        M.CPYTHON_GC_COLLECTED_OBJECTS.name: lambda: _by(generation, system.gc_counts("collected")),
        M.CPYTHON_GC_UNCOLLECTABLE_OBJECTS.name: lambda: _by(generation, system.gc_counts("uncollectable")),
        M.EVENT_LOOP_MAX_LAG.name: lambda: _one(system.max_loop_lag()),
        M.ASYNCIO_TASK_COUNT.name: lambda: _one(system.asyncio_tasks()),
    }


def _dropped(core: Core) -> dict[str, int]:
    bounds = dict.fromkeys(a.BOUND.values, 0) if isinstance(a.BOUND.values, tuple) else {}
    with core.lock:
        dropped = core.stream.dropped()
        return (
            bounds
            | core.ledger.dropped
            | {
                "max_active_correlations": evicted_count(),
                "max_correlation_metadata": dropped_metadata_count(),
                "max_trace_contexts": core.trace_contexts_dropped,
                "history_size": dropped["dropped_history"],
                "subscriber_queue": dropped["dropped_subscribers"],
            }
            | core.system.dropped()
        )


def _one(value: float | None) -> Reading:
    return () if value is None else ((value, {}),)


def _by(label: str, values: dict[str, float] | dict[str, int] | dict[int, int]) -> Reading:
    return [(value, {label: str(key)}) for key, value in values.items()]
