"""Ports for runs beside others: nobody else gets them between their choice and their use."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.ports import BLOCK, PORT_RANGE, free_ports

ROOT = Path(__file__).parents[2]
CHOOSING = """
from deploy.ports import free_ports
print(free_ports(100), flush=True)
input()
"""


def test_processes_that_run_at_once_choose_different_ports() -> None:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": ROOT}
    processes = [subprocess.Popen([sys.executable, "-c", CHOOSING], **pipes) for _ in range(6)]  # type: ignore[call-overload]
    try:
        chosen = [port for process in processes for port in eval(process.stdout.readline())]  # noqa: S307 - ours
    finally:
        for process in processes:
            process.communicate("\n", timeout=60)
    assert len(set(chosen)) == 600
    assert set(chosen) <= set(PORT_RANGE)


def test_a_port_comes_back_only_after_all_others() -> None:
    """Who chose it may not have used it yet."""
    chosen = [port for _ in range(20) for port in free_ports(10)]
    assert len(set(chosen)) == 200


def test_a_port_on_which_somebody_listens_is_not_chosen() -> None:
    [port] = free_ports(1)
    with socket.create_server(("127.0.0.1", port)):
        others = [free_ports(1)[0] for _ in range(BLOCK)]
    assert port not in others
    assert port in [free_ports(1)[0] for _ in range(BLOCK)], "it is free again"


def test_more_ports_than_there_are_is_an_error() -> None:
    with pytest.raises(RuntimeError, match=f"fewer than {BLOCK} free ports"):
        free_ports(BLOCK)
