"""The role ``standalone`` before its real stores: they go away, it is killed, and all that it accepted is looked for.

Two loads at once: numbered items, each request of which is sent until it is accepted, and game servers, which write
down what they do. What is expected comes from the senders and from these records and, of exports, from the servers'
own account; what is observed is what the stores tell.
"""

from __future__ import annotations

import json
import math
import signal
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from http import HTTPStatus
from pathlib import Path

import pytest

from deploy import native
from deploy.collector.connectors import EVENTS_COUNTED
from deploy.collector.roles import standalone
from deploy.otlp_json import Item
from otel_setup.catalogue import EventType, M, build
from otel_setup.catalogue import attributes as a
from otel_setup.catalogue.spans import ACTION_SPAN, TRANSITION_SPAN
from otel_setup.events.record import SystemEvent
from settings import Settings, parse
from tests.drills.fleet_game import ACCOUNT, facts_of
from tests.drills.pipeline_ends import (
    EVENT,
    KINDS,
    MILLISECOND,
    SERVICE,
    Sender,
    load,
    out_of_order,
    post,
    prometheus_url,
    request,
    unexpected,
)
from tests.drills.proof import Finding, write_proof
from tests.drills.real_stores import KeptMetrics, Part, Stores
from tests.drills.test_hub import Account, facts_in, number_of
from tests.e2e.processes import PYTHON, process
from tests.e2e.support import retried
from tests.support.peers import free_settings, require

pytestmark = [pytest.mark.drill, pytest.mark.timeout(900)]

DECISION = 5
"""Seconds that a trace waits for its decision."""
TICK = 2.0
"""Seconds more that it may take: decisions are made once a second, and what is kept is gathered and written down."""
MADE = {
    # None of the traces is to be left out because there are so many.
    "traces": {"decision_seconds": DECISION, "budget_spans_per_second": 100_000},
    "metrics": {"export_interval_seconds": 1},
}
PACE = ("--tables=3", "--pause=0.5")
AWAY = 30.0
LOADED = 20.0
"""Seconds between kills: by then who sends has recovered from the last one, and what came of it is decided."""
GONE = 3.0
"""Seconds for which a killed Collector is away."""
FEW = 16
"""Items in the queue of a server that is to lose some of them in this time."""
WAIT = 120.0
"""Seconds that what waited may take to arrive: the pause between tries grows to thirty."""
CATALOGUE = build()
FAMILIES = {built.declared: built.prometheus for built in CATALOGUE.metrics}
COUNTERS = {
    EventType.GAME_STARTED: FAMILIES[M.GAMES_STARTED],
    EventType.GAME_ENDED: FAMILIES[M.GAMES_COMPLETED],
    EventType.ACTION_COMPLETED: FAMILIES[M.ACTIONS],
    EventType.TURN_COMPLETED: FAMILIES[M.TURNS],
    EventType.STATE_TRANSITION_COMPLETE: FAMILIES[M.STATE_TRANSITIONS],
}
"""What counts the facts of a record, as Prometheus calls it."""
EVENTS_TOTAL = f"{CATALOGUE.prefix}_{EVENTS_COUNTED}_total"
SPANS = {
    EventType.ACTION_COMPLETED: ACTION_SPAN.name.partition("{")[0],
    EventType.STATE_TRANSITION_COMPLETE: TRANSITION_SPAN.name.partition("{")[0],
}
"""The facts that have spans, and what the names of these begin with."""
Facts = Counter[tuple[str, str]]
"""How often something happened, by its name and game."""


# --- what runs --------------------------------------------------------------------------------------------------------
class GameServer:
    """A game server that plays until it is told to end.

    :param queue: events, and spans, that may wait in it; None for its default
    :ivar account: what it said of its exports in the end, by signal
    """

    def __init__(
        self, name: str, queue: int | None, folder: Path, collector: str, settings: Settings, stack: ExitStack
    ) -> None:
        self.name, self.queue = name, queue
        self.record = folder / f"{name}.record"
        self.account: dict[str, dict[str, int]] = {}
        command = (PYTHON, "-m", "tests.drills.fleet_game", "--collector", collector, "--record", str(self.record))
        bounds = () if queue is None else (f"--queue={queue}",)
        environment = settings.server_environment()
        self._process = stack.enter_context(
            process((*command, "--name", name, *PACE, *bounds), collector, **environment)
        )
        self._process.wait_until_it_says("playing")

    def end(self) -> None:
        """Have it play its games to their end, export all and end."""
        assert self._process.end(signal.SIGTERM, 90) == 0, "\n".join(self._process.said)
        self.account = json.loads(self._process.wait_until_it_says(f"{ACCOUNT} (.*)")[1])

    def accepted(self, of: str) -> int:
        return self.account[of]["accepted"]

    def lost(self, of: str) -> int:
        return self.account[of]["failed"] + self.account[of]["dropped"] + self.account[of]["waiting"]

    def spans(self, moments: Moments | None = None) -> Facts:
        """The facts of its record that have spans; with moments, those that were noted in them."""
        facts = facts_of(self.record) if moments is None else facts_of(self.record, moments.__contains__)
        return Facts({(fact, game): times for (fact, game), times in facts.items() if fact in SPANS})


class Moments:
    """The last seconds before each kill: what came then may still have waited for its decision."""

    seconds = DECISION + TICK

    def __init__(self, kills: Collection[float] = ()) -> None:
        self._kills = kills

    def __contains__(self, at: float) -> bool:
        return self.before_kill(at) <= self.seconds

    def before_kill(self, at: float) -> float:
        """Seconds from then to the next kill. An answer from before it may be noted a moment after it."""
        return min((max(0.0, kill - at) for kill in self._kills if kill + GONE / 2 >= at), default=math.inf)

    def __bool__(self) -> bool:
        return bool(self._kills)


class Deployment:
    """The role, its stores, and who sends to it."""

    def __init__(self, folder: Path, queues: Mapping[str, int | None], stack: ExitStack) -> None:
        require("otelcol")
        self.settings = free_settings(parse(MADE))
        self.stores = Stores(self.settings, folder, stack)
        start = partial(
            native.running_collector,
            self.settings,
            folder / "collector",
            prometheus_url(self.settings),
            role=standalone,
        )
        self.collector = Part(start, stack)
        to = self.collector.running.otlp_http
        self.servers = [GameServer(name, queue, folder, to, self.settings, stack) for name, queue in queues.items()]
        self.senders: dict[str, Sender] = {}

    @contextmanager
    def under_load(self) -> Iterator[None]:
        """At the end of the block servers have ended, senders have stopped, and each of their requests was accepted."""
        with load(self.settings.collector.otlp_http_port, pause=0.2) as self.senders:
            yield
            for server in self.servers:
                server.end()

    def findings(self, undecided: Moments) -> list[Finding]:
        """Everything that was sent against everything that arrived."""
        found = [finding for kind in KINDS for finding in numbers_of(kind, self.senders[kind], self.stores, undecided)]
        for server in self.servers:
            found += events_of(server, self.stores) + counts_of(server, self.stores, undecided)
            found += spans_of(server, self.stores, undecided)
        return found


# --- what was sent, and what arrived ----------------------------------------------------------------------------------
def numbers_of(kind: str, sender: Sender, stores: Stores, undecided: Moments) -> list[Finding]:
    """Of the numbered items."""
    accepted = sender.accepted.keys()
    open_yet = {number for number, at in sender.accepted.items() if kind == "traces" and at in undecided}
    wanted = accepted - open_yet
    came = Counter(retried(stores.of(kind).numbers, lambda found: wanted <= set(found), WAIT))
    found = [
        Finding(f"{kind}: accepted", None, f"{len(accepted)}"),
        Finding(f"{kind}: accepted and never arrived", "0", f"{len(wanted - came.keys())}"),
        Finding(f"{kind}: arrived and never accepted", "0", f"{len(came.keys() - accepted)}"),
        Finding(f"{kind}: kept twice", None, f"{came.total() - len(came)}"),
        Finding(f"{kind}: requests that were sent again", None, f"{sender.refused.total()}"),
    ]
    if kind == "events":
        in_loki = retried(partial(stores.logs.numbers, EVENT), lambda found: wanted <= set(found), WAIT)
        found.append(Finding("events: accepted and never in Loki", "0", f"{len(wanted - set(in_loki))}"))
    if kind == "traces" and undecided:
        gone = accepted - came.keys()
        longest = max((undecided.before_kill(sender.accepted[number]) for number in gone), default=0.0)
        found += [
            Finding(f"traces: accepted within {undecided.seconds:g} s before a kill", None, f"{len(open_yet)}"),
            Finding("traces: lost of these", None, f"{len(open_yet - came.keys())}"),
            Finding("traces: the longest that a lost one had waited, s", None, f"{longest:.1f}"),
            Finding("traces: lost + arrived", f"{len(accepted)}", f"{len(gone) + len(came)}"),
        ]
    return found


def events_of(server: GameServer, stores: Stores) -> list[Finding]:
    """Of a server's events: by its record, by its account, by their numbers, by the hub, by Loki."""
    name, accepted, lost = server.name, server.accepted("logs"), server.lost("logs")

    got = retried(stores.events.events, lambda events: len(set(account_of(name, events).delivered)) >= accepted, WAIT)
    lines = retried(
        partial(stores.logs.lines, f'{{service_name="{name}"}}'), lambda lines: len(lines) >= accepted, WAIT
    )
    of_hub, record, told = account_of(name, got), facts_of(server.record), facts_in(got, name)
    named = ((line.metadata["event_name"], line.metadata.get("game_id", "")) for line in lines)
    in_loki = Facts(fact for fact in named if fact[0] in COUNTERS)
    missing = (record - told).total()
    return [
        Finding(f"{name}: events emitted, by the number of the last", None, f"{of_hub.emitted}"),
        Finding(f"{name}: events accepted + lost, by its account", f"{of_hub.emitted}", f"{accepted + lost}"),
        Finding(f"{name}: events lost, by its account", None if server.queue else "0", f"{lost}"),
        Finding(f"{name}: events in the hub", f"{accepted}", f"{len(of_hub.delivered)}"),
        Finding(f"{name}: events missing, by the hub's gaps", f"{lost}", f"{of_hub.missing - of_hub.filled}"),
        Finding(f"{name}: events in Loki", f"{accepted}", f"{len(lines)}"),
        Finding(f"{name}: facts of its record", None, f"{record.total()}"),
        Finding(f"{name}: facts in the hub that its record does not have", "0", f"{(told - record).total()}"),
        Finding(f"{name}: facts missing, beyond the events it lost", "0", f"{max(0, missing - lost)}"),
        Finding(f"{name}: facts that Loki and the hub tell differently", "0", f"{differences(in_loki, told)}"),
        *([Finding(f"{name}: lost some of them", "True", f"{missing > 0}")] if server.queue else []),
    ]


def account_of(name: str, got: list[SystemEvent]) -> Account:
    """What the hub has of a server; what it says about one by itself is not the server's."""
    own = (event for event in got if event.metadata.get("service") == name and event.event_type in COUNTERS)
    return Account.of(number_of(next(own))[0], got)


def counts_of(server: GameServer, stores: Stores, kills: Moments) -> list[Finding]:
    """Of a server's counters, which also know what its events do not tell any more; and of the count of its events."""
    record, expected = facts_of(server.record), {}
    for fact, family in COUNTERS.items():
        expected[family] = sum(times for (name, _), times in record.items() if name == fact)
    if not kills:  # with each start of the Collector it begins anew
        expected[EVENTS_TOTAL] = server.accepted("logs")
    totals = {
        family: retried(partial(stores.metrics.total, family, server.name), total.__eq__, WAIT)
        for family, total in expected.items()
    }
    return [Finding(f"{server.name}: {family}", f"{total}", f"{totals[family]}") for family, total in expected.items()]


def spans_of(server: GameServer, stores: Stores, undecided: Moments) -> list[Finding]:
    """Of a server's spans: by its record, by its account, by Jaeger."""
    name, accepted, lost = server.name, server.accepted("traces"), server.lost("traces")
    record, open_yet = server.spans(), server.spans(undecided)

    def missing(items: list[Item]) -> int:
        """What is neither in Jaeger nor may have been undecided."""
        return (record - open_yet - facts_told_by(items)).total()

    items = retried(partial(stores.traces.spans, name), lambda items: missing(items) <= lost, WAIT)
    gone = accepted - len(items)
    found = [
        Finding(f"{name}: spans, by its record", None, f"{record.total()}"),
        Finding(f"{name}: spans accepted + lost, by its account", f"{record.total()}", f"{accepted + lost}"),
        Finding(f"{name}: spans lost, by its account", None if server.queue else "0", f"{lost}"),
        Finding(f"{name}: spans in Jaeger that its record does not have", "0", f"{len(facts_told_by(items) - record)}"),
        Finding(f"{name}: spans accepted that are not in Jaeger", None if undecided else "0", f"{gone}"),
    ]
    if undecided:
        within, beyond = open_yet.total(), max(0, missing(items) - lost)
        found += [
            Finding(f"{name}: spans within {undecided.seconds:g} s before a kill", None, f"{within}"),
            Finding(f"{name}: spans lost of those before, beyond what its account says", "0", f"{beyond}"),
            Finding(f"{name}: more are lost than were undecided", "False", f"{gone > within}"),
        ]
    return found


def facts_told_by(spans: list[Item]) -> Facts:
    """What spans say that happened."""
    fact_of = {prefix: fact for fact, prefix in SPANS.items()}
    named = ((str(span.data["name"]), str(span.attributes[a.GAME_ID.name])) for span in spans)
    return Facts((fact_of[prefix], game) for name, game in named for prefix in fact_of if name.startswith(prefix))


def differences(one: Facts, other: Facts) -> int:
    return ((one - other) + (other - one)).total()


def order_of(deployment: Deployment) -> list[Finding]:
    """Whether what has to stay in order did."""
    stores, events = deployment.stores, deployment.stores.events.events()
    delivered = {server.name: account_of(server.name, events).delivered for server in deployment.servers}
    return [
        Finding("metrics: values out of the order of their times", "0", f"{out_of_order(stores.metrics.numbers())}"),
        Finding("events: numbers out of order", "0", f"{out_of_order(stores.events.numbers())}"),
        *(Finding(f"{name}: events out of order", "0", f"{out_of_order(own)}") for name, own in delivered.items()),
    ]


# --- what breaks ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("which", "how"), [("in turn", "ended"), ("together", "killed")])
def test_stores_are_away(tmp_path: Path, pytestconfig: pytest.Config, which: str, how: str) -> None:
    with ExitStack() as stack:
        deployment = Deployment(tmp_path, {"ada": None, "bob": None}, stack)
        with deployment.under_load():
            time.sleep(2)
            for kinds in [[kind] for kind in KINDS] if which == "in turn" else [KINDS]:
                away = [deployment.stores.of(kind) for kind in kinds]
                for store in away:
                    store.end() if how == "ended" else store.kill()
                time.sleep(AWAY)
                for store in away:
                    store.begin()
            time.sleep(2)
        findings = deployment.findings(Moments()) + order_of(deployment)
    write_proof(
        pytestconfig,
        f"stores-away-{which.replace(' ', '-')}",
        f"A Collector of the role standalone before Prometheus, Jaeger, Loki and the hub, with numbered items and two "
        f"game servers sending. The stores are {how} and begun again {AWAY:g} s later, {which}.",
        findings,
    )
    assert unexpected(findings) == []


def test_the_collector_is_killed(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    kills: list[float] = []
    with ExitStack() as stack:
        deployment = Deployment(tmp_path, {"ada": None, "bob": FEW}, stack)
        with deployment.under_load():
            for _ in range(3):
                time.sleep(LOADED)
                kills.append(deployment.collector.kill())
                time.sleep(GONE)
                deployment.collector.begin()
            time.sleep(LOADED)
        findings = deployment.findings(Moments(kills))
    write_proof(
        pytestconfig,
        "collector-killed",
        f"A Collector of the role standalone before Prometheus, Jaeger, Loki and the hub, with numbered items and two "
        f"game servers sending, is killed with SIGKILL three times and started again {GONE:g} s later; traces wait "
        f"{DECISION} s for their decision. The queues of the second server hold {FEW} items of a signal, too few for "
        "this time: it loses some, and counts them.",
        findings,
    )
    assert unexpected(findings) == []


def test_events_of_one_millisecond_cost_nobody_metrics(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """Of two values of one moment Prometheus takes neither, nor anything else in their request."""
    require("otelcol")
    settings = free_settings(parse({"metrics": {"export_interval_seconds": 10}}))  # gathered for half a second
    port, moment = settings.collector.otlp_http_port, time.time_ns() // MILLISECOND * MILLISECOND

    def happens(number: int) -> None:
        body = request("events", range(number, number + 1))
        body.resource_logs[0].scope_logs[0].log_records[0].time_unix_nano = moment + number
        assert post(port, "events", body) == HTTPStatus.OK

    with ExitStack() as stack:
        store = KeptMetrics(settings, tmp_path, stack)
        counted = partial(store.total, EVENTS_TOTAL, SERVICE)
        stack.enter_context(
            native.running_collector(settings, tmp_path / "collector", prometheus_url(settings), role=standalone)
        )
        happens(1)
        assert retried(counted, lambda total: total == 1) == 1
        assert post(port, "metrics", request("metrics", range(1, 101))) == HTTPStatus.OK
        happens(2)
        total = retried(counted, lambda total: total == 2, 15)
        findings = [
            Finding("points sent with the second event that are in Prometheus", "100", f"{len(store.numbers())}"),
            Finding("events counted", "2", f"{total}"),
        ]
    write_proof(
        pytestconfig,
        "events-of-one-millisecond",
        "A Collector of the role standalone gets two events of one millisecond, one after the other, and points of "
        "another metric together with the second one.",
        findings,
    )
    assert unexpected(findings) == []
