"""The route of a handled request, as the application declares it: ``/rooms/{room_id}``, never ``/rooms/42``.

Starlette and FastAPI leave the matched route in the scope, without the prefixes of what it is mounted in. The path has
those, but with the values of their parameters. Both together give the template; a route of which that is not certain
is left out, since a value in its place would be a new time series and a new span name for each player.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from otel_setup.correlation import Scope

MAX_ROUTES = 500
"""Different routes that are told apart; beyond, a route counts as ``other``."""
_ANYTHING = "/{path}"


class Routes:
    """The routes seen so far.

    Parameters:
        on_full: called for each request whose route is new when there are ``MAX_ROUTES``.
        other: what such a route is called.
    """

    def __init__(self, on_full: Callable[[], None], other: str) -> None:
        self._on_full = on_full
        self._other = other
        self._known: set[str] = set()

    def of(self, scope: Scope) -> str | None:
        """The route that handled the request, None where none did or none can be told."""
        route = template(scope)
        if route is None or route in self._known:
            return route
        if len(self._known) >= MAX_ROUTES:
            self._on_full()
            return self._other
        self._known.add(route)
        return route


def template(scope: Scope) -> str | None:
    """The declared route, with what it is mounted in."""
    route = scope.get("route")
    declared, regex = getattr(route, "path_format", None), getattr(route, "path_regex", None)
    if not isinstance(declared, str) or not isinstance(regex, re.Pattern):
        return None
    path, mounted = str(scope.get("path", "")), str(scope.get("root_path", ""))
    if not path.startswith(mounted):  # a proxy in front took it away
        mounted = ""
    given = dict(scope.get("path_params") or {})
    if hasattr(route, "routes"):  # a mount itself: what it serves has no routes of its own, or none that matched
        return _with_parameters(mounted, given, _ANYTHING)  # the mount's own path is in the root path already
    own = set(regex.groupindex)
    start = _start_of(regex, path, len(mounted))
    if start is None:
        return None
    return _with_parameters(path[:start], {name: given[name] for name in given if name not in own}, declared)


def _start_of(regex: re.Pattern[str], path: str, mounted: int) -> int | None:
    """Where in the path the route's own part begins: at the mount, or later where a router put a prefix before it."""
    at = mounted
    while at != -1:
        if regex.fullmatch(path[at:]):
            return at
        at = path.find("/", at + 1)
    return None


def _with_parameters(prefix: str, given: dict[str, Any], declared: str) -> str | None:
    segments = prefix.split("/")
    for name, value in given.items():
        if not str(value) or str(value) not in segments:
            return None
        segments[segments.index(str(value))] = f"{{{name}}}"
    return "/".join(segments) + declared
