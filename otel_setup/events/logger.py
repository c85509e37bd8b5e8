"""Publishing the usual events by hand, where no context of the monitor wraps the code that causes them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from otel_setup.catalogue import EVENTS, EventType, Severity
from otel_setup.catalogue import attributes as a
from otel_setup.correlation import clean_correlation_id, get_correlation_id
from otel_setup.events.record import SystemEvent
from otel_setup.events.stream import EventStream
from otel_setup.game_model import OTHER
from otel_setup.text import MAX_TEXT_LENGTH, clean_data, clean_id, clean_text

_SEVERITIES = {event.name: event.severity for event in EVENTS}
_NOT_A_WORD = re.compile(r"[^a-z0-9]+")


class EventLogger:
    """Writes state transitions, actions and errors to an event stream.

    Its calls never raise and never wait. Text is cleaned on the way in. The correlation id is the one passed, or else
    the current one.

    Parameters:
        stream: where the events go.
        default_metadata: put on every event.

    Raises:
        TypeError: ``default_metadata`` is no mapping.
    """

    def __init__(self, stream: EventStream, default_metadata: Mapping[str, Any] | None = None) -> None:
        metadata = clean_data({} if default_metadata is None else default_metadata)
        if not isinstance(metadata, dict):
            raise TypeError(f"default_metadata is {default_metadata!r:.80}; pass a mapping or None")
        self._stream = stream
        self._metadata = MappingProxyType(metadata)

    async def log_state_transition(
        self,
        game_id: str,
        from_state: str,
        to_state: str,
        success: bool = True,
        error: str | None = None,
        correlation_id: str | None = None,
    ) -> None:
        """A finished transition: ``state.transition.complete``, or ``.failed`` where ``success`` is false."""
        await self._publish(
            EventType.STATE_TRANSITION_COMPLETE if success else EventType.STATE_TRANSITION_FAILED,
            {
                a.STATE_FROM.data_key: from_state,
                a.STATE_TO.data_key: to_state,
                a.SUCCESS.data_key: bool(success),
                a.ERROR.data_key: error,
            },
            game_id=game_id,
            correlation_id=correlation_id,
        )

    async def log_action(
        self,
        game_id: str,
        action_type: str,
        player_id: str,
        status: str,
        data: Mapping[str, Any] | None = None,
        correlation_id: str | None = None,
    ) -> None:
        """An action that has come to ``status``: published as ``action.<status>``.

        The name takes the status in lower case with every run of other characters than letters and digits as one
        ``_``; a status that leaves nothing becomes ``action.other``. So a status of the game's own makes an event of
        its own (``"On Hold"`` is ``action.on_hold``, of severity INFO) and is never an error.

        Parameters:
            status: queued, processing, completed, failed, or a word of the game's own.
            data: what else there is to say; it cannot replace the action's type and status.
        """
        word = _NOT_A_WORD.sub("_", clean_id(status).lower()).strip("_") or OTHER
        await self._publish(
            EventType(f"action.{word}"),
            {a.ACTION_TYPE.data_key: action_type, a.ACTION_STATUS.data_key: word},
            extra=data,
            game_id=game_id,
            player_id=player_id,
            correlation_id=correlation_id,
        )

    async def log_error(
        self,
        error_type: str,
        error_message: str,
        game_id: str | None = None,
        player_id: str | None = None,
        correlation_id: str | None = None,
        stack_trace: str | None = None,
    ) -> None:
        """An error: ``error.occurred``. Of a long stack trace the end is kept, where the error is."""
        if isinstance(stack_trace, str) and len(stack_trace) > MAX_TEXT_LENGTH:
            stack_trace = "…" + stack_trace[1 - MAX_TEXT_LENGTH :]
        await self._publish(
            EventType.ERROR_OCCURRED,
            {
                a.ERROR_TYPE.data_key: error_type,
                a.ERROR_MESSAGE.data_key: error_message,
                a.STACK_TRACE.data_key: stack_trace,
            },
            game_id=game_id,
            player_id=player_id,
            correlation_id=correlation_id,
        )

    async def _publish(
        self,
        event_type: EventType,
        values: Mapping[str, object],
        *,
        extra: object = None,
        game_id: str | None = None,
        player_id: str | None = None,
        correlation_id: str | None = None,
    ) -> None:
        data = _extra(extra)
        for key, value in values.items():
            if value is not None:
                data[key] = value if isinstance(value, bool) else clean_text(value)
        await self._stream.publish_event(
            SystemEvent(
                event_type=event_type,
                game_id=None if game_id is None else clean_id(game_id),
                player_id=None if player_id is None else clean_id(player_id),
                correlation_id=clean_correlation_id(correlation_id) or get_correlation_id(),
                severity=_SEVERITIES.get(event_type, Severity.INFO),
                data=data,
                metadata=self._metadata,
            )
        )


def _extra(value: object) -> dict[str, Any]:
    """The caller's data as a new dict of JSON values, whatever the caller passed."""
    try:
        cleaned = clean_data(value)
    except Exception as error:  # noqa: BLE001 - a mapping may fail in its own way, and monitoring does not raise
        cleaned = clean_text(error)
    if cleaned is None:
        return {}
    return dict(cleaned) if isinstance(cleaned, dict) else {a.EXTRA.data_key: cleaned}
