"""Metrics of players and rooms."""

from __future__ import annotations

from otel_setup.catalogue import attributes as a
from otel_setup.catalogue.types import Kind, Metric

AWAY_SECONDS = (1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0)


class Players:
    """Players and rooms."""

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
