"""The messages of the arena's sockets, ``/ws/{match_id}``: JSON ``{event, data}``."""

from __future__ import annotations

RECEIVED = ("ping", "join", "fire", "dash", "respawn", "leave")
TRANSMITTED = ("welcome", "snapshot", "phase_change", "hit", "match_ended", "error", "pong")
