"""Whether an application instruments itself already, so that no request is told twice.

Recent FastAPI does as soon as there is a global provider; Starlette has a middleware for it, and so has OpenTelemetry's
contrib. Whoever comes first leaves a mark in the scope, or at least its server span in the context: what is inside then
leaves the request alone. This product reads the marks of others and leaves theirs where it tells the request itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from opentelemetry.trace import Span, SpanKind, get_current_span

from otel_setup.correlation import Scope

FASTAPI_MARK = "fastapi.telemetry"
STARLETTE_MARK = "starlette.opentelemetry"
_CONTRIB_MARK = "_is_instrumented_by_opentelemetry"
_CONTRIB_MODULE = "opentelemetry.instrumentation."
_STARLETTE_MODULE = "starlette.middleware.opentelemetry"


class Native(NamedTuple):
    """What of each HTTP request somebody else tells, inside or around the middleware."""

    spans: bool = False
    metrics: bool = False


def found_in(app: object) -> Native | None:
    """What the application below tells by itself; None where nothing in it is able to."""
    found = None
    for layer in _layers(app):
        told = _told_by(layer)
        if told is not None:
            found = told if found is None else Native(found.spans or told.spans, found.metrics or told.metrics)
    return found


def _layers(app: object) -> Iterator[object]:
    """An application, what its ``app`` attributes wrap, and the middleware it has yet to build."""
    seen: set[int] = set()
    while app is not None and id(app) not in seen:
        seen.add(id(app))
        yield app
        for middleware in getattr(app, "user_middleware", ()):
            yield getattr(middleware, "cls", None)
        app = getattr(app, "app", None)


def _told_by(layer: object) -> Native | None:
    module = getattr(layer, "__module__", "")  # of a class, or of an instance's class
    if getattr(layer, _CONTRIB_MARK, False) or module.startswith(_CONTRIB_MODULE):
        return Native(spans=True, metrics=True)
    if module == _STARLETTE_MODULE:
        return Native(spans=True)
    settings = getattr(layer, "_telemetry", None)  # FastAPI's ``telemetry=``, completed with its defaults
    if isinstance(settings, Mapping) and {"tracing", "metrics"} <= settings.keys():
        return Native(spans=bool(settings["tracing"]), metrics=bool(settings["metrics"]))
    return None


def around(scope: Scope) -> Native | None:
    """What those around the middleware tell of this request; None where there are none."""
    if FASTAPI_MARK in scope:
        mark = scope[FASTAPI_MARK]
        told = found_in(scope.get("app"))
        if mark is None or told is None:  # excluded by the application, or told by a FastAPI we do not see
            return Native(spans=True, metrics=True)
        return told
    if STARLETTE_MARK in scope:
        return Native(spans=True)
    return _told_by_span(get_current_span())


def _told_by_span(span: Span) -> Native | None:
    """Who leaves no mark is known by the server span that is current where the request arrives."""
    if not span.is_recording() or getattr(span, "kind", None) is not SpanKind.SERVER:
        return None
    scope = getattr(span, "instrumentation_scope", None)
    return Native(spans=True, metrics=str(getattr(scope, "name", "")).startswith(_CONTRIB_MODULE))


def leave_marks(scope: Scope) -> None:
    """Makes what is inside leave this request or socket alone."""
    marks: dict[str, Any] = {FASTAPI_MARK: None, STARLETTE_MARK: True}
    for mark, value in marks.items():
        scope.setdefault(mark, value)
