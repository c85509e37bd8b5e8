"""Fetches Kafka with Maven: it is Java, so what others built runs here as it is."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TextIO

from deploy import versions
from deploy.process import Command
from deploy.tools.stage import Stages, ToolchainMissingError

PROGRAM = "kafka"

# Maven's own settings say where artifacts come from; a deployment's mirror is honoured that way.
POM = f"""\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>otel-setup.invalid</groupId>
  <artifactId>kafka</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_{versions.KAFKA_SCALA}</artifactId>
      <version>{versions.KAFKA}</version>
    </dependency>
    <dependency>
      <groupId>org.apache.logging.log4j</groupId>
      <artifactId>log4j-slf4j-impl</artifactId>
      <version>{versions.KAFKA_LOG4J}</version>
    </dependency>
  </dependencies>
</project>
"""

# What Kafka's own start script does, less its guesses: what java itself is to be told comes first, then the class.
LAUNCHER = """\
#!/bin/sh
exec "${JAVA_HOME:+$JAVA_HOME/bin/}java" -cp "$(dirname "$0")/lib/*" "$@"
"""

INPUTS = POM + LAUNCHER


def build(maven: Path, work: Path, out: Path, stages: Stages) -> None:
    """Copy the broker and all that it needs into ``lib``, and put a launcher beside it."""
    (work / "pom.xml").write_text(POM)
    copy = f"org.apache.maven.plugins:maven-dependency-plugin:{versions.MAVEN_DEPENDENCY_PLUGIN}:copy-dependencies"
    # Strict checksums: an artifact that is not what its repository says it is ends the build.
    flags = ("--batch-mode", "--no-transfer-progress", "--strict-checksums")
    fetch: Command = [maven, *flags, copy, f"-DoutputDirectory={out / 'lib'}", "-DincludeScope=runtime"]
    stages.run("fetch the broker and its libraries", fetch, work, os.environ)
    launcher = out / PROGRAM
    launcher.write_text(LAUNCHER)
    launcher.chmod(0o755)


def ensure_maven(_cache: Path, _out: TextIO, _lock: int) -> Path:
    """Maven's command, where there is a Java that Kafka runs on too.

    :raises ToolchainMissingError: with what to install
    """
    maven, java = shutil.which("mvn"), java_version()
    if maven and (java or 0) >= versions.JAVA_MINIMUM:
        return Path(maven)
    have = f"Java {java}" if java else "no Java that runs"
    raise ToolchainMissingError(
        f"Java {versions.JAVA_MINIMUM} or newer and Maven are needed to fetch and run Kafka; there is {have} and "
        f"{'Maven' if maven else 'no mvn on PATH'}.\n"
        "Install them (Debian, Ubuntu: apt-get install default-jre-headless maven) and run again. Nothing but Kafka "
        "needs them."
    )


def java_version() -> int | None:
    """The major version of the Java that the launcher would take, or None where there is none that runs."""
    home = os.environ.get("JAVA_HOME")
    java = Path(home, "bin", "java") if home else Path("java")
    try:
        said = subprocess.run([java, "-version"], check=False, capture_output=True, text=True, timeout=30)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r'version "(?:1\.)?(\d+)', said.stderr)
    return int(found.group(1)) if found else None
