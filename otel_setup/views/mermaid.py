"""The state diagram as Mermaid text, for documents and chats."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_PLAIN = re.compile(r"[^A-Za-z0-9 _.-]")


def mermaid(diagram: Mapping[str, Any]) -> str:
    """What ``state_diagram()`` returned as a ``stateDiagram-v2``.

    Names never enter as Mermaid's own identifiers, and whatever is not plain in them becomes a character code, so
    that no name can close its quotes or add a line (mermaid.js.org, "Entity codes to escape characters").
    """
    ids = {node["name"]: f"s{index}" for index, node in enumerate(diagram["nodes"])}
    lines = ["stateDiagram-v2"]
    for node in diagram["nodes"]:
        lines.append(f'    state "{_escaped(node["name"])} ({node["active_games"]})" as {ids[node["name"]]}')
    lines += [f"    [*] --> {ids[node['name']]}" for node in diagram["nodes"] if node["metadata"]["initial"]]
    for edge in diagram["edges"]:
        label = f"{edge['count']}" if edge["legal"] else f"{edge['count']} illegal"
        lines.append(f"    {ids[edge['from']]} --> {ids[edge['to']]} : {label}")
    lines += [f"    {ids[node['name']]} --> [*]" for node in diagram["nodes"] if node["metadata"]["terminal"]]
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return _PLAIN.sub(lambda match: f"#{ord(match[0])};", text)
