"""Metrics that are named alike in every service: those of the semantic conventions, and ours in their style."""

from __future__ import annotations

from dataclasses import replace

from otel_setup.catalogue import attributes as a
from otel_setup.catalogue.types import Attribute, Kind, Metric

PAUSE_SECONDS = (0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
LAG_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
HTTP_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)

CPU_MODE = Attribute(name="cpu.mode", values=("user", "system"), description="Who used the time: the code, the kernel.")
CONTEXT_SWITCH = Attribute(
    name="process.context_switch.type",
    values=("voluntary", "involuntary"),
    description="Voluntary to wait for something, involuntary because others wanted the core.",
)
PAGING_FAULT = Attribute(
    name="system.paging.fault.type",
    values=("major", "minor"),
    description="Major ones had to read from disk.",
)
GC_GENERATION = replace(a.GENERATION, name="cpython.gc.generation")


def _http(attribute: Attribute, bounded_by: str) -> Attribute:
    """An attribute of spans as a label: its values come from the application, and stay few for the reason given."""
    return replace(attribute, bounded_by=bounded_by)


class Standard:
    """Without a prefix, whatever the game: the process, its interpreter, its event loop, HTTP."""

    # Names, instruments and units of process.* and cpython.gc.* up to the pauses: "Process metrics" and "CPython
    # metrics" of the semantic conventions, status development. process.cpu.utilization is process.cpu.time's rate.
    PROCESS_CPU_TIME = Metric(
        name="process.cpu.time",
        kind=Kind.OBSERVABLE_COUNTER,
        unit="s",
        description="CPU time of this process since it began.",
        moves="A rate near 1 per second: the event loop has no time left.",
        attributes=(CPU_MODE,),
        unprefixed=True,
    )
    PROCESS_MEMORY_USAGE = Metric(
        name="process.memory.usage",
        kind=Kind.OBSERVABLE_UP_DOWN_COUNTER,
        unit="By",
        description="Resident memory of this process.",
        moves="A steady rise without more games is a leak.",
        unprefixed=True,
    )
    PROCESS_MEMORY_VIRTUAL = Metric(
        name="process.memory.virtual",
        kind=Kind.OBSERVABLE_UP_DOWN_COUNTER,
        unit="By",
        description="Virtual memory of this process.",
        moves="Far above the resident memory is usual.",
        unprefixed=True,
    )
    PROCESS_CONTEXT_SWITCHES = Metric(
        name="process.context_switches",
        kind=Kind.OBSERVABLE_COUNTER,
        unit="{context_switch}",
        description="Context switches of this process since it began.",
        moves="Involuntary ones rising: too many processes for the cores.",
        attributes=(CONTEXT_SWITCH,),
        unprefixed=True,
    )
    PROCESS_PAGING_FAULTS = Metric(
        name="process.paging.faults",
        kind=Kind.OBSERVABLE_COUNTER,
        unit="{fault}",
        description="Page faults of this process since it began.",
        moves="Major ones rising: the machine is out of memory and swaps.",
        attributes=(PAGING_FAULT,),
        unprefixed=True,
    )
    PROCESS_THREAD_COUNT = Metric(
        name="process.thread.count",
        kind=Kind.OBSERVABLE_UP_DOWN_COUNTER,
        unit="{thread}",
        description="Threads of this process, those of libraries included.",
        moves="A steady rise is a leak.",
        unprefixed=True,
    )
    PROCESS_FILE_DESCRIPTORS = Metric(
        name="process.unix.file_descriptor.count",
        kind=Kind.OBSERVABLE_UP_DOWN_COUNTER,
        unit="{file_descriptor}",
        description="Open file descriptors of this process.",
        moves="Near the limit new players cannot connect.",
        unprefixed=True,
    )
    PROCESS_UPTIME = Metric(
        name="process.uptime",
        kind=Kind.OBSERVABLE_GAUGE,
        unit="s",
        description="Time since this process began.",
        moves="Back to 0: it was started anew.",
        unprefixed=True,
    )
    CPYTHON_GC_COLLECTIONS = Metric(
        name="cpython.gc.collections",
        kind=Kind.OBSERVABLE_COUNTER,
        unit="{collection}",
        description="Runs of the garbage collector since monitoring began in this process.",
        moves="Many of generation 2: long pauses.",
        attributes=(GC_GENERATION,),
        unprefixed=True,
    )
    CPYTHON_GC_COLLECTED_OBJECTS = Metric(
        name="cpython.gc.collected_objects",
        kind=Kind.OBSERVABLE_COUNTER,
        unit="{object}",
        description="Objects the garbage collector freed since monitoring began in this process.",
        moves="Rising fast: code builds reference cycles.",
        attributes=(GC_GENERATION,),
        unprefixed=True,
    )
    CPYTHON_GC_UNCOLLECTABLE_OBJECTS = Metric(
        name="cpython.gc.uncollectable_objects",
        kind=Kind.OBSERVABLE_COUNTER,
        unit="{object}",
        description="Objects the garbage collector could not free since monitoring began in this process.",
        moves="Above 0: an extension module leaks.",
        attributes=(GC_GENERATION,),
        unprefixed=True,
    )
    CPYTHON_GC_PAUSE_DURATION = Metric(
        name="cpython.gc.pause.duration",
        kind=Kind.HISTOGRAM,
        unit="s",
        description="Time the garbage collector stopped the process; told while the monitor's background work runs.",
        moves="Long ones are hiccups of every game; ``gc.freeze()`` after start-up shortens them.",
        attributes=(GC_GENERATION,),
        buckets=PAUSE_SECONDS,
        unprefixed=True,
    )
    EVENT_LOOP_LAG = Metric(
        name="asyncio.event_loop.lag",
        kind=Kind.HISTOGRAM,
        unit="s",
        description="How late the event loop ran a timer, ten times a second while the monitor's background work runs.",
        moves="Rising: callbacks hold the loop, and every game waits that long for its turn.",
        buckets=LAG_SECONDS,
        unprefixed=True,
    )
    EVENT_LOOP_MAX_LAG = Metric(
        name="asyncio.event_loop.max_lag",
        kind=Kind.OBSERVABLE_GAUGE,
        unit="s",
        description="The greatest lag of the event loop in the last minute. Absent while nothing measures it.",
        moves="The worst hiccup, which averages hide.",
        unprefixed=True,
    )
    EVENT_LOOP_SLOW_CALLBACKS = Metric(
        name="asyncio.event_loop.slow_callbacks",
        kind=Kind.COUNTER,
        unit="{callback}",
        description="Times a callback was found holding the event loop.",
        moves="Anything above 0 is a hiccup of every game; the event ``event_loop.blocked`` says what it was.",
        unprefixed=True,
    )
    ASYNCIO_TASK_COUNT = Metric(
        name="asyncio.task.count",
        kind=Kind.OBSERVABLE_UP_DOWN_COUNTER,
        unit="{task}",
        description="asyncio tasks that are not done; counted while the monitor's background work runs.",
        moves="Rising without more games: tasks are never awaited.",
        unprefixed=True,
    )

    # Stable semantic conventions, "HTTP metrics". FastAPI records it where it instruments itself, the ASGI middleware
    # elsewhere: both with a meter of their own, and with labels that only the application can know.
    HTTP_SERVER_DURATION = Metric(
        name="http.server.request.duration",
        kind=Kind.HISTOGRAM,
        unit="s",
        description="Duration of HTTP server requests.",
        moves="Slow lobby pages; 5xx answers have an ``error_type``.",
        attributes=(
            _http(a.HTTP_METHOD, "the methods of HTTP, `_OTHER` for any other"),
            _http(a.URL_SCHEME, "http, https"),
            _http(a.HTTP_ROUTE, "the routes the application declares"),
            _http(a.HTTP_STATUS, "the statuses of HTTP"),
            _http(a.PROTOCOL_VERSION, "the versions of HTTP"),
            _http(a.ERROR_TYPE, "5xx statuses and 100 classes of exceptions, `_OTHER` for any other"),
        ),
        buckets=HTTP_SECONDS,
        unprefixed=True,
    )
