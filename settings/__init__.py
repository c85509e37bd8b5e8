"""The one settings file of a deployment, shared by every generator.

Defaults live here in code; a YAML file may override any of them (:func:`load`). What follows from a setting is
computed, never set a second time: see the properties of :class:`Settings`.
"""

from __future__ import annotations

from settings.alerts import AlertSettings, ObjectiveSettings
from settings.loader import SettingsError, load, parse
from settings.schema import (
    AgentSettings,
    AlertmanagerSettings,
    CollectorSettings,
    EventSettings,
    Extension,
    GatewaySettings,
    HubSettings,
    JaegerSettings,
    KafkaSettings,
    LokiSettings,
    MetricSettings,
    PrometheusSettings,
    Settings,
    TraceSettings,
    ZipkinSettings,
)

__all__ = [
    "AgentSettings",
    "AlertSettings",
    "AlertmanagerSettings",
    "CollectorSettings",
    "EventSettings",
    "Extension",
    "GatewaySettings",
    "HubSettings",
    "JaegerSettings",
    "KafkaSettings",
    "LokiSettings",
    "MetricSettings",
    "ObjectiveSettings",
    "PrometheusSettings",
    "Settings",
    "SettingsError",
    "TraceSettings",
    "ZipkinSettings",
    "load",
    "parse",
]
