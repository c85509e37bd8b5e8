"""What a configuration opens beside its exports: /metrics at a port, the command socket, the way in for logging."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from opentelemetry._logs import LoggerProvider

from otel_setup import logging_bridge
from otel_setup.config import Resolved, Settings
from otel_setup.core import Core
from otel_setup.prometheus import MetricsServer, start_metrics_server

if TYPE_CHECKING:
    from otel_setup.control import ControlServer
    from otel_setup.privacy.sanitizer import Sanitizer

Describe = Callable[[], Mapping[str, str]]


class Doors:
    """Those of this process, each as the last configuration wants it."""

    def __init__(self) -> None:
        self._metrics: MetricsServer | None = None
        self._control: ControlServer | None = None

    def open(self, core: Core, settings: Settings, describe: Describe) -> None:
        """Opens /metrics and the command socket, if they are wanted; those of another configuration are closed."""
        self._close_servers()
        self._serve_metrics(core, settings)
        self._open_control(core, settings, describe)

    def bridge_logging(
        self,
        core: Core,
        resolved: Resolved,
        loggers: LoggerProvider | None,
        *,
        adopted: bool,
        sanitizer: Sanitizer | None,
    ) -> None:
        """Exports what is logged, if there is somewhere to export it to.

        An application with a logger provider of its own has its own way from logging to it, most likely; ours then
        comes only if it was asked for, and sanitises itself, because that provider's exporters do not.

        Parameters:
            loggers: where it goes; None where logs are off.
            adopted: whether it goes to the application's own provider.
            sanitizer: takes names and secrets out; None where nothing does.
        """
        settings = resolved.settings
        asked_for = not adopted or resolved.sources["log_level"] != "default"
        if loggers is None or not settings.log_level or not asked_for:
            logging_bridge.uninstall()
            return
        logging_bridge.install(
            loggers,
            settings.log_level,
            sanitizer=sanitizer if adopted else None,
            on_fault=lambda fault: core.faults.count("export", fault),
        )

    def close(self) -> None:
        """Closes them all."""
        self._close_servers()
        logging_bridge.uninstall()

    def after_fork(self) -> None:
        """In a forked child the command socket is the parent's; the other two know by themselves."""
        self._control = None

    def _close_servers(self) -> None:
        for server in (self._metrics, self._control):
            if server is not None:
                server.stop()
        self._metrics = self._control = None

    def _serve_metrics(self, core: Core, settings: Settings) -> None:
        if settings.metrics_port is not None:
            try:
                self._metrics = start_metrics_server(settings.metrics_port, settings.metrics_host)
            except OSError as taken:
                # Another worker of the same server has it. Its game must run all the same.
                core.faults.note("metrics_port", f"/metrics is not served at port {settings.metrics_port}: {taken}")

    def _open_control(self, core: Core, settings: Settings, describe: Describe) -> None:
        if settings.control_socket:
            from otel_setup.control import ControlServer

            try:
                self._control = ControlServer(core.debug, describe, core.faults, core.stream)
            except OSError as problem:
                core.faults.note("control_socket", f"`python -m otel_setup debug` cannot reach this process: {problem}")
