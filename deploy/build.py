"""Writes every generated file, or tells where the ones that are there differ from what would be written."""

from __future__ import annotations

import difflib
from pathlib import Path

from deploy import alertmanager, jaeger, loki, prometheus
from deploy.collector import distribution
from deploy.collector.check import check
from deploy.collector.roles import ROLES
from deploy.yaml_text import document
from otel_setup.catalogue import Catalogue
from otel_setup.catalogue import build as build_catalogue
from otel_setup.game_model import LIAP_TUI
from settings import Settings

ROOT = Path(__file__).resolve().parent.parent
COLLECTOR_DIR = "collector-config"
BACKENDS_DIR = "backends"


def generated(settings: Settings, catalogue: Catalogue | None = None) -> dict[str, str]:
    """The text of every generated file by its path in the source tree.

    :param catalogue: of the game; Liap Tui's where not given
    :raises deploy.collector.check.ConfigurationError: where the settings make a role that cannot work
    """
    catalogue = catalogue or build_catalogue(LIAP_TUI)
    manifest = document(
        distribution.manifest(), "The Collector distribution that `python -m deploy tools collector` builds."
    )
    files = {"manifest.yaml": manifest, "prometheus.yml": prometheus.config(settings)}
    for role in (make(settings, catalogue) for make in ROLES):
        check(role, settings.collector.secrets)
        files[f"{role.name}.yaml"] = role.render()
    backends = {
        "alertmanager.yml": alertmanager.config(settings),
        "jaeger.yaml": jaeger.config(settings),
        "loki.yaml": loki.config(settings),
    }
    return {f"{COLLECTOR_DIR}/{name}": text for name, text in files.items()} | {
        f"{BACKENDS_DIR}/{name}": text for name, text in backends.items()
    }


def write(files: dict[str, str], out: Path) -> list[str]:
    """Write the files below ``out``; returns the paths of those that changed."""
    changed = []
    for name, text in files.items():
        path = out / name
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        changed.append(name)
    return changed


def drift(files: dict[str, str], out: Path) -> str:
    """A unified diff from the files below ``out`` to what would be written; empty where there is none."""
    diff = ""
    for name, text in files.items():
        path = out / name
        present = path.read_text(encoding="utf-8") if path.exists() else ""
        lines = difflib.unified_diff(
            present.splitlines(keepends=True), text.splitlines(keepends=True), f"{name} (there)", f"{name} (generated)"
        )
        diff += "".join(lines)
    return diff
