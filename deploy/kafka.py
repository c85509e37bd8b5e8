"""Kafka: the configuration of one broker for one machine, how it is run, and how it is asked whether it is ready."""

from __future__ import annotations

import socket
import struct
from pathlib import Path

from deploy.collector.variables import LOOPBACK
from deploy.process import Command
from settings import KafkaSettings

NODE = 1
CLUSTER_ID = "b3RlbC1zZXR1cC1rYWZrYQ"
"""A UUID as Kafka spells it. It tells clusters apart where several meet; this one is alone on its machine."""

BROKER = "kafka.Kafka"
STORAGE_TOOL = "kafka.tools.StorageTool"

# https://kafka.apache.org/protocol.html: the request that every broker answers before anything else.
API_VERSIONS = 18
ANSWER_SECONDS = 1.0

LOGGING = """\
rootLogger.level = INFO
rootLogger.appenderRef.console.ref = console
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{ISO8601} %p %m (%c)%n
"""


def server_properties(settings: KafkaSettings, data_dir: Path) -> str:
    """The broker's configuration: broker and controller in one process, on the loopback address alone."""
    properties = {
        "process.roles": "broker,controller",
        "node.id": NODE,
        "controller.quorum.voters": f"{NODE}@{LOOPBACK}:{settings.controller_port}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://{LOOPBACK}:{settings.port},CONTROLLER://{LOOPBACK}:{settings.controller_port}",
        "advertised.listeners": f"PLAINTEXT://{LOOPBACK}:{settings.port}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": data_dir,
        "num.partitions": settings.partitions,
        "log.retention.hours": settings.retention_hours,
        # There is one broker, so there is one copy of everything.
        "offsets.topic.replication.factor": 1,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        # Readers need not wait for others that might come.
        "group.initial.rebalance.delay.ms": 0,
    }
    return "".join(f"{key}={value}\n" for key, value in properties.items())


def format_command(program: Path, config: Path) -> Command:
    """The command that prepares the broker's folder, unless it is prepared."""
    return [program, STORAGE_TOOL, "format", "--ignore-formatted", "-t", CLUSTER_ID, "-c", config]


def start_command(program: Path, settings: KafkaSettings, config: Path, logging: Path) -> Command:
    """The command that runs the broker."""
    return [program, f"-Xmx{settings.heap_mebibytes}m", f"-Dlog4j2.configurationFile={logging}", BROKER, config]


def answers(port: int) -> bool:
    """Whether a broker on this machine answers.

    :raises OSError: where nothing listens
    """
    body = struct.pack(">hhih", API_VERSIONS, 0, NODE, -1)  # version 0, any correlation id, no client id
    with socket.create_connection((LOOPBACK, port), ANSWER_SECONDS) as connection:
        connection.sendall(struct.pack(">i", len(body)) + body)
        answer = connection.recv(10)
    # Its length, our correlation id, and no error.
    return len(answer) == 10 and struct.unpack(">iih", answer)[1:] == (NODE, 0)  # noqa: PLR2004
