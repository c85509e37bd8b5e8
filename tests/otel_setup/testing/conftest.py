"""These tests are about the plugin's own fixtures, so they use them."""

from __future__ import annotations

from otel_setup.testing import telemetry, telemetry_options

__all__ = ["telemetry", "telemetry_options"]
