"""A running game: the state machine, and the loop that executes queued actions one by one.

Actions come from sockets, from bots and from timers; all are queued and the loop executes them. Phases end either in
an action (the last declaration, the last play) or by a timer, so a transition may run while an earlier one still
waits inside: entering PREPARATION pauses 2 s, and when nobody holds a weak hand ROUND_START begins after 0.5 s of
them. One simplification: the real server shows TURN_RESULTS after a round's last turn; here also after a turn of
three or more piles, so that a game now and then takes the way from TURN_RESULTS back to TURN.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from examples.common.background import Background
from examples.common.chance import seeded
from examples.liap_tui import bots, rules
from examples.liap_tui.round import Outcome, Round
from examples.liap_tui.rules import Phase
from examples.liap_tui.seat import Seat
from examples.liap_tui.services import Services
from otel_setup import Seat as DeclaredSeat

if TYPE_CHECKING:
    from otel_setup import QueueToken

# Seconds in the real game.
NO_WEAK_HANDS = 0.5
DEALING = 2.0
REDEAL_ANSWER = 30.0
ROUND_START = 5.0
BEFORE_DECLARATIONS = 0.6
AFTER_TURN, AFTER_LAST_TURN = 12.0, 5.0
TURN_RESULTS = SCORING = 7.0
BOT_THINKS = (0.5, 1.5)

SHOWN_BETWEEN_TURNS = 3
"""Piles from which a turn's result is shown before the next turn."""

Broadcast = Callable[[str, dict[str, Any]], Awaitable[None]]


class Action(NamedTuple):
    """A queued action and the monitor's token from the moment it was queued."""

    type: str
    player: str
    data: dict[str, Any]
    token: QueueToken


class Game:
    """One game in one room, whose id is the game's.

    Parameters:
        game_id: the room's id.
        seats: four seats, taken.
        services: see ``Services``.
        broadcast: sends an event to everyone in the room.
        on_failure: called when something in here broke.
    """

    def __init__(
        self,
        game_id: str,
        seats: list[Seat],
        services: Services,
        broadcast: Broadcast,
        on_failure: Callable[[Exception], None],
        target: int,
    ) -> None:
        self.id = game_id
        self.phase = Phase.WAITING
        self.live = False
        self.scores = {seat.name: 0 for seat in seats}
        self._seats = {seat.name: seat for seat in seats}
        self._declared_seats = {seat.name: seat.is_bot for seat in seats}
        self._services = services
        self._target = target
        self._record, self._monitor, self._pace = services.record, services.monitor, services.pace
        self._broadcast = broadcast
        self._deals = seeded(services.settings.seed, game_id, "deals")
        self._whims = seeded(services.settings.seed, game_id, "whims")
        self._queue: asyncio.Queue[Action | None] = asyncio.Queue()
        self._accepting = False
        self._background = Background(on_failure)
        self._loop: asyncio.Task[None] | None = None
        self._phase_began = time.monotonic()
        self._then: Phase | None = None
        self._round = Round(0, list(self._seats), None)
        self._handlers = {
            "redeal_request": self._redeal_request,
            "redeal_response": self._redeal_response,
            "timeout": self._timeout,
            "declare": self._declare,
            "play_pieces": self._play,
            "player_disconnect": self._player_disconnect,
            "player_reconnect": self._player_reconnect,
            "game_state_update": self._game_state_update,
        }

    # --- from outside ------------------------------------------------------------------------------------------------
    async def start(self) -> None:
        """Announce the game and set it going."""
        self.live = self._accepting = True
        bot_count = sum(self._declared_seats.values())
        self._record.game_started(self.id, rules.SEATS - bot_count, bot_count)
        declared = [DeclaredSeat(name, is_bot=is_bot) for name, is_bot in self._declared_seats.items()]
        await self._monitor.record_game_start(
            self.id, self.id, player_count=len(declared), bot_count=bot_count, players=declared
        )
        await self._broadcast("game_started", {"players": list(self._seats)})
        self._loop = self._background.start(self._run())
        self._later(0, lambda: self._move(Phase.PREPARATION))

    def queue(self, action_type: str, player: str, data: dict[str, Any]) -> bool:
        """Queue an action for the loop. False once the game takes no more."""
        if self._accepting:
            self._queue.put_nowait(Action(action_type, player, data, self._monitor.capture()))
        return self._accepting

    async def abandon(self, reason: str) -> None:
        """End the game undecided, once what is being executed is finished; pauses are cut short."""
        self._accepting = False
        self._queue.put_nowait(None)
        await self._background.finish()
        if self.live:
            self.live = False
            self._record.game_abandoned(self.id, reason)
            await self._monitor.record_game_end(self.id, None, dict(self.scores), abandoned=True)

    def view(self) -> dict[str, Any]:
        """What everybody at the table sees."""
        table = self._round
        return {
            "phase": self.phase,
            "round": table.number,
            "current": table.current,
            "required": table.required,
            "to_beat": table.to_beat,
            "weak": table.undecided,
            "declared": table.declared,
            "captured": table.captured,
            "multiplier": table.multiplier,
            "scores": self.scores,
        }

    # --- the loop ----------------------------------------------------------------------------------------------------
    async def _run(self) -> None:
        while (action := await self._queue.get()) is not None:
            await self._execute(action)

    async def _execute(self, action: Action) -> None:
        seat = self._seats[action.player]
        if action.type == "player_reconnect":
            await self._human_returns(seat)
        async with self._monitor.monitor_action_processing(
            self.id, action.type, action.player, token=action.token
        ) as handle:
            outcome = await self._handlers[action.type](seat, action.data)
            self._record.action(self.id, action.type, outcome, seat.played_by_bot)
            handle.outcome(outcome)
        if outcome is not Outcome.ACCEPTED and seat.connection:
            seat.connection.send("play_rejected", {"action": action.type, "reason": outcome})
        if action.type == "player_disconnect":
            await self._bot_takes_over(seat)
        if self._then and not self._background.ending.is_set():
            entered, self._then = self._then, None
            await self._move(entered)

    async def _finish_loop(self) -> None:
        """Take no more actions and let the loop finish those it has."""
        self._accepting = False
        self._queue.put_nowait(None)
        if self._loop:
            await asyncio.wait({self._loop})

    def _later(self, pause: float, work: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        """Do this after a pause of the game, unless the game ends before."""
        return self._background.later(self._pace.seconds(pause), work)

    async def _pause(self, pause: float) -> None:
        await self._background.pause(self._pace.seconds(pause))

    # --- phases ------------------------------------------------------------------------------------------------------
    async def _move(self, entered: Phase) -> None:
        """Leave the phase for another; what the rules forbid is reported and not done."""
        left = self.phase
        if entered not in rules.NEXT[left]:
            self._record.illegal_transition(self.id, left, entered)
            await self._monitor.record_illegal_transition(self.id, left, entered)
            return
        if left is not Phase.WAITING:  # the wait for players is the room's, not the game's
            await self._monitor.record_phase_duration(self.id, left, time.monotonic() - self._phase_began)
        async with self._monitor.monitor_state_transition(self.id, left, entered):
            self._set_phase(entered)
            await self._monitor.record_phase_started(self.id, entered)
            await self._entering(entered)()

    def _set_phase(self, entered: Phase) -> None:
        now = time.monotonic()
        if self.phase is not Phase.WAITING:
            self._record.phase_left(self.id, self.phase, now - self._phase_began)
        self._record.transition(self.id, self.phase, entered)
        self.phase, self._phase_began = entered, now

    def _entering(self, phase: Phase) -> Callable[[], Awaitable[None]]:
        return {
            Phase.PREPARATION: self._enter_preparation,
            Phase.ROUND_START: self._enter_round_start,
            Phase.DECLARATION: self._enter_declaration,
            Phase.TURN: self._next_turn,
            Phase.TURN_RESULTS: self._enter_turn_results,
            Phase.SCORING: self._enter_scoring,
            Phase.GAME_OVER: self._enter_game_over,
        }[phase]

    async def _enter_preparation(self) -> None:
        last = self._round
        starter = rules.turn_winner(last.plays) if last.plays else None
        self._round = Round(last.number + 1, list(self._seats), starter)
        await self._deal()
        if not self._round.undecided:
            round_start = self._later(NO_WEAK_HANDS, lambda: self._move(Phase.ROUND_START))
            await self._pause(DEALING)
            await asyncio.wait({round_start})  # it is long done, but for timers at a thousand times the speed

    async def _deal(self) -> None:
        table = self._round
        table.deal(self._deals)
        await self._show()
        for seat in self._seats.values():
            self.show_hand(seat)
        for player in table.undecided:
            unanswered = partial(self._redeal_unanswered, player, table.deals)
            self._background.later(self._pace.grace(REDEAL_ANSWER), unanswered)
        self._prompt()

    async def _redeal_unanswered(self, player: str, deal: int) -> None:
        if deal == self._round.deals and player in self._round.undecided:
            self.queue("timeout", player, {"deal": deal})

    async def _enter_round_start(self) -> None:
        table = self._round
        self._record.round_started(self.id, table.number, table.starter)
        await self._monitor.record_round_started(self.id, round_number=table.number, starter=table.starter)
        await self._show()
        self._later(ROUND_START, self._leave_round_start)

    async def _leave_round_start(self) -> None:
        if self._whims.random() < self._services.settings.illegal:
            await self._move(self._whims.choice([p for p in Phase if p not in rules.NEXT[self.phase]]))
        await self._move(Phase.DECLARATION)

    async def _enter_declaration(self) -> None:
        await self._pause(BEFORE_DECLARATIONS)
        self._round.begin_declarations()
        await self._show()
        self._prompt()

    async def _next_turn(self) -> None:
        self._round.begin_turn()
        await self._show()
        self._prompt()

    async def _enter_turn_results(self) -> None:
        await self._show()
        after = Phase.SCORING if self._round.all_played else Phase.TURN
        self._later(TURN_RESULTS, lambda: self._move(after))

    async def _enter_scoring(self) -> None:
        table = self._round
        for player, declared in table.declared.items():
            captured = table.captured[player]
            self.scores[player] += rules.score(declared, captured, table.multiplier)
            outcome = rules.declaration_outcome(declared, captured)
            self._record.declaration(self.id, player, declared, captured, outcome)
            await self._monitor.record_declaration(self.id, player, declared=declared, captured=captured)
        self._record.round_scored(self.id, table.number, sum(table.captured.values()))
        await self._monitor.record_round_completed(self.id, round_number=table.number)
        await self._show()
        decided = rules.winners(self.scores, self._target)
        after = Phase.GAME_OVER if decided else Phase.PREPARATION
        self._later(SCORING, lambda: self._move(after))

    async def _enter_game_over(self) -> None:
        await self._finish_loop()
        winners = rules.winners(self.scores, self._target)
        self.live = False
        self._record.game_completed(self.id, self._declared_seats, winners)
        await self._monitor.record_game_end(
            self.id, winners if len(winners) > 1 else winners[0], dict(self.scores), abandoned=False
        )
        await self._broadcast("game_ended", {"winners": winners, "scores": self.scores, "abandoned": False})
        self._background.cancel()  # this very task too, inside the transition

    # --- actions -----------------------------------------------------------------------------------------------------
    async def _redeal_request(self, seat: Seat, _: dict[str, Any]) -> Outcome:
        """The player asks for the redeal; the answer that decides follows as ``redeal_response``."""
        if self.phase is not Phase.PREPARATION or seat.name not in self._round.undecided:
            return Outcome.REJECTED
        await self._redealt(seat, "requested")
        return Outcome.ACCEPTED

    async def _redeal_response(self, seat: Seat, data: dict[str, Any]) -> Outcome:
        accept = data.get("accept") is True
        if self.phase is not Phase.PREPARATION:
            return Outcome.REJECTED
        outcome = self._round.answer_redeal(seat.name, accept)
        if outcome is Outcome.ACCEPTED:
            await self._redealt(seat, "accepted" if accept else "declined")
            await self._after_redeal_answer()
        return outcome

    async def _timeout(self, seat: Seat, data: dict[str, Any]) -> Outcome:
        if self.phase is not Phase.PREPARATION or data.get("deal") != self._round.deals:
            return Outcome.REJECTED
        outcome = self._round.answer_redeal(seat.name, accept=False)
        if outcome is Outcome.ACCEPTED:
            self._record.timeout(self.id, seat.name, "redeal_response")
            await self._monitor.record_timeout(self.id, seat.name, action_type="redeal_response")
            await self._redealt(seat, "timed_out")
            await self._after_redeal_answer()
        return outcome

    async def _redealt(self, seat: Seat, outcome: str) -> None:
        self._record.redeal(self.id, seat.name, outcome)
        await self._monitor.record_redeal(self.id, seat.name, outcome=outcome)

    async def _after_redeal_answer(self) -> None:
        if self._round.undecided:
            await self._show()
        elif self._round.redeal_wanted:
            await self._deal()
            if not self._round.undecided:
                self._later(NO_WEAK_HANDS, lambda: self._move(Phase.ROUND_START))
        else:
            await self._move(Phase.ROUND_START)

    async def _declare(self, seat: Seat, data: dict[str, Any]) -> Outcome:
        if self.phase is not Phase.DECLARATION:
            return Outcome.REJECTED
        outcome = self._round.declare(seat.name, data.get("piles"))
        if outcome is Outcome.ACCEPTED:
            await self._show()
            self._prompt()
            if self._round.current is None:
                self._then = Phase.TURN
        return outcome

    async def _play(self, seat: Seat, data: dict[str, Any]) -> Outcome:
        if self.phase is not Phase.TURN:
            return Outcome.REJECTED
        outcome = self._round.play(seat.name, data.get("pieces"))
        if outcome is Outcome.ACCEPTED:
            await self._show(last_play={"player": seat.name, "pieces": data["pieces"]})
            self._prompt()
            if self._round.current is None:
                await self._end_turn()
        return outcome

    async def _end_turn(self) -> None:
        table = self._round
        piles = len(table.plays[0][1])
        winner = table.end_turn()
        self._record.turn_won(self.id, winner, piles)
        await self._monitor.record_turn_completed(self.id, winner_id=winner)
        await self._broadcast("turn_complete", {"winner": winner, "piles": piles})
        await self._pause(AFTER_LAST_TURN if table.all_played else AFTER_TURN)
        if table.all_played or piles >= SHOWN_BETWEEN_TURNS:
            self._then = Phase.TURN_RESULTS
        elif not self._background.ending.is_set():
            await self._next_turn()

    async def _player_disconnect(self, seat: Seat, _: dict[str, Any]) -> Outcome:
        await self._broadcast("player_disconnected", {"player": seat.name})
        return Outcome.ACCEPTED

    async def _player_reconnect(self, seat: Seat, _: dict[str, Any]) -> Outcome:
        await self._broadcast("player_reconnected", {"player": seat.name})
        return Outcome.ACCEPTED

    async def _game_state_update(self, seat: Seat, _: dict[str, Any]) -> Outcome:
        self.show_hand(seat)
        return Outcome.ACCEPTED

    # --- seats and bots ----------------------------------------------------------------------------------------------
    async def _bot_takes_over(self, seat: Seat) -> None:
        seat.away = True
        self._record.player_disconnected(self.id, seat.name)
        await self._monitor.record_player_disconnected(self.id, seat.name)
        self._record.bot_takeover(self.id, seat.name)
        await self._monitor.record_bot_takeover(self.id, seat.name)
        self._prompt()

    async def _human_returns(self, seat: Seat) -> None:
        seat.away = False
        self._record.player_reconnected(self.id, seat.name)
        await self._monitor.record_player_reconnected(self.id, seat.name)

    def show_hand(self, seat: Seat) -> None:
        """Send a human the table and, to them alone, their pieces."""
        if seat.connection:
            seat.connection.send("phase_change", {**self.view(), "hand": self._round.hands.get(seat.name, [])})

    async def _show(self, **more: Any) -> None:
        await self._broadcast("phase_change", {**self.view(), **more})

    def _prompt(self) -> None:
        """Let bots act whose turn it is; humans see it in ``phase_change``."""
        waited_for = self._round.undecided if self.phase is Phase.PREPARATION else [self._round.current]
        for player in waited_for:
            if player and self._seats[player].played_by_bot:
                self._later(self._whims.uniform(*BOT_THINKS), partial(self._bot_acts, self._seats[player]))

    async def _bot_acts(self, seat: Seat) -> None:
        if not seat.played_by_bot:
            return  # the human came back while the bot was thinking
        action = bots.choose(self.phase, self._round, seat.name, self._whims)
        if action:
            self.queue(action[0], seat.name, action[1])
