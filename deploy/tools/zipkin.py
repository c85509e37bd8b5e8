"""Fetches Zipkin with Maven: one jar that holds all it needs."""

from __future__ import annotations

import os
from pathlib import Path

from deploy import versions
from deploy.tools.java import maven_command, write_launcher
from deploy.tools.stage import Stages

PROGRAM = "zipkin"
JAR = "zipkin-server-exec.jar"
ARTIFACT = f"io.zipkin:zipkin-server:{versions.ZIPKIN}:jar:exec"

# All it is told goes to java itself: Zipkin takes its settings as system properties.
LAUNCHER = f"""\
#!/bin/sh
exec "${{JAVA_HOME:+$JAVA_HOME/bin/}}java" "$@" -jar "$(dirname "$0")/{JAR}"
"""

INPUTS = ARTIFACT + LAUNCHER


def build(maven: Path, work: Path, out: Path, stages: Stages) -> None:
    """Copy the jar, and put a launcher beside it."""
    fetch = maven_command(
        maven, "copy", f"-Dartifact={ARTIFACT}", f"-DoutputDirectory={out}", "-Dmdep.stripVersion=true"
    )
    stages.run("fetch the server", fetch, work, os.environ)
    write_launcher(out / PROGRAM, LAUNCHER)
