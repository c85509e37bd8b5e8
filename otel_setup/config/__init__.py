"""What can be configured, where each value may come from, and what is wrong with it.

One table, :data:`OPTIONS`, says it all. A value is taken from, in this order: keyword of ``configure()``, the config
mapping passed to it, the environment (OpenTelemetry's variables before the product's own), the default. ``None``
means not given.
"""

from otel_setup.config.errors import ConfigError
from otel_setup.config.options import OPTIONS, Option
from otel_setup.config.report import report
from otel_setup.config.resolve import resolve
from otel_setup.config.settings import Destination, Options, Resolved, Settings

__all__ = ["OPTIONS", "ConfigError", "Destination", "Option", "Options", "Resolved", "Settings", "report", "resolve"]
