"""What a game server loads with ``import otel_setup``, and what the monitor may speak to."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "otel_setup"
HEAVY = ("opentelemetry.sdk", "opentelemetry.exporter", "google.protobuf", "grpc", "requests", "fastapi", "pytest")
# Whoever works on the SDK's own objects. Nothing else may know that there is an SDK.
BEHIND_THE_API = (
    "sdk",
    "prometheus",
    "privacy/sanitizer.py",
    "privacy/exporters.py",
    "testing",
    "diagnosis",
    "hub/otlp",  # what senders send
    "config/settings.py",  # for a type
    "config/options.py",  # to check one when it is given
)


def test_the_import_loads_neither_sdk_nor_exporters_nor_optional_parts() -> None:
    script = f"import sys, otel_setup; print([name for name in sys.modules if name.startswith({HEAVY!r})])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_the_monitor_speaks_to_the_api_alone() -> None:
    found = {
        f"{path.relative_to(PACKAGE)} imports {name}"
        for path in PACKAGE.rglob("*.py")
        if not str(path.relative_to(PACKAGE)).startswith(BEHIND_THE_API)
        for name in _imported(path)
        if name.startswith(("opentelemetry.sdk", "opentelemetry.exporter", "opentelemetry.proto"))
    }
    assert found == set()


def _imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names
