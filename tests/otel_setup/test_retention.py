"""The clock is moved past the retention: what told of the past is gone, and the counters have never fallen."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from prometheus_client.parser import text_string_to_metric_families

import otel_setup
from otel_setup import Bounds, EnterpriseMonitor, Seat, clock
from otel_setup.background import Background
from otel_setup.ledger import Ledger, reports
from otel_setup.prometheus import default_exposition
from otel_setup.testing import FakeClock, SequentialIds, fresh_telemetry

HOUR = 3600.0
RETENTION_HOURS = 48
LONG, SHORT = 600.0, 90.0
"""Seconds that a game takes, in the past and after it."""
GAMES_AN_HOUR = 6
KINDS_OF_ERROR = 20
Counters = dict[tuple[str, frozenset[tuple[str, str]]], float]


class Server:
    """A game server whose clock stands still until it is moved."""

    def __init__(self, monitor: EnterpriseMonitor, time: FakeClock) -> None:
        self.monitor = monitor
        self.time = time
        self.counters: Counters = {}
        self.scrapes = 0

    @property
    def ledger(self) -> Ledger:
        return self.monitor.core.ledger

    async def play(self, game: str, seconds: float, error: str = "") -> None:
        """A game of so many seconds, with an action, a transition, a phase, a turn and, perhaps, an error in it."""
        monitor = self.monitor
        await monitor.record_game_start(game, f"room of {game}", 2, 1, players=[Seat("ann"), Seat("bot", is_bot=True)])
        async with monitor.monitor_state_transition(game, "WAITING", "PREPARATION"):
            pass
        async with monitor.monitor_action_processing(game, "declare", "ann"):
            self.time.advance(0.25)
        if error:
            kind = type(error, (Exception,), {})
            with suppress(kind):
                async with monitor.monitor_state_transition(game, "PREPARATION", "ROUND_START"):
                    raise kind("no cards")
        await monitor.record_phase_duration(game, "PREPARATION", seconds)
        await monitor.record_turn_completed(game, winner_id="ann")
        self.time.advance(seconds)
        await monitor.record_game_end(game, winner_id="ann", final_scores={"ann": 50, "bot": 7})

    async def play_for_hours(self, hours: int, every_hour: int = GAMES_AN_HOUR) -> int:
        """Games all through so many hours; every hour somebody scrapes. The number of games."""
        for hour in range(hours):
            began = self.time.elapsed
            for number in range(every_hour):
                error = f"Error{(hour * every_hour + number) % KINDS_OF_ERROR}"
                await self.play(f"game {hour}.{number}", LONG / 4, error)
            assert self.time.elapsed - began < HOUR
            self.time.advance(HOUR - (self.time.elapsed - began))
            await self.scrape()
        return hours * every_hour

    async def move(self, hours: int) -> None:
        """Lets time pass, as a server that is up does: it is scraped, and it looks after its memory."""
        for hour in range(hours):
            self.time.advance(HOUR)
            if hour % 6 == 0:
                await self.scrape()
            await Background(self.monitor)._sweep()
        await self.scrape()

    async def scrape(self) -> dict[str, float]:
        """What /metrics says; no counter says less than it said before, and none has gone."""
        body, _ = await default_exposition().scrape(None)
        counters: Counters = {}
        gauges = {}
        for family in text_string_to_metric_families(body.decode()):
            for sample in family.samples:
                if family.type in ("counter", "histogram") and not sample.name.endswith("_created"):
                    counters[sample.name, frozenset(sample.labels.items())] = sample.value
                elif not sample.labels:
                    gauges[sample.name] = sample.value
        fell = {key for key, value in self.counters.items() if counters.get(key, -1.0) < value}
        assert not fell, f"fell or went: {fell}"
        self.counters = counters
        self.scrapes += 1
        return gauges

    def total(self, name: str) -> float:
        return sum(value for (sample, _), value in self.counters.items() if sample == name)

    def kept(self) -> int:
        """Entries that tell of a time: buckets of every kind, and samples."""
        ledger = self.ledger
        windows = (ledger.hourly, ledger.requests, ledger.completions, ledger.completed_durations)
        return sum(map(len, (*windows, *ledger.errors.values()))) + len(ledger.errors) + len(ledger.performance)


@contextmanager
def server(retention_hours: int = RETENTION_HOURS) -> Iterator[Server]:
    time, ids = FakeClock(), SequentialIds()
    with (
        fresh_telemetry() as recorded,
        clock.replaced(time_ns=time.time_ns, monotonic=time.monotonic, token_hex=ids.token_hex),
    ):
        # What is bounded by number and not by time is kept small, so that it does not hide the rest.
        bounds = Bounds(max_players=10)
        otel_setup.configure(collector=False, retention_hours=retention_hours, bounds=bounds, history_size=1)
        default_exposition().ttl = 0
        yield Server(recorded.monitor, time)


async def test_past_the_retention_the_reports_say_nothing_and_the_counters_everything() -> None:
    with server() as game:
        played = await game.play_for_hours(8)
        assert len(reports.hourly_metrics(game.ledger, RETENTION_HOURS)) == 8
        views = game.monitor.get_visualization_data
        assert sum(row["count"] for row in views("errors")["data"]) == played
        assert (await game.scrape())["liap_tui_game_duration_minutes"] > 0

        await game.move(RETENTION_HOURS)

        assert reports.hourly_metrics(game.ledger, RETENTION_HOURS) == {}
        assert views("errors")["data"] == []
        window = game.monitor.visualization.get_performance_metrics(RETENTION_HOURS * 60)
        assert (window["timeline"], window["aggregates"]["total_requests"]) == ([], 0)
        assert "liap_tui_game_duration_minutes" not in await game.scrape(), "no mean of nothing"
        assert game.kept() == 0
        analytics = reports.game_analytics(game.ledger)
        assert (analytics["completed_games"], analytics["avg_duration_minutes"]) == (played, None)
        assert game.total("liap_tui_games_completed_total") == played
        assert game.total("liap_tui_state_errors_total") == played
        assert game.scrapes > 8 + RETENTION_HOURS / 6


async def test_averages_speak_of_the_window_alone() -> None:
    with server(retention_hours=2) as game:
        await game.play("long", LONG)
        minutes = reports.mean_game_minutes(game.ledger)
        assert minutes is not None
        assert round(minutes, 1) == LONG / 60
        await game.move(1)
        await game.play("short", SHORT)
        both = (await game.scrape())["liap_tui_game_duration_minutes"]
        assert round(both, 2) == round((LONG + SHORT + 2 * 0.25) / 2 / 60, 2)
        await game.move(1)
        alone = (await game.scrape())["liap_tui_game_duration_minutes"]
        assert round(alone, 2) == round((SHORT + 0.25) / 60, 2)
        assert game.total("liap_tui_games_completed_total") == 2


async def test_what_is_within_the_retention_stays() -> None:
    """The control: it is the time that lets go, and not the looking after."""
    with server() as game:
        played = await game.play_for_hours(3)
        kept, trailing_hour = game.kept(), len(game.ledger.completions)
        await game.move(RETENTION_HOURS - 4)
        assert sum(hour["games_completed"] for hour in reports.hourly_metrics(game.ledger, 48).values()) == played
        assert sum(row["count"] for row in game.monitor.get_visualization_data("errors")["data"]) == played
        assert game.kept() == kept - trailing_hour, "what tells of one hour is over"


async def test_memory_is_back() -> None:
    with server(retention_hours=12) as game:
        await game.play_for_hours(2)
        await game.move(12)  # whatever is made once is made now
        tracemalloc.start()
        try:
            await game.play_for_hours(10)
            full = held_by_the_ledger()
            await game.move(12)
            after = held_by_the_ledger()
        finally:
            tracemalloc.stop()
    assert full > 20_000, "there was something to give back"
    assert after < full / 4


def held_by_the_ledger() -> int:
    """Bytes that the ledger's code has allocated since the tracing began."""
    gc.collect()
    ledger = tracemalloc.Filter(inclusive=True, filename_pattern="*/otel_setup/ledger/*")
    return sum(trace.size for trace in tracemalloc.take_snapshot().filter_traces([ledger]).traces)
