"""The demo: games are played on a small server, and one watches how they are observed.

With the programs that ``python -m deploy tools`` builds, everything goes through a Collector to Prometheus, Jaeger,
Loki and the hub; without, everything stays in this process. At the end the game's own record is held against every
place that claims to know what happened.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from urllib.parse import urlencode

import otel_setup
from deploy import stack
from deploy.collector.variables import LOOPBACK
from deploy.ports import free_settings
from deploy.process import POLL_SECONDS, http_get
from examples.accounts import SETTLE_SECONDS, metrics_account, prometheus_account, reconciled
from examples.common.pace import parse_speed
from examples.common.record import expected
from examples.common.serving import running
from examples.liap_tui.players import Crowd, simulate
from examples.liap_tui.record import LiapTuiRecord
from examples.liap_tui.server import build_app
from examples.liap_tui.services import Settings as GameSettings
from examples.liap_tui.summary import summary
from examples.reconcile import Values
from otel_setup.catalogue import Catalogue, M, build
from otel_setup.cli.event_lines import is_noise, render_event
from otel_setup.game_model import LIAP_TUI
from settings import parse

SERVICE = "liap-tui"
ROLE = "standalone"
INTERVAL_SECONDS = 2.0
_LOKI_QUERY = {"query": f'{{service_name="{SERVICE}"}}'}
DEFAULT_SECONDS = 60.0
DEFAULT_SPEED = 12.0
TARGET_POINTS = 12
"""Points that win a game here; real games go to 50 and would outlast a demo."""
CONCURRENT_GAMES = 3
STATUS_SECONDS = 5.0
MANY_GAMES = 100_000
_BOLD, _DIM, _OFF = "\x1b[1m", "\x1b[2m", "\x1b[0m"


def main(arguments: Sequence[str]) -> int:
    """Runs the demo; the exit code is 1 where any account differs from the record."""
    args = _parser().parse_args(arguments)
    screen = _Screen(color=args.color if args.color is not None else sys.stdout.isatty())
    catalogue = build(LIAP_TUI)
    with _deployment(args.local, screen, catalogue) as role:
        return asyncio.run(_demo(args, screen, catalogue, role))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m otel_setup demo", description=__doc__)
    parser.add_argument("--duration", type=float, default=DEFAULT_SECONDS, metavar="S", help="seconds (%(default)s)")
    parser.add_argument("--speed", type=parse_speed, default=DEFAULT_SPEED, metavar="X", help="times real time")
    parser.add_argument("--seed", type=int, default=0, help="for every random choice")
    parser.add_argument("--local", action="store_true", help="use no Collector and no stores even where they are built")
    parser.add_argument("--color", action=argparse.BooleanOptionalAction, help="colours (where it is a terminal)")
    parser.add_argument("--all", action="store_true", help="show every event, broadcasts and queued actions too")
    return parser


class _Screen:
    """Prints for people."""

    def __init__(self, color: bool) -> None:
        self.color = color

    @property
    def width(self) -> int:
        return shutil.get_terminal_size((100, 24)).columns

    def say(self, text: str = "", style: str = "") -> None:
        print(f"{style}{text}{_OFF}" if self.color and style else text, flush=True)

    def title(self, text: str) -> None:
        self.say()
        self.say(text, _BOLD)


@contextlib.contextmanager
def _deployment(local: bool, screen: _Screen, catalogue: Catalogue) -> Iterator[stack.RunningRole | None]:
    """What stands behind the game, where it is built and wanted."""
    settings = free_settings(parse({"metrics": {"export_interval_seconds": INTERVAL_SECONDS}}))
    missing = stack.missing_tools(ROLE, settings, catalogue)
    if local or missing:
        if not local:
            screen.say(f"Not built: {', '.join(missing)}. So everything stays in this process.")
            screen.say("To see it go through a Collector to its stores: python -m deploy tools   (once, half an hour)")
        yield None
        return
    screen.say("Starting a Collector, Prometheus with Alertmanager, Jaeger, Loki and the hub …", _DIM)
    with (
        tempfile.TemporaryDirectory(prefix="otel-setup-demo-") as folder,
        stack.running_role(ROLE, settings, catalogue, Path(folder)) as role,
    ):
        yield role


async def _demo(args: argparse.Namespace, screen: _Screen, catalogue: Catalogue, role: stack.RunningRole | None) -> int:
    if role is not None:
        os.environ.update(role.server_environment())
    telemetry = otel_setup.configure(
        service=SERVICE, collector=None if role else False, metric_interval=INTERVAL_SECONDS
    )
    monitor = otel_setup.get_enterprise_monitor()
    record = LiapTuiRecord()
    app = build_app(monitor, record, GameSettings(speed=args.speed, seed=args.seed, target=TARGET_POINTS, illegal=0.1))
    async with running(app) as address:
        _say_where(screen, address, catalogue, role)
        screen.title(f"Events, live, for {args.duration:g} s (Ctrl-C ends sooner)")
        await _watch(args, screen, record, monitor, address)
        screen.say("The players leave; the last rooms close …", _DIM)
        await app.state.lobby.wait_quiet()
    await monitor.stop()
    screen.title("What happened, by the game's own record")
    screen.say(summary(record))
    await asyncio.to_thread(telemetry.flush)
    prefix = f"{catalogue.prefix}_"
    sources: dict[str, Callable[[], Values]] = {"/metrics": lambda: metrics_account(prefix)}
    if role is not None:
        prometheus = role.stores["prometheus"]
        sources["Prometheus"] = lambda: prometheus_account(prometheus, prefix)
    result = await asyncio.to_thread(reconciled, lambda: expected(record), sources)
    screen.title("The same, by everybody who watched")
    screen.say(result.render())
    await asyncio.to_thread(telemetry.shutdown)
    complete = role is None or await asyncio.to_thread(_events_arrived, screen, role, monitor.event_stream.total_events)
    failures = app.state.lobby.services.failures
    for failure in failures:
        screen.say(f"the example server failed: {failure!r}")
    return 0 if result.equal and complete and not failures else 1


def _events_arrived(screen: _Screen, role: stack.RunningRole, published: int) -> bool:
    """Whether the hub has as many events as this process has published."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while (arrived := _at_the_hub(role)) != published and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    screen.say(f"{published:,} events published, {arrived:,} of them at the hub", "" if arrived == published else _BOLD)
    return arrived == published


def _at_the_hub(role: stack.RunningRole) -> int:
    _, body = http_get(f"{role.hub_url}/producers")
    return int(json.loads(body)["totals"].get("delivered", 0))


def _say_where(screen: _Screen, address: str, catalogue: Catalogue, role: stack.RunningRole | None) -> None:
    screen.title("Where to look")
    places = {"game server": f"ws://{address}/ws/lobby", "its metrics": f"http://{address}/metrics"}
    if role is not None:
        collector, settings = role.collector, role.settings
        places |= {
            "Collector": f"{collector.otlp_http} (OTLP/HTTP), its own metrics {collector.telemetry_url}",
            "Prometheus": f"{role.stores['prometheus'].url}/api/v1/query?query={catalogue[M.GAMES_ACTIVE].prometheus}",
            "Jaeger": f"http://{LOOPBACK}:{settings.jaeger.query_port}/api/traces?service={SERVICE}",
            "Loki": f"http://{LOOPBACK}:{settings.loki.port}/loki/api/v1/query_range?{urlencode(_LOKI_QUERY)}",
            "hub": f"{role.hub_url}/events?since=oldest, {role.hub_url}/views/rooms",
        }
    for what, where in places.items():
        screen.say(f"  {what:<14} {where}")


async def _watch(
    args: argparse.Namespace,
    screen: _Screen,
    record: LiapTuiRecord,
    monitor: otel_setup.EnterpriseMonitor,
    address: str,
) -> None:
    """Plays and shows until the time is up or somebody presses Ctrl-C."""
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    with contextlib.suppress(NotImplementedError):  # Windows has no such handlers; Ctrl-C ends at once there
        loop.add_signal_handler(signal.SIGINT, over.set)
    crowd = Crowd(
        games=MANY_GAMES, speed=args.speed, seed=args.seed, drop=0.1, abandon=0.1, concurrency=CONCURRENT_GAMES
    )
    work = [
        asyncio.create_task(simulate(address, crowd)),
        asyncio.create_task(_tail(screen, monitor, every=args.all)),
        asyncio.create_task(_status(screen, record, monitor)),
    ]
    timer = asyncio.create_task(over.wait())
    await asyncio.wait([*work, timer], timeout=args.duration, return_when=asyncio.FIRST_COMPLETED)
    for task in [*work, timer]:
        task.cancel()
    for ended in await asyncio.gather(*work, return_exceptions=True):
        if isinstance(ended, Exception):
            screen.say(f"the demo failed: {ended!r}")
    with contextlib.suppress(NotImplementedError):
        loop.remove_signal_handler(signal.SIGINT)


async def _tail(screen: _Screen, monitor: otel_setup.EnterpriseMonitor, *, every: bool) -> None:
    async with await monitor.subscribe_to_events("demo") as events:
        async for event in events:
            if every or not is_noise(event):
                screen.say(render_event(event, screen.color, screen.width))


async def _status(screen: _Screen, record: LiapTuiRecord, monitor: otel_setup.EnterpriseMonitor) -> None:
    began = time.monotonic()
    while True:
        await asyncio.sleep(STATUS_SECONDS)
        analytics = monitor.game_metrics.get_game_analytics()
        stream = monitor.event_stream.get_statistics()
        screen.say(
            f"── {time.monotonic() - began:3.0f} s · {analytics['active_games']} games on, "
            f"{analytics.get('completed_games', 0)} completed, {analytics.get('abandoned_games', 0)} abandoned · "
            f"{record.total('actions_total')} actions · {stream['total_events']} events ──",
            _DIM,
        )
