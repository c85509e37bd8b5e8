"""tail, record, replay and bundle against a real game, Collector and hub, held against what the Collector wrote.

The Collector's file of log records is the record to compare with: it takes another way than the hub's.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from deploy.native import Collector
from deploy.process import Process, running, wait_until
from otel_setup.privacy import KEY_FILE_VARIABLE
from settings import Settings
from tests.support.kafka import running_kafka
from tests.support.kafka_otlp import record, request, uids
from tests.support.peers import free_settings, running_collector

pytestmark = [pytest.mark.slow, pytest.mark.peer("otelcol")]

SOON = 60.0
PRODUCERS_END = "producer.stopped"


@dataclass
class World:
    """A Collector that sends to a hub, and the environment of whoever takes part."""

    collector: Collector
    settings: Settings
    folder: Path
    environment: dict[str, str]

    @property
    def hub_url(self) -> str:
        return f"http://127.0.0.1:{self.settings.hub.port}"

    @contextmanager
    def hub(self) -> Iterator[Process]:
        """A hub; the same folder again goes on with the same log."""
        command = [
            *(sys.executable, "-m", "otel_setup", "hub"),
            *(f"--port={self.settings.hub.port}", f"--directory={self.folder / 'hub'}"),
        ]
        with running("the hub", command, self.folder / "hub.log", f"{self.hub_url}/health") as process:
            yield process

    def play(self, games: int, seed: int) -> subprocess.Popen[str]:
        """A game server, and people who play on it."""
        return subprocess.Popen(
            [
                *(sys.executable, "-m", "examples.liap_tui", "play", f"--games={games}", "--concurrency=2"),
                *(
                    "--speed=40",
                    "--target=10",
                    f"--seed={seed}",
                    "--bots=1",
                    f"--record=record-{seed}.jsonl",
                    "--collector",
                    self.collector.otlp_http,
                ),
            ],
            env=self.environment,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "otel_setup", *arguments]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments),
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
            env=self.environment | {"OTEL_SETUP_HUB_URL": self.hub_url},
            cwd=self.folder,
        )

    def uids(self, room: str | None = None) -> list[str]:
        """What the Collector got: the id of each event, each once."""
        records = self.collector.log_records()
        return sorted(
            {
                item.attributes["log.record.uid"]
                for item in records
                if item.data.get("eventName") and (room is None or item.attributes.get("room.id") == room)
            }
        )


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("commands")
    (folder / "key").write_text("0123456789abcdef0123456789abcdef")
    environment = {
        **os.environ,
        KEY_FILE_VARIABLE: str(folder / "key"),
        "OTEL_SETUP_RUNTIME_DIR": str(folder / "run"),
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    settings = free_settings()
    settings = replace(settings, hub=replace(settings.hub, enabled=True))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVENTS_HUB_URL", f"http://127.0.0.1:{settings.hub.port}")
        with running_collector(folder, settings=settings) as collector:
            yield World(collector, settings, folder, environment)


def lines_of(file: Path) -> list[dict[str, Any]]:
    """The whole lines of a file that may still be written."""
    if not file.exists():
        return []
    return [json.loads(line) for line in file.read_text().split("\n")[:-1]]


def of_games(events: list[dict[str, Any]]) -> list[str]:
    """The ids of what servers sent: not what the hub says of itself, such as gaps."""
    return sorted(event["event_id"] for event in events if not event["metadata"].get("found_by"))


def ended(world: World) -> bool:
    return any(event.data.get("eventName") == PRODUCERS_END for event in world.collector.log_records())


def test_a_recording_survives_the_end_of_everybody(world: World) -> None:
    """The hub is killed twice and the recorder too, in the midst of play; the recording is what the Collector got."""
    file = world.folder / "all.ndjson"
    record = world.command("record", str(file), "--hub", world.hub_url)

    def written(more: int) -> None:
        before = len(lines_of(file))
        wait_until(lambda: len(lines_of(file)), lambda count: count > before + more, SOON, f"{more} more lines")

    with world.hub() as hub:
        recorder = subprocess.Popen(record, env=world.environment, stderr=subprocess.DEVNULL)
        game = world.play(games=6, seed=5)
        try:
            written(200)
            recorder.kill()
            recorder.wait()
            recorder = subprocess.Popen(record, env=world.environment, stderr=subprocess.DEVNULL)
            written(100)
            hub.kill()
            time.sleep(1)
            with world.hub():
                written(50)
                recorder.kill()
                recorder.wait()
                _, errors = game.communicate(timeout=180)
                assert game.returncode == 0, errors
                wait_until(lambda: ended(world), bool, SOON, "the end of the server has arrived")
                done = world.run("record", str(file), "--no-follow")
                assert done.returncode == 0, done.stderr
                recorded = lines_of(file)
        finally:
            for process in (recorder, game):
                process.kill()
                process.wait()
    assert of_games(recorded) == world.uids()
    sequences = [event["sequence"] for event in recorded if event["event_id"]]
    assert sequences == sorted(set(sequences)), "in order, and each once"


def test_what_the_commands_tell_agrees(world: World) -> None:
    with world.hub():
        game = world.play(games=3, seed=6)
        _, errors = game.communicate(timeout=180)
        assert game.returncode == 0, errors
        wait_until(
            lambda: world.run("tail", "--json", "--no-follow", "--since", "oldest", "--debug").stdout,
            lambda text: of_games([json.loads(line) for line in text.splitlines()]) == world.uids(),
            SOON,
            "the hub has what the Collector got",
        )
        started = world.run("tail", "--json", "--no-follow", "--type", "game.started", "--since", "oldest")
        room = json.loads(started.stdout.splitlines()[-1])["room_id"]

        replayed = world.run("replay", "--room", room, "--speed", "max", "--json", "--debug")
        assert of_games([json.loads(line) for line in replayed.stdout.splitlines()]) == world.uids(room)
        shown = world.run("replay", "--room", room, "--speed", "max").stdout
        assert "started  4 players" in shown
        assert shown.startswith("+0:00:00.000 ")

        out = world.folder / "room.zip"
        done = world.run(
            "bundle", "--room", room, "--since", "1h", "--otlp-dir", str(world.collector.data_dir), "--out", str(out)
        )
        assert done.returncode == 0, done.stderr
        check_bundle(world, room, out)


def check_bundle(world: World, room: str, out: Path) -> None:
    """Its events are those of the room, its spans those that name it, and no player's name is in it."""
    with zipfile.ZipFile(out) as archive:
        texts = {name: archive.read(name).decode() for name in archive.namelist()}
    events = [json.loads(line) for line in texts["events.ndjson"].splitlines()]
    assert of_games(events) == world.uids(room)
    spans = [
        json.loads(line)["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
        for line in texts["spans.otlp.jsonl"].splitlines()
    ]
    games = {event["game_id"] for event in events if event["game_id"]}
    named = {item.data["spanId"] for item in world.collector.spans() if item.attributes.get("game.id") in games}
    assert named
    assert named <= {span["spanId"] for span in spans}
    assert "nothing is known to be missing" in texts["summary.txt"] or "reaches back" in texts["summary.txt"]
    names = set(re.findall(r'"([A-Z][a-z]+ \d+-\d+)"', (world.folder / "record-6.jsonl").read_text()))
    assert len(names) >= 9, "three people in each of three games"
    for file, text in texts.items():
        assert [name for name in names if name in text] == [], file


def test_tail_follows_a_hub_and_its_reader_may_go_at_any_time(world: World) -> None:
    with (
        world.hub(),
        subprocess.Popen(
            world.command("tail", "--json", "--hub", world.hub_url, "--last", "0"),
            env=world.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as tail,
    ):
        game = world.play(games=1, seed=7)
        try:
            assert tail.stdout is not None
            seen = json.loads(tail.stdout.readline())
            assert seen["metadata"]["service"] == "liap-tui"
            tail.send_signal(signal.SIGINT)
            assert tail.wait(SOON) == 130
            line = " ".join(world.command("tail", "--hub", world.hub_url))
            piped = subprocess.run(
                ["bash", "-c", f"{line} | head -1; exit ${{PIPESTATUS[0]}}"],
                env=world.environment,
                capture_output=True,
                text=True,
                timeout=SOON,
                check=False,
            )
            assert (piped.returncode, piped.stderr) == (141, "")
            assert len(piped.stdout.splitlines()) == 1
        finally:
            tail.kill()
            game.kill()
            game.wait()


# --- Kafka ------------------------------------------------------------------------------------------------------------


@pytest.mark.peer("kafka")
def test_kafka_is_read_and_recorded_without_loss_or_repeat(tmp_path: Path) -> None:
    with running_kafka(tmp_path) as broker:

        def command(name: str, *arguments: str, group: str = "g") -> list[str]:
            source = ["--kafka", broker.brokers, "--topic", "games", "--group", group]
            return [sys.executable, "-m", "otel_setup", name, *arguments, *source]

        asyncio.run(write_messages(broker.brokers, "games", range(1, 401)))
        done = subprocess.run(
            command("tail", "--json", "--since", "oldest", "--no-follow", group="once"),
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert [json.loads(line)["event_id"] for line in done.stdout.splitlines()] == uids(PRODUCER, range(1, 401))

        file = tmp_path / "f.ndjson"
        recorder = subprocess.Popen(command("record", str(file)), stderr=subprocess.DEVNULL)
        try:
            wait_until(lambda: len(lines_of(file)), lambda count: count > 100, SOON, "a part is recorded")
        finally:
            recorder.kill()
            recorder.wait()
        asyncio.run(write_messages(broker.brokers, "games", range(401, 501)))
        done = subprocess.run(
            command("record", str(file), "--no-follow"), capture_output=True, text=True, timeout=180, check=False
        )
        assert done.returncode == 0, done.stderr
        assert [event["event_id"] for event in lines_of(file)] == uids(PRODUCER, range(1, 501))


PRODUCER = "i1-0000000a"


async def write_messages(brokers: str, topic: str, numbers: range) -> None:
    """Events as a Collector writes them, ten in each message."""
    import aiokafka

    async with aiokafka.AIOKafkaProducer(bootstrap_servers=brokers) as producer:
        for first in numbers[::10]:
            body = request(PRODUCER, [record(PRODUCER, number) for number in range(first, first + 10)])
            await producer.send_and_wait(topic, body.SerializeToString(), key=b"one server")
