"""The application's own logging as log records, and that nothing it writes itself changes.

What the standard library writes is taken from runs of the same program without the bridge.
"""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry._logs import Logger, LoggerProvider, LogRecord, SeverityNumber
from opentelemetry.sdk._logs import LoggerProvider as SdkLoggerProvider
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import (
    InMemoryLogRecordExporter,
    LogRecordExporter,
    LogRecordExportResult,
    SimpleLogRecordProcessor,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from otel_setup import logging_bridge
from otel_setup.correlation import CorrelatedLogger, CorrelationFilter, correlated
from otel_setup.logging_bridge import MAX_EXTRA, MAX_LOGGERS, MAX_MESSAGE_LENGTH, MAX_STACK_LENGTH, install, uninstall
from otel_setup.privacy import Pseudonyms, Redaction
from otel_setup.privacy.sanitizer import Sanitizer
from otel_setup.sdk.proxies import SwapLoggerProvider
from otel_setup.sdk.suppression import suppressing

ROOT = Path(__file__).parents[2]
PLAIN = logging.Logger.callHandlers
"""The standard library's own, before anything is installed."""


class Kept(logging.Handler):
    """A handler of the application's."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.seen.append(record)


class Exported:
    """A provider of the SDK that keeps what it is told."""

    def __init__(self) -> None:
        self._kept = InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]
        self.provider = SdkLoggerProvider(resource=Resource.get_empty(), shutdown_on_exit=False)
        self.provider.add_log_record_processor(SimpleLogRecordProcessor(self._kept))

    @property
    def all(self) -> Sequence[ReadableLogRecord]:
        return self._kept.get_finished_logs()

    @property
    def bodies(self) -> list[Any]:
        return [exported.log_record.body for exported in self.all]

    @property
    def record(self) -> LogRecord:
        """The only one."""
        (exported,) = self.all
        return exported.log_record

    @property
    def attributes(self) -> dict[str, Any]:
        """Those of the only one."""
        return dict(self.record.attributes or {})


@pytest.fixture
def exported() -> Iterator[Exported]:
    kept = Exported()
    try:
        yield kept
    finally:
        uninstall()
        assert logging.Logger.callHandlers is PLAIN


@pytest.fixture
def logger() -> logging.Logger:
    """A logger that lets everything pass, quietly, and that no other logger knows."""
    made = logging.Logger("game.rooms")
    made.addHandler(logging.NullHandler())
    return made


# --- one record ------------------------------------------------------------------------------------------------------


def test_a_record_is_told_by_the_conventions(exported: Exported, logger: logging.Logger) -> None:
    install(exported.provider)
    logger.warning("room %s has %d players", "r1", 4, extra={"region": "eu"})
    line = sys._getframe().f_lineno - 1
    record = exported.record
    assert record.body == "room r1 has 4 players"
    assert record.severity_number is SeverityNumber.WARN
    assert record.severity_text == "WARNING"
    assert record.event_name is None
    assert record.timestamp is not None
    assert abs(record.timestamp - (record.observed_timestamp or 0)) < 60e9
    assert exported.attributes == {
        "code.file.path": __file__,
        "code.function.name": "test_a_record_is_told_by_the_conventions",
        "code.line.number": line,
        "region": "eu",
    }
    scope = exported.all[0].instrumentation_scope
    assert scope is not None
    assert scope.name == "game.rooms"


@pytest.mark.parametrize(
    ("level", "severity"),
    [
        # Logs Data Model: TRACE 1-4, DEBUG 5-8, INFO 9-12, WARN 13-16, ERROR 17-20, FATAL 21-24
        (1, 1),
        (5, 1),
        (10, 5),
        (11, 6),
        (19, 8),
        (20, 9),
        (25, 12),
        (30, 13),
        (40, 17),
        (49, 20),
        (50, 21),
        (51, 22),
        (1000, 24),
    ],
)
def test_levels_become_severities(exported: Exported, logger: logging.Logger, level: int, severity: int) -> None:
    install(exported.provider, 1)
    logger.log(level, "said")
    number = exported.record.severity_number
    assert number is not None
    assert number.value == severity


def test_records_below_the_level_stay(exported: Exported, logger: logging.Logger) -> None:
    install(exported.provider, "warning")
    logger.info("less")
    logger.warning("as much")
    logger.error("more")
    assert exported.bodies == ["as much", "more"]


def test_an_unknown_level_is_refused(exported: Exported) -> None:
    with pytest.raises(ValueError, match=r"'LOUD' is no level of logging; expected one of .*INFO"):
        install(exported.provider, "LOUD")


def test_an_exception_is_told_with_its_stack(exported: Exported, logger: logging.Logger) -> None:
    class BrokenRoom(RuntimeError): ...

    def fail() -> None:
        raise BrokenRoom("no seats")

    install(exported.provider)
    try:
        fail()
    except BrokenRoom:
        logger.exception("could not open", stack_info=True)
    attributes = exported.attributes
    assert attributes["exception.type"] == f"{__name__}.{BrokenRoom.__qualname__}"
    assert attributes["exception.message"] == "no seats"
    assert attributes["exception.stacktrace"].startswith("Traceback (most recent call last):")
    assert 'raise BrokenRoom("no seats")' in attributes["exception.stacktrace"]
    assert attributes["code.stacktrace"].startswith("Stack (most recent call last):")


def test_a_builtin_exception_has_no_module(exported: Exported, logger: logging.Logger) -> None:
    install(exported.provider)
    logger.error("refused", exc_info=ValueError("no"))
    assert exported.attributes["exception.type"] == "ValueError"


def test_exception_without_one_is_told_without(exported: Exported, logger: logging.Logger) -> None:
    install(exported.provider)
    logger.exception("there is none")
    assert exported.bodies == ["there is none"]
    assert not [key for key in exported.attributes if key.startswith("exception.")]


def test_a_record_knows_its_trace_and_correlation(exported: Exported, logger: logging.Logger) -> None:
    install(exported.provider)
    span = NonRecordingSpan(SpanContext(0xABC, 0xDEF, is_remote=False, trace_flags=TraceFlags(1)))
    with trace.use_span(span), correlated("corr_of_the_request"):
        logger.info("in it")
    record = exported.record
    assert (record.trace_id, record.span_id, record.trace_flags) == (0xABC, 0xDEF, 1)
    assert exported.attributes["correlation.id"] == "corr_of_the_request"


@pytest.mark.parametrize(
    ("own", "told"),
    [("given", "given"), ("-", "ambient"), ("evil\r\nid", "ambient"), (None, "ambient")],
)
def test_a_record_may_bring_its_correlation(
    exported: Exported, logger: logging.Logger, own: str | None, told: str
) -> None:
    install(exported.provider)
    with correlated("ambient"):
        logger.info("in it", extra={"correlation_id": own})
    assert exported.attributes["correlation.id"] == told
    assert "correlation_id" not in exported.attributes


def test_the_correlated_logger_and_its_filter_work_as_before(exported: Exported, logger: logging.Logger) -> None:
    handler = Kept()
    handler.addFilter(CorrelationFilter())
    logger.addHandler(handler)
    install(exported.provider)
    with correlated("corr_1"):
        CorrelatedLogger(logger).info("told")
    logger.info("plain")
    assert [record.correlation_id for record in handler.seen] == ["corr_1", "-"]  # type: ignore[attr-defined]
    assert exported.bodies == ["[corr_1] told", "plain"]
    told, plain = (dict(one.log_record.attributes or {}) for one in exported.all)
    assert told["correlation.id"] == "corr_1"
    assert "correlation.id" not in plain


def test_ids_have_the_catalogues_names(exported: Exported, logger: logging.Logger) -> None:
    install(exported.provider)
    ids = {"game_id": "g", "room_id": "r", "player_id": "Ada", "connection_id": "c"}
    logger.info("moved", extra=ids)
    told = {key: value for key, value in exported.attributes.items() if not key.startswith("code.")}
    assert told == {"game.id": "g", "room.id": "r", "player.id": "Ada", "connection.id": "c"}


def test_what_others_add_to_every_record_is_not_told(exported: Exported, logger: logging.Logger) -> None:
    install(exported.provider)
    logger.info("Started", extra={"color_message": "\x1b[1mStarted", "otelTraceID": "0", "taskName": "Task-1"})
    assert set(exported.attributes) == {"code.file.path", "code.function.name", "code.line.number"}


# --- hostile and odd records -----------------------------------------------------------------------------------------


def test_hostile_text_is_made_safe_and_bounded(exported: Exported, logger: logging.Logger) -> None:
    install(exported.provider)
    hostile = "\x1b]0;owned\x07\N{RIGHT-TO-LEFT OVERRIDE}" + "x" * 10_000

    def fail(depth: int) -> None:
        if depth:
            fail(depth - 1)
        raise ValueError(hostile)

    try:
        fail(200)
    except ValueError:
        many = {f"key {number}\n": hostile for number in range(MAX_EXTRA + 50)}
        logger.exception("said %s", hostile, extra=many)
    attributes = exported.attributes
    texts = [exported.record.body, *attributes, *attributes.values()]
    assert len(attributes) <= MAX_EXTRA + 10
    for text in filter(lambda text: isinstance(text, str), texts):
        assert isinstance(text, str)
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e]", text)
        assert len(text) <= max(MAX_MESSAGE_LENGTH, MAX_STACK_LENGTH)
    assert attributes["exception.stacktrace"].startswith("…")


def test_a_record_that_cannot_be_formatted_is_told_by_its_template(
    exported: Exported, logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    install(exported.provider)
    logger.info("score %d", "many")
    assert exported.bodies == ["score %d"]


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("not me")

    __repr__ = __str__


@pytest.mark.parametrize("message", [Unprintable(), None, {"score": 3}, b"bytes", 7])
def test_any_message_object_is_text(exported: Exported, logger: logging.Logger, message: object) -> None:
    install(exported.provider)
    logger.info(message, extra={"value": message, "": 1, "nested": {"deep": [{"x": float("nan")}]}})
    assert isinstance(exported.record.body, str)
    assert exported.attributes["nested"] == {"deep": ({"x": "nan"},)}
    assert "" not in exported.attributes


def test_a_record_made_by_hand_is_told(exported: Exported, logger: logging.Logger) -> None:
    install(exported.provider, 1)
    logger.handle(logging.makeLogRecord({"msg": "from another process", "levelno": 20, "exc_text": "Traceback ..."}))
    assert exported.bodies == ["from another process"]
    assert exported.attributes == {"exception.stacktrace": "Traceback ..."}


def test_names_are_taken_out_where_the_provider_does_not(exported: Exported, logger: logging.Logger) -> None:
    pseudonyms = Pseudonyms(b"k" * 32)
    install(exported.provider, sanitizer=Sanitizer(pseudonyms, Redaction()))
    logger.info("Guinevere joined from 203.0.113.9", extra={"player_id": "Guinevere", "password": "hunter2"})
    told = json.dumps([exported.record.body, exported.attributes])
    assert "Guinevere" not in told
    assert "203.0.113.9" not in told
    assert "hunter2" not in told
    assert exported.attributes["player.id"] in str(exported.record.body)


def test_more_loggers_than_are_told_by_name_share_one(exported: Exported) -> None:
    install(exported.provider)
    for number in range(MAX_LOGGERS + 10):
        logger = logging.Logger(f"socket-{number}")
        logger.addHandler(logging.NullHandler())
        logger.error("closed")
    names = [one.instrumentation_scope.name for one in exported.all if one.instrumentation_scope]
    assert names[0] == "socket-0"
    assert len(names) == MAX_LOGGERS + 10
    assert len(set(names)) == MAX_LOGGERS + 1


# --- loops -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("opentelemetry.sdk._logs", False),
        ("opentelemetry", False),
        ("opentelemetryx", True),
        ("grpc._channel", False),
        ("urllib3.connectionpool", False),
        ("requests", False),
        ("otel_setup.export", False),
        ("otel_setup", True),
        ("noisy.child", False),
        ("game", True),
    ],
)
def test_what_exporters_say_is_left_out(exported: Exported, name: str, told: bool) -> None:
    install(exported.provider, exclude=["noisy"])
    logger = logging.Logger(name)
    logger.addHandler(logging.NullHandler())
    logger.error("said")
    assert exported.bodies == ["said"] * told


def test_nothing_enters_from_a_thread_that_exports(exported: Exported, logger: logging.Logger) -> None:
    install(exported.provider)
    with suppressing():
        logger.error("the exporter's helper says")
    logger.error("the game says")
    assert exported.bodies == ["the game says"]


def test_the_sdk_still_knows_the_mark_of_suppression(exported: Exported, logger: logging.Logger) -> None:
    """Its processors put it around every export. Where the SDK no longer did, this would be told again and again."""
    seen: list[int] = []

    class Talkative(LogRecordExporter):
        def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
            seen.append(len(batch))
            logging_bridge._inside.now = False  # what protects a thread from itself is not what is tried here
            logger.error("exporting")
            return LogRecordExportResult.SUCCESS

        def shutdown(self) -> None: ...

        def force_flush(self, timeout_millis: int = 0) -> bool:
            return True

    exported.provider.add_log_record_processor(SimpleLogRecordProcessor(Talkative()))
    install(exported.provider)
    logger.error("said")
    assert seen == [1]


class Recording(LoggerProvider):
    """A provider that keeps bodies, and does something more with each."""

    def __init__(self, also: Callable[[str], object] = lambda body: None) -> None:
        self.bodies: list[str] = []
        self._also = also

    def get_logger(self, name: str, *_: Any, **__: Any) -> Logger:
        provider = self

        class Own(Logger):
            def emit(self, *_: Any, body: Any = None, **__: Any) -> None:
                provider.bodies.append(body)
                provider._also(body)

            def enabled(self, **_: Any) -> bool:
                return True

        return Own(name)


def test_a_provider_that_logs_makes_no_loop(exported: Exported, logger: logging.Logger) -> None:
    provider = Recording(lambda body: logger.error("while telling: %s", body))
    install(provider)
    logger.error("said")
    logger.error("again")
    assert provider.bodies == ["said", "again"]


def test_an_object_that_logs_when_it_is_printed_makes_no_loop(exported: Exported, logger: logging.Logger) -> None:
    class Chatty:
        def __str__(self) -> str:
            logger.error("printed %s", "once more")
            return "chatty"

    provider = Recording()
    install(provider)
    logger.error("said %s", Chatty())
    assert provider.bodies == ["said chatty"]


def test_a_provider_that_fails_harms_nobody(exported: Exported, logger: logging.Logger) -> None:
    handler = Kept()
    logger.addHandler(handler)
    faults: list[Exception] = []

    def fail(body: str) -> None:
        raise OSError("no")

    def fault_that_fails(fault: Exception) -> None:
        faults.append(fault)
        logger.warning("told of a fault")
        raise fault

    install(Recording(fail), on_fault=fault_that_fails)
    logger.error("said")
    assert [record.msg for record in handler.seen] == ["told of a fault", "said"]
    assert [str(fault) for fault in faults] == ["no"]


def test_an_interrupt_passes_and_the_record_is_written_all_the_same(exported: Exported, logger: logging.Logger) -> None:
    handler = Kept()
    logger.addHandler(handler)

    def interrupt(body: str) -> None:
        raise KeyboardInterrupt

    install(Recording(interrupt))
    with pytest.raises(KeyboardInterrupt):
        logger.error("said")
    assert [record.msg for record in handler.seen] == ["said"]


def test_a_thread_in_the_provider_holds_up_no_other(exported: Exported, logger: logging.Logger) -> None:
    there, go_on = threading.Event(), threading.Event()

    def wait(body: str) -> None:
        if body == "slow":
            there.set()
            go_on.wait(60)

    provider = Recording(wait)
    install(provider)
    slow = threading.Thread(target=logger.error, args=("slow",))
    slow.start()
    assert there.wait(60)
    logger.error("quick")
    assert provider.bodies == ["slow", "quick"]
    go_on.set()
    slow.join()


# --- installed, exchanged, removed -----------------------------------------------------------------------------------


def state_of_logging() -> tuple[Any, ...]:
    root = logging.getLogger()
    return (
        logging.Logger.callHandlers,
        logging.Logger.handle,
        list(root.handlers),
        list(root.filters),
        root.level,
        logging.lastResort,
        logging.getLogRecordFactory(),
        logging.getLoggerClass(),
        [ref() for ref in logging._handlerList],  # type: ignore[attr-defined]
        logging.raiseExceptions,
    )


def test_a_second_installation_takes_the_place_of_the_first(exported: Exported, logger: logging.Logger) -> None:
    other = Exported()
    install(exported.provider)
    function = logging.Logger.callHandlers
    logger.error("one")
    install(other.provider, "ERROR")
    logger.error("two")
    logger.warning("too little")
    assert logging.Logger.callHandlers is function
    assert exported.bodies == ["one"]
    assert other.bodies == ["two"]


def test_removed_it_leaves_no_trace(exported: Exported, logger: logging.Logger) -> None:
    before = state_of_logging()
    for _ in range(2):
        install(exported.provider)
        logger.error("told")
        uninstall()
        logger.error("not told")
        uninstall()
    assert state_of_logging() == before
    assert exported.bodies == ["told", "told"]


def test_it_adds_nothing_but_the_one_function(exported: Exported) -> None:
    before = state_of_logging()
    install(exported.provider)
    assert state_of_logging()[1:] == before[1:]


def test_somebody_elses_function_on_top_stays(exported: Exported, logger: logging.Logger) -> None:
    install(exported.provider)
    ours, seen = logging.Logger.callHandlers, []

    def theirs(self: logging.Logger, record: logging.LogRecord) -> None:
        seen.append(record.msg)
        ours(self, record)

    logging.Logger.callHandlers = theirs  # type: ignore[method-assign]
    logger.error("through both")
    uninstall()
    logger.error("through theirs")
    install(exported.provider)
    logger.error("through both again")
    assert seen[0] == "through both"
    assert seen[-1] == "through both again"
    assert "through theirs" in seen
    assert exported.bodies == ["through both", "through both again"]
    logging.Logger.callHandlers = ours  # type: ignore[method-assign]


def test_taken_away_by_somebody_else_it_comes_back(exported: Exported, logger: logging.Logger) -> None:
    install(exported.provider)
    logging.Logger.callHandlers = PLAIN  # type: ignore[method-assign]
    logger.error("unheard")
    install(exported.provider)
    logger.error("heard")
    assert exported.bodies == ["heard"]


def test_taken_away_and_put_back_it_tells_nothing_twice(exported: Exported, logger: logging.Logger) -> None:
    install(exported.provider)
    first = logging.Logger.callHandlers
    logging.Logger.callHandlers = PLAIN  # type: ignore[method-assign]
    install(exported.provider)
    logging.Logger.callHandlers = first  # type: ignore[method-assign]
    install(exported.provider)
    logger.error("once")
    logging.Logger.callHandlers = PLAIN  # type: ignore[method-assign]
    assert exported.bodies == ["once"]


def test_it_follows_a_provider_that_is_exchanged(exported: Exported, logger: logging.Logger) -> None:
    provider = SwapLoggerProvider(lambda fault: pytest.fail(repr(fault)))
    install(provider)
    printed: list[str] = []

    class Costly:
        def __str__(self) -> str:
            printed.append("for nobody")
            return ""

    logger.error("to nobody %s", Costly())
    assert printed == []
    provider.swap(exported.provider)
    logger.error("to the first")
    provider.swap(None)
    logger.error("to nobody")
    assert exported.bodies == ["to the first"]


def test_caplog_sees_what_it_would(exported: Exported, caplog: pytest.LogCaptureFixture) -> None:
    """Pytest's own handler stands on root; ours takes none of its records and adds none."""
    install(exported.provider)
    with caplog.at_level(logging.INFO, logger="game"):
        logging.getLogger("game").info("told %s", "once")
        with suppressing():
            logging.getLogger("game").info("only here")
    assert [record.getMessage() for record in caplog.records] == ["told once", "only here"]
    assert exported.bodies == ["told once"]


# --- beside what applications do with logging ------------------------------------------------------------------------

BRIDGE = """
from opentelemetry._logs import Logger, LoggerProvider
from otel_setup import logging_bridge
bodies = []
class Provider(LoggerProvider):
    def get_logger(self, name, *_, **__):
        class Own(Logger):
            def emit(self, *_, body=None, **__):
                bodies.append([name, body])
            def enabled(self, **_):
                return True
        return Own(name)
def configure():
    logging_bridge.install(Provider(), "INFO")
"""
TOLD = """
import json, os
os.write(int(os.environ["TOLD"]), json.dumps(bodies).encode())
"""
CLOCKLESS = "%(levelname)s|%(name)s|%(message)s"


def run(program: str, configured: str) -> tuple[str, str, list[list[str]]]:
    """Runs a program that logs.

    Parameters:
        program: logs; the lines ``# before`` and ``# after`` say where it configures.
        configured: at which of them the bridge is installed; nowhere where empty.

    Returns:
        Standard output, standard error, and what was exported.
    """
    code = "import logging, logging.config, sys\n" + textwrap.dedent(program)
    if configured:
        assert f"# {configured}" in code
        code = BRIDGE + code.replace(f"# {configured}", "configure()") + TOLD
    reading, writing = os.pipe()
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        pass_fds=[writing],
        env={**os.environ, "TOLD": str(writing)},
    )
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as told:
        exported = told.read()
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr, json.loads(exported or "[]")


LOGS = """
logging.getLogger("game").info("a game began")
logging.getLogger("game").warning("a game is %s", "slow")
logging.getLogger().error("the process says")
"""
ALL = [["game", "a game began"], ["game", "a game is slow"], ["root", "the process says"]]

BASIC = f"""
# before
logging.basicConfig(level="INFO", format="{CLOCKLESS}")
# after
{LOGS}
"""
DICT = f"""
# before
logging.config.dictConfig({{
    "version": 1, "disable_existing_loggers": False,
    "formatters": {{"plain": {{"format": "{CLOCKLESS}"}}}},
    "handlers": {{"out": {{"class": "logging.StreamHandler", "formatter": "plain", "stream": "ext://sys.stdout"}}}},
    "root": {{"level": "INFO", "handlers": ["out"]}},
}})
# after
{LOGS}
"""
FILE = f"""
import io
# before
logging.config.fileConfig(io.StringIO('''
[loggers]
keys=root
[handlers]
keys=out
[formatters]
keys=plain
[logger_root]
level=INFO
handlers=out
[handler_out]
class=StreamHandler
formatter=plain
args=(sys.stdout,)
[formatter_plain]
format=%(levelname)s|%(name)s|%(message)s
'''))
# after
{LOGS}
"""
UNCONFIGURED = f"""
# before
{LOGS}
"""
NOT_PROPAGATED = f"""
# before
logging.basicConfig(level="INFO", format="{CLOCKLESS}", force=True)
game = logging.getLogger("game")
game.propagate = False
game.addHandler(logging.StreamHandler(sys.stdout))
# after
{LOGS}
"""


@pytest.mark.parametrize("configured", ["before", "after"])
@pytest.mark.parametrize("program", [BASIC, DICT, FILE, NOT_PROPAGATED], ids=["basic", "dict", "file", "own handler"])
def test_an_application_writes_what_it_would(program: str, configured: str) -> None:
    plain_out, plain_err, nothing = run(program, "")
    out, err, exported = run(program, configured)
    assert (out, err) == (plain_out, plain_err)
    assert "a game is slow" in out + err
    assert nothing == []
    assert exported == ALL


def test_a_program_that_configures_no_logging_still_has_its_warnings_on_stderr() -> None:
    _, plain, _ = run(UNCONFIGURED, "")
    out, err, exported = run(UNCONFIGURED, "before")
    assert (out, err) == ("", plain)
    assert plain == "a game is slow\nthe process says\n"
    assert exported == ALL[1:]  # INFO is below the level of root, WARNING, so that Python makes no record of it


SERVER = """
import asyncio, socket, uvicorn
async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})
async def main():
    # before
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, lifespan="off"))
    # after
    serving = asyncio.create_task(server.serve([listening]))
    while not server.started:
        await asyncio.sleep(0.01)
    reader, writer = await asyncio.open_connection(*listening.getsockname())
    writer.write(b"GET /rooms HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n")
    await reader.read()
    writer.close()
    server.should_exit = True
    await serving
asyncio.run(main())
"""


@pytest.mark.parametrize("configured", ["before", "after"])
def test_uvicorn_writes_what_it_would_and_its_access_log_is_exported(configured: str) -> None:
    def same(text: str) -> str:
        return re.sub(r"(?<=127\.0\.0\.1:)\d+|(?<=process \[)\d+", "N", text)

    plain_out, plain_err, _ = run(SERVER, "")
    out, err, exported = run(SERVER, configured)
    assert (same(out), same(err)) == (same(plain_out), same(plain_err))
    assert same(out) == 'INFO:     127.0.0.1:N - "GET /rooms HTTP/1.1" 200 OK\n'
    told = {name: [same(body) for other, body in exported if other == name] for name, _ in exported}
    assert told["uvicorn.access"] == ['127.0.0.1:N - "GET /rooms HTTP/1.1" 200']
    written = [line.removeprefix("INFO:").strip() for line in same(err).splitlines()]
    assert told["uvicorn.error"] == written


FORK = """
import os, signal, threading, warnings
logging.basicConfig(level="INFO", format="%(message)s")
there, go_on = threading.Event(), threading.Event()
class Stuck:
    def __str__(self):
        there.set()
        go_on.wait()
        return "stuck"
# before
thread = threading.Thread(target=logging.getLogger("game").info, args=("%s", Stuck()))
thread.start()
there.wait()
pid = os.fork()
if pid == 0:
    signal.alarm(60)
    del bodies[:]
    logging.getLogger("game").info("in the child")
    os._exit(bodies != [["game", "in the child"]])
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
go_on.set()
thread.join()
logging.getLogger("game").info("child: %d", status)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_logs_though_a_thread_of_the_parent_was_just_telling_a_record() -> None:
    _, err, exported = run(FORK, "before")
    assert exported == [["game", "stuck"], ["game", "child: 0"]]
    assert err == "in the child\nstuck\nchild: 0\n"
