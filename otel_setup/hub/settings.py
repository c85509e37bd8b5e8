"""What can be set of a hub: every address, bound and time, with its default; the command's options are these."""

# ruff: noqa: RUF009 - every default below is a dataclasses.field
from __future__ import annotations

import os
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from otel_setup.events.boxes import Policy
from otel_setup.hub.account import AccountBounds
from otel_setup.hub.decoding import Limits
from otel_setup.hub.fleet import FleetBounds
from otel_setup.hub.segments import ALWAYS, INTERVAL, NEVER

MEBIBYTE = 1024 * 1024
TOKEN_VARIABLE = "EVENTS_HUB_TOKEN"  # noqa: S105 - the variable's name
READER_TOKEN_VARIABLE = "EVENTS_HUB_READER_TOKEN"  # noqa: S105 - the variable's name


class HubError(Exception):
    """The hub cannot start or go on; the text says what to do. The command exits with 2."""


def default_directory() -> Path:
    """Where the log of this user's hub is: ``otel-setup/hub`` in ``$XDG_STATE_HOME`` or ``~/.local/state``."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "otel-setup" / "hub"


def _setting(default: Any, about: str, *, above: float | None = None, choices: tuple[str, ...] = ()) -> Any:
    return field(default=default, metadata={"help": about, "above": above, "choices": choices})


@dataclass(frozen=True, kw_only=True)
class HubSettings:
    """All settings of one hub. Sizes are in bytes, times in seconds, unless they say otherwise.

    Each field's ``metadata["help"]`` is its description, which the command's help shows.

    Raises:
        ValueError: values that make no sense; all of them in one text.
    """

    # --- where ------------------------------------------------------------------------------------------------------
    host: str = _setting("127.0.0.1", "address to listen on; beyond loopback a token is needed")
    port: int = _setting(4380, "port to listen on; 0 takes a free one", above=-1)
    directory: Path | None = _setting(None, "where the log is kept; made where it does not exist")
    memory: bool = _setting(False, "keep nothing on disk: after a restart the hub knows nothing of what was")
    # --- who --------------------------------------------------------------------------------------------------------
    token_file: Path | None = _setting(
        None, f"file with the token for sending and reading; else the variable {TOKEN_VARIABLE}"
    )
    generate_token: bool = _setting(
        False, "make a token where there is none yet: in --token-file, else in the file token of the directory"
    )
    reader_token_file: Path | None = _setting(
        None, f"file with a second token, for reading alone; else the variable {READER_TOKEN_VARIABLE}"
    )
    allowed_hosts: tuple[str, ...] = _setting(
        (), "names by which requests may call the hub (header Host), comma separated; on loopback its own are allowed"
    )
    tls_certificate: Path | None = _setting(None, "PEM file of the certificate chain: serves https")
    tls_key: Path | None = _setting(None, "PEM file of that certificate's key")
    # --- taking events in -------------------------------------------------------------------------------------------
    max_body_bytes: int = _setting(
        Limits.max_body_bytes,
        "largest body of a request as it comes; past it 413, which senders take for final",
        above=0,
    )
    max_decoded_bytes: int = _setting(Limits.max_decoded_bytes, "largest body, unpacked; past it 413", above=0)
    max_records: int = _setting(Limits.max_records, "log records in one request; past it 413", above=0)
    body_seconds: float = _setting(10.0, "time a body may take to come; past it 503 with Retry-After", above=0)
    intake_batches: int = _setting(1000, "batches that may wait for the log; past it 429 with Retry-After", above=0)
    intake_bytes: int = _setting(
        64 * MEBIBYTE,
        "what these batches may weigh in memory, and also what bodies under way may; past it 429 with Retry-After",
        above=0,
    )
    retry_after_seconds: int = _setting(
        1, "what Retry-After says when the hub is full, starting or failing; whole seconds", above=0
    )
    hole_seconds: float = _setting(
        AccountBounds.hole_seconds,
        "how long an event waits for those before it; past it a gap is told and it goes on",
        above=0,
    )
    max_held: int = _setting(
        AccountBounds.max_held, "events of one server that may wait so; past it the oldest gap is told at once", above=0
    )
    max_producers: int = _setting(
        AccountBounds.max_producers,
        "lives of servers that accounts are kept of; past it the longest silent one is forgotten",
        above=0,
    )
    max_ranges: int = _setting(
        AccountBounds.max_ranges,
        "gaps of one server that can still be filled; past it the oldest one no longer can",
        above=0,
    )
    max_foreign: int = _setting(
        AccountBounds.max_foreign,
        "uids remembered of events that no server has numbered, to know repeated ones; past it the oldest leave",
        above=0,
    )
    silent_heartbeats: float = _setting(
        FleetBounds.silent_heartbeats, "heartbeats that may be missing in a row; then their server is lost", above=0
    )
    forget_seconds: float = _setting(
        FleetBounds.forget_seconds, "how long a server that is lost or stopped is remembered by itself", above=0
    )
    max_ledgers: int = _setting(
        FleetBounds.max_ledgers,
        "lives of servers whose games are known one by one; past it those of a finished one become sums",
        above=0,
    )
    max_unfinished_games: int = _setting(
        FleetBounds.max_unfinished_games,
        "games that may go on though their server is gone; past it the oldest count as ended without being seen",
        above=0,
    )
    # --- the log ----------------------------------------------------------------------------------------------------
    fsync: str = _setting(
        INTERVAL,
        "when the log is made safe against a power cut: always (before each answer), interval or never; "
        "a hub that is killed loses nothing either way",
        choices=(ALWAYS, INTERVAL, NEVER),
    )
    fsync_seconds: float = _setting(1.0, "time between two such moments where fsync is interval", above=0)
    segment_bytes: int = _setting(16 * MEBIBYTE, "size of one of the log's files", above=0)
    log_bytes: int = _setting(1024 * MEBIBYTE, "size of the log; past it the oldest file leaves", above=0)
    log_hours: float = _setting(72.0, "hours that the log reaches back; older files leave", above=0)
    rebuild_bytes: int = _setting(
        64 * MEBIBYTE, "how far back the log is read at the start, for the views and the newest events", above=0
    )
    # --- reading ----------------------------------------------------------------------------------------------------
    history_size: int = _setting(20_000, "newest events kept in memory; older ones are read from the log", above=0)
    history_bytes: int = _setting(64 * MEBIBYTE, "what these may weigh; past it the oldest leave", above=0)
    frame_bytes: int = _setting(
        32 * MEBIBYTE, "what the newest events may weigh in the form in which they are sent; made anew past it", above=0
    )
    max_viewers: int = _setting(200, "open streams; past it 503 with Retry-After", above=0)
    viewer_events: int = _setting(10_000, "events that may wait for one stream; past it by its policy", above=0)
    viewer_bytes: int = _setting(8 * MEBIBYTE, "what these may weigh; past it by its policy", above=0)
    viewer_policy: str = _setting(
        Policy.DROP_OLDEST.value, "what happens past these where a reader does not say", choices=tuple(Policy)
    )
    write_seconds: float = _setting(0.1, "least time between two writes to one stream, unless it was idle", above=-1)
    stall_seconds: float = _setting(20.0, "how long a reader may take nothing; past it it is disconnected", above=0)
    heartbeat_seconds: float = _setting(15.0, "time after which an idle stream gets a sign of life", above=0)
    reconnect_ms: int = _setting(2000, "what readers are told to wait before they connect again; milliseconds", above=0)
    view_seconds: float = _setting(0.5, "how long a view is good for that somebody asked for", above=-1)
    default_limit: int = _setting(1000, "events in one answer of /events where the request names no limit", above=0)
    max_limit: int = _setting(10_000, "largest limit a request may name; past it 400", above=0)
    max_scan: int = _setting(
        100_000, "events looked at for one answer of /events; past it the answer ends early, with more: true", above=0
    )
    # --- the server -------------------------------------------------------------------------------------------------
    max_connections: int = _setting(1000, "open connections; further ones are closed at once", above=0)
    max_requests: int = _setting(100, "requests under way besides open streams; past it 503 with Retry-After", above=0)
    max_head_bytes: int = _setting(16 * 1024, "largest head of a request, its address included; past it 400", above=0)
    idle_seconds: float = _setting(
        75.0, "how long a connection may be open without a request, or send its head; past it it is closed", above=0
    )
    shutdown_seconds: float = _setting(5.0, "how long the end may take for those who are connected", above=0)
    status_seconds: float = _setting(60.0, "time between two status lines; a change is told at once", above=0)

    def __post_init__(self) -> None:
        problems = [problem for setting in fields(self) if (problem := _problem(setting, getattr(self, setting.name)))]
        if (self.tls_certificate is None) != (self.tls_key is None):
            problems.append("tls_certificate and tls_key go together")
        if self.memory and self.directory is not None:
            problems.append("memory keeps nothing, so there is no directory to name")
        if self.port > _MAX_PORT:
            problems.append(f"port is {self.port}; the highest is {_MAX_PORT}")
        if self.segment_bytes > self.log_bytes:
            problems.append("segment_bytes is above log_bytes: the log would keep nothing")
        if self.max_body_bytes > self.intake_bytes:
            problems.append("max_body_bytes is above intake_bytes: such a body could never be taken")
        if self.default_limit > self.max_limit:
            problems.append("default_limit is above max_limit")
        if problems:
            raise ValueError("; ".join(problems))

    @property
    def state_directory(self) -> Path:
        """Where the log is, and a token that was made here."""
        return self.directory or default_directory()


_MAX_PORT = 65535


def _problem(setting: Any, value: Any) -> str:
    above, choices = setting.metadata["above"], setting.metadata["choices"]
    if above is not None and not value > above:
        return f"{setting.name} is {value}; it is {'0 or more' if above < 0 else 'above 0'}"
    if choices and value not in choices:
        return f"{setting.name} is {value!r}; it is one of {', '.join(choices)}"
    return ""
