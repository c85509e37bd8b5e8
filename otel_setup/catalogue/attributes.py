"""Every attribute of metrics, spans and events, declared once.

Names follow OpenTelemetry's semantic conventions where these have one (``error.type``, ``exception.stacktrace``,
``log.record.uid``, ``network.io.direction``'s values) and the same style where they have none.
"""

from __future__ import annotations

from otel_setup.catalogue.types import Attribute, AttributeType, FromModel

INT = AttributeType.INT
DOUBLE = AttributeType.DOUBLE
BOOLEAN = AttributeType.BOOLEAN
MAP = AttributeType.MAP

HUMAN, BOT, UNKNOWN = "human", "bot", "unknown"
RECEIVE, TRANSMIT = "receive", "transmit"
ACTION_OUTCOMES = ("accepted", "rejected", "invalid", "failed", "cancelled")
TRANSITION_OUTCOMES = ("success", "failed", "cancelled")
COMPONENTS = ("monitor", "stream", "ledger", "measures", "tracing", "export", "runtime", "scrape")
SIGNALS = ("traces", "metrics", "logs")
REDEAL_OUTCOMES = ("requested", "accepted", "declined", "timed_out")
DECLARATION_OUTCOMES = ("hit", "zero_kept", "missed")
ROOM_HEALTH = ("healthy", "idle", "warning", "critical")
GAP_REASONS = ("overwritten", "queue_full", "bytes", "upstream", "before")
STEP_BY_MONITOR, STEP_BY_GAME = "monitor", "game"
CLOSE_CODES = tuple(str(code) for code in (*range(1000, 1004), *range(1005, 1016)))
"""The codes RFC 6455 §7.4.1 and the IANA registry assign; applications' own codes count as ``other``."""

# --- identity: on spans and events, never on metrics ---------------------------------------------------------------
GAME_ID = Attribute(name="game.id", key="game_id", identifies=True, description="The game.", examples=("game123",))
ROOM_ID = Attribute(
    name="room.id", key="room_id", identifies=True, description="The room it is played in.", examples=("room456",)
)
PLAYER_ID = Attribute(
    name="player.id",
    key="player_id",
    identifies=True,
    personal=True,
    description="The player, a name the user chose: a keyed pseudonym wherever it leaves the process.",
    examples=("player1",),
)
CONNECTION_ID = Attribute(
    name="connection.id",
    key="connection_id",
    identifies=True,
    description="The socket.",
    examples=("conn123",),
)
CORRELATION_ID = Attribute(
    name="correlation.id",
    key="correlation_id",
    identifies=True,
    description="The request or message that led to this, across tasks, threads and services.",
    examples=("corr_0123456789abcdef",),
)
RECORD_UID = Attribute(
    name="log.record.uid",
    identifies=True,
    description="Unique id of an event, ``instance-epoch-sequence``: the same id twice is the same event.",
    examples=("0b6a5f0e-0a51-4b57-9d0e-4f1a2b3c4d5e-9f8e7d6c-42",),
)

# --- labels of metrics ---------------------------------------------------------------------------------------------
FROM = Attribute(name="from", values=FromModel.PHASES, description="The phase left.")
TO = Attribute(name="to", values=FromModel.PHASES, description="The phase entered.")
STATE = Attribute(name="state", values=FromModel.PHASES, description="The phase a game or room is in.")
PHASE = Attribute(name="phase", values=FromModel.PHASES, description="The phase that was left.")
ACTION = Attribute(name="action_type", values=FromModel.ACTION_TYPES, description="What the player did.")
OUTCOME = Attribute(
    name="outcome", values=ACTION_OUTCOMES, description="How it ended; failed and cancelled are the server's doing."
)
TRANSITION_OUTCOME = Attribute(name="outcome", values=TRANSITION_OUTCOMES, description="How the transition ended.")
ACTOR = Attribute(
    name="actor",
    values=(HUMAN, BOT, UNKNOWN),
    description="Who acted; a bot while it plays a disconnected human's seat; unknown where nobody said.",
)
SEAT_TYPE = Attribute(
    name="type", values=(HUMAN, BOT), description="Whether the seat was a human's or a bot's when the game started."
)
SEAT = Attribute(name="seat", values=FromModel.SEATS, description="The seat's number, from 0.")
REDEAL_OUTCOME = Attribute(name="outcome", values=REDEAL_OUTCOMES, description="What became of the request.")
DECLARATION_OUTCOME = Attribute(
    name="outcome", values=DECLARATION_OUTCOMES, description="Declared against captured piles."
)
HEALTH = Attribute(name="status", values=ROOM_HEALTH, description="A room's health by its errors and its quiet.")
DIRECTION = Attribute(
    name="direction", values=(RECEIVE, TRANSMIT), description="As the server sees it (network.io.direction)."
)
MESSAGE_TYPE = Attribute(name="message_type", values=FromModel.MESSAGES, description="The message's ``event`` field.")
CLOSE_CODE = Attribute(name="code", values=CLOSE_CODES, description="WebSocket close code, RFC 6455 §7.4.1.")
BROADCAST_OUTCOME = Attribute(
    name="outcome", values=("success", "failure"), description="Whether the broadcast reached its recipients' queues."
)
MEMORY_TYPE = Attribute(name="type", values=("rss", "vms"), description="Resident or virtual.")
GENERATION = Attribute(name="generation", values=("0", "1", "2"), description="Of CPython's garbage collector.")
COMPONENT = Attribute(name="component", values=COMPONENTS, description="The part of the product.")
REFUSAL = Attribute(
    name="reason",
    values=(
        "undeclared_metric",
        "undeclared_event",
        "undeclared_attribute",
        "invalid_value",
        "invalid_duration",
    ),
    description="Why it was not recorded.",
)
IRREGULARITY = Attribute(
    name="kind",
    values=(
        "game_started_twice",
        "game_ended_twice",
        "unknown_game_ended",
        "unknown_game",
        "connection_opened_twice",
        "unknown_connection_closed",
        "unknown_state",
        "unknown_action",
        "text_cleaned",
        "invalid_count",
        "seats_contradict_counts",
        "unknown_winner",
    ),
    description="What was odd about the input; it was recorded by the rule in docs/input-rules.md.",
)
BOUND = Attribute(
    name="bound",
    values=(
        "max_live_games",
        "game_idle_timeout",
        "max_players",
        "max_rooms",
        "max_connections",
        "max_error_kinds",
        "max_active_correlations",
        "max_correlation_metadata",
        "max_trace_contexts",
        "history_size",
        "subscriber_queue",
        "max_gc_pauses",
        "max_loop_lags",
        "blocked_event_seconds",
    ),
    description="The setting that was reached.",
)
SIGNAL = Attribute(name="signal", values=SIGNALS, description="The OpenTelemetry signal.")
EXPORTED_SIGNAL = Attribute(
    name="signal", values=("traces", "logs"), description="The OpenTelemetry signal, of those that wait in a queue."
)
EXPORT_BOUND = Attribute(
    name="bound", values=("queue_size", "shutdown_timeout"), description="The setting that was reached."
)

# --- payload of spans and events -----------------------------------------------------------------------------------
STATE_FROM = Attribute(name="state.from", key="from_state", description="The phase left.", examples=("preparation",))
STATE_TO = Attribute(name="state.to", key="to_state", description="The phase entered.", examples=("declaration",))
STATE_NAME = Attribute(name="state.name", key="state", description="The phase the game is in.", examples=("turn",))
STATE_LEGAL = Attribute(
    name="state.legal", key="legal", type=BOOLEAN, description="Whether the rules allow the transition."
)
STATE_OUTCOME = Attribute(
    name="state.outcome", key="outcome", values=TRANSITION_OUTCOMES, description="How the transition ended."
)
ORDINAL = Attribute(
    name="state.ordinal",
    key="ordinal",
    type=INT,
    description="Order in which transitions were entered; a transition moves its game only past earlier ones.",
)
SUCCESS = Attribute(name="success", type=BOOLEAN, description="Whether it succeeded.")
DURATION_MS = Attribute(name="duration_ms", type=DOUBLE, description="How long it took, in milliseconds.")
ERROR_TYPE = Attribute(name="error.type", key="error_type", description="Class of the error.", examples=("ValueError",))
ERROR = Attribute(
    name="error.message", key="error", description="The error's text.", examples=("no such piece in this hand",)
)
ERROR_MESSAGE = Attribute(
    name="error.message", key="error_message", description="The error's text.", examples=("no such piece in this hand",)
)
REPORTED_BY = Attribute(
    name="error.reported_by",
    key="reported_by",
    description="The event that reports the same failure, which counts once.",
    examples=("action.failed",),
)
STACK_TRACE = Attribute(
    name="exception.stacktrace",
    key="stack_trace",
    description="The stack, where one was given.",
    examples=('File "turn.py", line 7, in play',),
)
ACTION_TYPE = Attribute(
    name="action.type", key="action_type", description="What the player did.", examples=("play_pieces",)
)
ACTION_STATUS = Attribute(
    name="action.status",
    key="status",
    values=("queued", "processing", "completed", "failed"),
    description="How far the action has come.",
)
ACTION_OUTCOME = Attribute(
    name="action.outcome", key="outcome", values=ACTION_OUTCOMES, description="How the action ended."
)
ACTION_ACTOR = Attribute(name="action.actor", key="actor", values=(HUMAN, BOT, UNKNOWN), description="Who acted.")
QUEUE_WAIT_MS = Attribute(
    name="action.queue_wait_ms",
    key="queue_wait_ms",
    type=DOUBLE,
    description="Milliseconds between ``capture()`` and execution.",
)
QUEUE_WAITING = Attribute(
    name="action.queue_waiting", key="queue_waiting", type=INT, description="Actions that still waited then."
)
DEBUG_SECONDS = Attribute(
    name="debug.seconds", key="seconds", type=DOUBLE, description="For how long, at most, in seconds."
)
STEP = Attribute(
    name="debug.step",
    key="step",
    description="How far the work has come. Of a transition: entered, judged, body_begun, body_ended, then applied, "
    "overtaken (one that was entered later has moved the game), stayed (it failed) or unbound (no such game is live); "
    "or a name of the game's own.",
    examples=("body_begun", "cards dealt"),
)
STEP_ORIGIN = Attribute(
    name="debug.step.origin",
    key="origin",
    values=(STEP_BY_MONITOR, STEP_BY_GAME),
    description="Who names the step.",
)
ELAPSED_MS = Attribute(
    name="debug.elapsed_ms", key="elapsed_ms", type=DOUBLE, description="Milliseconds since the work began."
)
PHASE_NAME = Attribute(name="phase.name", key="phase", description="The phase.", examples=("turn",))
PHASE_DURATION = Attribute(
    name="phase.duration_seconds", key="duration_seconds", type=DOUBLE, description="Seconds spent in the phase."
)
PLAYER_COUNT = Attribute(
    name="game.player_count", key="player_count", type=INT, description="Seats taken, bots included."
)
BOT_COUNT = Attribute(name="game.bot_count", key="bot_count", type=INT, description="Seats taken by bots.")
SEATS = Attribute(
    name="game.seats",
    key="players",
    type=MAP,
    personal=True,
    description="The seats in order, each ``{player, is_bot}``.",
)
WINNER_ID = Attribute(
    name="game.winner_id",
    key="winner_id",
    type=MAP,
    personal=True,
    description="The winner, or a list of the winners of a tie.",
)
FINAL_SCORES = Attribute(
    name="game.final_scores", key="final_scores", type=MAP, personal=True, description="Points by player."
)
ABANDONED = Attribute(
    name="game.abandoned", key="abandoned", type=BOOLEAN, description="True where the game ended undecided."
)
GAME_DURATION = Attribute(
    name="game.duration_seconds", key="game_seconds", type=DOUBLE, description="Seconds from the game's start."
)
ROUND = Attribute(name="game.round", key="round_number", type=INT, description="The round, from 1.")
TURNS = Attribute(name="game.turns", key="turns", type=INT, description="Turns completed so far.")
STARTER = Attribute(
    name="round.starter", key="starter", personal=True, description="Who starts.", examples=("player1",)
)
TURN_WINNER = Attribute(
    name="turn.winner", key="turn_winner", personal=True, description="Who won the turn.", examples=("player1",)
)
REDEAL_RESULT = Attribute(
    name="redeal.outcome", key="outcome", values=REDEAL_OUTCOMES, description="What became of the request."
)
DECLARED = Attribute(name="declaration.declared", key="declared", type=INT, description="Piles declared.")
CAPTURED = Attribute(name="declaration.captured", key="captured", type=INT, description="Piles won.")
DECLARATION_RESULT = Attribute(
    name="declaration.outcome",
    key="outcome",
    values=DECLARATION_OUTCOMES,
    description="hit, zero_kept or missed.",
)
IS_BOT = Attribute(name="player.is_bot", key="is_bot", type=BOOLEAN, description="Whether the player is a bot.")
AWAY_SECONDS = Attribute(
    name="player.away_seconds", key="away_seconds", type=DOUBLE, description="Seconds between disconnect and return."
)
REASON = Attribute(name="reason", description="Why, in the game's own words.", examples=("empty",))
CONNECTION_CODE = Attribute(
    name="connection.close_code", key="code", type=INT, description="WebSocket close code.", examples=(1001,)
)
CONNECTION_SECONDS = Attribute(
    name="connection.duration_seconds", key="connection_seconds", type=DOUBLE, description="Seconds it was open."
)
BROADCAST_EVENT = Attribute(
    name="broadcast.event", key="event", description="Type of the message sent.", examples=("phase_change",)
)
RECIPIENTS = Attribute(
    name="broadcast.recipient_count", key="recipient_count", type=INT, description="Sockets it was queued for."
)
BROADCAST_MS = Attribute(
    name="broadcast.time_ms", key="broadcast_time_ms", type=DOUBLE, description="Milliseconds to queue it."
)
PRODUCER_EPOCH = Attribute(
    name="producer.epoch",
    key="epoch",
    description="Names one life of one process between configurations.",
    examples=("1f0c9b2e",),
)
LAST_SEQUENCE = Attribute(
    name="producer.last_sequence", key="last_sequence", type=INT, description="Events emitted in this epoch."
)
LIVE_GAMES = Attribute(name="producer.live_games", key="live_games", type=INT, description="Games being played.")
HEARTBEAT_SECONDS = Attribute(
    name="producer.heartbeat_seconds",
    key="heartbeat_seconds",
    type=DOUBLE,
    description="Seconds to the next heartbeat: who is silent for three of them is taken for lost.",
)
SNAPSHOT_SECONDS = Attribute(
    name="producer.snapshot_seconds",
    key="snapshot_seconds",
    type=DOUBLE,
    description="Seconds in which every live game is described once.",
)
PRODUCER_ID = Attribute(
    name="producer.id",
    key="producer",
    description="``instance-epoch``: whose sequence of events it is.",
    examples=("0b6a5f0e-0a51-4b57-9d0e-4f1a2b3c4d5e-9f8e7d6c",),
)
GAP_FIRST = Attribute(
    name="stream.gap.first", key="first", type=INT, description="Sequence of the first event that is missing."
)
GAP_LAST = Attribute(
    name="stream.gap.last", key="last", type=INT, description="Sequence of the last event that is missing."
)
GAP_COUNT = Attribute(
    name="stream.gap.count",
    key="count",
    type=INT,
    description="How many are missing; of a filtered reader's queue only those it wanted are counted.",
)
GAP_REASON = Attribute(
    name="stream.gap.reason",
    key="reason",
    values=GAP_REASONS,
    description="Why: the history or a queue was full, or they never arrived here.",
)
STREAM_CURSOR = Attribute(
    name="stream.cursor",
    key="cursor",
    description="``epoch-sequence``: where a reader stands, and where it may go on.",
    examples=("9f8e7d6c-42",),
)
BLOCKED_SECONDS = Attribute(
    name="event_loop.blocked_seconds",
    key="blocked_seconds",
    type=DOUBLE,
    description="Seconds the event loop had been held when it was noticed.",
)
EXTRA = Attribute(
    name="event.data",
    key="extra",
    type=MAP,
    personal=True,
    description="What the caller passed beyond the declared fields.",
)

# --- HTTP and WebSocket servers ------------------------------------------------------------------------------------
# Stable semantic conventions, "HTTP Server" (spans and metrics), "URL", "Server", "Network", "Client", "User agent".
HTTP_METHODS = ("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE")
"""The methods the conventions call known; any other is ``_OTHER``."""
HTTP_METHOD = Attribute(
    name="http.request.method", description="The request's method; ``_OTHER`` for an unknown one.", examples=("GET",)
)
HTTP_METHOD_ORIGINAL = Attribute(
    name="http.request.method_original", description="The unknown method as it came.", examples=("BREW",)
)
HTTP_ROUTE = Attribute(
    name="http.route",
    description="The route as the application declares it; absent where none of its own was matched.",
    examples=("/api/rooms/{room_id}",),
)
HTTP_STATUS = Attribute(
    name="http.response.status_code", type=INT, description="The answer's status.", examples=(200, 101)
)
URL_PATH = Attribute(name="url.path", description="The path, percent-encoded, cut at 256 characters.", examples=("/",))
URL_SCHEME = Attribute(name="url.scheme", description="http, https, ws or wss.", examples=("http", "ws"))
SERVER_ADDRESS = Attribute(
    name="server.address", description="The host that was asked for.", examples=("game.example",)
)
SERVER_PORT = Attribute(name="server.port", type=INT, description="Its port.", examples=(443,))
PROTOCOL_NAME = Attribute(name="network.protocol.name", description="websocket on sockets.", examples=("websocket",))
PROTOCOL_VERSION = Attribute(name="network.protocol.version", description="Version of HTTP.", examples=("1.1", "2"))
USER_AGENT = Attribute(
    name="user_agent.original", description="The client's User-Agent; left out unless asked for.", examples=("curl/8",)
)
CLIENT_ADDRESS = Attribute(
    name="client.address", description="The client's address; left out unless asked for.", examples=("192.0.2.7",)
)
HANDSHAKE = Attribute(
    name="outcome", values=("accepted", "refused"), description="Whether the handshake made a socket of the request."
)
SOCKET_MESSAGE_TYPE = Attribute(
    name="websocket.message.type",
    key="message_type",
    description="The message's type; other outside the game's set.",
    examples=("play",),
)
SOCKET_DIRECTION = Attribute(
    name="network.io.direction",
    key="direction",
    values=(RECEIVE, TRANSMIT),
    description="As the game server sees it.",
)
SOCKET_MESSAGE_SIZE = Attribute(
    name="websocket.message.size", key="size_bytes", type=INT, description="The message's bytes."
)
SOCKET_RECEIVED = Attribute(
    name="websocket.messages.received", type=INT, description="Messages the game read from the socket."
)
SOCKET_TRANSMITTED = Attribute(
    name="websocket.messages.transmitted", type=INT, description="Messages the game sent on the socket."
)
TRACE_KEPT = Attribute(
    name="otel_setup.trace.kept",
    type=BOOLEAN,
    description="True where a measurement may point to the trace: whoever samples later is asked to keep it.",
)
