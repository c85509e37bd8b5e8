"""The command bundle: what belongs to a room is in it, nothing else, and no player's name."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from otel_setup.hub.otlp import JSON, Limits, decode
from otel_setup.privacy import Pseudonyms, read_key
from tests.otel_setup.cli.support import Here, Ran, run_here
from tests.support.sse import frame, stub_of

NAMES = ["Zorblatt", "Quuxifer von Müller", "象棋大師", "x-ray.delta", "p_0123456789abcdef"]
NOW = 1_900_000_000_000_000_000
SECOND = 1_000_000_000
TRACE, OTHER_TRACE = "ab" * 16, "cd" * 16


def attributes(**values: str) -> list[dict[str, Any]]:
    return [{"key": key.replace("_", "."), "value": {"stringValue": value}} for key, value in values.items()]


def span(name: str, trace: str = OTHER_TRACE, at: int = 0, **values: str) -> dict[str, Any]:
    return {
        "traceId": trace,
        "spanId": "0102030405060708",
        "name": name,
        "kind": 1,
        "startTimeUnixNano": str(NOW + at),
        "endTimeUnixNano": str(NOW + at + 5),
        "attributes": attributes(**values),
    }


def log(body: str, trace: str = "", at: int = 0, **values: str) -> dict[str, Any]:
    return {
        "timeUnixNano": str(NOW + at),
        "severityNumber": 9,
        "severityText": "INFO",
        "body": {"stringValue": body},
        "traceId": trace,
        "attributes": attributes(**values),
    }


def request(kind: str, *items: dict[str, Any]) -> str:
    resources, scopes, records = {
        "logs": ("resourceLogs", "scopeLogs", "logRecords"),
        "spans": ("resourceSpans", "scopeSpans", "spans"),
    }[kind]
    resource = {"attributes": attributes(service_name="liap-tui", service_version="1.2.3")}
    scoped = {"scope": {"name": "s"}, records: list(items)}
    return json.dumps({resources: [{"resource": resource, scopes: [scoped]}]}) + "\n"


def bundled(capfd: pytest.CaptureFixture[str], place: Path, *arguments: str) -> tuple[Ran, dict[str, str]]:
    """What became of the command, and the texts in the bundle."""
    out = place / "b.zip"
    out.unlink(missing_ok=True)
    done = run_here(capfd, "bundle", "--out", str(out), *arguments)
    if not out.exists():
        return done, {}
    assert out.stat().st_mode & 0o777 == 0o600
    with zipfile.ZipFile(out) as archive:
        assert archive.testzip() is None
        return done, {name: archive.read(name).decode() for name in archive.namelist()}


def names_in(text: str) -> list[str]:
    escaped = {name: json.dumps(name)[1:-1] for name in NAMES}
    return [name for name, other in escaped.items() if name in text or other in text]


def pseudonym(place: Path, name: str) -> str:
    return Pseudonyms(read_key(place / "key").value, reserved=()).of(name)


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def play(here: Here) -> None:
    """A game in room r1 and one in r2, players' names wherever names can be."""
    room = {"room_id": "r1", "game_id": "g1"}
    here.publish(timestamp_ns=NOW, event_type="error.occurred", **room, data={"error_message": f"{NAMES[0]} was late"})
    for name in NAMES:
        here.publish(timestamp_ns=NOW + 1000, event_type="player.joined", player_id=name, **room, correlation_id="c1")
        here.publish(timestamp_ns=NOW + 1000, event_type="player.joined", player_id=name, room_id="r2", game_id="g2")
    here.publish(
        timestamp_ns=NOW + 2000,
        event_type="game.ended",
        **room,
        trace_id=TRACE,
        data={
            "winner_id": NAMES[0],
            "final_scores": {name: number for number, name in enumerate(NAMES)},
            "note": {NAMES[1]: [f"{NAMES[2]} beat {NAMES[3]}"], "password": "hunter2"},
        },
    )
    here.publish(timestamp_ns=NOW - 7200 * SECOND, event_type="game.started", **room)


WINDOW = ("--since", "2030-03-17T17:46:39Z", "--until", "2030-03-17T17:46:50Z")
"""Around NOW."""


# --- names ------------------------------------------------------------------------------------------------------------


def test_no_name_is_in_it(capfd: pytest.CaptureFixture[str], here: Here, place: Path) -> None:
    play(here)
    folder = place / "otlp"
    folder.mkdir()
    (folder / "logs.jsonl").write_text(
        request("logs", log(f"{NAMES[0]} left", room_id="r1"), log(f"bye {NAMES[4]}", game_id="g1", player_id=NAMES[4]))
    )
    hostile = span(f"greet {NAMES[1]}", room_id="r1", player_id=NAMES[1])
    hostile["events"] = [{"name": f"{NAMES[0]} acts", "timeUnixNano": str(NOW), "attributes": attributes(a=NAMES[2])}]
    hostile["links"] = [{"traceId": TRACE, "spanId": "0102030405060708", "attributes": attributes(b=NAMES[3])}]
    hostile["status"] = {"code": 2, "message": f"ValueError: {NAMES[0]}"}
    hostile["unheardOf"] = NAMES[0]
    (folder / "traces.jsonl").write_text(request("spans", hostile))
    done, texts = bundled(capfd, place, "--room", "r1", "--otlp-dir", str(folder), *WINDOW)
    assert done.returncode == 0, done.stderr
    for file, text in texts.items():
        assert names_in(text) == [], file
        assert "hunter2" not in text
    for name in NAMES:
        assert pseudonym(place, name) in texts["events.ndjson"]
    assert f"greet {pseudonym(place, NAMES[1])}" in texts["spans.otlp.jsonl"]
    assert f"{pseudonym(place, NAMES[0])} left" in texts["logs.otlp.jsonl"]
    assert "5 names were replaced" in texts["summary.txt"]
    (error,) = [event for event in lines(texts["events.ndjson"]) if event["event_type"] == "error.occurred"]
    assert error["data"]["error_message"] == f"{pseudonym(place, NAMES[0])} was late", "though it came before the name"


def test_a_recording_of_a_process_holds_names_and_its_bundle_none(
    capfd: pytest.CaptureFixture[str], here: Here, place: Path
) -> None:
    play(here)
    file = place / "f.ndjson"
    assert run_here(capfd, "record", str(file), "--no-follow").returncode == 0
    assert len(names_in(file.read_text())) == len(NAMES)
    _, texts = bundled(capfd, place, "--room", "r1", "--file", str(file), *WINDOW)
    assert len(lines(texts["events.ndjson"])) == 7
    assert not any(names_in(text) for text in texts.values())


def test_names_are_kept_only_where_they_are_pseudonyms(
    capfd: pytest.CaptureFixture[str], here: Here, place: Path
) -> None:
    play(here)
    done, texts = bundled(capfd, place, "--room", "r1", "--names", *WINDOW)
    assert (done.returncode, texts) == (2, {})
    assert "--names is refused: 4 names" in done.stderr  # the fifth has the form of a pseudonym
    here.publish(timestamp_ns=NOW, room_id="r9", player_id="p_aaaaaaaaaaaaaaaa")
    done, texts = bundled(capfd, place, "--room", "r9", "--names", *WINDOW)
    assert done.returncode == 0
    assert lines(texts["events.ndjson"])[0]["player_id"] == "p_aaaaaaaaaaaaaaaa"


def test_without_a_key_there_is_one_for_this_bundle(capfd: pytest.CaptureFixture[str], here: Here, place: Path) -> None:
    play(here)
    (place / "key").unlink()
    _, texts = bundled(capfd, place, "--room", "r1", *WINDOW)
    assert not any(names_in(text) for text in texts.values())
    assert "made for this bundle alone" in texts["summary.txt"]
    done, texts = bundled(capfd, place, "--room", "r1", "--key-file", str(place / "none"), *WINDOW)
    assert (done.returncode, texts) == (2, {})
    assert "does not exist" in done.stderr


async def _from_hub(play: list[dict[str, Any]], capfd: pytest.CaptureFixture[str], place: Path) -> dict[str, str]:
    import asyncio

    async def plan(stub: Any, asked: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
        about_stream = "stream.*" in asked.query.get("type", [])
        wanted = [event for event in play if (event["room_id"] is None) == about_stream]
        writer.write(b"".join(map(frame, wanted)) + b'event: end\ndata: {"reason":"finished"}\n\n')
        await writer.drain()

    async with stub_of(plan) as stub:
        _, texts = await asyncio.to_thread(bundled, capfd, place, "--room", "r1", "--hub", stub.url, *WINDOW)
    return texts


async def test_pseudonyms_of_a_hub_stay_and_gaps_are_counted(capfd: pytest.CaptureFixture[str], place: Path) -> None:
    from otel_setup.catalogue import EventType
    from otel_setup.events.record import SystemEvent

    def happened(number: int, name: str, **fields: Any) -> dict[str, Any]:
        event = SystemEvent(event_type=EventType(name), timestamp_ns=NOW + number, **fields)
        return {**event.to_dict(), "sequence": number}

    def gap(number: int, producer: str, name: str, count: int, reason: str = "upstream") -> dict[str, Any]:
        data = {"producer": producer, "first": 1, "last": count, "count": count, "reason": reason}
        return happened(number, name, event_id=f"gap-{number}", data=data)

    player = "p_fedcba9876543210"  # by a key that nobody has here
    texts = await _from_hub(
        [
            happened(1, "player.joined", event_id="i1-e1-5", room_id="r1", player_id=player, data={"a": "p_1"}),
            gap(2, "i1-e1", "stream.gap", 7),
            gap(3, "i1-e1", "stream.gap.filled", 2),
            gap(4, "i2-e2", "stream.gap", 30),
            gap(5, "i1-e1", "stream.gap", 400, "before"),
        ],
        capfd,
        place,
    )
    assert lines(texts["events.ndjson"])[0]["player_id"] == player
    assert "5 events of the servers that played here never arrived" in texts["summary.txt"]
    assert "30 events of other servers" in texts["summary.txt"]
    assert [event["event_type"] for event in lines(texts["stream.ndjson"])] == [
        "stream.gap",
        "stream.gap.filled",
        "stream.gap",
        "stream.gap",
    ]


# --- what belongs to it -----------------------------------------------------------------------------------------------


def test_what_belongs_to_the_room_is_in_it_and_nothing_else(
    capfd: pytest.CaptureFixture[str], here: Here, place: Path
) -> None:
    play(here)
    folder = place / "otlp"
    folder.mkdir()
    (folder / "logs-2030-01-01T00-00-00.000.jsonl").write_text(  # as it is rotated
        request("logs", log("room", room_id="r1"), log("other room", room_id="r2"), log("nobody's"))
        + request("logs", log("request", correlation_id="c1"), log("other request", correlation_id="c2"))
        + "torn {\n"
    )
    event = {**log("", room_id="r1", log_record_uid="i-e-77"), "eventName": "game.started"}
    (folder / "logs.jsonl").write_text(
        request("logs", log("trace", TRACE), log("other trace", OTHER_TRACE), event)
        + request("logs", log("too early", at=-3600 * SECOND, room_id="r1"))
        + request("logs", log("of a span's trace", "ef" * 16))
        + request("logs", log("unfinished", room_id="r1"))[:-1]
    )
    (folder / "traces.jsonl").write_text(
        request("spans", span("game", game_id="g1", trace="ef" * 16), span("other game", game_id="g2"))
        + request("spans", span("of the trace", TRACE), span("nobody's"))
    )
    done, texts = bundled(capfd, place, "--room", "r1", "--otlp-dir", str(folder), *WINDOW)
    assert done.returncode == 0, done.stderr
    logs = [line["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0] for line in lines(texts["logs.otlp.jsonl"])]
    spans = [line["resourceSpans"][0]["scopeSpans"][0]["spans"][0] for line in lines(texts["spans.otlp.jsonl"])]
    assert {record["body"]["stringValue"] for record in logs} == {"room", "request", "trace", "of a span's trace"}
    assert {each["name"] for each in spans} == {"game", "of the trace"}
    expected = [event for event in here.stream.get_history() if event.room_id == "r1" and event.timestamp_ns >= NOW]
    found = lines(texts["events.ndjson"])
    assert [event["event_id"] for event in found] == [event.event_id for event in expected]
    assert [event["timestamp"] for event in found] == [event.timestamp.isoformat() for event in expected]
    summary = texts["summary.txt"]
    assert "Rooms: r1\nGames: g1\n" in summary
    assert "1 events of these rooms are in the Collector's files and not in the source" in summary
    assert "1 lines of the files could not be read" in summary
    assert "liap-tui 1.2.3" in summary
    assert len(texts["events.txt"].splitlines()) == len(expected)


def test_its_log_records_and_spans_are_otlp(capfd: pytest.CaptureFixture[str], here: Here, place: Path) -> None:
    play(here)
    folder = place / "otlp"
    folder.mkdir()
    record = {**log("text", TRACE, room_id="r1"), "eventName": ""}
    record["attributes"] += [
        {"key": "n", "value": {"intValue": "5"}},
        {"key": "l", "value": {"arrayValue": {"values": [{"doubleValue": 1.5}, {"boolValue": True}]}}},
        {"key": "m", "value": {"kvlistValue": {"values": [{"key": "k", "value": {"stringValue": "v"}}]}}},
    ]
    (folder / "logs.jsonl").write_text(request("logs", record))
    _, texts = bundled(capfd, place, "--room", "r1", "--otlp-dir", str(folder), *WINDOW)
    (line,) = texts["logs.otlp.jsonl"].splitlines()
    made = json.loads(line)["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]
    assert made["attributes"] == record["attributes"]
    # The hub's decoder is an independent reader of the format: it takes a named record for an event.
    named = line.replace('"severityText"', '"eventName":"x.y","severityText"')
    (event,) = decode(named.encode(), JSON, "", Limits()).events
    assert (event.room_id, event.trace_id, event.data["n"], event.data["l"]) == ("r1", TRACE, 5, [1.5, True])


def test_the_beginning_that_a_source_does_not_have_is_told(
    capfd: pytest.CaptureFixture[str], here: Here, place: Path
) -> None:
    here.publish(room_id="r1", timestamp_ns=NOW)
    _, texts = bundled(capfd, place, "--room", "r1", "--since", "2030-03-17T10:00:00Z", "--until", "2031-01-01")
    assert "the source reaches back to 2030-03-17 17:46:40 UTC only" in texts["summary.txt"]
    _, texts = bundled(capfd, place, "--room", "r1", "--since", "oldest", "--until", "2031-01-01")
    assert "reaches back" not in texts["summary.txt"]


def test_a_bundle_can_be_replayed(capfd: pytest.CaptureFixture[str], here: Here, place: Path) -> None:
    play(here)
    _, texts = bundled(capfd, place, "--room", "r1", *WINDOW)
    file = place / "events.ndjson"
    file.write_text(texts["events.ndjson"])
    done = run_here(capfd, "replay", "--file", str(file), "--speed", "max", "--json")
    assert len(done.stdout.splitlines()) == 7


# --- what goes wrong --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "say which room"),
        (["--room", "nowhere"], "nothing is known of nowhere"),
        (["--room", "r1", "--since", "-5"], "--since '-5': write 30m"),
        (["--room", "r1", "--since", "1m", "--until", "2m"], "--until is not after --since"),
        (["--room", "r1", "--otlp-dir", "none"], "cannot be read"),
        (["--room", "r1", "--otlp-dir", "."], "holds no files of OTLP JSON"),
        (["--room", "r1", "--out", "none/b.zip"], "cannot be written"),
        (["--room", "r1", "--game", "g1"], "one of them is enough"),
    ],
)
def test_errors(
    capfd: pytest.CaptureFixture[str], here: Here, place: Path, monkeypatch: pytest.MonkeyPatch,
    arguments: list[str], said: str,
) -> None:  # fmt: skip
    (place / "empty").mkdir()
    monkeypatch.chdir(place / "empty")
    here.publish(room_id="r1")
    done = run_here(capfd, "bundle", *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert list(Path().iterdir()) == []


def test_a_file_that_is_there_is_left_alone(capfd: pytest.CaptureFixture[str], here: Here, place: Path) -> None:
    here.publish(room_id="r1")
    (place / "mine").write_text("mine")
    done = run_here(capfd, "bundle", "--room", "r1", "--out", str(place / "mine"))
    assert done.returncode == 2
    assert (place / "mine").read_text() == "mine"
