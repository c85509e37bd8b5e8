"""Alertmanager: its configuration, how it is run, and its API."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy import tools
from deploy.collector.variables import LOOPBACK
from deploy.process import Command, Process, http_get, running
from deploy.yaml_text import Comments, document
from settings import AlertmanagerSettings, Settings

PROGRAM = "alertmanager"
RECEIVER = "page"


def config(settings: Settings) -> str:
    """The text of ``alertmanager.yml``."""
    alertmanager = settings.alertmanager
    tree = {
        "route": {
            "receiver": RECEIVER,
            "group_by": ["alertname", "job"],
            "group_wait": f"{alertmanager.group_wait_seconds}s",
            "group_interval": "5m",
            "repeat_interval": f"{alertmanager.repeat_hours}h",
        },
        "inhibit_rules": [
            {
                "source_matchers": ['severity="critical"'],
                "target_matchers": ['severity="warning"'],
                "equal": ["alertname", "job"],
            }
        ],
        "receivers": [{"name": RECEIVER}],
    }
    comments: Comments = {
        ("inhibit_rules",): "Where it is critical, the warning about the same says nothing new.",
        ("receivers",): "Alerts are on Alertmanager's own page and API until somebody is named here.",
    }
    return document(tree, "Alertmanager: who is told of what, and how often.", comments)


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
    :raises ProcessError: where it does not start
    """
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = data_dir / "alertmanager.yml"
    file.write_text(config(settings))
    argv: Command = [tools.ensure(PROGRAM), *arguments(settings, file, data_dir / "data")]
    ready = f"http://{LOOPBACK}:{settings.alertmanager.port}/-/ready"
    with running("Alertmanager", argv, data_dir / "alertmanager.log", ready) as process:
        yield Alertmanager(process, settings.alertmanager)
