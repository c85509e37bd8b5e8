"""What the observable metrics read, whenever somebody collects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otel_setup.catalogue import M
from otel_setup.catalogue import attributes as a
from otel_setup.correlation import dropped_metadata_count, evicted_count, refused_count
from otel_setup.instruments import Reading, Readings
from otel_setup.ledger import reports

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
        M.INTERNAL_ERRORS.name: lambda: _by("component", core.fault_counts()),
        M.CORRELATION_REFUSED.name: lambda: _one(refused_count()),
        M.EVENTS_PUBLISHED.name: lambda: _one(core.stream.total_events),
        M.DROPPED.name: lambda: _by("bound", _dropped(core)),
        M.EXPORTED.name: lambda: _by(a.SIGNAL.name, core.exports.accepted),
        M.EXPORT_FAILED.name: lambda: _by(a.SIGNAL.name, core.exports.failed),
        M.SCRAPES.name: lambda: _one(core.scrapes()[0]),
    }


def _dropped(core: Core) -> dict[str, int]:
    bounds = dict.fromkeys(a.BOUND.values, 0) if isinstance(a.BOUND.values, tuple) else {}
    with core.lock:
        statistics = core.stream.get_statistics()
        return (
            bounds
            | core.ledger.dropped
            | {
                "max_active_correlations": evicted_count(),
                "max_correlation_metadata": dropped_metadata_count(),
                "max_trace_contexts": core.trace_contexts_dropped,
                "history_size": statistics["dropped_history"],
                "subscriber_queue": statistics["dropped_subscribers"],
            }
        )


def _one(value: float | None) -> Reading:
    return () if value is None else ((value, {}),)


def _by(label: str, values: dict[str, float] | dict[str, int] | dict[int, int]) -> Reading:
    return [(value, {label: str(key)}) for key, value in values.items()]
