"""Servers that run out of something: the cases."""

from __future__ import annotations

from alerts.cases.case import INSTANCE, JOB, NOTHING_KNOWN, Case, Firing, Game, Kind, counter, gauge, line, series

MIB = 1_048_576
LABELS = {"severity": "warning", "team": "game", "job": JOB, "instance": INSTANCE}
CRITICAL = LABELS | {"severity": "critical"}
WHO = f"{JOB} on {INSTANCE}"


def cases(game: Game) -> tuple[Case, ...]:
    """All cases of the group."""
    return (*_lag(game), *_collections(game), *_memory(game), *_descriptors(game), *_tasks(game))


def _timers(name: str, early: float, *late: tuple[int, float], instance: str = INSTANCE) -> dict[str, str]:
    """A histogram of a thousand a minute: up to 0.05 s, 0.1 s, 0.25 s and more.

    :param early: so many of them took up to 0.05 s
    :param late: for so many minutes so many took up to 0.1 s; all the others up to 0.25 s
    """
    minutes = sum(spell for spell, _ in late)
    buckets = {"0.05": counter((minutes, early)), "0.1": counter(*late)}
    buckets |= dict.fromkeys(("0.25", "+Inf"), counter((minutes, 1000)))
    return {series(f"{name}_bucket", instance=instance, le=le): values for le, values in buckets.items()}


def _lag(game: Game) -> tuple[Case, ...]:
    alert, metric = "EventLoopLagging", "asyncio_event_loop_lag_seconds"

    def firing(late: str) -> tuple[Firing, ...]:
        text = f"{WHO}: one timer of a hundred ran {late} late or more."
        panel = "game-performance?viewPanel=1002"
        summary = "A server's event loop is late."
        return (Firing(alert, LABELS, game.annotations(alert, summary, text, panel)),)

    well = _timers(metric, 990, (40, 1000), instance="server-2")
    return (
        Case(
            alert,
            Kind.FIRES,
            "15 timers of 1000 are late for five minutes on one server of two",
            _timers(metric, 900, (40, 985)) | well,
            {"5m": (), "6m": firing("150ms"), "40m": firing("150ms")},
        ),
        Case(
            alert,
            Kind.BELOW,
            "99 of 100 are in time",
            _timers(metric, 900, (40, 991)),
            {"6m": (), "40m": ()},
        ),
        Case(
            alert,
            Kind.RESOLVES,
            "five minutes are looked at: of four steps three were late, then two; and it goes on for five more",
            _timers(metric, 900, (20, 985), (30, 1000)),
            {"20m": firing("150ms"), "21m": firing("116.7ms"), "26m": firing("116.7ms"), "27m": ()},
        ),
        Case(alert, Kind.ABSENT, "a server that tells nothing", {}, {"1h": ()}),
    )


def _collections(game: Game) -> tuple[Case, ...]:
    alert, metric = "GarbageCollectionPauses", "cpython_gc_pause_duration_seconds"

    def firing(paused: str) -> tuple[Firing, ...]:
        text = f"{WHO}: one collection of a hundred took {paused} or more."
        panel = "game-performance?viewPanel=1003"
        summary = "Garbage collections hold a server up."
        return (Firing(alert, LABELS, game.annotations(alert, summary, text, panel)),)

    well = _timers(metric, 990, (60, 1000), instance="server-2")
    return (
        Case(
            alert,
            Kind.FIRES,
            "20 collections of 1000 are long for five minutes on one server of two",
            _timers(metric, 900, (60, 980)) | well,
            {"5m": (), "6m": firing("175ms"), "60m": firing("175ms")},
        ),
        Case(
            alert,
            Kind.BELOW,
            "99 of 100 are short",
            _timers(metric, 900, (60, 991)),
            {"6m": (), "60m": ()},
        ),
        Case(
            alert,
            Kind.RESOLVES,
            "fifteen minutes are looked at, fourteen steps: eight long ones are many, seven are not",
            _timers(metric, 900, (20, 980), (30, 1000)),
            {"20m": firing("175ms"), "26m": firing("118.7ms"), "27m": ()},
        ),
        Case(alert, Kind.ABSENT, "a server that collects nothing", {}, {"1h": ()}),
    )


def _memory(game: Game) -> tuple[Case, ...]:
    alert, metric = "MemoryExhaustionPredicted", series("process_memory_usage_bytes")

    def firing(then: str) -> tuple[Firing, ...]:
        text = (
            f"{WHO} will hold {then} in 4 hours, if it goes on as within the last one; it may hold 1024 MiB. "
            f"{NOTHING_KNOWN}"
        )
        panel = "game-performance?viewPanel=1001"
        summary = "A server's memory will be used up within hours."
        return (Firing(alert, CRITICAL, game.annotations(alert, summary, text, panel)),)

    steady = {series("process_memory_usage_bytes", instance="server-2"): line(900 * MIB, 0, 200)}
    return (
        Case(
            alert,
            Kind.FIRES,
            "750 MiB and one more a minute is 1025 MiB, four hours after the 35th minute",
            {metric: line(750 * MIB, MIB, 60)} | steady,
            {"44m": (), "45m": firing("1.011GiB"), "60m": firing("1.025GiB")},
        ),
        Case(
            alert,
            Kind.BELOW,
            "it rises towards 1020 MiB",
            {metric: line(720 * MIB, MIB, 60)},
            {"20m": (), "60m": ()},
        ),
        Case(
            alert,
            Kind.MORE,
            "it rises steeply and is below 70 % of what it may hold",
            {metric: line(400 * MIB, 5 * MIB, 63)},
            {"30m": (), "63m": ()},
        ),
        Case(
            alert,
            Kind.MORE,
            "above 70 % since the 24th minute it counts",
            {metric: line(600 * MIB, 5 * MIB, 60)},
            {"33m": (), "34m": firing("1.924GiB")},
        ),
        Case(
            alert,
            Kind.MORE,
            "a whole hour is looked at: half an hour of growth after as long without is half the slope",
            {metric: f"{gauge((61, 850 * MIB))} {line(851 * MIB, MIB, 24)}"},
            {"70m": (), "85m": ()},
            every="1m",
        ),
        Case(
            alert,
            Kind.RESOLVES,
            "a new process holds little",
            {metric: f"{line(750 * MIB, MIB, 60)} {line(300 * MIB, 0, 60)}"},
            {"60m": firing("1.025GiB"), "61m": ()},
        ),
        Case(alert, Kind.ABSENT, "a server that tells nothing", {}, {"2h": ()}),
    )


def _descriptors(game: Game) -> tuple[Case, ...]:
    alert, metric = "FileDescriptorsExhaustionPredicted", series("process_unix_file_descriptor_count")

    def firing(then: str) -> tuple[Firing, ...]:
        text = f"{WHO} will have {then} open in 4 hours, of 50000. {NOTHING_KNOWN}"
        panel = "game-performance?viewPanel=1004"
        summary = "A server will have no file descriptors left within hours, and then nobody can connect."
        return (Firing(alert, CRITICAL, game.annotations(alert, summary, text, panel)),)

    steady = {series("process_unix_file_descriptor_count", instance="server-2"): line(45_000, 0, 200)}
    return (
        Case(
            alert,
            Kind.FIRES,
            "37000 and 50 more a minute is 50050, four hours after the 21st minute",
            {metric: line(37_000, 50, 60)} | steady,
            {"30m": (), "31m": firing("50550"), "60m": firing("52000")},
        ),
        Case(
            alert,
            Kind.BELOW,
            "it rises towards 49750",
            {metric: line(36_000, 50, 35)},
            {"20m": (), "35m": ()},
        ),
        Case(
            alert,
            Kind.MORE,
            "it rises steeply and is below 70 % of what there may be",
            {metric: line(20_000, 400, 37)},
            {"20m": (), "37m": ()},
        ),
        Case(
            alert,
            Kind.MORE,
            "above 70 % since the 26th minute it counts",
            {metric: line(30_000, 200, 60)},
            {"35m": (), "36m": firing("85200")},
        ),
        Case(
            alert,
            Kind.MORE,
            "a whole hour is looked at: half an hour of growth after as long without is half the slope",
            {metric: f"{gauge((61, 40_000))} {line(40_040, 40, 24)}"},
            {"70m": (), "85m": ()},
        ),
        Case(
            alert,
            Kind.RESOLVES,
            "the sockets are closed",
            {metric: f"{line(37_000, 50, 60)} {line(500, 0, 60)}"},
            {"60m": firing("52000"), "61m": ()},
        ),
        Case(alert, Kind.ABSENT, "a server that tells nothing", {}, {"2h": ()}),
    )


def _tasks(game: Game) -> tuple[Case, ...]:
    alert, metric = "TooManyTasks", series("asyncio_task_count")
    text = f"{WHO}: 20001 tasks are not done."
    panel = "game-performance?viewPanel=1005"
    summary = "A server has very many asyncio tasks."
    firing = (Firing(alert, LABELS, game.annotations(alert, summary, text, panel)),)
    other = {series("asyncio_task_count", instance="server-2"): gauge((60, 300))}
    return (
        Case(
            alert,
            Kind.FIRES,
            "one more than 20000 for ten minutes, on one server of two",
            {metric: gauge((60, 20_001))} | other,
            {"9m": (), "10m": firing, "59m": firing},
        ),
        Case(alert, Kind.BELOW, "20000", {metric: gauge((60, 20_000))}, {"10m": (), "59m": ()}),
        Case(
            alert,
            Kind.RESOLVES,
            "they are done",
            {metric: gauge((20, 20_001), (20, 300))},
            {"19m": firing, "20m": ()},
        ),
        Case(alert, Kind.ABSENT, "a server that tells nothing", {}, {"1h": ()}),
    )
