"""A hundred players' names are planted in every place that takes text; what leaves the process holds none of them.

Bodies are searched as they came over the wire, byte by byte, for each name as it is and as ``repr``, JSON and URLs
write it. Covered, whoever's providers it is: everything that the product's own calls make, log records of stdlib
logging included where they are bridged. Covered where the exporters are ours: also what an application puts on spans
and log records of its own.

Not covered, and so not planted:

- ids of games, rooms, sockets and requests, names of loggers and tracers, service names: they are the game's words;
- in free text, a name that nobody has ever told as a player's, of fewer than 3 characters or 6 digits, or a word of the
  product's own vocabulary (where a name is expected, these are pseudonyms as well);
- what an application's own exporters make of its own spans, records and metrics;
- baggage, which goes to the application's other servers as the application wrote it, and to no telemetry.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest

from otel_setup.cli import whois
from otel_setup.privacy import Pseudonyms, read_key
from tests.e2e.environment_app import LOBBY
from tests.e2e.environment_names import ADOPTED, APPLICATION, BAGGAGE, BOTH, FOREIGN, IDS, NAMES, OWN
from tests.e2e.environment_receiver import Doors
from tests.e2e.environment_runs import ENDPOINT, ROOT, SIGNALS
from tests.otel_setup.privacy.helpers import forms
from tests.support.certificates import make_certificates

OURS, THEIRS = "http", "second"
LONG = 60


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


def signs(name: str) -> set[bytes]:
    """By what a name is recognised; a long one by its beginning, because texts are cut."""
    return forms(name[:LONG])


class Planted:
    """What was sent by a process in which the names were planted."""

    def __init__(self, home: Path, mode: str, *arguments: str, **variables: str) -> None:
        self.doors = Doors(make_certificates(home / "certificates"), 0)
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "XDG_CONFIG_HOME": str(home),
            ENDPOINT: self.doors[OURS],
            APPLICATION: self.doors[THEIRS],
            LOBBY: f"{self.doors[OURS]}/lobby",
            **variables,
        }
        try:
            done = subprocess.run(
                [sys.executable, "-m", "tests.e2e.environment_names", mode, *arguments],
                cwd=ROOT,
                env=environment,
                capture_output=True,
                timeout=120,
                check=False,
            )
        finally:
            self.doors.close()
        self.errors = done.stderr.decode("utf-8", "replace")
        assert done.returncode == 0, self.errors[-3000:]

    def sent(self, door: str, *signals: str) -> bytes:
        return b"".join(
            delivery.body
            for delivery in self.doors.deliveries
            if delivery.door == door and delivery.signal in (signals or SIGNALS)
        )

    def found(self, door: str, *signals: str) -> list[str]:
        """Names that stand in what came through a door."""
        sent = self.sent(door, *signals)
        assert sent, f"nothing came through {door}"
        return [name[:40] for name in NAMES if any(sign in sent for sign in signs(name))]


@pytest.fixture(scope="module")
def own(home: Path) -> Planted:
    return Planted(home, OWN, BOTH)


def where(planted: Planted, door: str) -> str:
    """What holds a name, for whoever has to find the hole."""
    told = {}
    for delivery in planted.doors.deliveries:
        for name in NAMES if delivery.door == door else ():
            for sign in signs(name):
                if (place := delivery.body.find(sign)) >= 0:
                    before = delivery.body[max(0, place - 60) : place]
                    told[delivery.signal, before[-12:]] = f"{delivery.signal}: {before!r} {sign[:60]!r}"
    return "\n".join(list(told.values())[:12])


def test_own_providers_send_no_name(own: Planted) -> None:
    assert own.found(OURS) == [], where(own, OURS)


def test_adopted_providers_send_no_name_by_us(home: Path) -> None:
    adopted = Planted(home, ADOPTED, BOTH)
    assert adopted.found(OURS) == [], where(adopted, OURS)


@pytest.mark.parametrize("mode", [ADOPTED, FOREIGN])
def test_what_we_hand_to_an_applications_exporters_holds_no_name(home: Path, mode: str) -> None:
    planted = Planted(home, mode)
    assert planted.found(THEIRS) == [], where(planted, THEIRS)


@pytest.mark.parametrize(("mode", "door"), [(OWN, OURS), (ADOPTED, OURS), (FOREIGN, THEIRS)])
def test_without_pseudonyms_every_name_is_found(home: Path, mode: str, door: str) -> None:
    """The control: the names really are in all of this, in spans and in log records, and the search finds them."""
    planted = Planted(home, mode, OTEL_SETUP_PSEUDONYMS="false")
    assert len(planted.found(door, "traces")) == len(planted.found(door, "logs")) == len(set(NAMES)) == 100


def test_an_applications_exporters_tell_what_it_writes_itself(home: Path) -> None:
    """What is not covered is said: these names an application has put on spans of its own, for exporters of its own."""
    assert len(Planted(home, FOREIGN, BOTH).found(THEIRS)) == 100


def test_whois_gives_for_each_name_a_pseudonym_that_was_sent(
    own: Planted, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home))
    monkeypatch.delenv("OTEL_SETUP_PSEUDONYM_KEY_FILE", raising=False)
    assert all(whois.main(["--", name]) == 0 for name in NAMES)
    pseudonyms = capsys.readouterr().out.split()
    assert len(set(pseudonyms)) == 100
    for signal in ("traces", "logs"):
        sent = own.sent(OURS, signal)
        assert [pseudonym for pseudonym in pseudonyms if pseudonym.encode() not in sent] == []


def test_whois_is_the_same_as_a_command(home: Path) -> None:
    command = [sys.executable, "-m", "otel_setup", "whois", NAMES[0], "--key-file", str(key_file(home))]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True).stdout.strip()
    assert told == Pseudonyms(read_key(key_file(home)).value).of(NAMES[0])


def test_metrics_hold_no_name_and_no_pseudonym(own: Planted, home: Path) -> None:
    assert own.found(OURS, "metrics") == []
    pseudonyms = Pseudonyms(read_key(key_file(home)).value)
    sent = own.sent(OURS, "metrics")
    assert [name for name in NAMES if pseudonyms.of(name).encode() in sent] == []


def key_file(home: Path) -> Path:
    """The one that a server makes for its user."""
    return home / "otel-setup" / "pseudonym.key"


def test_baggage_goes_to_other_servers_and_into_no_telemetry(own: Planted) -> None:
    (headers,) = own.doors.called
    assert BAGGAGE in unquote(headers["baggage"]), "as the application wrote it"
    assert BAGGAGE.encode() not in own.sent(OURS)


def test_ids_are_the_games_words(home: Path) -> None:
    """What is not covered is said: a room that is called after a player keeps its name."""
    planted = Planted(home, OWN, IDS)
    assert f"room of {NAMES[0]}".encode() in planted.sent(OURS, "logs")
