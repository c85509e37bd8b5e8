"""What readers get over real sockets, beside the stream: pages, views, accounts, health, metrics, and errors."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from google.rpc.status_pb2 import Status
from prometheus_client.parser import text_string_to_metric_families

from otel_setup.catalogue import EventType
from otel_setup.hub import pages as pages_of_hub
from otel_setup.hub.metrics import FAMILIES
from otel_setup.hub.security import Tokens
from otel_setup.ledger import Ledger
from tests.otel_setup.hub.app_client import Served, served
from tests.otel_setup.hub.app_support import sent

TOKENS = Tokens("a-token-for-everything", "a-token-for-reading")
READABLE = ["/", "/events", "/producers", "/metrics", "/health", *map("/views/{}".format, ("rooms", "flows", "errors"))]


# --- reading ----------------------------------------------------------------------------------------------------------
async def pages(hub: Served, query: str) -> list[dict[str, Any]]:
    """All pages from here on, each asked for with the cursor of the one before."""
    found = []
    while True:
        page = (await hub.get(f"/events?{query}")).json()
        found.append(page)
        if not page["more"]:
            return found
        query = f"{query.partition('since=')[0]}since={page['cursor']}"


@pytest.mark.parametrize("history_size", [5, 1000], ids=["most from the log", "all from memory"])
async def test_page_by_page_every_event_comes_once(history_size: int, tmp_path: Path) -> None:
    async with served(tmp_path, history_size=history_size, viewer_events=5) as hub:
        for number in range(1, 101):
            await hub.send(sent(number, room_id=f"room{number % 2}"))
        found = await pages(hub, "limit=7&since=oldest")
        numbers = [event["sequence"] for page in found for event in page["events"]]
        assert numbers == list(range(1, 101))
        assert {page["complete"] for page in found} == {True}
        assert {page["epoch"] for page in found} == {hub.hub.stream.epoch}
        odd = await pages(hub, "limit=7&room=room1&since=oldest")
        assert [event["sequence"] for page in odd for event in page["events"]] == list(range(1, 101, 2))


async def test_without_a_place_the_newest_come() -> None:
    async with served(None) as hub:
        await hub.send(*[sent(number) for number in range(1, 11)])
        page = (await hub.get("/events?limit=3")).json()
        assert [event["sequence"] for event in page["events"]] == [8, 9, 10]
        assert (page["more"], page["complete"], page["cursor"]) == (False, True, f"{hub.hub.stream.epoch}-10")


async def test_a_page_of_what_is_not_kept_any_more_says_so() -> None:
    async with served(None, history_size=10, viewer_events=10) as hub:
        await hub.send(*[sent(number) for number in range(1, 101)])
        for cursor in (f"{hub.hub.stream.epoch}-3", "00000000-3"):
            page = (await hub.get(f"/events?since={cursor}")).json()
            assert page["complete"] is False
            assert [event["sequence"] for event in page["events"]] == list(range(91, 101))


async def test_a_rare_event_is_not_looked_for_without_end(tmp_path: Path) -> None:
    async with served(tmp_path, max_scan=1000, history_size=5, viewer_events=5) as hub:
        for start in range(0, 3000, 500):
            await hub.send(*[sent(start + number) for number in range(1, 501)])
        await hub.send(sent(3001, room_id="rare"))
        found = await pages(hub, "room=rare&since=oldest")
        assert [len(page["events"]) for page in found][-1] == 1
        assert len(found) > 2


async def test_the_account_of_each_server_says_what_is_missing(tmp_path: Path) -> None:
    async with served(tmp_path) as hub, hub.stream() as reader:
        await hub.send(sent(1), sent(2), sent(5))
        await hub.send(sent(1, "server2-9f8e7d6c"), instance="server2")
        await reader.events(5)  # with the gap of two
        told = (await hub.get("/producers")).json()
        accounts = {
            name: (each["emitted"], each["delivered"], each["missing"]) for name, each in told["producers"].items()
        }
        assert accounts == {"server1-0a1b2c3d": (5, 3, 2), "server2-9f8e7d6c": (1, 1, 0)}
        assert told["producers"]["server1-0a1b2c3d"]["state"] == "live"
        assert told["producers"]["server1-0a1b2c3d"]["instance"] == "server1"
        assert (told["totals"]["emitted"], told["totals"]["missing"]) == (6, 2)
        assert (told["complete"], told["incomplete"]) == (False, {"server1-0a1b2c3d": ["gap"]})


async def test_the_views_are_of_all_servers_and_say_whether_they_are_whole(tmp_path: Path) -> None:
    async with served(tmp_path, view_seconds=0) as hub, hub.stream() as reader:
        await hub.send(sent(1, event_type=EventType.ROOM_CREATED, room_id="one"))
        await hub.send(
            sent(1, "server2-9f8e7d6c", event_type=EventType.ROOM_CREATED, room_id="two"), instance="server2"
        )
        rooms = (await hub.get("/views/rooms")).json()
        assert {row["room_id"] for row in rooms["rooms"]} == {"one", "two"}
        assert (rooms["complete"], rooms["incomplete"]) == (True, {})
        assert rooms["producers"] == {"live": 2, "lost": 0, "stopped": 0}
        assert datetime.fromisoformat(rooms["since"]).tzinfo is not None
        assert (await hub.get("/views/rooms/two")).json()["room"]["room_id"] == "two"
        await hub.send(sent(3))
        await reader.events(4)
        rooms = (await hub.get("/views/rooms")).json()
        assert (rooms["complete"], list(rooms["incomplete"])) == (False, ["server1-0a1b2c3d"])


async def test_who_asks_for_a_view_at_the_same_time_gets_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    original = pages_of_hub.VIEWS["rooms"]

    def counted(ledger: Ledger) -> dict[str, Any]:
        made.append(1)
        return original(ledger)

    monkeypatch.setitem(pages_of_hub.VIEWS, "rooms", counted)  # type: ignore[misc]
    async with served(None, view_seconds=60) as hub:
        answers = await asyncio.gather(*(hub.get("/views/rooms") for _ in range(10)))
        assert {answer.status_code for answer in answers} == {200}
        assert len(made) == 1


@pytest.mark.parametrize("path", READABLE)
async def test_head_is_answered_as_get_is_without_the_body(path: str) -> None:
    async with served(None) as hub:
        got, headed = await hub.get(path), await hub.client.head(path)
        assert (got.status_code, headed.status_code, headed.content) == (200, 200, b"")
        assert headed.headers["content-type"] == got.headers["content-type"]


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("/nonsense", 404, "GET /events/stream"),
        ("/events/", 404, "GET /events/stream"),
        ("/views/nonsense", 404, "state_diagram"),
        ("/views/rooms/nobody", 404, "/views/rooms lists"),
        ("/views/rooms/a%2Fb", 404, "/views/rooms lists"),
        ("/events?rooms=a", 400, "there are attr, correlation"),
        ("/events/stream?since=yesterday", 400, "a cursor, oldest"),
        ("/events?limit=0", 400, "from 1 to 10000"),
    ],
)
async def test_errors_are_json_and_say_what_there_is(path: str, status: int, says: str) -> None:
    async with served(None) as hub:
        answer = await hub.get(path)
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/json"
        assert answer.json()["error"]["status"] == status
        assert says in answer.text


async def test_every_path_on_the_first_page_is_there() -> None:
    async with served(None) as hub:
        await hub.send(sent(1, event_type=EventType.ROOM_CREATED, room_id="ID"))
        listed = (await hub.get("/")).json()["paths"]
        for each in listed:
            method, path = each.split()
            if path == "/events/stream":
                async with hub.stream() as reader:
                    assert reader.retry
            elif method == "GET":
                assert (await hub.get(path)).status_code == 200, path
            else:
                assert (await hub.send(sent(2))).status_code == 200


async def test_without_the_token_a_probe_learns_how_the_hub_is_and_no_more() -> None:
    async with served(None, TOKENS) as hub:
        assert (await hub.get("/health")).json() == {"status": "ok"}
        full = await hub.get("/health", authorization=f"Bearer {TOKENS.reader}")
        assert full.json()["cursor"] == f"{hub.hub.stream.epoch}-0"
        for path in (path for path in READABLE if path != "/health"):
            assert (await hub.get(path)).status_code == 401
        refused = await hub.send(sent(1))
        assert refused.status_code == 401
        assert "Authorization: Bearer" in Status.FromString(refused.content).message


# --- metrics ----------------------------------------------------------------------------------------------------------
async def metrics(hub: Served) -> dict[tuple[str, str], float]:
    text = (await hub.get("/metrics")).text
    return {
        (sample.name.removeprefix("otel_setup_hub_"), next(iter(sample.labels.values()), "")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_the_metrics_say_what_happened(tmp_path: Path) -> None:
    async with served(tmp_path) as hub, hub.stream() as reader:
        await hub.send(sent(1), sent(2))
        await hub.send(sent(2), sent(3))
        await hub.send(sent(6))
        await reader.events(5)  # with the gap
        await hub.send(sent(4))
        await reader.events(7)  # with the word that it is filled
        await hub.get("/nonsense?")
        await hub.client.put("/events")
        found = await metrics(hub)
        expected = {
            "received_requests_total": 4,
            "received_events_total": 6,
            "delivered_events_total": 5,
            "duplicate_events_total": 1,
            "missing_events": 1,
            "filled_events_total": 1,
            "late_events_total": 1,
            "held_events": 0,
            "viewers": 1,
            "sent_frames_total": 7,
            "last_sequence": 7,
            "ready": 1,
            "log_segments": 1,
            "dropped_segments_total": 0,
        }
        assert {name: found[name, ""] for name in expected} == expected
        assert found["refused_requests_total", "method"] == 1
        assert found["log_bytes", ""] > 0


async def test_every_metric_is_there_from_the_start_and_named_as_prometheus_wants(tmp_path: Path) -> None:
    async with served(tmp_path) as hub:
        text = (await hub.get("/metrics")).text
        families = {family.name: family for family in text_string_to_metric_families(text)}
        assert set(families) == {family.name for family in FAMILIES}
        for family in families.values():
            assert family.documentation.endswith(".")
            assert family.type in ("counter", "gauge")
        assert found_reasons(families, "refused_requests") >= {"token", "full", "viewers", "too_large"}
        assert found_reasons(families, "disconnected_viewers") >= {"stalled", "slow", "client", "shutdown", "finished"}


def found_reasons(families: Any, name: str) -> set[str]:
    return {sample.labels["reason"] for sample in families[f"otel_setup_hub_{name}"].samples}
