"""Metrics of sockets."""

from __future__ import annotations

from collections.abc import Iterable

from otel_setup.catalogue import attributes as a
from otel_setup.catalogue.types import Kind, LabelSet, Metric
from otel_setup.game_model import GameModel

BROADCAST_MILLISECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 1000.0)


def _messages(model: GameModel) -> Iterable[LabelSet]:
    for direction, types in ((a.RECEIVE, model.messages_in), (a.TRANSMIT, model.messages_out)):
        yield from ({"direction": direction, "message_type": message} for message in types)


class Sockets:
    """Sockets, as the game reports them and as the server sees them."""

    CONNECTIONS_ACTIVE = Metric(
        name="websocket.connections.active",
        kind=Kind.OBSERVABLE_UP_DOWN_COUNTER,
        unit="{connection}",
        description="Open sockets.",
        moves="A cliff is an outage; a slow rise without players is a leak.",
    )
    CONNECTIONS_OPENED = Metric(
        name="websocket.connections.opened",
        kind=Kind.COUNTER,
        unit="{connection}",
        description="Sockets opened.",
        moves="A storm: clients reconnect in a loop.",
        seed_name="websocket_connections.opened",
    )
    CONNECTIONS_CLOSED = Metric(
        name="websocket.connections.closed",
        kind=Kind.COUNTER,
        unit="{connection}",
        description="Sockets closed.",
        moves="Exceeds the opened ones every evening; look at the codes instead.",
        seed_name="websocket_connections.closed",
    )
    CLOSES = Metric(
        name="websocket.closes",
        kind=Kind.COUNTER,
        unit="{connection}",
        description="Sockets closed, by close code.",
        moves="1006 is a lost network, 1011 a server error, 1001 a closed browser tab.",
        attributes=(a.CLOSE_CODE,),
    )
    MESSAGES = Metric(
        name="websocket.messages",
        kind=Kind.COUNTER,
        unit="{message}",
        description="Socket messages.",
        moves="Receive without transmit: the server hears and does not answer.",
        attributes=(a.DIRECTION, a.MESSAGE_TYPE),
        zeros=_messages,
    )
    MESSAGE_BYTES = Metric(
        name="websocket.io",
        kind=Kind.COUNTER,
        unit="By",
        description="Bytes of socket messages.",
        moves="Grows faster than messages: payloads got fat.",
        attributes=(a.DIRECTION, a.MESSAGE_TYPE),
        zeros=_messages,
    )
    BROADCASTS = Metric(
        name="websocket.broadcasts",
        kind=Kind.COUNTER,
        unit="{broadcast}",
        description="Broadcasts to rooms.",
        moves="Failures mean that players see an old table.",
        attributes=(a.BROADCAST_OUTCOME,),
    )
    BROADCAST_RECIPIENTS = Metric(
        name="websocket.broadcast.recipients",
        kind=Kind.COUNTER,
        unit="{recipient}",
        description="Sockets that broadcasts were queued for.",
        moves="Per broadcast it is the room's size; 0 means that nobody listens.",
    )
    BROADCAST_TIME = Metric(
        name="websocket.broadcast_time",
        kind=Kind.HISTOGRAM,
        unit="",
        description="Milliseconds to queue a broadcast.",
        moves="Rising: send queues are full, or the loop is busy.",
        buckets=BROADCAST_MILLISECONDS,
    )

    # What the ASGI middleware sees of every socket by itself; the ones above are what the game reports.
    SOCKET_HANDSHAKES = Metric(
        name="websocket.server.handshakes",
        kind=Kind.OBSERVABLE_COUNTER,
        unit="{handshake}",
        description="Requests for a socket, by whether they became one.",
        moves="Refused ones rising: clients with an old session, or somebody trying doors.",
        attributes=(a.HANDSHAKE,),
    )
    SOCKETS_OPEN = Metric(
        name="websocket.server.connections.active",
        kind=Kind.OBSERVABLE_UP_DOWN_COUNTER,
        unit="{connection}",
        description="Sockets open at the server.",
        moves="Above what the game reports: the game forgets sockets, or never reports some.",
    )
    SOCKET_CLOSES = Metric(
        name="websocket.server.closes",
        kind=Kind.OBSERVABLE_COUNTER,
        unit="{connection}",
        description="Sockets closed, by the close code the server saw first.",
        moves="1006 is a lost network or a handler that failed, 1001 a closed browser tab, 1012 a restart.",
        attributes=(a.CLOSE_CODE,),
    )
    SOCKET_MESSAGES = Metric(
        name="websocket.server.messages",
        kind=Kind.OBSERVABLE_COUNTER,
        unit="{message}",
        description="Messages the application read from sockets and sent on them.",
        moves="Receive without transmit: the server hears and does not answer.",
        attributes=(a.DIRECTION,),
    )
    SOCKET_BYTES = Metric(
        name="websocket.server.io",
        kind=Kind.OBSERVABLE_COUNTER,
        unit="By",
        description="Payload bytes of those messages, before compression.",
        moves="Grows faster than messages: payloads got fat.",
        attributes=(a.DIRECTION,),
    )
    SOCKET_HANDLING = Metric(
        name="websocket.server.handling.time",
        kind=Kind.OBSERVABLE_COUNTER,
        unit="s",
        description="Time between reading a message and asking for the next, over all sockets.",
        moves="Per message received, how long a socket is busy with one; rising: players wait for answers.",
    )
    SOCKET_SENDS_PENDING = Metric(
        name="websocket.server.sends.pending",
        kind=Kind.OBSERVABLE_UP_DOWN_COUNTER,
        unit="{message}",
        description="Messages given to the server whose sending has not returned yet.",
        moves="Above 0 for long: clients read too slowly, and their senders wait for them.",
    )
