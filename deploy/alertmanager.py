"""Alertmanager: its configuration, how it is run, and its API."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from alerts.parts import Severity, Team
from deploy import tools
from deploy.collector.check import ConfigurationError
from deploy.collector.variables import LOOPBACK
from deploy.duration import duration
from deploy.generating import write
from deploy.process import Command, Process, http_get, running
from settings import AlertmanagerSettings, Settings
from settings.receivers import ReceiverSettings

PROGRAM = "alertmanager"
CONFIG, MESSAGES = "alertmanager.yml", "alertmanager-messages.tmpl"
PAGE, TICKET, DEADMAN = "page", "ticket", "deadman"
SEVERITIES = {Severity.CRITICAL: PAGE, Severity.WARNING: TICKET}
"""Who is told of what."""

_TEMPLATES = Path(__file__).parent / "templates"
_TICKS = 4
"""What is on is looked at so many times in the time after which it is told again: at the end of a whole such time it is
a moment too young to be told, and would wait for another."""


def files(settings: Settings) -> dict[str, str]:
    """The texts of ``alertmanager.yml`` and of the templates of its messages, which are in the same folder.

    :raises ConfigurationError: where the settings name receivers that cannot work
    """
    return {CONFIG: config(settings), MESSAGES: (_TEMPLATES / MESSAGES).read_text(encoding="utf-8")}


def config(settings: Settings) -> str:
    """The text of ``alertmanager.yml``.

    :raises ConfigurationError: where the settings name receivers that cannot work
    """
    alertmanager = settings.alertmanager
    receivers = _receivers(alertmanager)
    if problems := [*_problems(alertmanager, receivers)]:
        raise ConfigurationError(PROGRAM, problems)
    # Go's templates, which the file holds, have the braces that are Jinja's otherwise.
    environment = Environment(  # noqa: S701 - it is YAML, and every text goes through tojson
        loader=FileSystemLoader(_TEMPLATES),
        undefined=StrictUndefined,
        variable_start_string="<<",
        variable_end_string=">>",
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.policies["json.dumps_kwargs"] = {"ensure_ascii": False}
    return environment.get_template(f"{CONFIG}.j2").render(
        alertmanager=alertmanager,
        heartbeat_tick=duration(alertmanager.heartbeat_seconds / _TICKS),
        messages=MESSAGES,
        severities=SEVERITIES,
        receivers=receivers,
        told=any(to != ReceiverSettings() for to in receivers.values()),
        # The end of Watchdog must not look like a sign of life.
        resolved=lambda name: name != DEADMAN,
    )


def _receivers(alertmanager: AlertmanagerSettings) -> dict[str, ReceiverSettings]:
    """Every receiver by its name; a team's own is ``page-platform``."""
    everybodys = {PAGE: alertmanager.page, TICKET: alertmanager.ticket, DEADMAN: alertmanager.deadman}
    teams = {
        f"{kind}-{team}": to
        for team, own in alertmanager.teams.items()
        for kind, to in ((PAGE, own.page), (TICKET, own.ticket))
        if to != ReceiverSettings()
    }
    return everybodys | teams


def _problems(alertmanager: AlertmanagerSettings, receivers: Mapping[str, ReceiverSettings]) -> Iterator[str]:
    mail = alertmanager.mail
    for team in alertmanager.teams:
        if team not in set(Team):
            yield f"no alert is of a team {team!r}; there are {', '.join(Team)}"
    for name, to in receivers.items():
        if to.slack_channel and not to.slack_api_url_file:
            yield f"{name}: slack_channel needs slack_api_url_file"
        if to.pagerduty_url and not to.pagerduty_routing_key_file:
            yield f"{name}: pagerduty_url needs pagerduty_routing_key_file"
        if to.email_to and not (mail.server and mail.sender):
            yield f"{name}: email_to needs alertmanager.mail.server and alertmanager.mail.sender"
    if bool(mail.username) != bool(mail.password_file):
        yield "mail: username and password_file belong together"


def arguments(settings: Settings, config_file: Path, data_dir: Path) -> list[str]:
    """The command line of Alertmanager, without the program."""
    return [
        f"--config.file={config_file}",
        f"--storage.path={data_dir}",
        f"--data.retention={settings.alertmanager.retention_hours}h",
        f"--web.listen-address={LOOPBACK}:{settings.alertmanager.port}",
        "--cluster.listen-address=",  # it is alone
    ]


@dataclass(frozen=True)
class Alertmanager:
    """A running Alertmanager."""

    process: Process
    settings: AlertmanagerSettings

    @property
    def url(self) -> str:
        """Its address. API: https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml"""
        return f"http://{LOOPBACK}:{self.settings.port}"

    def alerts(self) -> list[dict[str, Any]]:
        """The alerts that are on, as its API has them: ``labels``, ``annotations``, ``status`` and so on."""
        _, body = http_get(f"{self.url}/api/v2/alerts")
        alerts: list[dict[str, Any]] = json.loads(body)
        return alerts


@contextmanager
def running_alertmanager(settings: Settings, data_dir: Path) -> Iterator[Alertmanager]:
    """Run Alertmanager on the settings' port.

    :param data_dir: holds silences and notifications, its configuration and its log
    :raises ConfigurationError: where the settings name receivers that cannot work
    :raises ProcessError: where it does not start
    """
    made = files(settings)
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    write(made, data_dir)
    argv: Command = [tools.ensure(PROGRAM), *arguments(settings, data_dir / CONFIG, data_dir / "data")]
    ready = f"http://{LOOPBACK}:{settings.alertmanager.port}/-/ready"
    with running("Alertmanager", argv, data_dir / "alertmanager.log", ready) as process:
        yield Alertmanager(process, settings.alertmanager)
