"""Random calls, valid and not, against a model so simple that it can be seen to be right."""

from __future__ import annotations

from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from hypothesis.strategies import booleans, integers, none, sampled_from

from otel_setup.catalogue import EventType
from otel_setup.ledger import reports
from otel_setup.views import flow_diagram, state_diagram
from tests.otel_setup.ledger.builder import World

GAMES = sampled_from(["g1", "g2"])
PHASES = sampled_from(["waiting", "preparation", "turn", "game_over", "no_such_phase"])
IDLE_TIMEOUT = 5_000
CONNECTIONS = sampled_from(["c1", "c2", "c3"])


class RandomPlay(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.world = World(game_idle_timeout=IDLE_TIMEOUT)
        self.phase_of: dict[str, str] = {}
        self.moved_by: dict[str, int] = {}
        self.seen: dict[str, float] = {}
        self.open: list[tuple[int, str, str, str]] = []
        self.entered = 0
        self.counts = dict.fromkeys(("started", "completed", "abandoned"), 0)
        self.edges: dict[tuple[str, str], list[int]] = {}
        self.connections: set[str] = set()

    @initialize()
    def begin(self) -> None:
        self.start("g1", 0)

    @rule(game=GAMES, bots=integers(0, 4))
    def start(self, game: str, bots: int) -> None:
        facts = self.world.start_by_counts(game, bots=bots)
        assert facts.counted == (game not in self.phase_of)
        if game not in self.phase_of:
            self.phase_of[game], self.moved_by[game] = "waiting", 0
            self.counts["started"] += 1
        self.seen[game] = self.world.monotonic

    @rule(game=GAMES, abandoned=booleans(), winner=none() | sampled_from(["ann", "bea"]))
    def end(self, game: str, abandoned: bool, winner: str | None) -> None:
        facts = self.world.end(game, winner, abandoned=abandoned)
        assert facts.counted == (game in self.phase_of)
        if self.phase_of.pop(game, None):
            self.counts["abandoned" if abandoned else "completed"] += 1

    @rule(game=GAMES, left=PHASES, entered=PHASES)
    def enter_transition(self, game: str, left: str, entered: str) -> None:
        self.entered += 1
        self.open.append((self.entered, game, left, entered))
        self.seen[game] = self.world.monotonic
        self.world.tell(EventType.STATE_TRANSITION_START, game, from_state=left, to_state=entered, ordinal=self.entered)

    @rule(which=integers(0, 100), succeeds=booleans())
    def leave_transition(self, which: int, succeeds: bool) -> None:
        if not self.open:
            return
        ordinal, game, left, entered = self.open.pop(-1 - which % len(self.open))  # 0, the likeliest, is the newest
        self.seen[game] = self.world.monotonic
        pair = tuple("other" if phase == "no_such_phase" else phase for phase in (left, entered))
        count = self.edges.setdefault((pair[0], pair[1]), [0, 0])
        if not succeeds:
            self.world.failed(left, entered, ordinal, game)
            count[1] += 1
            return
        self.world.moved(left, entered, ordinal, game)
        count[0] += 1
        if game in self.phase_of and ordinal > self.moved_by[game]:
            self.phase_of[game], self.moved_by[game] = pair[1], ordinal

    @rule(game=GAMES, left=PHASES, between=PHASES, entered=PHASES)
    def overlap(self, game: str, left: str, between: str, entered: str) -> None:
        """As the real game does: a transition is entered and finished inside another."""
        self.enter_transition(game, left, between)
        self.enter_transition(game, between, entered)
        self.leave_transition(0, succeeds=True)
        self.leave_transition(0, succeeds=True)

    @rule(connection=CONNECTIONS)
    def connect(self, connection: str) -> None:
        facts = self.world.tell(EventType.CONNECTION_OPENED, connection=connection)
        assert facts.counted == (connection not in self.connections)
        self.connections.add(connection)

    @rule(connection=CONNECTIONS)
    def disconnect(self, connection: str) -> None:
        facts = self.world.tell(EventType.CONNECTION_CLOSED, connection=connection)
        assert (facts.irregular is None) == (connection in self.connections)
        self.connections.discard(connection)

    @rule(seconds=integers(0, 2_000))
    def wait(self, seconds: int) -> None:
        self.world.wait(seconds)
        self.world.ledger.sweep()
        for game in [game for game in self.phase_of if self.world.monotonic - self.seen[game] > IDLE_TIMEOUT]:
            del self.phase_of[game]

    @invariant()
    def phases_agree(self) -> None:
        ledger = self.world.ledger
        by_state = reports.games_by_state(ledger)
        assert reports.games_active(ledger) == len(self.phase_of) == sum(by_state.values())
        phases = list(self.phase_of.values())
        assert {phase: count for phase, count in by_state.items() if count} == {
            phase: phases.count(phase) for phase in set(phases)
        }

    @invariant()
    def counts_agree(self) -> None:
        ledger = self.world.ledger
        assert {name: getattr(ledger, name) for name in self.counts} == self.counts
        assert reports.connections_active(ledger) == len(self.connections)
        assert {pair: [edge.count, edge.failures] for pair, edge in ledger.edges.items()} == self.edges
        assert len(ledger.rooms) == len(self.phase_of), "rooms known only from games"

    def teardown(self) -> None:
        """The views add up at the end."""
        nodes = {node["name"]: node["active_games"] for node in state_diagram(self.world.ledger)["nodes"]}
        assert sum(nodes.values()) == len(self.phase_of)
        links = [link for link in flow_diagram(self.world.ledger)["links"] if link["group"] == "games"]
        assert sum(link["value"] for link in links) == self.counts["started"]


RandomPlay.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestRandomPlay = RandomPlay.TestCase
