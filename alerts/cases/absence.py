"""Silence: the cases."""

from __future__ import annotations

from collections.abc import Mapping

from alerts.cases.case import INSTANCE, JOB, NOTHING_KNOWN, Case, Firing, Game, Kind, counter, gauge

HOUR = 60
COLLECTOR = 'up{job="otelcol", instance="collector:8888"}'
HUB = 'up{job="hub", instance="hub:8080"}'
BOTH_UP = {COLLECTOR: gauge((HOUR, 1)), HUB: gauge((HOUR, 1))}


def cases(game: Game) -> tuple[Case, ...]:
    """All cases of the group."""
    return (*_watchdog(game), *_collector(game), *_hub(game), *_silent(game), *_stalled(game))


def _always(game: Game) -> Firing:
    text = "This alert is always on. Whoever gets it raises an alarm where it stops coming."
    annotations = game.annotations("Watchdog", "Alerts arrive.", text, "game-incident?viewPanel=1005")
    return Firing("Watchdog", {"severity": "none", "team": "platform"}, annotations)


def _case(
    game: Game,
    alert: str,
    kind: Kind,
    name: str,
    series: Mapping[str, str],
    checks: Mapping[str, tuple[Firing, ...]],
    every: str = "1m",
) -> Case:
    """A case beside which the watchdog is always on."""
    beside = {at: (_always(game), *firing) for at, firing in checks.items()}
    return Case(alert, kind, name, series, beside, every=every)


def _watchdog(game: Game) -> tuple[Case, ...]:
    return (
        _case(game, "Watchdog", Kind.FIRES, "at once, and for ever", BOTH_UP, {"0m": (), "59m": ()}),
        _case(game, "Watchdog", Kind.ABSENT, "with no series at all", {}, {"0m": (), "1m": ()}),
    )


def _down(game: Game, alert: str, labels: Mapping[str, str], now: str = NOTHING_KNOWN) -> Firing:
    summary, panel = {
        "CollectorDown": ("The Collector does not answer, and nothing is seen of the games any more.", 1007),
        "HubDown": ("The hub does not answer, and events wait at the Collector.", 1006),
    }[alert]
    text = f"It has not been reached for two minutes. {now}"
    annotations = game.annotations(alert, summary, text, f"game-telemetry-pipeline?viewPanel={panel}")
    return Firing(alert, {"severity": "critical", "team": "platform", **labels}, annotations)


def _collector(game: Game) -> tuple[Case, ...]:
    alert = "CollectorDown"
    down = _down(game, alert, {"job": "otelcol", "instance": "collector:8888"})
    hub_up = {HUB: gauge((HOUR, 1))}
    played = {
        game.own("games_active"): gauge((HOUR, 3)),
        game.own("games_active", instance="server-2"): gauge((HOUR, 4)),
        game.own("websocket_connections_active"): gauge((HOUR, 28)),
        # Three servers: one was started within the last half hour of the sixth minute, by a second.
        'process_uptime_seconds{instance="server-1"}': "1499+60x60",
        'process_uptime_seconds{instance="server-2"}': "1500+60x60",
        'process_uptime_seconds{instance="server-3"}': "90000+60x60",
    }
    tells = _down(
        game,
        alert,
        {"job": "otelcol", "instance": "collector:8888"},
        "Now: 7 games, 28 connections; 1 servers started within the last 30 minutes.",
    )
    return (
        _case(
            game,
            alert,
            Kind.FIRES,
            "two minutes after it was last reached",
            {COLLECTOR: gauge((10, 1), (50, 0)), **hub_up},
            {"11m": (), "12m": (down,), "59m": (down,)},
        ),
        _case(
            game,
            alert,
            Kind.MORE,
            "the message counts games, connections and servers started within half an hour",
            {COLLECTOR: gauge((3, 1), (57, 0)), **hub_up, **played},
            {"5m": (tells,)},
        ),
        _case(
            game,
            alert,
            Kind.BELOW,
            "it is up, and something else is not",
            {**BOTH_UP, 'up{job="other", instance="other:1"}': gauge((HOUR, 0))},
            {"3m": (), "59m": ()},
        ),
        _case(
            game,
            alert,
            Kind.RESOLVES,
            "it answers again",
            {COLLECTOR: gauge((10, 0), (20, 1)), **hub_up},
            {"9m": (down,), "10m": ()},
        ),
        _case(
            game,
            alert,
            Kind.ABSENT,
            "nothing is known of it, though of the hub",
            hub_up,
            {"1m": (), "2m": (_down(game, alert, {"job": "otelcol"}),)},
        ),
    )


def _hub(game: Game) -> tuple[Case, ...]:
    alert = "HubDown"
    down = _down(game, alert, {"job": "hub", "instance": "hub:8080"})
    collector_up = {COLLECTOR: gauge((HOUR, 1))}
    return (
        _case(
            game,
            alert,
            Kind.FIRES,
            "two minutes after it was last reached",
            {HUB: gauge((10, 1), (50, 0)), **collector_up},
            {"11m": (), "12m": (down,), "59m": (down,)},
        ),
        _case(
            game,
            alert,
            Kind.BELOW,
            "it is up, and something else is not",
            {**BOTH_UP, 'up{job="other", instance="other:1"}': gauge((HOUR, 0))},
            {"3m": (), "59m": ()},
        ),
        _case(
            game,
            alert,
            Kind.RESOLVES,
            "it answers again",
            {HUB: gauge((10, 0), (20, 1)), **collector_up},
            {"9m": (down,), "10m": ()},
        ),
        _case(
            game,
            alert,
            Kind.ABSENT,
            "nothing is known of it, though of the Collector",
            collector_up,
            {"1m": (), "2m": (_down(game, alert, {"job": "hub"}),)},
        ),
    )


def _silent(game: Game) -> tuple[Case, ...]:
    alert = "GameServersSilent"
    games, second = game.own("games_active"), game.own("games_active", instance="server-2")

    def firing(number: int) -> Firing:
        text = (
            f"{JOB}: {number} games were being played when the last of its servers was heard of, "
            f"and none has told anything since. {NOTHING_KNOWN}"
        )
        summary = "Servers on which games were being played tell nothing any more."
        labels = {"severity": "critical", "team": "platform", "job": JOB}
        return Firing(alert, labels, game.annotations(alert, summary, text, "game-overview?viewPanel=1003"))

    return (
        _case(
            game,
            alert,
            Kind.FIRES,
            "both servers end in the tenth minute; five minutes long their last values count as present",
            BOTH_UP | {games: gauge((11, 3)), second: gauge((11, 1))},
            {"10m": (), "15m": (), "16m": (firing(4),)},
        ),
        _case(
            game,
            alert,
            Kind.MORE,
            "one game is enough, and a series that ends by itself ends at once",
            BOTH_UP | {games: f"{gauge((11, 1))} stale"},
            {"11m": (), "12m": (firing(1),)},
        ),
        _case(
            game,
            alert,
            Kind.MORE,
            "it is so for a minute, not for half of one",
            BOTH_UP | {games: f"{gauge((11, 1))} stale"},
            {"11m30s": (), "12m": (firing(1),)},
            every="30s",
        ),
        _case(
            game,
            alert,
            Kind.BELOW,
            "no game was being played on those that ended",
            BOTH_UP | {games: gauge((11, 0)), second: gauge((11, 0))},
            {"16m": (), "20m": ()},
        ),
        _case(
            game,
            alert,
            Kind.MORE,
            "one server of two is still there",
            BOTH_UP | {games: gauge((11, 3)), second: gauge((HOUR, 1))},
            {"16m": (), "20m": ()},
        ),
        _case(
            game,
            alert,
            Kind.RESOLVES,
            "a server tells something again",
            BOTH_UP | {games: gauge((11, 3), (10, None), (10, 0))},
            {"20m": (firing(3),), "21m": ()},
        ),
        _case(
            game,
            alert,
            Kind.MORE,
            "a quarter of an hour after the last word it is not known any more",
            BOTH_UP | {games: gauge((11, 3))},
            {"24m": (firing(3),), "25m": ()},
        ),
        _case(game, alert, Kind.ABSENT, "there never was a server", BOTH_UP, {"59m": ()}),
    )


def _stalled(game: Game) -> tuple[Case, ...]:
    alert = "GameServerStalled"
    probed, connected = (
        f'asyncio_event_loop_lag_seconds_count{{job="{JOB}", instance="{INSTANCE}"}}',
        game.own("websocket_connections_active"),
    )
    well = {
        f'asyncio_event_loop_lag_seconds_count{{job="{JOB}", instance="server-2"}}': counter((HOUR, 600)),
        game.own("websocket_connections_active", instance="server-2"): gauge((HOUR, 5)),
    }

    def firing(connections: int) -> Firing:
        text = (
            f"{JOB} on {INSTANCE} still sends metrics, from a thread of their own, but its event loop has not run for "
            f"minutes: its players see nothing move. Now: unknown games, {connections} connections; "
            "no servers started within the last 30 minutes."
        )
        labels = {"severity": "critical", "team": "platform", "job": JOB, "instance": INSTANCE}
        summary = "A server's event loop hangs while players are connected."
        annotations = game.annotations(alert, summary, text, "game-telemetry-pipeline?viewPanel=1008")
        return Firing(alert, labels, annotations)

    return (
        _case(
            game,
            alert,
            Kind.FIRES,
            "one server of two hangs since the tenth minute, with one player; five minutes are looked at",
            BOTH_UP | well | {probed: counter((10, 600), (50, 0)), connected: gauge((HOUR, 1))},
            {"14m": (), "15m": (firing(6),), "59m": (firing(6),)},
        ),
        _case(
            game,
            alert,
            Kind.MORE,
            "it is so for a minute, not for half of one",
            BOTH_UP | {probed: counter((10, 600), (50, 0)), connected: gauge((HOUR, 1))},
            {"14m30s": (), "15m": (firing(1),)},
            every="30s",
        ),
        _case(
            game,
            alert,
            Kind.BELOW,
            "the loop runs once in three minutes",
            BOTH_UP | {probed: "0 1 1 1 2 2 2 3 3 3 4 4 4 5 5 5 6 6 6", connected: gauge((HOUR, 1))},
            {"10m": (), "16m": ()},
        ),
        _case(
            game,
            alert,
            Kind.MORE,
            "nobody is connected",
            BOTH_UP | {probed: counter((10, 600), (50, 0)), connected: gauge((HOUR, 0))},
            {"15m": (), "59m": ()},
        ),
        _case(
            game,
            alert,
            Kind.RESOLVES,
            "it runs again",
            BOTH_UP | {probed: counter((10, 600), (20, 0), (20, 600)), connected: gauge((HOUR, 1))},
            {"30m": (firing(1),), "31m": ()},
        ),
        _case(game, alert, Kind.ABSENT, "a server that tells nothing", BOTH_UP, {"59m": ()}),
    )
