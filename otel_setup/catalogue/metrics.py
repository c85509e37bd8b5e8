"""Every metric, declared once.

``M`` groups them, so that code and panels say ``M.GAMES_STARTED`` and a misspelt name is an error of the type checker.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product

from otel_setup.catalogue import attributes as a
from otel_setup.catalogue.types import Attribute, Kind, LabelSet, Metric
from otel_setup.game_model import OTHER, GameModel

ACTION_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 7.5, 10.0, 15.0)
PHASE_SECONDS = (0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
GAME_SECONDS = (60.0, 300.0, 600.0, 900.0, 1200.0, 1800.0, 2700.0, 3600.0, 5400.0, 7200.0)
AWAY_SECONDS = (1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0)
BROADCAST_MILLISECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 1000.0)


def _legal_edges(model: GameModel) -> Iterable[LabelSet]:
    return ({"from": left, "to": entered} for left, entered in sorted(model.transitions))


def _illegal_edges(model: GameModel) -> Iterable[LabelSet]:
    phases = (*model.phases, OTHER)
    return (
        {"from": left, "to": entered} for left, entered in product(phases, phases) if not model.is_legal(left, entered)
    )


def _messages(model: GameModel) -> Iterable[LabelSet]:
    for direction, types in ((a.RECEIVE, model.messages_in), (a.TRANSMIT, model.messages_out)):
        yield from ({"direction": direction, "message_type": message} for message in types)


class M:
    """The metrics every game has. Names are without the game's prefix."""

    # --- games ---------------------------------------------------------------------------------------------------
    GAMES_ACTIVE = Metric(
        name="games.active",
        kind=Kind.OBSERVABLE_UP_DOWN_COUNTER,
        unit="{game}",
        description="Games being played now.",
        moves="Falls to 0 at night; falling within minutes by day, players are being thrown out.",
    )
    GAMES_STARTED = Metric(
        name="games.started",
        kind=Kind.COUNTER,
        unit="{game}",
        description="Games begun.",
        moves="Flat while rooms are full: games cannot start.",
    )
    GAMES_COMPLETED = Metric(
        name="games.completed",
        kind=Kind.COUNTER,
        unit="{game}",
        description="Games played to their decision; abandoned ones are not among them.",
        moves="Lags the started ones by a game's length; a growing lag means stuck games.",
    )
    GAMES_ABANDONED = Metric(
        name="games.abandoned",
        kind=Kind.COUNTER,
        unit="{game}",
        description="Games that ended undecided.",
        moves="Rising against completed ones: players leave, look at disconnections and phase durations.",
    )
    GAMES_PER_HOUR = Metric(
        name="games.per_hour",
        kind=Kind.OBSERVABLE_GAUGE,
        unit="{game}",
        description="Games completed in the trailing 60 minutes, by this process.",
        moves="Follows the players' day.",
    )
    GAME_DURATION = Metric(
        name="game.duration",
        kind=Kind.OBSERVABLE_GAUGE,
        unit="min",
        description="Mean duration of the games this process completed in the retention window. Absent without any.",
        moves="Shorter with slow servers means abandonment in disguise; longer means stalled turns.",
    )
    GAME_LIFETIME = Metric(
        name="game.lifetime",
        kind=Kind.HISTOGRAM,
        unit="s",
        description="Duration of ended games; the fleet's averages and quantiles come from here.",
        moves="As game.duration, for the whole fleet.",
        attributes=(Attribute(name="outcome", values=("completed", "abandoned"), description="How the game ended."),),
        buckets=GAME_SECONDS,
    )
    ROUNDS = Metric(
        name="rounds",
        kind=Kind.COUNTER,
        unit="{round}",
        description="Rounds scored.",
        moves="Flat while games are active: games are stuck inside a round.",
    )
    TURNS = Metric(
        name="turns",
        kind=Kind.COUNTER,
        unit="{turn}",
        description="Turns won.",
        moves="The finest sign that games move on.",
    )
    REDEALS = Metric(
        name="redeals",
        kind=Kind.COUNTER,
        unit="{redeal}",
        description="Redeals requested, and what became of them.",
        moves="Many timed out: players are away from their screens or do not see the question.",
        attributes=(a.REDEAL_OUTCOME,),
    )
    DECLARATIONS = Metric(
        name="declarations",
        kind=Kind.COUNTER,
        unit="{declaration}",
        description="Declarations held against the piles won.",
        moves="A sudden change of the share hit points at a change of rules or at bots gone wrong.",
        attributes=(a.DECLARATION_OUTCOME,),
    )

    # --- states --------------------------------------------------------------------------------------------------
    STATE_ACTIVE_GAMES = Metric(
        name="state.active_games",
        kind=Kind.OBSERVABLE_UP_DOWN_COUNTER,
        unit="{game}",
        description="Games in each phase now.",
        moves="Piling up in one phase: that phase is stuck.",
        attributes=(a.STATE,),
    )
    STATE_TRANSITIONS = Metric(
        name="state.transitions",
        kind=Kind.COUNTER,
        unit="{transition}",
        description="Transitions that succeeded.",
        moves="An edge going quiet while its neighbours move: games do not get past it.",
        attributes=(a.FROM, a.TO),
        zeros=_legal_edges,
    )
    STATE_TRANSITION_DURATION = Metric(
        name="state.transition.duration",
        kind=Kind.HISTOGRAM,
        unit="s",
        description="Time a transition took.",
        moves="Slow transitions freeze every player of the game.",
        attributes=(a.FROM, a.TO, a.TRANSITION_OUTCOME),
        buckets=ACTION_SECONDS,
    )
    STATE_ILLEGAL_TRANSITIONS = Metric(
        name="state.illegal_transitions",
        kind=Kind.COUNTER,
        unit="{transition}",
        description="Transitions attempted that the rules do not allow.",
        moves="Anything above 0 is a bug of the game server.",
        attributes=(a.FROM, a.TO),
        zeros=_illegal_edges,
    )
    STATE_ERRORS = Metric(
        name="state.errors",
        kind=Kind.COUNTER,
        unit="{error}",
        description="Errors by the phase they happened in; ``other`` where no game was concerned.",
        moves="Anything above 0 deserves a look at the error heat map.",
        attributes=(a.STATE,),
        zeros=lambda model: ({"state": state} for state in (*model.phases, OTHER)),
        seed_name="state_errors",
    )
    PHASE_DURATION = Metric(
        name="phase.duration",
        kind=Kind.HISTOGRAM,
        unit="s",
        description="Time games spent in each phase.",
        moves="A phase longer than its own norm: players wait for somebody or something.",
        attributes=(a.PHASE,),
        buckets=PHASE_SECONDS,
    )

    # --- actions -------------------------------------------------------------------------------------------------
    ACTIONS = Metric(
        name="actions",
        kind=Kind.COUNTER,
        unit="{action}",
        description="Actions executed.",
        moves="Rejected and invalid ones are players' mistakes; failed ones are the server's.",
        attributes=(a.ACTION, a.OUTCOME, a.ACTOR),
    )
    ACTION_DURATION = Metric(
        name="action.duration",
        kind=Kind.HISTOGRAM,
        unit="s",
        description="Time an action's execution took, deliberate pauses of the game included.",
        moves="Judge it per type: the play that ends a turn pauses on purpose.",
        attributes=(a.ACTION, a.OUTCOME),
        buckets=ACTION_SECONDS,
    )
    ACTION_QUEUE_WAIT = Metric(
        name="action.queue.wait",
        kind=Kind.HISTOGRAM,
        unit="s",
        description="Time between an action's capture and its execution.",
        moves="Rising: the game loop is busy or blocked.",
        attributes=(a.ACTION,),
        buckets=ACTION_SECONDS,
    )
    ACTION_QUEUE_DEPTH = Metric(
        name="action.queue.depth",
        kind=Kind.OBSERVABLE_UP_DOWN_COUNTER,
        unit="{action}",
        description="Actions captured and not yet executed.",
        moves="Rising steadily: a game loop has died.",
    )
    ACTION_TIMEOUTS = Metric(
        name="action.timeouts",
        kind=Kind.COUNTER,
        unit="{timeout}",
        description="Times the game acted for a player who did not.",
        moves="Many: players are away, or do not see that it is their turn.",
        attributes=(a.ACTION,),
    )

    # --- players -------------------------------------------------------------------------------------------------
    PLAYER_WIN_RATE = Metric(
        name="player.win_rate",
        kind=Kind.OBSERVABLE_GAUGE,
        unit="",
        description="Wins per seat of the type in completed games, by this process. Absent without data.",
        moves="Bots far above humans: bots are too strong for the players there are.",
        attributes=(a.SEAT_TYPE,),
    )
    SEATS = Metric(
        name="seats",
        kind=Kind.COUNTER,
        unit="{seat}",
        description="Seats taken in completed games whose winners are all known by type.",
        moves="The share of bots says how many humans were missing.",
        attributes=(a.SEAT_TYPE,),
    )
    PLAYER_WINS = Metric(
        name="player.wins",
        kind=Kind.COUNTER,
        unit="{win}",
        description="Wins in completed games; each winner of a tie has one.",
        moves="Divide by seats for the fleet's win rates.",
        attributes=(a.SEAT_TYPE,),
    )
    SEAT_WINS = Metric(
        name="seat.wins",
        kind=Kind.COUNTER,
        unit="{win}",
        description="Wins by seat number, where the game told its seats.",
        moves="Seats should win alike; one that does not shows an unfair order.",
        attributes=(a.SEAT,),
        zeros=lambda model: ({"seat": str(seat)} for seat in range(model.seats or 0)),
    )
    WINS_UNATTRIBUTED = Metric(
        name="player.wins.unattributed",
        kind=Kind.COUNTER,
        unit="{win}",
        description="Wins of which the game did not say whether a human or a bot had them.",
        moves="Above 0: pass ``players=[Seat(...)]`` to ``record_game_start``.",
    )
    PLAYERS_JOINED = Metric(
        name="players.joined",
        kind=Kind.COUNTER,
        unit="{player}",
        description="Seats taken in rooms.",
        moves="Follows the players' day.",
        attributes=(a.ACTOR,),
        zeros=lambda _: ({"actor": actor} for actor in (a.HUMAN, a.BOT)),
    )
    PLAYERS_LEFT = Metric(
        name="players.left",
        kind=Kind.COUNTER,
        unit="{player}",
        description="Seats given up.",
        moves="Rising during games: players give up.",
        attributes=(a.ACTOR,),
        zeros=lambda _: ({"actor": actor} for actor in (a.HUMAN, a.BOT)),
    )
    PLAYERS_DISCONNECTED = Metric(
        name="players.disconnected",
        kind=Kind.COUNTER,
        unit="{player}",
        description="Players whose socket was lost during a game.",
        moves="Many at once: network or server trouble, not impatience.",
    )
    PLAYERS_RECONNECTED = Metric(
        name="players.reconnected",
        kind=Kind.COUNTER,
        unit="{player}",
        description="Disconnected players who came back.",
        moves="Divide by disconnected for the rejoin success.",
    )
    PLAYER_REJOIN_DURATION = Metric(
        name="player.rejoin.duration",
        kind=Kind.HISTOGRAM,
        unit="s",
        description="Time between a player's disconnection and return.",
        moves="Longer: players find it hard to come back.",
        buckets=AWAY_SECONDS,
    )
    BOT_TAKEOVERS = Metric(
        name="bot.takeovers",
        kind=Kind.COUNTER,
        unit="{takeover}",
        description="Seats a bot took over from a disconnected human.",
        moves="Follows disconnections; without takeovers games wait for the absent.",
    )

    # --- rooms ---------------------------------------------------------------------------------------------------
    ROOMS_CREATED = Metric(
        name="rooms.created",
        kind=Kind.COUNTER,
        unit="{room}",
        description="Rooms opened.",
        moves="The start of the funnel.",
    )
    ROOMS_CLOSED = Metric(
        name="rooms.closed",
        kind=Kind.COUNTER,
        unit="{room}",
        description="Rooms removed.",
        moves="Lagging far behind the created ones: rooms leak.",
    )
    ROOMS_ACTIVE = Metric(
        name="rooms.active",
        kind=Kind.OBSERVABLE_UP_DOWN_COUNTER,
        unit="{room}",
        description="Rooms by the phase they are in.",
        moves="Many waiting and few playing: rooms do not fill.",
        attributes=(a.STATE,),
    )
    ROOM_HEALTH = Metric(
        name="room.health",
        kind=Kind.OBSERVABLE_UP_DOWN_COUNTER,
        unit="{room}",
        description="Rooms by health: more than 10 errors critical, more than 5 warning, quiet for 300 s idle.",
        moves="Any critical room has players who see errors.",
        attributes=(a.HEALTH,),
    )

    # --- sockets -------------------------------------------------------------------------------------------------
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

    # --- process -------------------------------------------------------------------------------------------------
    MEMORY_USAGE = Metric(
        name="memory.usage_mb",
        kind=Kind.OBSERVABLE_UP_DOWN_COUNTER,
        unit="",
        description="Memory of this process, in MB (2^20 bytes).",
        moves="A steady rise without more games is a leak.",
        attributes=(a.MEMORY_TYPE,),
    )
    MEMORY_GROWTH = Metric(
        name="memory.growth_rate",
        kind=Kind.OBSERVABLE_GAUGE,
        unit="",
        description="Growth of resident memory in MB per hour, least squares over 10 minutes. Absent until known.",
        moves="Above 50 for long: a leak.",
    )
    CPU_USAGE = Metric(
        name="cpu.usage",
        kind=Kind.OBSERVABLE_GAUGE,
        unit="%",
        description="CPU of this process; 100 is one whole core.",
        moves="Near 100: the event loop has no time left and every game stutters.",
    )
    GC_COLLECTIONS = Metric(
        name="gc.collections",
        kind=Kind.OBSERVABLE_COUNTER,
        unit="{collection}",
        description="Runs of the garbage collector.",
        moves="Many of generation 2: long pauses.",
        attributes=(a.GENERATION,),
    )
    GC_OBJECTS_COLLECTED = Metric(
        name="gc.objects_collected",
        kind=Kind.OBSERVABLE_COUNTER,
        unit="{object}",
        description="Objects the garbage collector freed.",
        moves="Rising fast: code builds reference cycles.",
    )
    THREADS_ACTIVE = Metric(
        name="threads.active",
        kind=Kind.OBSERVABLE_UP_DOWN_COUNTER,
        unit="{thread}",
        description="Living Python threads.",
        moves="A steady rise is a leak.",
    )
    ASYNCIO_TASKS = Metric(
        name="asyncio.tasks",
        kind=Kind.OBSERVABLE_UP_DOWN_COUNTER,
        unit="{task}",
        description="asyncio tasks that are not done; sampled while the monitor's background work runs.",
        moves="Rising without more games: tasks are never awaited.",
    )
    FILE_DESCRIPTORS = Metric(
        name="file_descriptors.open",
        kind=Kind.OBSERVABLE_UP_DOWN_COUNTER,
        unit="{descriptor}",
        description="Open file descriptors of this process.",
        moves="Near the limit new players cannot connect.",
    )

    # --- the product's own health --------------------------------------------------------------------------------
    INTERNAL_ERRORS = Metric(
        name="internal.errors",
        kind=Kind.OBSERVABLE_COUNTER,
        unit="{error}",
        description="Faults inside monitoring that were kept from the game.",
        moves="Above 0 is a bug of this product; the log has the first of each kind.",
        attributes=(a.COMPONENT,),
        own=True,
    )
    INPUT_REFUSED = Metric(
        name="input.refused",
        kind=Kind.COUNTER,
        unit="{call}",
        description="Calls whose input could not be recorded.",
        moves="The game passes something wrong; the log names the first of each kind.",
        attributes=(a.REFUSAL,),
        own=True,
    )
    INPUT_IRREGULAR = Metric(
        name="input.irregular",
        kind=Kind.COUNTER,
        unit="{call}",
        description="Calls recorded by a rule for odd input.",
        moves="The game's calls and its games disagree, e.g. a game ended twice.",
        attributes=(a.IRREGULARITY,),
        own=True,
    )
    CORRELATION_REFUSED = Metric(
        name="correlation.refused",
        kind=Kind.OBSERVABLE_COUNTER,
        unit="{id}",
        description="Correlation ids from outside that were not well-formed; a new one was made.",
        moves="A client or proxy sends something else in X-Correlation-ID, or somebody tries things.",
        own=True,
    )
    LABELS_REPLACED = Metric(
        name="labels.replaced",
        kind=Kind.COUNTER,
        unit="{value}",
        description="Label values outside their closed set, recorded as ``other``.",
        moves="The game model lacks a phase, action or message the game has.",
        own=True,
    )
    EVENTS_PUBLISHED = Metric(
        name="events.published",
        kind=Kind.OBSERVABLE_COUNTER,
        unit="{event}",
        description="Events the local stream took in.",
        moves="The pulse of the game.",
        own=True,
    )
    DROPPED = Metric(
        name="dropped",
        kind=Kind.OBSERVABLE_COUNTER,
        unit="{item}",
        description="What a bound pushed out, by the setting that was reached.",
        moves="history_size drops always, once the history is full; any other: raise the bound or find the leak.",
        attributes=(a.BOUND,),
        own=True,
    )
    EXPORTED = Metric(
        name="export.items",
        kind=Kind.OBSERVABLE_COUNTER,
        unit="{item}",
        description="Spans, metric points and log records the Collector accepted.",
        moves="Flat while games run: nothing arrives.",
        attributes=(a.SIGNAL,),
        own=True,
    )
    EXPORT_FAILED = Metric(
        name="export.failures",
        kind=Kind.OBSERVABLE_COUNTER,
        unit="{item}",
        description="Spans, metric points and log records whose export failed for good.",
        moves="Above 0: the Collector was away for longer than the exporter retries.",
        attributes=(a.SIGNAL,),
        own=True,
    )
    SCRAPES = Metric(
        name="scrape.requests",
        kind=Kind.OBSERVABLE_COUNTER,
        unit="{request}",
        description="Requests to /metrics.",
        moves="Flat: nobody scrapes.",
        own=True,
    )


METRICS: tuple[Metric, ...] = tuple(value for value in vars(M).values() if isinstance(value, Metric))

HTTP_SERVER_DURATION = Metric(
    name="http.server.request.duration",
    kind=Kind.HISTOGRAM,
    unit="s",
    description="Duration of HTTP server requests.",
    moves="Slow lobby pages; 5xx answers have an ``error_type``.",
    attributes=(
        a.HTTP_METHOD,
        a.URL_SCHEME,
        a.HTTP_ROUTE,
        a.HTTP_STATUS,
        a.PROTOCOL_VERSION,
        a.ERROR_TYPE,
    ),
    buckets=(0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
)
"""Of the stable semantic conventions ("HTTP metrics"), under its own name and labels in every game.

FastAPI records it where it instruments itself, the ASGI middleware elsewhere. Not among ``METRICS``, because these
are prefixed and their label values known when a catalogue is built: routes are what the application declares.
"""
