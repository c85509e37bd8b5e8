"""What the application logs with the standard library's `logging`, as OpenTelemetry log records.

It stands at the one place every record passes that its logger lets through, ``logging.Logger.callHandlers``, and adds
no handler anywhere. A handler on the root logger would do harm: ``basicConfig()`` does nothing where root has one, and
warnings of a program that configures no logging no longer reach stderr. It would also be lost to ``dictConfig`` and
``fileConfig``, and never hear loggers that do not propagate, such as ``uvicorn.access``. Levels, filters, handlers and
formatters of the application stay as they are, and so does everything they write.

Consequences worth knowing:

- Only what is logged can be told. ``INFO`` of a logger whose effective level is ``WARNING``, which is root's level
  until somebody sets another, is never made by Python. Levels are the application's to set.
- A filter or level of a *handler* has no say here, those of a *logger* have.
- A subclass of ``Logger`` that has a ``callHandlers`` of its own, and does not call the inherited one, is not heard.
- Where ``opentelemetry-instrumentation-logging`` has put its handler on root, both would tell every record.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import threading
import traceback
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

from opentelemetry._logs import Logger, LoggerProvider, SeverityNumber
from opentelemetry.semconv.attributes import code_attributes as code
from opentelemetry.semconv.attributes import exception_attributes as exception

from otel_setup.catalogue import attributes as a
from otel_setup.correlation import NO_CORRELATION, clean_correlation_id, get_correlation_id
from otel_setup.game_model import OTHER
from otel_setup.sdk.suppression import suppressed
from otel_setup.text import MAX_DATA_ITEMS, clean_data, clean_id, clean_text

if TYPE_CHECKING:
    from otel_setup.privacy.sanitizer import Sanitizer

MAX_MESSAGE_LENGTH = 8192
"""Characters kept of a message and of an exception's message."""
MAX_STACK_LENGTH = 8192
"""Characters kept of a stack: its end, where the cause is."""
MAX_STACK_FRAMES = 50
"""Innermost frames of a stack that are told."""
MAX_EXTRA = MAX_DATA_ITEMS
"""Entries of ``extra`` that are told, the first ones."""
MAX_LOGGERS = 1000
"""Loggers that are told by name; those met later share one name, since the SDK keeps every name for ever."""

EXCLUDED = ("opentelemetry", "otel_setup.export", "grpc", "urllib3", "requests")
"""Loggers whose records are never exported, with all below them: what exporters say would have to be exported too."""

_EVERY_RECORD_HAS = frozenset(vars(logging.makeLogRecord({}))) | {
    *("message", "asctime", "taskName"),  # set by formatters, and from Python 3.12 on
    "color_message",  # uvicorn's: the message once more, with colours
    *("otelSpanID", "otelTraceID", "otelTraceSampled", "otelServiceName"),  # those of OpenTelemetry's instrumentation
    a.CORRELATION_ID.data_key,  # told by an attribute of its own
}
_IDS = {attribute.data_key: attribute.name for attribute in (a.GAME_ID, a.ROOM_ID, a.PLAYER_ID, a.CONNECTION_ID)}
_BEGINS = (SeverityNumber.TRACE, SeverityNumber.DEBUG, SeverityNumber.INFO, SeverityNumber.WARN, SeverityNumber.ERROR)
_inside = threading.local()


def level_number(level: int | str) -> int:
    """The number of a level, given as a number or by one of its names, in any case.

    Raises:
        ValueError: there is no level of that name.
    """
    if isinstance(level, int):
        return level
    names = logging.getLevelNamesMapping()
    if level.upper() not in names:
        raise ValueError(f"{level!r} is no level of logging; expected one of {', '.join(names)}")
    return names[level.upper()]


@functools.lru_cache(maxsize=128)
def severity_number(level: int) -> SeverityNumber:
    """The severity of a level (OpenTelemetry, Logs Data Model, "Mapping of SeverityNumber").

    Levels in between are the finer steps of their range: 25 is ``INFO4``. Below ``DEBUG`` everything is ``TRACE``.
    """
    if level <= logging.NOTSET:
        return SeverityNumber.UNSPECIFIED
    if level < logging.DEBUG:
        return SeverityNumber.TRACE
    tens, ones = divmod(level, 10)
    if level >= logging.CRITICAL:
        return SeverityNumber(SeverityNumber.FATAL.value + min(level - logging.CRITICAL, 3))
    return SeverityNumber(_BEGINS[tens].value + min(ones, 3))


class Bridge:
    """Makes log records of what is logged. Any thread may call anything; there is no lock in it.

    Parameters:
        provider: where they go; its loggers are asked for by the names of those that logged.
        level: records below it are left out.
        exclude: names of more loggers that are left out, with all below them.
        sanitizer: takes names and secrets out here, where the provider's exporters do not.
        on_fault: told of what went wrong with a record, which is then not exported.
    """

    def __init__(
        self,
        provider: LoggerProvider,
        level: int,
        exclude: Collection[str] = (),
        sanitizer: Sanitizer | None = None,
        on_fault: Callable[[Exception], object] = lambda fault: None,
    ) -> None:
        self._provider = provider
        self._level = level
        self._excluded = tuple(f"{name}." for name in (*EXCLUDED, *exclude))
        self._sanitizer = sanitizer
        self._on_fault = on_fault
        self._loggers: dict[str, Logger | None] = {}

    def take(self, record: logging.LogRecord) -> None:
        """Exports a record. Never raises; does nothing while this thread exports, or is in here already."""
        if getattr(_inside, "now", False):
            return
        _inside.now = True
        try:
            if record.levelno >= self._level and not suppressed():
                self._emit(record)
        except Exception as fault:  # noqa: BLE001 - the application only wanted to log
            with contextlib.suppress(Exception):
                self._on_fault(fault)
        finally:
            _inside.now = False

    def _emit(self, record: logging.LogRecord) -> None:
        logger, severity = self._logger(record.name), severity_number(record.levelno)
        if logger is None or not logger.enabled(severity_number=severity):
            return
        body, attributes = _message_of(record), _attributes_of(record)
        if self._sanitizer is not None:
            attributes = self._sanitizer.attributes(attributes)  # first: it is here that names are learnt
            body = self._sanitizer.text(body)
        logger.emit(
            timestamp=int(record.created * 1e9),
            severity_number=severity,
            severity_text=clean_id(record.levelname),
            body=body,
            attributes=attributes,
        )

    def _logger(self, name: str) -> Logger | None:
        """The logger of that name; None where it is excluded."""
        try:
            return self._loggers[name]
        except KeyError:
            if f"{name}.".startswith(self._excluded):
                made = None
            elif len(self._loggers) >= MAX_LOGGERS:
                return self._provider.get_logger(OTHER)
            else:
                made = self._provider.get_logger(clean_id(name))
            return self._loggers.setdefault(name, made)


def _message_of(record: logging.LogRecord) -> str:
    try:
        message = record.getMessage()
    except Exception:  # noqa: BLE001 - wrong arguments; logging reports it by itself, and the template tells something
        message = clean_text(record.msg)
    return clean_text(message, MAX_MESSAGE_LENGTH)


def _attributes_of(record: logging.LogRecord) -> dict[str, Any]:
    attributes = _extra_of(record)
    correlation_id = _correlation_of(record)
    if correlation_id is not None:
        attributes[a.CORRELATION_ID.name] = correlation_id
    if record.pathname:
        attributes[code.CODE_FILE_PATH] = clean_text(record.pathname)
        attributes[code.CODE_LINE_NUMBER] = record.lineno
    if record.funcName:
        attributes[code.CODE_FUNCTION_NAME] = clean_text(record.funcName)
    if record.stack_info:
        attributes[code.CODE_STACKTRACE] = _end_of(record.stack_info)
    if record.exc_info and record.exc_info[1] is not None:
        attributes |= _exception_attributes(record.exc_info[1])
    elif record.exc_text:  # a record from another process, whose exception could not come along
        attributes[exception.EXCEPTION_STACKTRACE] = _end_of(record.exc_text)
    return attributes


def _extra_of(record: logging.LogRecord) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for key, value in vars(record).items():
        if key in _EVERY_RECORD_HAS or value is None:
            continue
        if len(told) >= MAX_EXTRA:
            break
        told[_IDS.get(key) or clean_id(key)] = clean_data(value)
    told.pop("", None)  # no name that an attribute can have
    return told


def _correlation_of(record: logging.LogRecord) -> str | None:
    """The id a record brings, from the application or from `CorrelationFilter`; else that of where it was logged."""
    own = getattr(record, a.CORRELATION_ID.data_key, None)
    if own is not None and own != NO_CORRELATION and (cleaned := clean_correlation_id(own)) is not None:
        return cleaned
    return get_correlation_id()


def _exception_attributes(error: BaseException) -> dict[str, Any]:
    kind = type(error)
    lines = traceback.format_exception(kind, error, error.__traceback__, limit=-MAX_STACK_FRAMES)
    qualified = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return {
        exception.EXCEPTION_TYPE: clean_text(qualified),
        exception.EXCEPTION_MESSAGE: clean_text(error, MAX_MESSAGE_LENGTH),
        exception.EXCEPTION_STACKTRACE: _end_of("".join(lines)),
    }


def _end_of(stack: str) -> str:
    end = stack if len(stack) <= MAX_STACK_LENGTH else f"…{stack[1 - MAX_STACK_LENGTH :]}"
    # Line by line: nearly all are plain, and only what is not plain has to be looked at letter by letter.
    return "\n".join(clean_text(line, MAX_STACK_LENGTH) for line in end.split("\n"))


# --- where records pass ----------------------------------------------------------------------------------------------


class _Tap:
    """The function in place of ``Logger.callHandlers``: the bridge of the moment first, then all as before."""

    def __init__(self) -> None:
        self.bridge: Bridge | None = None
        self.heard: logging.LogRecord | None = None
        self._before: Callable[..., None] | None = None
        self._function: Callable[..., None] | None = None

    def open(self) -> None:
        if self._function is not None and self._still_there():
            return
        before = logging.Logger.callHandlers

        @functools.wraps(before)
        def call_handlers(logger: logging.Logger, record: logging.LogRecord) -> None:
            bridge = self.bridge
            try:
                if logger is _PROBE:
                    self.heard = record
                elif bridge is not None:
                    bridge.take(record)
            finally:
                before(logger, record)

        self._before, self._function = before, call_handlers
        logging.Logger.callHandlers = call_handlers  # type: ignore[method-assign, assignment]

    def close(self) -> None:
        if self._function is not None and logging.Logger.callHandlers is self._function:
            assert self._before is not None  # noqa: S101 - they are set together
            logging.Logger.callHandlers = self._before  # type: ignore[method-assign]
            self._before = self._function = None

    def _still_there(self) -> bool:
        """Whether records still come here: somebody who put theirs on top of ours may have taken both away."""
        record = logging.LogRecord(_PROBE.name, logging.NOTSET, "", 0, "", None, None)
        logging.Logger.callHandlers(_PROBE, record)
        return self.heard is record


_PROBE = logging.Logger("otel_setup.probe")  # known to nobody else, and to no other logger
_PROBE.addHandler(logging.NullHandler())
_tap = _Tap()


def install(
    provider: LoggerProvider,
    level: int | str = logging.INFO,
    *,
    exclude: Collection[str] = (),
    sanitizer: Sanitizer | None = None,
    on_fault: Callable[[Exception], object] = lambda fault: None,
) -> None:
    """Exports from now on what is logged; where that is so already, as told now. Not from two threads at once.

    Parameters:
        provider: where records go.
        level: number or name; records below it are left out.
        exclude: names of loggers that are left out beyond :data:`EXCLUDED`, with all below them.
        sanitizer: takes names and secrets out where the provider's exporters do not, as one that is not ours.
        on_fault: told of what went wrong with a record, which is then not exported.

    Raises:
        ValueError: there is no such level.
    """
    bridge = Bridge(provider, level_number(level), exclude, sanitizer, on_fault)
    _tap.open()
    _tap.bridge = bridge


def uninstall() -> None:
    """Ends it. ``logging`` is as it was before; where somebody has put theirs on top of ours, ours does nothing."""
    _tap.bridge = None
    _tap.close()
