"""The chat notifier: what it says, to a chat that is slow, refuses or is gone, and of players who write in Markdown."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from examples.subscribers import webhook as webhooks
from examples.subscribers.chat_notifier import MAX_NAME, WANTED, escaped, main, message_of, notify
from examples.subscribers.webhook import Webhook
from otel_setup.testing import EventStreamTester


class Chat:
    """A chat on this machine: what was posted to it, and how it answers next."""

    def __init__(self) -> None:
        self.posted: list[str] = []
        self.answers: list[tuple[int, dict[str, str]]] = []
        self.url = ""


@pytest.fixture
def chat() -> Iterator[Chat]:
    chat = Chat()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            status, headers = chat.answers.pop(0) if chat.answers else (204, {})
            if status < 300:
                chat.posted.append(body["text"])
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    chat.url = f"http://127.0.0.1:{server.server_port}/hook"
    yield chat
    server.shutdown()
    server.server_close()
    thread.join()


class Time:
    """A clock that stands still, but for those who sleep."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


Make = Callable[..., Webhook]


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
async def make(chat: Chat, time: Time) -> AsyncIterator[Make]:
    running = []

    def make(**options: object) -> Webhook:
        made = Webhook(chat.url, clock=time.clock, sleep=time.sleep, **options)  # type: ignore[arg-type]
        running.append(asyncio.create_task(made.run()))
        return made

    yield make
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


async def drained(webhook: Webhook) -> None:
    async with asyncio.timeout(20):
        await webhook.drain()


async def test_the_chat_hears_who_has_won_and_what_is_missing(
    chat: Chat, make: Make, event_stream_tester: EventStreamTester
) -> None:
    webhook, tester = make(burst=100), event_stream_tester
    async with await tester.stream.subscribe("chat", WANTED) as subscriber:
        reading = asyncio.create_task(notify(subscriber, webhook))
        tester.publish("game.started", room="r1")
        tester.publish("game.ended", room="r1", winner_id="Ada", final_scores={"Ben": 41, "Ada": 50}, abandoned=False)
        tester.publish("game.ended", room="r2", winner_id=["Ada", "Ben"], final_scores={})
        tester.publish("game.ended", room="r3", abandoned=True)
        tester.gap(3)
        tester.publish("game.lost", room="r4")
        await tester.settle()
        tester.assert_not_received("game.started")
        reading.cancel()
    await drained(webhook)
    assert chat.posted == [
        "Room r1: Ada has won. Ada 50, Ben 41",
        "Room r2: Ada and Ben have won.",
        "Room r3: the game was abandoned.",
        "3 events are missing here: games may have ended unseen.",
        "Room r4: its server is silent; nobody knows how the game goes on.",
    ]
    assert (webhook.sent, webhook.dropped, webhook.failed) == (5, 0, 0)


async def test_what_it_lost_by_being_slow_is_said(
    chat: Chat, make: Make, event_stream_tester: EventStreamTester
) -> None:
    webhook, tester = make(burst=1000, queue_size=1000), event_stream_tester
    async with await tester.stream.subscribe("chat", WANTED) as subscriber:
        reading = asyncio.create_task(notify(subscriber, webhook))
        await tester.settle()
        tester.overwhelm("game.ended", lost=7, room="r1", winner_id="Ada")
        await tester.settle()
        reading.cancel()
    await drained(webhook)
    assert "7 events are missing here: games may have ended unseen." in chat.posted


@pytest.mark.parametrize(
    "hostile",
    [
        "**bold** _it_ ~~gone~~ `code` ||spoiler||",
        "[click](https://bad.example)",
        "<!channel> <@U123> @everyone @here",
        "> quote\n# heading\n- list",
        "bad.example www.bad.example :poop:",
        "&lt;!channel&gt;",
        "\x1b[31m\u202e\u200b\x00",
        "x" * 10_000,
    ],
)
def test_a_name_is_nothing_but_text(hostile: str) -> None:
    text = escaped(hostile)
    assert not set(text) & set("\\`*_~|<>#[](){}!&@:/.\n\r\t\x1b\x00\u202e\u200b")
    assert 0 < len(text) <= MAX_NAME


def test_ordinary_names_stay_as_they_are() -> None:
    for name in ("Ada", "Bot 2", "Zoë", "李雷", "🦊 fox", "rené-7"):
        assert escaped(name) == name


def test_a_message_has_a_bound_whatever_the_event_says(event_stream_tester: EventStreamTester) -> None:
    winners = ["x" * 10_000] * 1000
    event = event_stream_tester.publish(
        "game.ended", room="r" * 10_000, winner_id=winners, final_scores=dict.fromkeys(map(str, range(1000)), "many")
    )
    text = message_of(event)
    assert text is not None
    assert len(text) < 1000
    assert "and 992 more have won" in text


async def test_the_rate_is_kept(chat: Chat, make: Make, time: Time) -> None:
    webhook = make(per_minute=30, burst=2)
    for number in range(5):
        webhook.say(str(number))
    await drained(webhook)
    assert chat.posted == ["0", "1", "2", "3", "4"]
    assert sum(time.slept) == pytest.approx(3 * 2.0), "two at once, then one every two seconds"


async def test_the_queue_is_bounded_and_the_next_message_says_what_is_missing(chat: Chat, make: Make) -> None:
    webhook = make(queue_size=3, burst=100)
    for number in range(10):
        webhook.say(str(number))
    await drained(webhook)
    assert chat.posted == ["(7 messages were dropped here)\n7", "8", "9"]
    assert (webhook.dropped, webhook.sent) == (7, 3)


async def test_a_chat_that_asks_to_wait_is_waited_for(chat: Chat, make: Make, time: Time) -> None:
    chat.answers = [(429, {"retry-after": "17"}), (503, {}), (204, {})]
    webhook = make()
    webhook.say("hello")
    await drained(webhook)
    assert chat.posted == ["hello"]
    assert time.slept == [17, 2]


async def test_a_chat_that_refuses_is_not_pressed(chat: Chat, make: Make, time: Time) -> None:
    chat.answers = [(404, {}), (302, {"location": f"{chat.url}/elsewhere"})]
    webhook = make()
    webhook.say("hello")
    webhook.say("again")
    await drained(webhook)
    assert (chat.posted, webhook.failed, time.slept) == ([], 2, [])


async def test_a_chat_that_is_gone_costs_a_bounded_time(make: Make, chat: Chat, time: Time) -> None:
    chat.answers = [(500, {"retry-after": "100000"})] * webhooks.ATTEMPTS
    webhook = make()
    webhook.say("hello")
    await drained(webhook)
    assert webhook.failed == 1
    assert sum(time.slept) <= webhooks.MAX_PAUSE * webhooks.ATTEMPTS


def test_nobody_is_told_the_address(capsys: pytest.CaptureFixture[str]) -> None:
    address = "ftp://chat.example/T000/secret"
    assert main(["--webhook", address, "--hub", "http://127.0.0.1:1"]) == 1
    said = capsys.readouterr()
    assert "begins with https://" in said.err
    assert "secret" not in said.out + said.err


def test_without_a_webhook_it_says_what_is_missing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CHAT_WEBHOOK_URL", raising=False)
    with pytest.raises(SystemExit):
        main([])
    assert "CHAT_WEBHOOK_URL" in capsys.readouterr().err
