"""How events change games: start and end, transitions, phases, rounds and turns."""

from __future__ import annotations

from otel_setup.catalogue.attributes import BOT, HUMAN
from otel_setup.events.record import SystemEvent
from otel_setup.ledger.payload import (
    count,
    is_cancelled,
    is_late,
    milliseconds,
    number,
    only_type,
    scores_of,
    seating,
    winners_of,
)
from otel_setup.ledger.state import Ended, Facts, LiveGame, PhaseStats
from otel_setup.ledger.store import Store

_NS = 1e9


def game_started(store: Store, event: SystemEvent, facts: Facts) -> None:
    """A game is live from here on."""
    game_id = event.game_id or ""
    known = store.games.get(game_id) or (store.ended.get(game_id) if store.lossy and is_late(event) else None)
    if known is not None:
        _started_before(store, event, facts, known)
        return
    seats, player_count, bot_count = seating(event.data, facts)
    game = store.new_game(event, seats=seats, player_count=player_count, bot_count=bot_count)
    store.add_game(game)
    store.started += 1
    _in_hourly_report(store, event, player_count)
    store.enter_room(game, event, bots=bot_count)


def _started_before(store: Store, event: SystemEvent, facts: Facts, known: LiveGame | Ended) -> None:
    """The start of a game that is known already: told twice, or later than what followed it."""
    if not known.start_unseen or not is_late(event):
        facts.counted, facts.irregular = False, "game_started_twice"
        return
    store.starts_unseen -= 1
    _, player_count, _ = seating(event.data, facts)
    _in_hourly_report(store, event, player_count)
    if isinstance(known, Ended):
        store.remember_end(event.game_id or "", known._replace(start_unseen=False))
        if known.closed is None:
            return
        known = known.closed
    known.start_unseen = False
    known.started_at -= (known.started_ns - event.timestamp_ns) / _NS
    known.started_ns = event.timestamp_ns


def _in_hourly_report(store: Store, event: SystemEvent, player_count: int) -> None:
    store.add_hourly(event, "games_started")
    store.add_hourly(event, "total_players", player_count)


def game_ended(store: Store, event: SystemEvent, facts: Facts) -> None:
    """A game is over: decided, or abandoned."""
    game_id = event.game_id or ""
    game = store.games.get(game_id)
    if game is None:
        game = _unseen(store, event) if store.lossy else None
    elif store.lossy and is_late(event) and event.timestamp_ns < game.started_ns:
        game = None  # an earlier game of the same id
    else:
        store.remove_game(game)
    if game is None:
        facts.counted = False
        facts.irregular = (
            "game_ended_twice" if {game_id} & (store.ended.keys() | store.games.keys()) else "unknown_game_ended"
        )
        return
    store.remember_end(game_id, Ended(game.start_unseen))
    if event.data.get("abandoned"):
        store.abandoned += 1
        store.add_hourly(event, "games_abandoned")
        return
    when, seconds = event.timestamp_ns / _NS, number(event.data.get("game_seconds"))
    store.completed += 1
    store.add_hourly(event, "games_completed")
    store.completions.add(when, "games")
    seconds = store.clock() - game.started_at if seconds is None else seconds
    store.completed_durations.add_all(when, (1, seconds, game.player_count))
    winners = winners_of(event.data.get("winner_id"))
    _attribute(store, game, winners, facts)
    _credit(store, game, winners, scores_of(event.data.get("final_scores")))


def _unseen(store: Store, event: SystemEvent) -> LiveGame | None:
    """The game that ends here where it is not live: it was closed too early, or its start was lost.

    That it was live at its server, the duration shows: only who knew the game could measure it.
    """
    game_id = event.game_id or ""
    ended = store.ended.get(game_id)
    if ended is not None:
        store.ends_unseen -= ended.closed is not None
        return ended.closed
    seconds = number(event.data.get("game_seconds"))
    if seconds is None:
        return None
    store.started += 1
    store.starts_unseen += 1
    players = len(scores_of(event.data.get("final_scores")))
    return store.new_game(event, player_count=players, seconds=seconds, start_unseen=True)


def _attribute(store: Store, game: LiveGame, winners: tuple[str, ...], facts: Facts) -> None:
    """Seats and wins by type.

    Where one winner's type is not known, the whole game counts in no rate: its seats without its wins would make
    every rate too low.
    """
    kinds: list[str | None] = []
    for winner in winners:
        seat = game.seat(winner)
        if seat is not None:
            kinds.append(BOT if seat.is_bot else HUMAN)
            if store.model.seats:  # else the game does not number them
                facts.seat_wins += (game.seats.index(seat),)
        else:
            kinds.append(None if game.seats else only_type(game))
            facts.irregular = "unknown_winner" if game.seats else facts.irregular
    if None in kinds:
        facts.unattributed_wins = len(winners)
        return
    facts.seats = {HUMAN: game.player_count - game.bot_count, BOT: game.bot_count}
    facts.wins = {kind: kinds.count(kind) for kind in (HUMAN, BOT) if kind in kinds}
    for kind in (HUMAN, BOT):
        store.seats_total[kind] += facts.seats[kind]
        store.wins_total[kind] += facts.wins.get(kind, 0)


def _credit(store: Store, game: LiveGame, winners: tuple[str, ...], scores: dict[str, float]) -> None:
    """The game in its players' statistics: those of its seats or, where it told none, those its end names."""
    named = [seat.player_id for seat in game.seats] or winners
    for player_id in dict.fromkeys((*named, *scores)):
        stats = store.player(player_id)
        stats.games_played += 1
        stats.games_won += player_id in winners
        stats.total_score += scores.get(player_id, 0)


def transition_completed(store: Store, event: SystemEvent, facts: Facts) -> None:
    """A transition succeeded; it moves its game only past transitions that were entered before it."""
    (left, entered), edge = store.edge_of(event)
    edge.count += 1
    took = milliseconds(event.data)
    edge.total_ms += took
    edge.last_ns = max(edge.last_ns, event.timestamp_ns)
    store.add_sample(event.timestamp_ns, _endpoint(left, entered), took, error=False)
    game = store.game_of(event, facts)
    ordinal = count(event.data.get("ordinal"))
    if game is not None and ordinal > game.ordinal:
        game.ordinal = ordinal
        store.move_game(game, entered)


def transition_failed(store: Store, event: SystemEvent, facts: Facts) -> None:
    """A transition raised or was cancelled: its game stays where it is."""
    (left, entered), edge = store.edge_of(event)
    edge.failures += 1
    edge.last_ns = max(edge.last_ns, event.timestamp_ns)
    failed = not is_cancelled(event.data)
    store.game_of(event, facts)
    store.add_sample(event.timestamp_ns, _endpoint(left, entered), milliseconds(event.data), error=failed)
    if failed:
        store.count_error(event, facts, left)


def transition_illegal(store: Store, event: SystemEvent, _facts: Facts) -> None:
    """A transition was attempted that the rules do not allow."""
    _, edge = store.edge_of(event)
    edge.illegal_attempts += 1


def _endpoint(left: str, entered: str) -> str:
    return f"transition.{left}_to_{entered}"


def phase_completed(store: Store, event: SystemEvent, facts: Facts) -> None:
    """A game left a phase, after some seconds."""
    game = store.game_of(event, facts)
    seconds = number(event.data.get("duration_seconds"))
    if seconds is None:
        return
    phase = store.phase(event.data.get("phase"))
    store.phases.setdefault(phase, PhaseStats()).add(seconds)
    for owner in (game, store.rooms.get(game.room_id) if game else None):
        if owner is not None:
            owner.phase_seconds[phase] = owner.phase_seconds.get(phase, 0.0) + seconds


def round_started(store: Store, event: SystemEvent, facts: Facts) -> None:
    """A round began."""
    game = store.game_of(event, facts)
    if game is not None and not store.is_superseded(game, event):
        game.round_number = count(event.data.get("round_number")) or game.round_number + 1


def turn_completed(store: Store, event: SystemEvent, facts: Facts) -> None:
    """A turn was won."""
    game = store.game_of(event, facts)
    if game is not None and not store.is_superseded(game, event):
        game.turns += 1
    store.add_hourly(event, "total_turns")
