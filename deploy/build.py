"""Writes every generated file, or tells where the ones that are there differ from what would be written."""

from __future__ import annotations

import difflib
from pathlib import Path

from deploy import prometheus
from deploy.collector import distribution
from deploy.collector.event_roles import events, kafka_consumer, kafka_producer
from deploy.collector.standalone import standalone
from deploy.yaml_text import document
from settings import Settings

ROOT = Path(__file__).resolve().parent.parent
COLLECTOR_DIR = "collector-config"
ROLES = (standalone, events, kafka_producer, kafka_consumer)


def generated(settings: Settings) -> dict[str, str]:
    """The text of every generated file by its path in the source tree."""
    manifest = document(
        distribution.manifest(), "The Collector distribution that `python -m deploy tools collector` builds."
    )
    files = {"manifest.yaml": manifest, "prometheus.yml": prometheus.config(settings)}
    for role in (make(settings) for make in ROLES):
        files[f"{role.name}.yaml"] = role.render()
    return {f"{COLLECTOR_DIR}/{name}": text for name, text in files.items()}


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
