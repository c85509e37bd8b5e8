"""Games that go wrong: the cases."""

from __future__ import annotations

from alerts.cases.case import JOB, Case, Firing, Game, Kind, Sample, counter, gauge

LABELS = {"severity": "warning", "team": "game", "job": JOB}


def cases(game: Game) -> tuple[Case, ...]:
    """All cases of the group."""
    return (
        *_stuck(game),
        *_rooms(game),
        *_reconnects(game),
        *_abandoned(game),
        *_illegal(game),
        *_bots(game),
    )


def _stuck(game: Game) -> tuple[Case, ...]:
    alert = "PhaseStuck"
    phase, other = game.later

    def left(phase: str, *spells: tuple[int, float], seconds: float) -> dict[str, str]:
        """For so many minutes so many games leave a phase in each, after so many seconds."""
        name = "phase_duration_seconds"
        return {
            game.own(f"{name}_count", phase=phase): counter(*spells),
            game.own(f"{name}_sum", phase=phase): counter(*((minutes, many * seconds) for minutes, many in spells)),
        }

    def inside(phase: str, *spells: tuple[int, float]) -> dict[str, str]:
        return {game.own("state_active_games", state=phase): gauge(*spells)}

    def firing(times: int) -> tuple[Firing, ...]:
        text = (
            f"{JOB}: games stay in {phase} {times} times as long as in the last week. "
            "The hub's view of the state machine names them."
        )
        summary, panel = "Games stay in a phase far longer than usual.", "game-match-health?viewPanel=1001"
        return (Firing(alert, LABELS | {"state": phase}, game.annotations(alert, summary, text, panel)),)

    well = left(other, (300, 2), seconds=30) | inside(other, (300, 1))
    of = f'{{job="{JOB}", state="{phase}"}}'
    return (
        Case(
            alert,
            Kind.FIRES,
            "games leave after a minute; since the 120th none does, and half an hour later nearly none has",
            left(phase, (120, 1), (120, 0), seconds=60) | inside(phase, (240, 1)) | well,
            {"154m": (), "155m": firing(30), "200m": firing(30)},
            (
                # Of five samples in five minutes three are from before: two steps of one, stretched to five minutes.
                Sample("122m", f"job_state:phases_left:rate5m{of}", of, 2.5 / 300),
                Sample("122m", f"job_state:phase_seconds:rate5m{of}", of, 150 / 300),
            ),
        ),
        Case(
            alert,
            Kind.BELOW,
            "usually they leave after 181 seconds, and half an hour is not ten times that",
            left(phase, (120, 1), (120, 0), seconds=181) | inside(phase, (240, 1)) | well,
            {"155m": (), "200m": ()},
        ),
        Case(
            alert,
            Kind.RESOLVES,
            "half an hour is looked at: the stuck game is gone since the 180th minute, and was there for ten of thirty",
            left(phase, (120, 1), (120, 0), seconds=60) | inside(phase, (180, 1), (60, 0)),
            {"179m": firing(30), "198m": firing(11), "199m": ()},
        ),
        Case(
            alert,
            Kind.MORE,
            "what is usual is the mean of a week: half of them took one minute and half two",
            {
                game.own("phase_duration_seconds_count", phase=phase): counter((10_080, 1)),
                game.own("phase_duration_seconds_sum", phase=phase): counter((5_040, 60), (5_040, 120)),
            },
            {"7d": ()},
            (Sample("7d", "job_state:phase_duration_seconds:mean7d", of, 90),),
            every="30m",
        ),
        Case(
            alert,
            Kind.ABSENT,
            "a phase that nobody has left has nothing usual",
            inside(phase, (240, 1)),
            {"200m": ()},
        ),
    )


def _rooms(game: Game) -> tuple[Case, ...]:
    alert = "RoomsDoNotStart"
    rooms, played = game.own("rooms_active", state=game.initial), game.own("rooms_active", state=game.later[0])
    started, joined = game.own("games_started_total"), game.own("players_joined_total", actor="human")
    text = f"{JOB}: 3 rooms wait, and no game has started for 15 minutes."
    summary, panel = "Rooms wait, players join them, and no game starts.", "game-lobby?viewPanel=1001"
    firing = (Firing(alert, LABELS, game.annotations(alert, summary, text, panel)),)
    return (
        Case(
            alert,
            Kind.FIRES,
            "the last game started in the 20th minute: a quarter of an hour without, and ten minutes more",
            {
                rooms: gauge((121, 3)),
                played: gauge((121, 9)),
                started: counter((20, 1), (100, 0)),
                joined: counter((120, 1)),
            },
            {"43m": (), "44m": firing, "119m": firing},
        ),
        Case(
            alert,
            Kind.BELOW,
            "two rooms wait",
            {rooms: gauge((121, 2)), played: gauge((121, 9)), started: counter((120, 0)), joined: counter((120, 1))},
            {"44m": (), "119m": ()},
        ),
        Case(
            alert,
            Kind.MORE,
            "every tenth minute a game starts",
            {
                rooms: gauge((121, 3)),
                started: counter(*((9, 0), (1, 1)) * 12),
                joined: counter((120, 1)),
            },
            {"44m": (), "119m": ()},
        ),
        Case(
            alert,
            Kind.RESOLVES,
            "a game starts",
            {rooms: gauge((121, 3)), started: counter((60, 0), (60, 1)), joined: counter((120, 1))},
            {"60m": firing, "61m": ()},
        ),
        Case(
            alert,
            Kind.MORE,
            "a quarter of an hour after the last one joined nobody is waiting",
            {rooms: gauge((121, 3)), started: counter((120, 0)), joined: counter((60, 1), (60, 0))},
            {"73m": firing, "74m": ()},
        ),
        Case(alert, Kind.ABSENT, "a server that tells nothing", {}, {"1h": ()}),
    )


def _reconnects(game: Game) -> tuple[Case, ...]:
    alert = "ReconnectStorm"
    back, connected = game.own("players_reconnected_total"), game.own("websocket_connections_active")

    def firing(players: int) -> tuple[Firing, ...]:
        text = f"{JOB}: {players} players came back within five minutes."
        summary, panel = "Many players come back at once.", "game-connections?viewPanel=1002"
        return (Firing(alert, LABELS, game.annotations(alert, summary, text, panel)),)

    return (
        Case(
            alert,
            Kind.FIRES,
            "25 came back within five minutes, of 40",
            {back: counter((60, 5)), connected: gauge((61, 40))},
            {"5m": (), "6m": firing(25), "59m": firing(25)},
        ),
        Case(
            alert,
            Kind.MORE,
            "it is so for a minute, not for half of one",
            {back: counter((60, 5)), connected: gauge((61, 40))},
            {"5m": (), "5m30s": firing(25)},
            every="30s",
        ),
        Case(
            alert,
            Kind.BELOW,
            "25 came back within five minutes, of 50",
            {back: counter((60, 5)), connected: gauge((61, 50))},
            {"6m": (), "59m": ()},
        ),
        Case(
            alert,
            Kind.MORE,
            "20 came back within five minutes, of 25",
            {back: counter((60, 4)), connected: gauge((61, 25))},
            {"6m": (), "59m": ()},
        ),
        Case(
            alert,
            Kind.MORE,
            "all came back, and one is left",
            {back: counter((60, 5)), connected: gauge((61, 1))},
            {"5m": (), "6m": firing(25)},
        ),
        Case(
            alert,
            Kind.MORE,
            "all came back, and are gone again",
            {back: counter((60, 5)), connected: gauge((61, 0))},
            {"6m": (), "59m": ()},
        ),
        Case(
            alert,
            Kind.RESOLVES,
            "since the 20th minute none comes; it goes on for five minutes after it is over",
            {back: counter((20, 5), (20, 0)), connected: gauge((41, 40))},
            {"20m": firing(25), "25m": firing(25), "26m": ()},
        ),
        Case(
            alert,
            Kind.MORE,
            "five minutes count, not two: three of five are enough where many come",
            {back: counter((20, 10), (20, 0)), connected: gauge((41, 40))},
            {"22m": firing(25), "27m": firing(25), "28m": ()},
        ),
        Case(alert, Kind.ABSENT, "a server that tells nothing", {}, {"1h": ()}),
    )


def _abandoned(game: Game) -> tuple[Case, ...]:
    alert = "GamesAbandoned"
    abandoned, completed = game.own("games_abandoned_total"), game.own("games_completed_total")

    def firing(share: str) -> tuple[Firing, ...]:
        text = f"{JOB}: {share} of the games of the last hour were abandoned."
        summary, panel = "Many games end undecided.", "game-match-health?viewPanel=1002"
        return (Firing(alert, LABELS, game.annotations(alert, summary, text, panel)),)

    return (
        Case(
            alert,
            Kind.FIRES,
            "every third, since there were more than ten",
            {abandoned: counter((120, 1)), completed: counter((120, 2))},
            {"13m": (), "14m": firing("33.33%"), "70m": firing("33.33%"), "119m": firing("33.33%")},
        ),
        Case(
            alert,
            Kind.BELOW,
            "29 of 100",
            {abandoned: counter((120, 29)), completed: counter((120, 71))},
            {"14m": (), "119m": ()},
        ),
        Case(
            alert,
            Kind.MORE,
            "all nine of an hour: too few to say anything",
            {abandoned: counter((60, 0), (1, 9), (59, 0)), completed: counter((120, 0))},
            {"70m": (), "119m": ()},
        ),
        Case(
            alert,
            Kind.MORE,
            "all eleven of an hour",
            {abandoned: counter((60, 0), (1, 11), (59, 0)), completed: counter((120, 0))},
            {"70m": (), "71m": firing("100%"), "119m": firing("100%")},
        ),
        Case(
            alert,
            Kind.RESOLVES,
            "an hour is looked at: after 56 minutes without any there are too few",
            {abandoned: counter((60, 1), (70, 0)), completed: counter((60, 2), (70, 0))},
            {"60m": firing("33.33%"), "115m": firing("33.33%"), "116m": ()},
        ),
        Case(alert, Kind.ABSENT, "a server that tells nothing", {}, {"1h": ()}),
    )


def _illegal(game: Game) -> tuple[Case, ...]:
    alert = "IllegalTransitions"
    entered, left = game.initial, game.later[1]
    tried, never = (
        game.own("state_illegal_transitions_total", from_=left, to=entered),
        game.own("state_illegal_transitions_total", from_=entered, to=entered),
    )

    def firing(times: int) -> tuple[Firing, ...]:
        text = f"{JOB}: from {left} to {entered}, {times} times or so within ten minutes. Their traces are all kept."
        summary, panel = "A game was to enter a phase that its rules forbid.", "game-state-machine?viewPanel=1001"
        labels = LABELS | {"from": left, "to": entered}
        return (Firing(alert, labels, game.annotations(alert, summary, text, panel)),)

    return (
        Case(
            alert,
            Kind.FIRES,
            "at the first one, at once",
            {tried: counter((5, 0), (1, 1), (54, 0)), never: counter((60, 0))},
            {"5m": (), "6m": firing(1), "14m": firing(1)},
        ),
        Case(alert, Kind.BELOW, "there have been none", {tried: counter((60, 0))}, {"0m": (), "59m": ()}),
        Case(
            alert,
            Kind.RESOLVES,
            "ten minutes are looked at, and it goes on for five more",
            {tried: counter((5, 0), (1, 1), (54, 0))},
            {"19m": firing(1), "20m": ()},
        ),
        Case(alert, Kind.ABSENT, "a server that tells nothing", {}, {"1h": ()}),
    )


def _bots(game: Game) -> tuple[Case, ...]:
    alert = "BotsOnly"
    bots, people = game.own("seats_total", type="bot"), game.own("seats_total", type="human")

    def firing(share: str) -> tuple[Firing, ...]:
        text = f"{JOB}: bots had {share} of the seats in games of the last hour."
        summary, panel = "Nearly all seats are bots'.", "game-lobby?viewPanel=1002"
        return (Firing(alert, LABELS, game.annotations(alert, summary, text, panel)),)

    return (
        Case(
            alert,
            Kind.FIRES,
            "91 seats of 100",
            {bots: counter((120, 91)), people: counter((120, 9))},
            {"10m": (), "11m": firing("91%"), "70m": firing("91%"), "119m": firing("91%")},
        ),
        Case(
            alert,
            Kind.BELOW,
            "89 seats of 100",
            {bots: counter((120, 89)), people: counter((120, 11))},
            {"11m": (), "119m": ()},
        ),
        Case(
            alert,
            Kind.MORE,
            "all nineteen seats of an hour: too few to say anything",
            {bots: counter((60, 0), (1, 19), (59, 0)), people: counter((120, 0))},
            {"71m": (), "119m": ()},
        ),
        Case(
            alert,
            Kind.MORE,
            "all 22 seats of an hour",
            {bots: counter((60, 0), (1, 22), (59, 0)), people: counter((120, 0))},
            {"70m": (), "71m": firing("100%"), "119m": firing("100%")},
        ),
        Case(
            alert,
            Kind.RESOLVES,
            "an hour is looked at: of one seat a minute, twenty are left",
            {bots: counter((60, 1), (70, 0)), people: counter((130, 0))},
            {"60m": firing("100%"), "99m": firing("100%"), "100m": ()},
        ),
        Case(alert, Kind.ABSENT, "a server that tells nothing", {}, {"1h": ()}),
    )
