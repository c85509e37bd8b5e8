"""Who exports: what is configured, and what can be found out of process, host, container and Kubernetes.

Names are those of OpenTelemetry's semantic conventions for resources. The command line and the user's name are left
out: they may hold secrets, or name a person.
"""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource

Found = dict[str, str | int]

_CONTAINER_ID = re.compile(r"[0-9a-f]{64}")
# cgroup v2 shows a container only its own root; the files that the runtime mounts into it still tell.
_MOUNTED_FROM = re.compile(r"/(?:containers|overlay-containers|sandboxes)/([0-9a-f]{64})/")
_POD_UID = re.compile(r"/pods/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/")
_ARCHITECTURES = {"x86_64": "amd64", "AMD64": "amd64", "aarch64": "arm64", "i386": "x86", "i686": "x86"}
_SERVICE_ACCOUNT = "var/run/secrets/kubernetes.io/serviceaccount/namespace"
# By these names manifests usually hand the downward API's fields to a container.
_DOWNWARD = {
    "k8s.pod.name": ("K8S_POD_NAME", "POD_NAME"),
    "k8s.pod.uid": ("K8S_POD_UID", "POD_UID"),
    "k8s.namespace.name": ("K8S_NAMESPACE_NAME", "K8S_NAMESPACE", "POD_NAMESPACE"),
    "k8s.node.name": ("K8S_NODE_NAME", "NODE_NAME"),
    "k8s.container.name": ("K8S_CONTAINER_NAME", "CONTAINER_NAME"),
}


def _process(_root: Path, _environ: Mapping[str, str]) -> Found:
    return {
        "process.pid": os.getpid(),
        "process.executable.name": Path(sys.executable).name,
        "process.runtime.name": sys.implementation.name,
        "process.runtime.version": platform.python_version(),
    }


def _host(root: Path, _environ: Mapping[str, str]) -> Found:
    machine = platform.machine()
    return {
        "host.name": platform.node(),
        "host.arch": _ARCHITECTURES.get(machine, machine),
        "host.id": _read(root / "etc/machine-id").strip(),
    }


def _os(_root: Path, _environ: Mapping[str, str]) -> Found:
    return {"os.type": platform.system().lower(), "os.version": platform.release()}


def _container(root: Path, _environ: Mapping[str, str]) -> Found:
    for line in _read(root / "proc/self/cgroup").splitlines():
        if found := _CONTAINER_ID.search(line.rpartition("/")[2]):
            return {"container.id": found.group()}
    mounted = _MOUNTED_FROM.search(_read(root / "proc/self/mountinfo"))
    return {"container.id": mounted.group(1)} if mounted else {}


def _kubernetes(root: Path, environ: Mapping[str, str]) -> Found:
    if not environ.get("KUBERNETES_SERVICE_HOST"):
        return {}
    uid = _POD_UID.search(_read(root / "proc/self/mountinfo"))
    found: Found = {
        "k8s.pod.name": environ.get("HOSTNAME", ""),
        "k8s.pod.uid": uid.group(1) if uid else "",
        "k8s.namespace.name": _read(root / _SERVICE_ACCOUNT).strip(),
    }
    for attribute, variables in _DOWNWARD.items():
        given = next((environ[name] for name in variables if environ.get(name)), None)
        if given:
            found[attribute] = given
    return found


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


_DETECTORS: dict[str, Callable[[Path, Mapping[str, str]], Found]] = {
    "process": _process,
    "host": _host,
    "os": _os,
    "container": _container,
    "kubernetes": _kubernetes,
}
DETECTORS = tuple(_DETECTORS)
"""What can be found out."""


def detected(names: Iterable[str], root: Path = Path("/"), environ: Mapping[str, str] | None = None) -> Found:
    """What is found out about this process and where it runs; what is not known is left out.

    Parameters:
        names: some of :data:`DETECTORS`.
        root: of the file system.
        environ: the process's own where not given.
    """
    environ = os.environ if environ is None else environ
    found: Found = {}
    for name in names:
        found.update(_DETECTORS[name](root, environ))
    return {key: value for key, value in found.items() if value != ""}


def make_resource(configured: Mapping[str, str | int | float | bool], detect: Iterable[str]) -> Resource:
    """The resource of everything exported; what is configured wins over what is found out."""
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.version import __version__ as sdk_version

    sdk = {
        "telemetry.sdk.name": "opentelemetry",
        "telemetry.sdk.language": "python",
        "telemetry.sdk.version": sdk_version,
    }
    # Not Resource.create(): that runs the SDK's own detectors, of which one exports the command line.
    return Resource({**sdk, **detected(detect), **configured})
