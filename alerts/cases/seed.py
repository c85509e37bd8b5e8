"""The alerts of the product's first document: the cases."""

from __future__ import annotations

from alerts.cases.case import INSTANCE, JOB, Case, Firing, Game, Kind, counter, gauge, series

LABELS = {"severity": "warning", "team": "game", "job": JOB}


def cases(game: Game) -> tuple[Case, ...]:
    """All cases of the group."""
    return (*_memory(game), *_errors(game), *_no_games(game), *_drops(game))


def _memory(game: Game) -> tuple[Case, ...]:
    alert, metric = "HighMemoryUsage", series("process_memory_usage_bytes")
    text = f"{JOB} on {INSTANCE} holds 1.5GiB."
    panel = "game-performance?viewPanel=1001"
    labels = LABELS | {"instance": INSTANCE}
    firing = (Firing(alert, labels, game.annotations(alert, "A server holds much memory.", text, panel)),)
    other = {series("process_memory_usage_bytes", instance="server-2"): gauge((60, 1_073_741_823))}
    return (
        Case(
            alert,
            Kind.FIRES,
            "1.5 GiB for ten minutes on one server of two",
            {metric: gauge((60, 1_610_612_736))} | other,
            {"9m": (), "10m": firing, "59m": firing},
        ),
        Case(alert, Kind.BELOW, "1 GiB", {metric: gauge((60, 1_073_741_824))}, {"10m": (), "59m": ()}),
        Case(
            alert,
            Kind.RESOLVES,
            "it is freed",
            {metric: gauge((20, 1_610_612_736), (20, 1_073_741_824))},
            {"19m": firing, "20m": ()},
        ),
        Case(alert, Kind.ABSENT, "a server that tells nothing", {}, {"1h": ()}),
    )


def _errors(game: Game) -> tuple[Case, ...]:
    alert = "HighErrorRate"
    errors, rejected = game.own("state_errors_total", state=game.initial), game.own("actions_total", outcome="rejected")
    failed, connected = game.own("actions_total", outcome="failed"), game.own("websocket_connections_active")

    def firing(rate: str) -> tuple[Firing, ...]:
        text = f"{JOB}: {rate} a second fail."
        panel = "game-overview?viewPanel=1002"
        return (Firing(alert, LABELS, game.annotations(alert, "Transitions and actions fail.", text, panel)),)

    elsewhere = {
        f'{game.prefix}_websocket_connections_active{{job="other", instance="{INSTANCE}"}}': gauge((60, 9)),
    }
    return (
        Case(
            alert,
            Kind.FIRES,
            "31 errors and 30 failed actions a minute, while one player is connected",
            {
                errors: counter((60, 31)),
                failed: counter((60, 30)),
                rejected: counter((60, 500)),
                connected: gauge((60, 1)),
            },
            {"9m": (), "10m": firing("1.02"), "59m": firing("1.02")},
        ),
        Case(
            alert,
            Kind.BELOW,
            "29 errors and 30 failed actions a minute; what the rules of the game reject does not count",
            {
                errors: counter((60, 29)),
                failed: counter((60, 30)),
                rejected: counter((60, 500)),
                connected: gauge((60, 1)),
            },
            {"10m": (), "59m": ()},
        ),
        Case(
            alert,
            Kind.MORE,
            "nobody is connected there",
            {errors: counter((60, 90)), failed: counter((60, 90)), connected: gauge((60, 0))} | elsewhere,
            {"10m": (), "59m": ()},
        ),
        Case(
            alert,
            Kind.RESOLVES,
            "five minutes are looked at: of three times too many, two minutes are left, and then one",
            {
                errors: counter((20, 60), (20, 0)),
                failed: counter((20, 60), (20, 0)),
                connected: gauge((41, 4)),
            },
            {"20m": firing("2.00"), "21m": firing("1.50"), "22m": ()},
        ),
        Case(
            alert,
            Kind.MORE,
            "errors alone",
            {errors: counter((20, 120), (20, 0)), failed: counter((40, 0)), connected: gauge((41, 4))},
            {"21m": firing("1.50"), "22m": ()},
        ),
        Case(
            alert,
            Kind.MORE,
            "failed actions alone",
            {errors: counter((40, 0)), failed: counter((20, 120), (20, 0)), connected: gauge((41, 4))},
            {"21m": firing("1.50"), "22m": ()},
        ),
        Case(alert, Kind.ABSENT, "a server that tells nothing", {}, {"1h": ()}),
    )


def _no_games(game: Game) -> tuple[Case, ...]:
    alert = "NoActiveGames"
    games, joined = game.own("games_active"), game.own("players_joined_total", actor="human")
    connected = game.own("websocket_connections_active")
    text = f"{JOB}: players are connected and have joined rooms, and no game is being played."
    summary, panel = "Players are there, and no game is being played.", "game-overview?viewPanel=1001"
    firing = (Firing(alert, LABELS, game.annotations(alert, summary, text, panel)),)
    return (
        Case(
            alert,
            Kind.FIRES,
            "one player is connected, some have joined, and no game goes on for a quarter of an hour",
            {games: gauge((60, 0)), joined: counter((60, 1)), connected: gauge((61, 1))},
            {"15m": (), "16m": firing, "59m": firing},
        ),
        Case(
            alert,
            Kind.BELOW,
            "one game goes on",
            {games: gauge((60, 1)), joined: counter((60, 1)), connected: gauge((61, 1))},
            {"16m": (), "59m": ()},
        ),
        Case(
            alert,
            Kind.MORE,
            "nobody is connected any more",
            {games: gauge((60, 0)), joined: counter((60, 1)), connected: gauge((61, 0))},
            {"16m": (), "59m": ()},
        ),
        Case(
            alert,
            Kind.RESOLVES,
            "a game begins",
            {games: gauge((40, 0), (20, 1)), joined: counter((60, 1)), connected: gauge((61, 1))},
            {"39m": firing, "40m": ()},
        ),
        Case(
            alert,
            Kind.MORE,
            "nobody has joined for half an hour",
            {games: gauge((90, 0)), joined: counter((20, 1), (60, 0)), connected: gauge((90, 1))},
            {"48m": firing, "49m": ()},
        ),
        Case(alert, Kind.ABSENT, "a server that tells nothing", {}, {"1h": ()}),
    )


def _drops(game: Game) -> tuple[Case, ...]:
    alert = "ConnectionDrops"
    lost, connected = game.own("players_disconnected_total"), game.own("websocket_connections_active")

    def firing(players: int) -> tuple[Firing, ...]:
        text = (
            f"{JOB}: {players} players lost their connection within ten minutes, more than 10% of those who were there."
        )
        summary, panel = "Players lose their connections during games.", "game-connections?viewPanel=1001"
        return (Firing(alert, LABELS, game.annotations(alert, summary, text, panel)),)

    return (
        Case(
            alert,
            Kind.FIRES,
            "ten are gone within ten minutes, and 89 are left",
            {lost: counter((60, 1)), connected: gauge((61, 89))},
            {"11m": (), "12m": firing(10), "59m": firing(10)},
        ),
        Case(
            alert,
            Kind.BELOW,
            "ten are gone within ten minutes, and 91 are left",
            {lost: counter((60, 1)), connected: gauge((61, 91))},
            {"12m": (), "59m": ()},
        ),
        Case(
            alert,
            Kind.MORE,
            "five are gone, of six",
            {lost: counter((60, 0.5)), connected: gauge((61, 1))},
            {"12m": (), "59m": ()},
        ),
        Case(
            alert,
            Kind.RESOLVES,
            "ten minutes are looked at: of two lost in each, three are left",
            {lost: counter((30, 2), (30, 0)), connected: gauge((61, 20))},
            {"30m": firing(20), "36m": firing(7), "37m": ()},
        ),
        Case(alert, Kind.ABSENT, "a server that tells nothing", {}, {"1h": ()}),
    )
