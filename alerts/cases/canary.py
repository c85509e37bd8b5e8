"""What a canary sees: the cases."""

from __future__ import annotations

from alerts.cases.case import NOTHING_KNOWN, Case, Firing, Game, Kind, counter, gauge, series

PANEL = "game-telemetry-pipeline?viewPanel=1009"
CRITICAL = {"severity": "critical", "team": "platform"}
HOUR = 60


def cases(game: Game) -> tuple[Case, ...]:
    """All cases of the group."""
    return (*_unseen(game), *_in_vain(game), *_silent(game))


def _attempts(**outcomes: str) -> dict[str, str]:
    return {
        series("canary_attempts_total", job="canary", instance="canary-1", outcome=outcome): values
        for outcome, values in outcomes.items()
    }


def _unseen(game: Game) -> tuple[Case, ...]:
    alert, started = "TelemetrySilent", game.own("games_started_total")

    def firing(times: int) -> tuple[Firing, ...]:
        text = (
            f"The canary played {times} times within ten minutes, and no server told of a game that began. "
            f"Nothing that dashboards and other alerts say can be relied on. {NOTHING_KNOWN}"
        )
        summary = "Games are being played, and the servers' telemetry does not show them."
        return (Firing(alert, CRITICAL, game.annotations(alert, summary, text, PANEL)),)

    return (
        Case(
            alert,
            Kind.FIRES,
            "it plays a game a minute, and servers tell of none",
            _attempts(ok=counter((HOUR, 1))) | {started: counter((HOUR, 0))},
            {"5m": (), "6m": firing(6), "59m": firing(10)},
        ),
        Case(
            alert,
            Kind.MORE,
            "it plays, and there are no servers that tell anything",
            _attempts(ok=counter((HOUR, 1))),
            {"5m": (), "6m": firing(6), "59m": firing(10)},
        ),
        Case(
            alert,
            Kind.BELOW,
            "servers tell of one game that began",
            _attempts(ok=counter((HOUR, 1))) | {started: counter((4, 0), (1, 1), (55, 0))},
            {"6m": (), "13m": ()},
        ),
        Case(
            alert,
            Kind.RESOLVES,
            "servers tell of games again",
            _attempts(ok=counter((HOUR, 1))) | {started: counter((29, 0), (31, 1))},
            {"29m": firing(10), "30m": ()},
        ),
        Case(
            alert,
            Kind.MORE,
            "ten minutes are looked at for games that began",
            _attempts(ok=counter((HOUR, 1))) | {started: counter((30, 1), (30, 0))},
            {"43m": (), "44m": firing(10)},
        ),
        Case(
            alert,
            Kind.MORE,
            "ten minutes are looked at for what the canary played",
            _attempts(ok=counter((30, 1), (30, 0))) | {started: counter((HOUR, 0))},
            {"38m": firing(1), "39m": ()},
        ),
        Case(alert, Kind.ABSENT, "there is no canary", {started: counter((HOUR, 0))}, {"59m": ()}),
    )


def _in_vain(game: Game) -> tuple[Case, ...]:
    alert, told = "CanaryCannotPlay", {game.own("games_started_total"): counter((HOUR, 1))}

    def firing(times: int) -> tuple[Firing, ...]:
        text = f"It tried in vain {times} times within ten minutes. {NOTHING_KNOWN}"
        summary = "The canary cannot play, so players cannot either."
        return (Firing(alert, CRITICAL, game.annotations(alert, summary, text, PANEL)),)

    return (
        Case(
            alert,
            Kind.FIRES,
            "twice in vain, and never otherwise",
            _attempts(ok=counter((HOUR, 0)), refused=counter((HOUR, 1))),
            {"3m": (), "4m": firing(4), "59m": firing(10)},
        ),
        *(
            Case(
                alert,
                Kind.MORE,
                f"every other minute {outcome}, with no counter of what went well",
                _attempts(**{outcome: counter((HOUR, 0.5))}),
                {"5m": (), "6m": firing(3), "59m": firing(5)},
            )
            for outcome in ("lost", "timeout")
        ),
        Case(
            alert,
            Kind.BELOW,
            "once in vain",
            _attempts(ok=counter((HOUR, 0)), timeout=counter((9, 0), (1, 1), (50, 0))),
            {"12m": (), "18m": ()},
        ),
        Case(
            alert,
            Kind.MORE,
            "often in vain, and sometimes not",
            _attempts(ok=counter(*((9, 0), (1, 1)) * 6), lost=counter((HOUR, 1))) | told,
            {"13m": (), "59m": ()},
        ),
        Case(
            alert,
            Kind.RESOLVES,
            "it plays again",
            _attempts(ok=counter((29, 0), (31, 1)), refused=counter((29, 1), (31, 0))) | told,
            {"29m": firing(10), "30m": ()},
        ),
        Case(
            alert,
            Kind.MORE,
            "ten minutes are looked at for what was in vain",
            _attempts(ok=counter((HOUR, 0)), refused=counter((30, 1), (30, 0))),
            {"37m": firing(2), "38m": ()},
        ),
        Case(
            alert,
            Kind.MORE,
            "ten minutes are looked at for what was not",
            _attempts(ok=counter((20, 1), (40, 0)), refused=counter((20, 0), (40, 1))) | told,
            {"30m": (), "31m": firing(10)},
        ),
        Case(alert, Kind.ABSENT, "there is no canary", {}, {"59m": ()}),
    )


def _silent(game: Game) -> tuple[Case, ...]:
    alert = "CanarySilent"
    text = "It was there within the last hour. Start it again."
    summary = "The canary tells nothing any more: nobody would notice if the servers fell silent."
    labels = CRITICAL | {"severity": "warning"}
    firing = (Firing(alert, labels, game.annotations(alert, summary, text, PANEL)),)
    return (
        Case(
            alert,
            Kind.FIRES,
            "five minutes after its last value is no longer taken for present",
            _attempts(ok=gauge((11, 5)), lost=gauge((11, 0))),
            {"19m": (), "20m": firing},
        ),
        Case(alert, Kind.BELOW, "it tells that nothing new has happened", _attempts(ok=gauge((61, 5))), {"59m": ()}),
        Case(
            alert,
            Kind.RESOLVES,
            "it is back",
            _attempts(ok=gauge((11, 5), (19, None), (30, 5))),
            {"29m": firing, "30m": ()},
        ),
        Case(
            alert,
            Kind.MORE,
            "an hour after its last word it is forgotten: it was taken away",
            _attempts(ok=gauge((11, 5))),
            {"69m": firing, "70m": ()},
        ),
        Case(alert, Kind.ABSENT, "there never was a canary", {}, {"59m": ()}),
    )
