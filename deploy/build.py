"""Every file that is generated for the deployment."""

from __future__ import annotations

from deploy import alertmanager, jaeger, loki, prometheus
from deploy.collector import distribution
from deploy.collector.check import check
from deploy.collector.roles import ROLES
from deploy.yaml_text import document
from otel_setup.catalogue import Catalogue
from otel_setup.catalogue import build as build_catalogue
from otel_setup.game_model import LIAP_TUI
from settings import Settings

COLLECTOR_DIR = "collector-config"
BACKENDS_DIR = "backends"


def generated(settings: Settings, catalogue: Catalogue | None = None) -> dict[str, str]:
    """The text of every generated file by its path in the source tree.

    :param catalogue: of the game; Liap Tui's where not given
    :raises deploy.collector.check.ConfigurationError: where the settings make a role that cannot work
    """
    catalogue = catalogue or build_catalogue(LIAP_TUI)
    manifest = document(
        distribution.manifest(), "The Collector distribution that `python -m deploy tools collector` builds."
    )
    files = {"manifest.yaml": manifest, "prometheus.yml": prometheus.config(settings)}
    for role in (make(settings, catalogue) for make in ROLES):
        check(role, settings.collector.secrets)
        files[f"{role.name}.yaml"] = role.render()
    backends = {
        **alertmanager.files(settings),
        "jaeger.yaml": jaeger.config(settings),
        "loki.yaml": loki.config(settings),
    }
    return {f"{COLLECTOR_DIR}/{name}": text for name, text in files.items()} | {
        f"{BACKENDS_DIR}/{name}": text for name, text in backends.items()
    }
