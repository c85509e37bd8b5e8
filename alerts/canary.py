"""What a canary tells: a player outside the servers, who knows whether games can be played when they say nothing.

Its metrics are declared here, because alerts are made of them; [examples/canary](../examples/canary) plays.
"""

from __future__ import annotations

from collections.abc import Iterator

from alerts.parts import Alert, Group, Severity, Team
from alerts.query import HOUR, MINUTE, Query
from alerts.text import affected
from otel_setup.catalogue import Attribute, Kind, M, Metric, build
from otel_setup.catalogue.dashboards import Panels
from otel_setup.game_model import GameModel

MODEL = GameModel(
    name="canary",
    title="Canary",
    phases=("playing", "over"),
    initial="playing",
    terminal=frozenset({"over"}),
    transitions=frozenset({("playing", "over")}),
    action_types=("play",),
)
OK, REFUSED, LOST, TIMEOUT = "ok", "refused", "lost", "timeout"
OUTCOME = Attribute(
    name="outcome",
    values=(OK, REFUSED, LOST, TIMEOUT),
    description="Whether it could play; or the server did not take it, ended the connection, did not answer in time.",
)
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

ATTEMPTS = Metric(
    name="attempts",
    kind=Kind.COUNTER,
    unit="{attempt}",
    description="Times that the canary came to play.",
    moves="Anything but ok: players cannot play either.",
    attributes=(OUTCOME,),
)
CONNECT = Metric(
    name="connect.duration",
    kind=Kind.HISTOGRAM,
    unit="s",
    description="How long it took to be connected.",
    moves="Rising: players wait before they see anything.",
    buckets=_SECONDS,
)
ANSWER = Metric(
    name="answer.duration",
    kind=Kind.HISTOGRAM,
    unit="s",
    description="From an action of the canary until it saw that something had come of it.",
    moves="What a player feels: the server's own time, its queues and the network.",
    buckets=_SECONDS,
)
METRICS = (ATTEMPTS, CONNECT, ANSWER)
CATALOGUE = build(MODEL, extra=METRICS)


def rules(query: Query) -> Group:
    """Alerts on what a canary sees, and on what it sees that nobody else tells."""
    return Group("canary", tuple(_alerts(query, Query(CATALOGUE, query.settings))), Team.PLATFORM)


def _alerts(game: Query, canary: Query) -> Iterator[Alert]:
    played = canary.increase(ATTEMPTS, 10 * MINUTE, {OUTCOME: OK}, by=())
    failed = canary.increase(ATTEMPTS, 10 * MINUTE, {OUTCOME: (REFUSED, LOST, TIMEOUT)}, by=())
    started = game.increase(M.GAMES_STARTED, 10 * MINUTE, by=())
    yield Alert(
        name="TelemetrySilent",
        expr=f"{played} > 0\nunless {started} > 0",
        severity=Severity.CRITICAL,
        hold_seconds=5 * MINUTE,
        summary="Games are being played, and the servers' telemetry does not show them.",
        description='The canary played {{ $value | printf "%.0f" }} times within ten minutes, and no server told of a '
        f"game that began. Nothing that dashboards and other alerts say can be relied on. {affected(game)}",
        panel=Panels.CANARY,
    )
    yield Alert(
        name="CanaryCannotPlay",
        expr=f"{failed} >= 2\nunless {played} > 0",
        severity=Severity.CRITICAL,
        hold_seconds=2 * MINUTE,
        summary="The canary cannot play, so players cannot either.",
        description='It tried in vain {{ $value | printf "%.0f" }} times within ten minutes. ' + affected(game),
        panel=Panels.CANARY,
    )
    attempts = canary.select(ATTEMPTS)
    yield Alert(
        name="CanarySilent",
        expr=f"count(last_over_time({attempts}[{canary.window(HOUR)}]))\nunless count({attempts})",
        severity=Severity.WARNING,
        hold_seconds=5 * MINUTE,
        summary="The canary tells nothing any more: nobody would notice if the servers fell silent.",
        description="It was there within the last hour. Start it again.",
        panel=Panels.CANARY,
    )
