"""Extensions: what stands beside the pipelines."""

from __future__ import annotations

from deploy.collector import variables as v
from deploy.collector.graph import Component
from settings import CollectorSettings, Settings


def health_check(settings: CollectorSettings) -> Component:
    """Answers 200 once everything is started."""
    return Component(
        "extensions", "health_check", {"endpoint": f"{v.LOOPBACK}:{v.env(v.HEALTH_PORT, settings.health_port)}"}
    )


def pages(settings: CollectorSettings) -> Component:
    """What the Collector is doing at the moment, for a browser."""
    return Component("extensions", "zpages", {"endpoint": f"{v.LOOPBACK}:{v.env(v.PAGES_PORT, settings.pages_port)}"})


def storage(settings: Settings, name: str, waiting: str) -> Component:
    """The folder in which data waits for whatever the exporter that uses it sends to: one folder for each.

    :param name: of the exporter's concern
    :param waiting: what it waits for, in words
    """
    folder = v.data_file(name)
    return Component(
        "extensions",
        f"file_storage/{name}",
        {
            "directory": folder,
            "create_directory": True,
            "recreate": True,
            "fsync": settings.collector.fsync,
            "compaction": {
                "on_start": True,
                "on_rebound": True,
                "directory": folder,
                "cleanup_on_start": True,
            },
        },
        why=f"What waits for {waiting} survives a restart. A new file is begun where a damaged one can be told from a "
        "sound one, and the space of a long queue is given back once it has drained.",
    )


def tokens() -> Component:
    """Who may send: the tokens in a file, one a line."""
    return Component(
        "extensions",
        "bearertokenauth/senders",
        {"filename": v.secret_file(v.TOKENS_FILE, "otlp_tokens")},
        why="One token a line, read again when the file changes: put the new one in, change the senders, take the old "
        "one out.",
    )
