"""What is found out about where a process runs, from files as Docker, Podman and Kubernetes make them."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

from otel_setup.sdk.resource import DETECTORS, detected, make_resource

CONTAINER = "3f1a" * 16
POD = "6f0e8d4c-2f3b-4c55-9a76-0d7a8a1b2c3d"


def write(root: Path, name: str, content: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def test_this_process() -> None:
    found = detected(["process"])
    assert found["process.pid"] == os.getpid()
    assert found["process.executable.name"] == Path(sys.executable).name
    assert found["process.runtime.version"] == ".".join(map(str, sys.version_info[:3]))
    assert "process.command_args" not in found, "arguments may hold secrets"
    assert "process.owner" not in found, "a user's name may be a person's"


def test_this_host(tmp_path: Path) -> None:
    write(tmp_path, "etc/machine-id", "0123456789abcdef0123456789abcdef\n")
    found = detected(["host"], tmp_path)
    assert found["host.name"] == platform.node()
    assert found["host.id"] == "0123456789abcdef0123456789abcdef"
    assert detected(["os"])["os.type"] == sys.platform


def test_a_container_by_control_group_version_1(tmp_path: Path) -> None:
    write(tmp_path, "proc/self/cgroup", f"12:memory:/docker/{CONTAINER}\n1:name=systemd:/docker/{CONTAINER}\n")
    assert detected(["container"], tmp_path) == {"container.id": CONTAINER}


def test_a_container_of_systemd_and_podman(tmp_path: Path) -> None:
    write(tmp_path, "proc/self/cgroup", f"0::/machine.slice/libpod-{CONTAINER}.scope\n")
    assert detected(["container"], tmp_path) == {"container.id": CONTAINER}


def test_a_container_by_control_group_version_2(tmp_path: Path) -> None:
    write(tmp_path, "proc/self/cgroup", "0::/\n")
    mount = f"611 596 8:1 /var/lib/docker/containers/{CONTAINER}/hostname /etc/hostname rw,relatime - ext4 /dev/sda1 rw"
    write(tmp_path, "proc/self/mountinfo", f"600 596 0:5 / /proc rw - proc proc rw\n{mount}\n")
    assert detected(["container"], tmp_path) == {"container.id": CONTAINER}


def test_no_container(tmp_path: Path) -> None:
    write(tmp_path, "proc/self/cgroup", "0::/user.slice/user-1000.slice/session-2.scope\n")
    assert detected(["container"], tmp_path) == {}


def test_a_pod(tmp_path: Path) -> None:
    write(tmp_path, "var/run/secrets/kubernetes.io/serviceaccount/namespace", "games")
    write(tmp_path, "proc/self/mountinfo", f"1 2 8:1 /var/lib/kubelet/pods/{POD}/etc-hosts /etc/hosts rw - ext4 a rw\n")
    environ = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "HOSTNAME": "liap-7d9f", "NODE_NAME": "node-3"}
    assert detected(["kubernetes"], tmp_path, environ) == {
        "k8s.pod.name": "liap-7d9f",
        "k8s.pod.uid": POD,
        "k8s.namespace.name": "games",
        "k8s.node.name": "node-3",
    }


def test_the_downward_api_wins_over_what_is_guessed(tmp_path: Path) -> None:
    environ = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "HOSTNAME": "set-by-hand", "POD_NAME": "liap-7d9f"}
    assert detected(["kubernetes"], tmp_path, environ) == {"k8s.pod.name": "liap-7d9f"}


def test_no_pod_outside_kubernetes(tmp_path: Path) -> None:
    assert detected(["kubernetes"], tmp_path, {"HOSTNAME": "desk", "POD_NAME": "x"}) == {}


def test_what_is_configured_wins_and_what_is_off_is_left_out(tmp_path: Path) -> None:
    attributes = make_resource({"host.name": "given"}, DETECTORS).attributes
    assert attributes["host.name"] == "given"
    assert attributes["telemetry.sdk.language"] == "python"
    assert set(make_resource({}, ()).attributes) == {
        "telemetry.sdk.name",
        "telemetry.sdk.language",
        "telemetry.sdk.version",
    }
