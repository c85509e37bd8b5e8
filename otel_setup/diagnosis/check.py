"""Tells why nothing arrives: goes the way to each receiver step by step, and really sends one of each signal."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TypeVar
from urllib.parse import urlsplit

from otel_setup.catalogue.attributes import SIGNALS
from otel_setup.config import Destination, Settings
from otel_setup.diagnosis.environment import Surroundings, surroundings
from otel_setup.diagnosis.probe import (
    GRPC,
    Address,
    Deadline,
    Peer,
    Spoken,
    TroubleError,
    answer_to,
    connect,
    handshake,
    resolve,
    speaks_tls,
    tls_context,
)
from otel_setup.diagnosis.problems import REMEDIES, Problem, one_line, shown_url
from otel_setup.diagnosis.samples import SERVICES, check_resource
from otel_setup.diagnosis.send import Sent, send
from otel_setup.sdk.providers import resource_of

CLOCK_TOLERANCE = 5.0
"""Seconds by which two clocks may differ before it is said."""

# Shares of the time that is left: what comes later needs some too.
_OWN_SHARE, _STEP_SHARE, _SEND_SHARE = 0.9, 0.3, 0.6

T = TypeVar("T")


class Result(StrEnum):
    """How a step ended."""

    OK = "ok"
    FAILED = "failed"
    WARNING = "warning"
    NOT_TRIED = "not tried"


@dataclass(frozen=True)
class Step:
    """One step of the way.

    Attributes:
        destination: which signals, where to and by which protocol.
        name: what was tried: ``proxy``, ``name``, ``connection``, ``TLS``, a signal or ``clock``.
        seen: what came of it.
        problem: what is wrong; None where nothing is.
    """

    destination: str
    name: str
    result: Result
    seen: str
    problem: Problem | None = None

    @property
    def remedy(self) -> str:
        """What to do; "" where there is nothing to do."""
        return REMEDIES[self.problem] if self.problem else ""


@dataclass
class Findings:
    """What a check has found so far.

    Attributes:
        steps: in the order in which they were tried.
        accepted: the signals whose item a receiver took.
        trying: the destination of what is under way, and the names of its steps: none before the first and after
            the last.
    """

    steps: list[Step] = field(default_factory=list)
    accepted: set[str] = field(default_factory=set)
    trying: tuple[str, tuple[str, ...]] = ("", ())

    @property
    def all_accepted(self) -> bool:
        """Whether every signal was taken."""
        return self.accepted == set(SIGNALS)


def run_check(settings: Settings, timeout: float) -> Findings:
    """Tries the ways of all signals, within ``timeout`` seconds in all, whatever hangs.

    Interrupting it leaves nothing that would keep the process from ending.
    """
    findings = Findings()
    # A name server that does not answer cannot be interrupted, so it is waited for in a thread that may be left behind.
    deadline = Deadline(timeout * _OWN_SHARE)
    worker = threading.Thread(target=_check, args=(settings, deadline, findings), daemon=True, name="otel_setup-check")
    worker.start()
    worker.join(timeout)
    return _closed(findings, timeout)


def _closed(findings: Findings, timeout: float) -> Findings:
    """What was found so far, with a word on what was not finished."""
    destination, names = findings.trying
    found = Findings(list(findings.steps), set(findings.accepted))
    for name in names:
        seen = f"no end within the {timeout:g} s of this check"
        found.steps.append(Step(destination, name, Result.FAILED, seen, Problem.NO_ANSWER))
    told = {step.name for step in found.steps}
    for signal in SIGNALS:
        if signal not in told:
            found.steps.append(Step(destination, signal, Result.NOT_TRIED, "there was no time left for it"))
    return found


def _check(settings: Settings, deadline: Deadline, findings: Findings) -> None:
    try:
        _check_all(settings, deadline, findings)
    except Exception as fault:  # noqa: BLE001 - what was found before is worth telling
        where, names = findings.trying
        seen = one_line(f"the check itself failed: {type(fault).__name__}: {fault}")
        findings.steps += [Step(where, name, Result.FAILED, seen, Problem.UNKNOWN) for name in names or ("check",)]
        findings.trying = (where, ())


def _check_all(settings: Settings, deadline: Deadline, findings: Findings) -> None:
    ways: dict[object, dict[str, Destination]] = {}
    for signal in SIGNALS:
        if reason := _switched_off(settings, signal):
            findings.steps.append(Step(f"{signal}: nowhere", signal, Result.FAILED, reason, Problem.SWITCHED_OFF))
            continue
        destination = settings.destinations[signal]
        ways.setdefault(_way_of(destination), {})[signal] = destination
    for destinations in ways.values():
        _Way(settings, destinations, deadline, findings).go()
    findings.trying = ("", ())


def _switched_off(settings: Settings, signal: str) -> str:
    """Why a signal is not exported by OTLP; "" where it is."""
    if settings.disabled:
        return "the option disabled is on"
    if "otlp" not in getattr(settings, signal):
        return f"the option {signal} does not name otlp"
    return "" if signal in settings.destinations else "the option collector is False"


def _way_of(destination: Destination) -> object:
    """Signals of which this is equal go one and the same way."""
    values = {**vars(destination), "endpoint": _base(destination), "headers": tuple(destination.headers.items())}
    return tuple(values.items())


def _base(destination: Destination) -> str:
    return urlsplit(destination.endpoint)._replace(path="").geturl()


class _Way:
    """One way that one or more signals go."""

    def __init__(
        self, settings: Settings, destinations: dict[str, Destination], deadline: Deadline, findings: Findings
    ) -> None:
        self._settings = settings
        self._destinations = destinations
        self._deadline = deadline
        self._findings = findings
        self._any = next(iter(destinations.values()))
        self._peer = Peer.of(self._any.endpoint)
        self._encrypted = urlsplit(self._any.endpoint).scheme == "https"
        self._title = f"{', '.join(destinations)} to {shown_url(_base(self._any))} by {self._any.protocol}"
        self._addresses: list[Address] = []
        self._surroundings: Surroundings = surroundings(self._any)
        self._cause: TroubleError | None = None

    def go(self) -> None:
        """Takes the steps, until one fails that the others need."""
        proxy = self._surroundings.proxy
        self._note("proxy", Result.WARNING if self._surroundings.notes else Result.OK, self._surroundings.words)
        try:
            self._addresses = self._tried("name", lambda: resolve(proxy or self._peer), _listed)
            self._tried("connection", self._connects, str)
            if self._encrypted and not proxy:
                self._tried("TLS", self._shakes_hands, str)
        except TroubleError:
            for signal in self._destinations:
                self._note(signal, Result.NOT_TRIED, "what comes before it failed")
            return
        sent = self._send_all()
        judged = [self._judged(signal, outcome) for signal, outcome in sent.items()]
        self._findings.steps += judged
        self._findings.trying = ("", ())
        self._findings.accepted |= {step.name for step in judged if step.result is Result.OK}
        self._compare_clocks(sent)

    def _note(self, name: str, result: Result, seen: str, problem: Problem | None = None) -> None:
        self._findings.steps.append(Step(self._title, name, result, seen, problem))

    def _tried(self, name: str, attempt: Callable[[], T], words: Callable[[T], str]) -> T:
        self._findings.trying = (self._title, (name,))
        try:
            result = attempt()
        except TroubleError as trouble:
            self._note(name, Result.FAILED, trouble.seen, trouble.problem)
            raise
        self._note(name, Result.OK, words(result))
        return result

    def _connects(self) -> str:
        with connect(self._addresses, self._deadline.share(_STEP_SHARE)) as connection:
            host, port, *_ = connection.getpeername()
            return str(Peer(host, port))

    def _shakes_hands(self) -> str:
        context = tls_context(self._any)
        seconds = self._deadline.share(_STEP_SHARE)
        try:
            with connect(self._addresses, seconds) as connection:
                connection.settimeout(seconds)
                with handshake(connection, self._peer.host, context, self._any) as encrypted:
                    return f"{encrypted.version()}, the certificate is trusted and names {self._peer.host}"
        except TroubleError as trouble:
            if trouble.problem is Problem.TLS_FAILED and self._answer_in_plain() in (Spoken.HTTP_1, Spoken.HTTP_2):
                raise TroubleError(Problem.TLS_TO_PLAIN, trouble.seen) from None
            raise

    def _answer_in_plain(self) -> Spoken:
        seconds = self._deadline.share(_STEP_SHARE)
        with connect(self._addresses, seconds) as connection:
            connection.settimeout(seconds)
            return answer_to(connection, self._any)[0]

    # --- sending ------------------------------------------------------------------------------------------------------

    def _send_all(self) -> dict[str, Sent]:
        """Sends one item of each signal, side by side, so that a receiver that hangs is waited for once."""
        self._findings.trying = (self._title, tuple(self._destinations))
        resource = check_resource(resource_of(self._settings).attributes)
        sent: dict[str, Sent] = {}

        def one(signal: str, destination: Destination) -> None:
            try:
                seconds = min(destination.timeout, self._deadline.share(_SEND_SHARE))
                body = SERVICES[signal].request(resource).SerializeToString()
                sent[signal] = send(signal, body, destination, seconds)
            except Exception as fault:  # noqa: BLE001 - whatever an exporter would fail at is a finding
                sent[signal] = Sent(Problem.UNKNOWN, one_line(f"it could not be sent: {type(fault).__name__}: {fault}"))

        senders = [
            threading.Thread(target=one, args=item, daemon=True, name="otel_setup-check-send")
            for item in self._destinations.items()
        ]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
        return {signal: sent[signal] for signal in self._destinations}

    def _judged(self, signal: str, sent: Sent) -> Step:
        if sent.problem is None:
            return Step(self._title, signal, Result.OK, sent.seen)
        cause = self._cause_of(sent) or TroubleError(sent.problem, sent.seen)
        return Step(self._title, signal, Result.FAILED, cause.seen, cause.problem)

    def _cause_of(self, sent: Sent) -> TroubleError | None:
        """What the port says when one looks closer; None where the outcome says enough."""
        maybe_tls = sent.problem is Problem.BAD_REQUEST and not self._encrypted
        if self._surroundings.proxy or (sent.answered and not maybe_tls):
            return None
        if self._cause is None:
            try:
                self._look_closer(sent)
            except TroubleError as cause:
                self._cause = cause
        return self._cause

    def _look_closer(self, sent: Sent) -> None:
        """Raises what is found; nothing where it is no more than the outcome says."""
        spoken, begins = self._answer(self._any)
        if not self._encrypted and spoken is not Spoken.HTTP_2:
            seconds = self._deadline.share(_STEP_SHARE)
            if spoken is Spoken.TLS or speaks_tls(self._addresses, self._peer.host, seconds):
                raise TroubleError(Problem.PLAIN_TO_TLS, f"{sent.seen}; the port speaks TLS")
        if self._encrypted and spoken is Spoken.NOTHING and self._any.protocol != GRPC:
            # Over TLS a gRPC server may go without a word if it was not promised HTTP/2 in the handshake.
            spoken, begins = self._answer(replace(self._any, protocol=GRPC))
        problem = _mismatch(self._any.protocol, spoken)
        if problem is not None:
            what = f" ({begins!r})" if spoken is Spoken.OTHER else ""
            raise TroubleError(problem, f"{sent.seen}; the port answers with {spoken}{what}")

    def _answer(self, destination: Destination) -> tuple[Spoken, bytes]:
        seconds = self._deadline.share(_STEP_SHARE)
        with connect(self._addresses, seconds) as plain:
            plain.settimeout(seconds)
            if not self._encrypted:
                return answer_to(plain, destination)
            with handshake(plain, self._peer.host, tls_context(destination), destination) as encrypted:
                return answer_to(encrypted, destination)

    def _compare_clocks(self, sent: dict[str, Sent]) -> None:
        skew = next((outcome.clock_skew for outcome in sent.values() if outcome.clock_skew is not None), None)
        if skew is None:
            self._note("clock", Result.NOT_TRIED, "not measurable: no answer tells the time there")
        elif abs(skew) > CLOCK_TOLERANCE:
            seen = f"the clock there is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} this one"
            self._note("clock", Result.WARNING, seen, Problem.CLOCK)
        else:
            self._note("clock", Result.OK, f"less than {CLOCK_TOLERANCE:g} s apart")


def _mismatch(protocol: str, spoken: Spoken) -> Problem | None:
    if protocol == GRPC and spoken is Spoken.HTTP_1:
        return Problem.GRPC_TO_HTTP
    if protocol != GRPC and spoken is Spoken.HTTP_2:
        return Problem.HTTP_TO_GRPC
    return {Spoken.OTHER: Problem.NO_RECEIVER, Spoken.NOTHING: Problem.CUT}.get(spoken)


def _listed(addresses: list[Address]) -> str:
    return ", ".join(str(address[0]) for address in addresses)
