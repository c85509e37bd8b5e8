"""What messages say, as templates of Prometheus (https://prometheus.io/docs/prometheus/latest/configuration/template_reference/)."""

from __future__ import annotations

from alerts.query import Query
from otel_setup.catalogue import M

RECENT_SECONDS = 1800
"""A server that started so recently may be the cause."""


def percent(value: str) -> str:
    """A share as per cent."""
    return f"{{{{ {value} | humanizePercentage }}}}"


def affected(query: Query) -> str:
    """How many games and players there are now, and whether a server was started shortly before.

    Since when it is so is in the message itself: Alertmanager knows when it began.
    """
    games = f"sum({query.select(M.GAMES_ACTIVE)})"
    players = f"sum({query.select(M.CONNECTIONS_ACTIVE)})"
    started = f"count({query.select(M.PROCESS_UPTIME)} < {RECENT_SECONDS})"
    return (
        f"Now: {_first(games, 'unknown')} games, {_first(players, 'unknown')} connections; "
        f"{_first(started, 'no')} servers started within the last {RECENT_SECONDS // 60} minutes."
    )


def _first(expr: str, otherwise: str) -> str:
    """The only value of an expression, or a word where it has none."""
    value = '{{ . | first | value | printf "%.0f" }}'
    return f"{{{{ with query `{expr}` }}}}{value}{{{{ else }}}}{otherwise}{{{{ end }}}}"
