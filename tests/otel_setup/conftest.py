"""Fixtures of these tests; ``telemetry`` comes from the product's own plugin."""

from __future__ import annotations

from tests.otel_setup.traced import span_receiver, traced

__all__ = ["span_receiver", "traced"]
