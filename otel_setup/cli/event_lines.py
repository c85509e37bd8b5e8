"""One event as one line of a terminal.

A line has the local time, a mark for the severity, what kind of event it is, the room, who did it, the event in words
and, at the right, the end of the correlation id. Everything in it may come from a player: whatever could move the
cursor, turn the reading direction or break the line is replaced before it is laid out.
"""

from __future__ import annotations

import json
import math
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from otel_setup.catalogue import Attribute, EventType, Severity
from otel_setup.catalogue import attributes as a
from otel_setup.events.notices import GapReason
from otel_setup.events.record import SystemEvent
from otel_setup.ledger.payload import LATE
from otel_setup.text import clean_data, clean_text

_BOLD, _DIM, _RED, _YELLOW, _PLAIN = "1", "2", "31", "33", ""
_FAMILY_STYLES = {
    **dict.fromkeys(("game", "round", "turn", "redeal", "declaration"), "32"),  # green: how the game goes
    **dict.fromkeys(("state", "phase"), "36"),  # cyan: where it is
    **dict.fromkeys(("action", "player", "bot"), "35"),  # magenta: who does what
    **dict.fromkeys(("room", "connection", "broadcast"), "94"),  # blue: how it travels
    **dict.fromkeys(("business", "producer", "stream", "event_loop"), _PLAIN),
    "error": _RED,
}
"""Colours by the first word of an event's name. Red and yellow mean errors and warnings and nothing else."""
_SEVERITY_MARKS = {Severity.DEBUG: "·", Severity.INFO: " ", Severity.WARN: "!", Severity.ERROR: "✗"}

_TIME_COLUMNS = 12
_KIND_COLUMNS = 11
_LAYOUTS = ((140, (12, 16)), (76, (8, 10)), (60, (8, 0)), (0, (0, 0)))
"""From how many columns on, and how wide room and player are then; 0 leaves a column out."""
_CORRELATION_FROM = 76
"""From how many columns on the correlation id is shown."""
_SHORT_ID = 8
_MAX_VALUE_LENGTH = 512
"""Characters read of one value: more than fits a line."""
_MAX_MARKS = 2
"""Accents kept on one character: a pile of them would cover the lines above."""

NOTICEABLE_WAIT_MS = 5.0
"""Milliseconds in the queue from which an action's line tells them."""

_RULE = "━━"
_RULED_OFF = frozenset({EventType.STREAM_GAP, EventType.STREAM_RESET, EventType.PRODUCER_LOST})
"""What nobody who reads the lines must overlook: they are not all there is."""
_GAP_REASONS: dict[str, str] = {
    GapReason.OVERWRITTEN: "they had left the history",
    GapReason.QUEUE_FULL: "this reader was too slow",
    GapReason.BYTES: "this reader was too slow",
    GapReason.UPSTREAM: "they never arrived",
    GapReason.BEFORE: "they are of the time before the server was first heard of",
}
_MINUTE = 60

_Segment = tuple[str, str]
"""A style and the text in it."""


def is_noise(event: SystemEvent) -> bool:
    """Whether the event is of severity DEBUG (broadcasts, queued actions, heartbeats): hidden unless asked for."""
    return event.severity.value <= Severity.DEBUG.value


def render_event(event: SystemEvent, color: bool, width: int | None) -> str:
    """The event on one line, without its line end.

    Parameters:
        color: whether to use the terminal's colours; without, the line has no escape sequence at all.
        width: columns of the terminal, which the line never exceeds; None leaves it as long as it gets.
    """
    style = {Severity.ERROR: _RED, Severity.WARN: _YELLOW, Severity.DEBUG: _DIM}.get(event.severity, _PLAIN)
    family = _plain(event.event_type).partition(".")[0]
    late = LATE if event.metadata.get(LATE) is True else ""
    kind = f"{_SEVERITY_MARKS.get(event.severity, ' ')} {_padded(_kind(event), _KIND_COLUMNS)}"
    room_columns, who_columns = next(columns for least, columns in _LAYOUTS if width is None or width >= least)
    data = _Data(event.data)
    segments = [
        (_DIM, event.timestamp.astimezone().strftime("%H:%M:%S.%f")[:_TIME_COLUMNS]),
        (style or _FAMILY_STYLES.get(family, _PLAIN), kind),
        (style or _BOLD, _padded(_plain(event.room_id or event.game_id), room_columns)),
        (style, _padded(_plain(event.player_id) or _short(event.connection_id), who_columns)),
        (f"{_BOLD};{style}" if style and event.event_type in _RULED_OFF else style, _words(event, data)),
        (_YELLOW if late and not style else style, late),
        (_DIM, _if_any(" ", data.rest())),
    ]
    correlation = _short(event.correlation_id) if width is None or width >= _CORRELATION_FROM else ""
    line = _fitted(segments, None if width is None else width - _columns(_if_any("  ", correlation)))
    if correlation:
        blank = 0 if width is None else width - _columns(correlation) - sum(_columns(text) for _, text in line)
        line += [(_PLAIN, " " * max(blank, 2)), (_DIM, correlation)]
    return "".join(_painted(line, color))


def _fitted(segments: list[_Segment], room: int | None) -> list[_Segment]:
    """The segments that are not empty, a space between them, cut where the room ends."""
    fitted: list[_Segment] = []
    for style, text in segments:
        if not text:
            continue
        spaced = f" {text}" if fitted else text
        if room is not None:
            spaced = _cut(spaced, room)
            room -= _columns(spaced)
        fitted.append((style, spaced))
    while fitted and not fitted[-1][1].strip():
        fitted.pop()
    fitted[-1:] = [(style, text.rstrip()) for style, text in fitted[-1:]]
    return fitted


def _painted(segments: list[_Segment], color: bool) -> Iterator[str]:
    for style, text in segments:
        yield f"\x1b[{style}m{text}\x1b[0m" if color and style and text.strip() else text


# --- the event in words ----------------------------------------------------------------------------------------------


class _Data:
    """An event's data. What is said in words is taken out of it; ``rest()`` lists what remains."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self._values = dict(data)
        self._values.pop(a.STACK_TRACE.data_key, None)  # for where there is room for it
        self._values.pop(a.ORDINAL.data_key, None)

    def take(self, attribute: Attribute) -> Any:
        return self._values.pop(attribute.data_key, None)

    def text(self, attribute: Attribute) -> str:
        return _plain(self.take(attribute))

    def seconds(self, attribute: Attribute, scale: float = 1.0) -> str:
        """A duration in words; ``scale`` is its unit in seconds."""
        value = _number(self.take(attribute))
        return "" if value is None else _duration(value * scale)

    def milliseconds(self, attribute: Attribute) -> str:
        return self.seconds(attribute, 0.001)

    def rest(self) -> str:
        return " ".join(f"{_plain(key)}={_value(value)}" for key, value in self._values.items() if value is not None)


def _words(event: SystemEvent, data: _Data) -> str:
    tell = _WORDS.get(event.event_type)
    if tell is None:
        return _plain(event.event_type).partition(".")[2].replace(".", " ")
    return tell(data)


def _move(data: _Data) -> str:
    return f"{data.text(a.STATE_FROM) or '?'} → {data.text(a.STATE_TO) or '?'}"


def _transition_start(data: _Data) -> str:
    return f"{_move(data)} begins{_against_rules(data)}"


def _transition_complete(data: _Data) -> str:
    data.take(a.SUCCESS)
    return _phrase(_move(data) + _against_rules(data), data.milliseconds(a.DURATION_MS))


def _transition_failed(data: _Data) -> str:
    data.take(a.SUCCESS)
    return _failure(f"{_move(data)}{_against_rules(data)} failed", data)


def _transition_illegal(data: _Data) -> str:
    return _phrase(f"{_move(data)} is against the rules", data.text(a.REASON))


def _against_rules(data: _Data) -> str:
    return " against the rules" if data.take(a.STATE_LEGAL) is False else ""


def _action(data: _Data) -> str:
    """``play_pieces accepted  2.3 ms``: how it ended, or how far it has come."""
    status = data.text(a.ACTION_STATUS)
    what = (data.text(a.ACTION_TYPE) or "?") + _if_any(" ", data.text(a.ACTION_OUTCOME) or status)
    took = data.milliseconds(a.DURATION_MS)
    return _phrase(what, took, _by(data), _waited(data))


def _waited(data: _Data) -> str:
    """Only a wait that somebody could feel is worth the room."""
    waited = _number(data.take(a.QUEUE_WAIT_MS))
    return f"waited {_duration(waited / 1000)}" if waited is not None and waited >= NOTICEABLE_WAIT_MS else ""


def _action_failed(data: _Data) -> str:
    data.take(a.ACTION_STATUS)
    outcome = data.text(a.ACTION_OUTCOME) or "failed"
    return _failure(f"{data.text(a.ACTION_TYPE) or '?'} {outcome}" + _if_any(" ", _by(data)), data)


def _by(data: _Data) -> str:
    return "by a bot" if data.take(a.ACTION_ACTOR) == a.BOT else ""


def _failure(what: str, data: _Data) -> str:
    after = _if_any(" after ", data.milliseconds(a.DURATION_MS))
    return f"{what}{after}" + _if_any(": ", _error(data, a.ERROR))


def _error(data: _Data, message: Attribute) -> str:
    return ": ".join(part for part in (data.text(a.ERROR_TYPE), data.text(message)) if part)


def _error_occurred(data: _Data) -> str:
    return _error(data, a.ERROR_MESSAGE) + _if_any("  in ", data.text(a.STATE_NAME))


def _game_started(data: _Data) -> str:
    players = _counted(data.text(a.PLAYER_COUNT), "player")
    return _phrase("started", players + _if_any(", ", _counted(data.text(a.BOT_COUNT), "bot")), _seats(data))


def _seats(data: _Data) -> str:
    seats = data.take(a.SEATS)
    if not isinstance(seats, list | tuple):
        return ""
    return ", ".join(
        _plain(seat.get("player")) + (" (bot)" if seat.get("is_bot") is True else "")
        for seat in seats
        if isinstance(seat, Mapping)
    )


def _game_ended(data: _Data) -> str:
    how = "abandoned" if data.take(a.ABANDONED) is True else "ended"
    return _phrase(how, ", ".join(_scoreboard(data)), data.seconds(a.GAME_DURATION))


def _scoreboard(data: _Data) -> Iterator[str]:
    """``★ first 50``, ``second 41``: the best score first, a star for each winner."""
    winners = data.take(a.WINNER_ID)
    winners = [_plain(name) for name in winners] if isinstance(winners, list | tuple) else [_plain(winners)]
    scores = data.take(a.FINAL_SCORES)
    if isinstance(scores, list | tuple):  # as exported: maps keyed by name become lists
        scores = {row.get("player"): row.get("score") for row in scores if isinstance(row, Mapping)}
    board = {_plain(name): score for name, score in scores.items()} if isinstance(scores, Mapping) else {}
    yield from (f"★ {name}" for name in winners if name and name not in board)
    if scores is not None and not isinstance(scores, Mapping):
        yield _value(scores)
    for name, score in sorted(board.items(), key=lambda row: -(_number(row[1]) or 0)):
        yield f"{'★ ' if name in winners else ''}{name} {_value(score)}"


def _player_moved(word: str) -> Callable[[_Data], str]:
    return lambda data: f"{word} (bot)" if data.take(a.IS_BOT) is True else word


def _broadcast(data: _Data) -> str:
    failed = "" if data.take(a.SUCCESS) in (True, None) else "failed"
    to = _if_any(" to ", _counted(data.text(a.RECIPIENTS), "socket"))
    return _phrase(f"{data.text(a.BROADCAST_EVENT) or 'message'}{to}", failed, data.milliseconds(a.BROADCAST_MS))


def _gap(data: _Data) -> str:
    """``━━ 12 events are missing  no. 5 to 16 of i1-9f8e7d6c: they never arrived``: what nobody must overlook."""
    reason = data.text(a.GAP_REASON)
    numbers = _phrase(_counted(data.text(a.GAP_COUNT), "event") + " missing", _numbers(data))
    return f"{_RULE} {numbers}" + _if_any(": ", _GAP_REASONS.get(reason, reason))


def _gap_filled(data: _Data) -> str:
    return _phrase(f"{_RULE} {_counted(data.text(a.GAP_COUNT), 'missing event')} came after all", _numbers(data))


def _numbers(data: _Data) -> str:
    first, last = data.text(a.GAP_FIRST), data.text(a.GAP_LAST)
    numbers = f"no. {first}" + (f" to {last}" if last != first else "")
    return numbers + _if_any(" of ", data.text(a.PRODUCER_ID))


def _producer_lost(data: _Data) -> str:
    games = _if_any("", _counted(data.text(a.LIVE_GAMES), "game"), " open")
    return _phrase(f"{_RULE} lost: what came after no. {data.text(a.LAST_SEQUENCE) or '?'} is not known", games)


def _snapshot(data: _Data) -> str:
    data.take(a.SEATS)
    counts = _if_any("round ", data.text(a.ROUND)), _counted(data.text(a.TURNS), "turn")
    return _phrase("is in " + (data.text(a.STATE_NAME) or "?"), *counts)


_WORDS: dict[EventType, Callable[[_Data], str]] = {
    EventType.STATE_TRANSITION_START: _transition_start,
    EventType.STATE_TRANSITION_COMPLETE: _transition_complete,
    EventType.STATE_TRANSITION_FAILED: _transition_failed,
    EventType.STATE_TRANSITION_ILLEGAL: _transition_illegal,
    EventType.ACTION_QUEUED: _action,
    EventType.ACTION_PROCESSING: _action,
    EventType.ACTION_COMPLETED: _action,
    EventType.ACTION_FAILED: _action_failed,
    EventType.PHASE_STARTED: lambda data: f"{data.text(a.PHASE_NAME)} begins",
    EventType.PHASE_COMPLETED: lambda data: (
        data.text(a.PHASE_NAME) + _if_any(" lasted ", data.seconds(a.PHASE_DURATION))
    ),
    EventType.PHASE_TIMEOUT: lambda data: f"{data.text(a.PHASE_NAME)} ran out of time",
    EventType.GAME_STARTED: _game_started,
    EventType.GAME_ENDED: _game_ended,
    EventType.GAME_ERROR: _error_occurred,
    EventType.GAME_SNAPSHOT: _snapshot,
    EventType.PLAYER_JOINED: _player_moved("joined"),
    EventType.PLAYER_LEFT: _player_moved("left"),
    EventType.PLAYER_ACTION: _action,
    EventType.PLAYER_TIMEOUT: lambda data: _phrase("did not act in time", data.text(a.ACTION_TYPE)),
    EventType.PLAYER_RECONNECTED: lambda data: "is back" + _if_any(" after ", data.seconds(a.AWAY_SECONDS)),
    EventType.BOT_TAKEOVER: lambda _: "a bot plays on",
    EventType.ROUND_STARTED: lambda data: _phrase(
        _if_any("round ", data.text(a.ROUND), " begins"), _if_any("", data.text(a.STARTER), " starts")
    ),
    EventType.ROUND_COMPLETED: lambda data: _if_any("round ", data.text(a.ROUND), " is scored"),
    EventType.TURN_COMPLETED: lambda data: _if_any("won by ", data.text(a.TURN_WINNER)),
    EventType.REDEAL: lambda data: data.text(a.REDEAL_RESULT).replace("_", " "),
    EventType.DECLARATION_SCORED: lambda data: _phrase(
        f"declared {data.text(a.DECLARED) or '?'}, won {data.text(a.CAPTURED) or '?'}",
        data.text(a.DECLARATION_RESULT).replace("_", " "),
    ),
    EventType.BROADCAST_SENT: _broadcast,
    EventType.BROADCAST_FAILED: _broadcast,
    EventType.CONNECTION_CLOSED: lambda data: "closed" + _if_any(" after ", data.seconds(a.CONNECTION_SECONDS)),
    EventType.ERROR_OCCURRED: _error_occurred,
    EventType.STREAM_GAP: _gap,
    EventType.STREAM_GAP_FILLED: _gap_filled,
    EventType.STREAM_RESET: lambda data: (
        f"{_RULE} begins anew: {data.text(a.STREAM_CURSOR) or 'the place asked for'} is not of this stream"
    ),
    EventType.STREAM_BOOKMARK: lambda data: f"nothing of interest up to {data.text(a.STREAM_CURSOR) or 'here'}",
    EventType.PRODUCER_LOST: _producer_lost,
}
"""Those that read better than as the end of their name, which tells the others."""


# --- text ------------------------------------------------------------------------------------------------------------


def _kind(event: SystemEvent) -> str:
    """What the line is about: the name's first word, of ``state.transition.*`` the second, which says more."""
    words = _plain(event.event_type).split(".")
    return words[1] if words[0] == "state" and len(words) > 1 else words[0]


def _plain(value: object) -> str:
    """Text that is safe to print, on one line. None becomes nothing."""
    return "" if value is None else _without_piles(" ".join(clean_text(value, _MAX_VALUE_LENGTH).split()))


def _value(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, str):
        return _plain(value)
    return _plain(json.dumps(clean_data(value), ensure_ascii=False))


def _short(identity: str | None) -> str:
    """The end of an id, which differs where the beginning is often a common prefix."""
    return _plain(identity)[-_SHORT_ID:]


def _phrase(*parts: str) -> str:
    return "  ".join(part for part in parts if part)


def _if_any(before: str, text: str, after: str = "") -> str:
    return f"{before}{text}{after}" if text else ""


def _counted(number: str, thing: str) -> str:
    return _if_any("", number, f" {thing}" if number == "1" else f" {thing}s")


def _number(value: object) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _duration(seconds: float) -> str:
    for limit, decimals in ((1, 2), (10, 1), (1000, 0)):
        milliseconds = f"{seconds * 1000:.{decimals}f}"
        if float(milliseconds) < limit:
            return f"{milliseconds} ms"
    if round(seconds, 1) < _MINUTE:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), _MINUTE)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def _char_columns(char: str) -> int:
    if unicodedata.category(char) in {"Mn", "Me"}:
        return 0
    return 2 if unicodedata.east_asian_width(char) in {"W", "F"} else 1


def _columns(text: str) -> int:
    return len(text) if text.isascii() else sum(map(_char_columns, text))


def _cut(text: str, room: int) -> str:
    """The text if it fits into so many columns, else its beginning and an ellipsis."""
    if _columns(text) <= room:
        return text
    kept, used = [], 0
    for char in text:
        used += _char_columns(char)
        if used > room - 1:
            break
        kept.append(char)
    return "".join(kept) + "…" if room > 0 else ""


def _without_piles(text: str) -> str:
    if text.isascii():
        return text
    kept, marks = [], 0
    for char in text:
        marks = marks + 1 if _char_columns(char) == 0 else 0
        if marks <= _MAX_MARKS:
            kept.append(char)
    return "".join(kept)


def _padded(text: str, columns: int) -> str:
    text = _cut(text, columns)
    return text + " " * (columns - _columns(text))
