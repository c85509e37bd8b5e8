"""Finds what fetches and runs programs that are written in Java: Java itself, and Maven."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TextIO

from deploy import versions
from deploy.process import Command
from deploy.tools.stage import ToolchainMissingError


def maven_command(maven: Path, goal: str, *arguments: str) -> Command:
    """One goal of Maven's dependency plugin. Maven's own settings say where artifacts come from, a mirror too."""
    plugin = f"org.apache.maven.plugins:maven-dependency-plugin:{versions.MAVEN_DEPENDENCY_PLUGIN}:{goal}"
    # Strict checksums: an artifact that is not what its repository says it is ends the build.
    return [maven, "--batch-mode", "--no-transfer-progress", "--strict-checksums", plugin, *arguments]


def write_launcher(path: Path, text: str) -> None:
    """Put a script beside what it starts."""
    path.write_text(text)
    path.chmod(0o755)


def ensure_maven(_cache: Path, _out: TextIO, _lock: int) -> Path:
    """Maven's command, where there is a Java that the programs run on too.

    :raises ToolchainMissingError: with what to install
    """
    maven, java = shutil.which("mvn"), java_version()
    if maven and (java or 0) >= versions.JAVA_MINIMUM:
        return Path(maven)
    have = f"Java {java}" if java else "no Java that runs"
    raise ToolchainMissingError(
        f"Java {versions.JAVA_MINIMUM} or newer and Maven are needed to fetch and run Kafka and Zipkin; there is "
        f"{have} and {'Maven' if maven else 'no mvn on PATH'}.\n"
        "Install them (Debian, Ubuntu: apt-get install default-jre-headless maven) and run again. Nothing but Kafka "
        "and Zipkin needs them."
    )


def java_version() -> int | None:
    """The major version of the Java that a launcher would take, or None where there is none that runs."""
    home = os.environ.get("JAVA_HOME")
    java = Path(home, "bin", "java") if home else Path("java")
    try:
        said = subprocess.run([java, "-version"], check=False, capture_output=True, text=True, timeout=30)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r'version "(?:1\.)?(\d+)', said.stderr)
    return int(found.group(1)) if found else None
