"""Tells a chat who has won: ``python -m examples.subscribers.chat_notifier --webhook URL``.

What players chose as their names is escaped, so that nobody writes in bold, links, or calls everybody to the channel.
What is missing from the stream is said as well: a winner may be among it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import unicodedata
from collections.abc import Sequence

from examples.subscribers.source import Source, hub_events, make_parser, run
from examples.subscribers.webhook import PER_MINUTE, QUEUE_SIZE, Webhook
from otel_setup import EventFilter, EventType, SystemEvent

WEBHOOK_VARIABLE = "CHAT_WEBHOOK_URL"
WANTED = EventFilter(
    event_types={
        EventType.GAME_ENDED,
        EventType.GAME_LOST,
        EventType.PRODUCER_LOST,
        EventType.STREAM_GAP,
        EventType.STREAM_RESET,
    }
)
MAX_NAME = 40
"""Characters of a name that are shown."""
MAX_NAMES = 8
"""Players that one message names."""
DRAIN_SECONDS = 5.0
# Bold, code, quotes, links, lists, spoilers, mentions, emoji, and addresses, which become links by themselves.
_WIDE = {ord(char): ord(char) + 0xFEE0 for char in "\\`*_~|<>#[](){}!&@:/."}
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def escaped(name: object) -> str:
    """A player's text as it may stand in a chat's Markdown: visible, short, on one line, and nothing but text.

    What means something to a chat is written in the wide forms that Unicode has of it: they look alike, and mean
    nothing in any chat. Chats do not agree on how to escape, and some have no way to.
    """
    text = "".join("�" if unicodedata.category(char) in _HIDDEN else char for char in str(name)[: MAX_NAME + 1])
    cut = text if len(text) <= MAX_NAME else text[: MAX_NAME - 1] + "…"
    return cut.translate(_WIDE)


def message_of(event: SystemEvent) -> str | None:
    """What the chat is told of an event; None of one that it is not told of."""
    where = f"Room {escaped(event.room_id or event.game_id or '?')}"
    match event.event_type:
        case EventType.GAME_ENDED if event.data.get("abandoned"):
            return f"{where}: the game was abandoned."
        case EventType.GAME_ENDED:
            return f"{where}: {_winners(event.data.get('winner_id'))}{_scores(event.data.get('final_scores'))}"
        case EventType.GAME_LOST:
            return f"{where}: its server is silent; nobody knows how the game goes on."
        case EventType.PRODUCER_LOST:
            return f"A game server is silent, with {event.data.get('live_games', '?')} games on it."
        case EventType.STREAM_GAP:
            return f"{event.data.get('count', '?')} events are missing here: games may have ended unseen."
        case EventType.STREAM_RESET:
            return "The event stream has begun anew: games may have ended unseen."
    return None


def _winners(winner_id: object) -> str:
    winners = winner_id if isinstance(winner_id, list) else [winner_id] if winner_id else []
    named = [escaped(name) for name in winners[:MAX_NAMES]]
    if not named:
        return "the game is over."
    more = f" and {len(winners) - MAX_NAMES} more" if len(winners) > MAX_NAMES else ""
    return f"{' and '.join(named)}{more} {'has' if len(winners) == 1 else 'have'} won."


def _scores(scores: object) -> str:
    if not isinstance(scores, dict) or not scores:
        return ""
    best = sorted(scores.items(), key=lambda pair: _number(pair[1]), reverse=True)[:MAX_NAMES]
    return " " + ", ".join(f"{escaped(name)} {_number(score):g}" for name, score in best)


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


async def notify(source: Source, webhook: Webhook) -> None:
    """Tells the chat of what comes, until the source ends."""
    async for event in source:
        if (text := message_of(event)) is not None:
            webhook.say(text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs until Ctrl-C."""
    parser = make_parser(
        "examples.subscribers.chat_notifier", "Tells a chat's webhook who has won, and what is missing."
    )
    parser.add_argument(
        "--webhook", metavar="URL", help=f"where to post; better, since it is a secret, in {WEBHOOK_VARIABLE}"
    )
    parser.add_argument("--field", default="text", help="key of the text: text, or content (default: %(default)s)")
    parser.add_argument("--per-minute", type=float, default=PER_MINUTE, help="messages a minute (default: %(default)g)")
    parser.add_argument("--queue", type=int, default=QUEUE_SIZE, help="messages that may wait (default: %(default)s)")
    options = parser.parse_args(arguments)
    url = options.webhook or os.environ.get(WEBHOOK_VARIABLE)
    if not url:
        parser.error(f"say where to post: --webhook URL, or the variable {WEBHOOK_VARIABLE}")

    async def work() -> None:
        webhook = Webhook(url, field=options.field, per_minute=options.per_minute, queue_size=options.queue)
        sending = asyncio.create_task(webhook.run())
        try:
            async with hub_events(options, WANTED, None) as events:
                await notify(events, webhook)
        finally:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(webhook.drain(), DRAIN_SECONDS)
            sending.cancel()
            print(f"{webhook.sent} sent, {webhook.dropped} dropped, {webhook.failed} failed", file=sys.stderr)

    return run(work)


if __name__ == "__main__":
    sys.exit(main())
