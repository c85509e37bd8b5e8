"""Budgets: the cases.

Traffic of an hour, a thousand times what comes after, thins whatever goes wrong later for all windows that it is in. So
a burn rate can be alone: only its own windows have left that hour behind.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from alerts.cases.case import JOB, NOTHING_KNOWN, Case, Firing, Game, Kind, Sample, counter

MANY = 100_000
"""Events a minute in the first hour."""
SOME = 100
"""Events a minute afterwards."""

Spells = tuple[tuple[int, float, float], ...]
"""For so many minutes: so many events in each, and the share of them that is bad."""


@dataclass(frozen=True)
class Objective:
    """What an objective's alerts say, and the series behind it.

    :param budget: the share that may be bad
    :param bad: what is said of the share
    :param may: and how much may be
    """

    key: str
    alert: str
    budget: float
    harm: str
    bad: str
    may: str
    panel: int
    series: Callable[[Spells], Mapping[str, str]]
    labels: Mapping[str, str]


@dataclass(frozen=True)
class Window:
    """A burn rate, as in the table of docs/alerts.md; the times in minutes.

    :param above: a factor above its own and below that of the next shorter windows
    :param below: a factor just below its own
    :param first: when its long window has left the first hour behind
    :param step: between two evaluations
    :param coarse_step: where it is not about the minute
    """

    severity: str
    long: str
    short: str
    factor: float
    above: float
    below: float
    length: int
    hold: int
    first: int
    step: int
    coarse_step: int

    @property
    def fires(self) -> int:
        """The first evaluation at which it has been so for long enough."""
        return self.first + math.ceil(self.hold / self.step) * self.step

    @property
    def coarse(self) -> Window:
        """The same, where it is not about the minute."""
        return replace(self, first=self.length + 60, step=self.coarse_step)


# Rates of five minutes hold the first hour's traffic until the 63rd minute; where they are taken every five minutes or
# more, in the 60th for the last time.
WINDOWS = (
    Window("critical", "1h", "5m", 14.4, 15, 14.3, 60, 2, 123, 1, 5),
    Window("critical", "6h", "30m", 6, 7, 5.9, 360, 15, 420, 5, 10),
    Window("warning", "1d", "2h", 3, 4.4, 2.9, 1440, 60, 1500, 30, 30),
    Window("warning", "3d", "6h", 1, 2.2, 0.9, 4320, 180, 4380, 60, 60),
)
HOUR, SIX_HOURS, DAY, THREE_DAYS = WINDOWS


def cases(game: Game) -> tuple[Case, ...]:
    """All cases of the group."""
    found: list[Case] = []
    for objective in _objectives(game):
        # Of games a tenth may be abandoned, and 14.4 times that cannot be.
        windows = [window for window in WINDOWS if window.factor * objective.budget < 1]
        for window in windows:
            found += _burning(game, objective, window)
            found += _few_events(game, objective, window)
        found += _over(game, objective, windows)
        found.append(
            Case(objective.alert, Kind.ABSENT, "nothing has happened", {}, {"1m": (), "4h": ()}),
        )
    return (*found, *_latency(game), *_spikes(game), *_recordings(game))


def _share(value: float) -> str:
    """As Prometheus writes a share: at most four digits."""
    return f"{value * 100:.4g}%"


def _firing(game: Game, objective: Objective, window: Window, share: float) -> Firing:
    text = f"{JOB}: {_share(share)} {objective.bad} within {window.long}; {objective.may} may. {NOTHING_KNOWN}"
    summary = f"{objective.harm}, and the error budget burns {window.factor:g} times too fast."
    labels = {
        "severity": window.severity,
        "team": "game",
        "job": JOB,
        "slo": objective.key,
        "long": window.long,
        "short": window.short,
        **objective.labels,
    }
    annotations = game.annotations(objective.alert, summary, text, f"game-incident?viewPanel={objective.panel}")
    return Firing(objective.alert, labels, annotations)


def _burning(game: Game, objective: Objective, window: Window) -> tuple[Case, ...]:
    """Steady above and below the rate, after an hour of much more that went well."""
    long, until = f"{window.long} and {window.short}", window.fires + window.step
    firing = (_firing(game, objective, window, window.above * objective.budget),)
    coarse = window.coarse

    def given(factor: float, until: int) -> Mapping[str, str]:
        return objective.series(((60, MANY, 0), (until - 60, SOME, factor * objective.budget)))

    return (
        Case(
            objective.alert,
            Kind.FIRES,
            f"{long}, alone, {window.above:g} times too fast",
            given(window.above, until),
            {f"{window.fires - window.step}m": (), f"{window.fires}m": firing, f"{until}m": firing},
            every=f"{window.step}m",
        ),
        Case(
            objective.alert,
            Kind.BELOW,
            f"{long}, {window.below:g} times too fast",
            given(window.below, coarse.fires),
            {f"{coarse.first}m": (), f"{coarse.fires}m": ()},
            every=f"{coarse.step}m",
        ),
    )


def _few_events(game: Game, objective: Objective, window: Window) -> tuple[Case, ...]:
    """Everything goes wrong, and it is little. What there was in the long window is what counts."""
    window = window.coarse
    fires, length, half = window.fires, window.length, 60 + window.length // 2
    few = objective.series(((60, MANY, 0), (fires - 60, 95 / length, 1)))
    early = objective.series(((60, MANY, 0), (half - 60, 240 / length, 1), (fires - half, 20 / length, 1)))
    return (
        Case(
            objective.alert,
            Kind.MORE,
            f"all of 95 events within {window.long} are bad",
            few,
            {f"{window.first}m": (), f"{fires}m": ()},
            every=f"{window.step}m",
        ),
        Case(
            objective.alert,
            Kind.MORE,
            f"all of some 120 events within {window.long}, most of them long ago",
            early,
            {f"{fires - window.step}m": (), f"{fires}m": (_firing(game, objective, window, 1),)},
            every=f"{window.step}m",
        ),
    )


def _over(game: Game, objective: Objective, windows: list[Window]) -> tuple[Case, ...]:
    """It ends where the short window says so, and five minutes later, however much the long one holds.

    The rates of five minutes are a fifth, two, three and four fifths of the whole in the first four minutes, and three,
    two and one quarter of it in the three minutes after a spell.
    """

    def case(window: Window, name: str, burnt: int, factor: float, ending: float, *times: int, step: int = 1) -> Case:
        """It burns from the first minute on.

        :param ending: the factor that the long window has last
        :param times: the last minute before it fires, the first, the last, and that in which it is over
        """
        given = objective.series(((burnt, SOME, factor * objective.budget), (times[3] - burnt, SOME, 0)))
        firing = (_firing(game, objective, window, factor * objective.budget),)
        ended = (_firing(game, objective, window, ending * objective.budget),)
        checks = dict(zip((f"{minute}m" for minute in times), ((), firing, ended, ()), strict=True))
        return Case(objective.alert, Kind.RESOLVES, name, given, checks, every=f"{step}m")

    found = []
    if HOUR in windows:
        # Half of 30 times too fast is too fast, a quarter is not: until the 8th minute. Then an hour holds
        # 4 + 0.75 + 0.5 of 4 + 2.
        found.append(case(HOUR, "5m: three minutes later, and for five more", 6, 30, 30 * 5.25 / 6, 2, 3, 13, 14))
    found += [
        # Of thirty minutes 31.5 - J are bad, J minutes later: 26.5 of them are too many. Six hours hold 38 + 1.5 then,
        # of 38 + 5.
        case(SIX_HOURS, "30m: six minutes later, and for five more", 40, 7, 7 * 39.5 / 43, 15, 16, 50, 51),
        # Taken every second minute: 40 - 0.8 rates, and half a one after; of J more, 19 are few enough.
        case(DAY, "2h: 40 minutes later, and for five more", 80, 4.4, 4.4 * 39.7 / 58.2, 60, 62, 124, 126, step=2),
        # Of the 180 rates of six hours 180.5 - J are bad, and 82.5 too many: 98 later. Three days hold 95 - 0.8 + 0.5.
        case(
            THREE_DAYS,
            "6h: 198 minutes later, and for five more",
            190,
            2.2,
            2.2 * 94.7 / 192.2,
            180,
            182,
            392,
            394,
            step=2,
        ),
    ]
    return tuple(found)


def _objectives(game: Game) -> tuple[Objective, ...]:
    quick, seconds = game.quick
    return (
        Objective(
            key="action_success",
            alert="ActionSuccessBudgetBurn",
            budget=0.001,
            harm="Players' actions fail",
            bad="of the players' actions failed by the server's doing",
            may="0.1 %",
            panel=1001,
            series=lambda spells: _actions(game, spells),
            labels={},
        ),
        Objective(
            key="action_latency",
            alert="ActionLatencyBudgetBurn",
            budget=0.01,
            harm="Players wait for their actions",
            bad=f"of the actions of type {quick} took longer than they may",
            may="1 %",
            panel=1002,
            series=lambda spells: _durations(game, quick, seconds, spells),
            labels={"action_type": quick},
        ),
        Objective(
            key="connection",
            alert="ConnectionBudgetBurn",
            budget=0.01,
            harm="Players are thrown out",
            bad="of the connections that ended did so abnormally",
            may="1 %",
            panel=1003,
            series=lambda spells: _closes(game, spells),
            labels={},
        ),
        Objective(
            key="completion",
            alert="GameCompletionBudgetBurn",
            budget=0.1,
            harm="Games are not played to their end",
            bad="of the games that ended were abandoned",
            may="10 %",
            panel=1004,
            series=lambda spells: {
                game.own("games_completed_total"): _counted(spells, 0, 1),
                game.own("games_abandoned_total"): _counted(spells, 1, 0),
            },
            labels={},
        ),
    )


def _counted(spells: Spells, bad: float, good: float) -> str:
    """A counter of some of the bad events and some of the good ones."""
    return counter(*((minutes, events * (share * bad + (1 - share) * good)) for minutes, events, share in spells))


def _actions(game: Game, spells: Spells) -> dict[str, str]:
    """Failed and cancelled ones are bad; what the rules of the game reject is not."""
    shares = {"failed": (0.5, 0), "cancelled": (0.5, 0), "rejected": (0, 0.25), "accepted": (0, 0.75)}
    return {
        game.own("actions_total", action_type=game.quick[0], actor="human", outcome=outcome): _counted(spells, *parts)
        for outcome, parts in shares.items()
    }


def _durations(game: Game, action: str, seconds: float, spells: Spells, suffix: str = "") -> dict[str, str]:
    """A histogram in which good actions take just as long as they may, and bad ones twice that.

    :param suffix: of whole bounds, which are ``15`` by OTLP and ``15.0`` where they are scraped
    """
    limit, found = game.bound(seconds), {}
    for bound in game.buckets:
        le = f"{bound:g}{suffix if bound == int(bound) else ''}"
        held = (0, 0) if bound < limit else (0, 1) if bound < 2 * limit else (1, 1)
        found[_duration(game, "bucket", action, le=le)] = _counted(spells, *held)
    found[_duration(game, "bucket", action, le="+Inf")] = _counted(spells, 1, 1)
    found[_duration(game, "count", action)] = _counted(spells, 1, 1)
    return found


def _duration(game: Game, part: str, action: str, **labels: str) -> str:
    return game.own(f"action_duration_seconds_{part}", action_type=action, outcome="accepted", **labels)


def _closes(game: Game, spells: Spells) -> dict[str, str]:
    """RFC 6455 and the registry of IANA: six codes say that something went wrong."""
    wrong = ("1002", "1006", "1011", "1012", "1013", "1014")
    found = {code: _counted(spells, 1 / len(wrong), 0) for code in wrong}
    found |= {"1000": _counted(spells, 0, 0.5), "1001": _counted(spells, 0, 0.5)}
    return {game.own("websocket_closes_total", code=code): values for code, values in found.items()}


def _latency(game: Game) -> tuple[Case, ...]:
    """Each kind of action has its own time."""
    latency = _objectives(game)[1]
    steady: Spells = ((200, SOME, 0.5),)
    if game.patient is None:
        return ()
    patient, seconds = game.patient
    well = _durations(game, patient, seconds, ((200, SOME, 0),))
    critical = (_firing(game, latency, HOUR, 0.5), _firing(game, latency, SIX_HOURS, 0.5))
    return (
        Case(
            latency.alert,
            Kind.MORE,
            "an action that may take long is not late where another one is",
            {**latency.series(steady), **well},
            {"20m": critical},
        ),
        Case(
            latency.alert,
            Kind.MORE,
            "an action that may take long does so, with bounds as they are scraped",
            _durations(game, patient, seconds, ((200, SOME, 0),), suffix=".0"),
            {"20m": (), "199m": ()},
        ),
    )


def _spikes(game: Game) -> tuple[Case, ...]:
    success = _objectives(game)[0]
    day, night = (960, SOME, 0.0), (480, 0.2, 1.0)
    return (
        Case(
            success.alert,
            Kind.MORE,
            "a minute in which half of all failed is over before it matters",
            success.series(((120, SOME, 0), (1, SOME, 0.5), (119, SOME, 0))),
            {f"{minute}m": () for minute in (120, 121, 123, 125, 130, 180, 239)},
        ),
        Case(
            success.alert,
            Kind.MORE,
            "quiet nights in which all failed, among full days in which nothing did",
            success.series((day, night, day, night, day, night)),
            {f"{hours}h": () for hours in (16, 20, 24, 48, 71, 72)},
            every="30m",
        ),
    )


def _recordings(game: Game) -> tuple[Case, ...]:
    """What dashboards draw."""
    success, latency, connection, completion = _objectives(game)

    def recorded(at: str, record: str, slo: str, value: float, job: str = f'job="{JOB}", ') -> Sample:
        return Sample(at, f'{record}{{slo="{slo}"}}', f'{{{job}slo="{slo}"}}', value)

    constants = [
        recorded("130m", f"slo:{what}:ratio", objective.key, value, "")
        for objective in (success, latency, connection, completion)
        for what, value in (("objective", 1 - objective.budget), ("error_budget", objective.budget))
    ]
    # In the 62nd minute two steps of four are of the first hour, stretched to five minutes.
    mixed = (2 * MANY + 2 * SOME) * 1.25 / 300
    return (
        *(
            Case(
                objective.alert,
                Kind.MORE,
                "events and bad ones a second, of five minutes",
                objective.series(((60, MANY, 0.01), (10, SOME, 0.01))),
                {},
                (
                    Sample("62m", f'sum(slo:events:rate5m{{slo="{objective.key}"}})', "{}", mixed),
                    Sample("62m", f'sum(slo:errors:rate5m{{slo="{objective.key}"}})', "{}", 0.01 * mixed),
                ),
            )
            for objective in (success, latency, connection, completion)
        ),
        Case(
            success.alert,
            Kind.MORE,
            "objectives, budgets, and how fast one burns",
            success.series(((60, MANY, 0), (140, SOME, 0.0005))),
            {"130m": ()},
            (*constants, recorded("130m", "slo:current_burn_rate:ratio", success.key, 0.5)),
        ),
        Case(
            success.alert,
            Kind.MORE,
            "of a month's budget half is left where ten days burnt it 1.5 times too fast",
            success.series(((14_400, SOME, 0.0015), (28_800, SOME, 0))),
            {},
            (recorded("30d", "slo:period_error_budget_remaining:ratio", success.key, 0.5),),
            every="6h",
        ),
    )
