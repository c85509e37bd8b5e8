"""Fetches Kafka with Maven: it is Java, so what others built runs here as it is."""

from __future__ import annotations

import os
from pathlib import Path

from deploy import versions
from deploy.tools.java import maven_command, write_launcher
from deploy.tools.stage import Stages

PROGRAM = "kafka"

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
    fetch = maven_command(maven, "copy-dependencies", f"-DoutputDirectory={out / 'lib'}", "-DincludeScope=runtime")
    stages.run("fetch the broker and its libraries", fetch, work, os.environ)
    write_launcher(out / PROGRAM, LAUNCHER)
