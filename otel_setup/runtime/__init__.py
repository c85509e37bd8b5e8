"""What this process costs, and what holds it up: memory, CPU, garbage collection, the event loop."""

from otel_setup.runtime.collector import SystemMetricsCollector

__all__ = ["SystemMetricsCollector"]
