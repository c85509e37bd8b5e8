"""Whom Alertmanager tells: receivers, the mail server, and teams with receivers of their own.

Secrets are never here: what is one is in a file, whose path is given, either absolute or from the folder of
``alertmanager.yml``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from settings.fields import URL


def _text(pattern: str, expected: str) -> Any:
    """A text that may be left out."""
    return field(default="", metadata={"pattern": f"({pattern})?", "expected": f"{expected}, or nothing"})


def _file() -> Any:
    """The path of a file with a secret."""
    return _text(r"[^\n{}]{1,1000}", "the path of a file")


def _url() -> Any:
    return _text(URL, "http(s)://…, without a slash at its end")


def _word() -> Any:
    """What has no spaces; nor braces, which a template would take for its own."""
    return _text(r"[^\s{}]{1,500}", "a text without spaces and braces")


@dataclass(frozen=True)
class ReceiverSettings:
    """One receiver. Each way that is given is used; without any, alerts are on Alertmanager's own page alone."""

    webhook_url: str = _url()
    """Gets each message as JSON (https://prometheus.io/docs/alerting/latest/configuration/#webhook_config)."""

    webhook_url_file: str = _file()
    """The same, where the address itself is a secret."""

    slack_api_url_file: str = _file()
    """A file with the address of a Slack app's incoming webhook."""

    slack_channel: str = _word()
    """Such as ``#games``; without it the webhook's own."""

    email_to: str = _word()
    """Addresses, with commas between them. The mail server is in ``alertmanager.mail``."""

    pagerduty_routing_key_file: str = _file()
    """A file with the key of a PagerDuty service (Events API v2)."""

    pagerduty_url: str = _url()
    """Where PagerDuty takes events; its own address where not given."""


@dataclass(frozen=True)
class TeamReceivers:
    """What goes to a team's own receivers; a severity without one goes where everybody's goes."""

    page: ReceiverSettings = ReceiverSettings()
    ticket: ReceiverSettings = ReceiverSettings()


@dataclass(frozen=True)
class MailSettings:
    """The mail server of all receivers."""

    server: str = _text(r"[^\s{}/]{1,255}:\d{1,5}", "host:port")
    sender: str = _word()
    username: str = _word()
    password_file: str = _file()
    require_tls: bool = True
    """Whether mail goes over TLS alone."""
