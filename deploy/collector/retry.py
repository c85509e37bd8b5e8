"""How long what could not be sent is tried again: for ever, which only the queue's size bounds."""

from __future__ import annotations

RETRY = {"initial_interval": "1s", "max_interval": "30s", "max_elapsed_time": "0s"}
# What reads live events should see them soon after an outage: the pause between tries stays short.
EVENT_RETRY = {"initial_interval": "200ms", "max_interval": "5s", "max_elapsed_time": "0s"}
