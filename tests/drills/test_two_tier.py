"""An agent and two gateways: traces meet in one of them, every span is counted once, and one gateway can be away."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path

import pytest

from deploy import native
from deploy.collector.exporters import BATCH_MAX_ITEMS
from deploy.collector.roles import agent, gateway
from settings import AgentSettings, Settings, parse
from tests.drills.pipeline_ends import Store, eventually, post, prometheus_url, span, spans, stores, unexpected
from tests.drills.proof import Finding, write_proof
from tests.support.peers import free_settings, require

pytestmark = [pytest.mark.drill, pytest.mark.timeout(400)]

SERVICES = ("lobby", "match", "chat", "store", "ranking", "replay")
COUNTED = "traces.spanmetrics.calls"
MEMORY = BATCH_MAX_ITEMS
"""Spans that an agent may hold for each gateway: as few as it can."""
MANY = 60
"""Requests' rounds of a hundred traces: more for one gateway than an agent may hold for it."""
DECISION = 3
"""Seconds that a trace waits for its decision."""
TICK = 2.0
"""Seconds more that it may take: spans are gathered by the agent, and decisions are made once a second."""
FLUSH = 1
"""Seconds between what a gateway tells of its counts."""
AWAY = 15.0
WAIT = 90.0
"""Seconds that what waited may take to arrive: the pause between tries grows to thirty."""


class Gateway:
    """A gateway that can be killed, and its stores."""

    def __init__(self, name: str, folder: Path, base: Settings, stack: ExitStack) -> None:
        self.name, self.folder = name, folder / name
        self.settings = free_settings(base)
        self.stores = stack.enter_context(stores(self.settings, ("traces", "metrics")))
        self._running = ExitStack()
        stack.push(self._running.__exit__)
        self.begin()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.settings.collector.otlp_grpc_port}:{self.settings.gateway.services_port}"

    @property
    def traces(self) -> Store:
        return self.stores["traces"]

    def begin(self) -> None:
        start = native.running_collector(self.settings, self.folder, prometheus_url(self.settings), role=gateway)
        self.process = self._running.enter_context(start).process

    def kill(self) -> None:
        self.process.kill()
        self._running.close()

    def counted(self) -> Counter[str]:
        """Spans by their service, as its metrics say: of each life that it has had."""
        sums: Counter[str] = Counter()
        for (name, series), value in self.stores["metrics"].sums.items():
            if name == COUNTED:
                sums[dict(series)["service.name"]] += int(value)
        return sums


class Sent:
    """Traces, each of a span of every service, and each of its spans in a request of its own kind.

    :ivar accepted: when each span was, by the clock of :func:`time.monotonic`
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.traces: set[int] = set()
        self.accepted: dict[int, float] = {}
        self.next = 1

    def send(self, traces: int, pause: float = 0.0) -> range:
        """Several traces: a request for each service, with its span of every trace, and pauses between them."""
        numbers = range(self.next, self.next + traces)
        for index, service in enumerate(SERVICES):
            body = spans([span(trace, trace * 100 + index) for trace in numbers], service)
            assert post(self.port, "traces", body) == HTTPStatus.OK
            self.accepted |= dict.fromkeys((trace * 100 + index for trace in numbers), time.monotonic())
            time.sleep(pause)
        self.next = numbers.stop
        self.traces |= set(numbers)
        return numbers

    @contextmanager
    def sending(self) -> Iterator[None]:
        """Traces all the time until the end of the block; each takes longer than the agent gathers spans."""
        stop = threading.Event()

        def go_on() -> None:
            while not stop.is_set():
                self.send(10, pause=0.1)

        with ThreadPoolExecutor(1) as pool:
            work = pool.submit(go_on)
            try:
                yield
            finally:
                stop.set()
                work.result()

    @property
    def spans(self) -> int:
        return len(self.traces) * len(SERVICES)


def trace_of(number: int) -> int:
    return number // 100


@contextmanager
def two_tiers(folder: Path, gateway_spans: int = 20_000) -> Iterator[tuple[native.Collector, list[Gateway]]]:
    require("otelcol")
    base = parse({"traces": {"decision_seconds": DECISION}, "metrics": {"export_interval_seconds": FLUSH}})
    with ExitStack() as stack:
        gateways = [Gateway(name, folder, base, stack) for name in ("one", "two")]
        settings = free_settings(base)
        settings = replace(settings, agent=agent_settings(gateways, gateway_spans))
        yield stack.enter_context(native.running_collector(settings, folder / "agent", role=agent)), gateways


def agent_settings(gateways: list[Gateway], spans_in_memory: int) -> AgentSettings:
    return AgentSettings(tuple(each.address for each in gateways), spans_in_memory)


def homes(gateways: list[Gateway]) -> dict[int, set[str]]:
    """In which gateways' output each trace is."""
    found: dict[int, set[str]] = {}
    for each in gateways:
        for number in list(each.traces.numbers):
            found.setdefault(trace_of(number), set()).add(each.name)
    return found


def test_traces_meet_in_one_gateway_and_one_can_be_away(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    with two_tiers(tmp_path) as (collector, (one, two)):
        sent = Sent(collector.settings.otlp_http_port)
        for _ in range(20):
            sent.send(20)
        findings = _both(sent, [one, two])
        findings += _one_is_away(sent, one, two)
    write_proof(
        pytestconfig,
        "two-tier",
        f"An agent and two gateways; traces of {len(SERVICES)} services, with a span and a request of each. Then one "
        "gateway is killed with SIGKILL for fifteen seconds while traces go on, and started again. Expected numbers "
        "are the sender's own.",
        findings,
    )
    assert unexpected(findings) == []


def test_what_exceeds_an_agents_memory_waits_on_disk(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """With little memory for it, so that the longer outage is a short one."""
    with two_tiers(tmp_path, gateway_spans=MEMORY) as (collector, (one, two)):
        sent = Sent(collector.settings.otlp_http_port)
        sent.send(20)
        findings = _both(sent, [one, two])
        one.kill()
        for _ in range(MANY):
            sent.send(100)
            time.sleep(0.05)
        time.sleep(3)
        findings.append(Finding("arrived while one was away", None, str(len(two.traces.numbers))))
        findings.append(Finding("sent by then", None, str(sent.spans)))
        one.begin()
        eventually(lambda: len(one.traces.numbers) + len(two.traces.numbers) >= sent.spans, WAIT)
        eventually(lambda: counted_by([one, two]) >= sent.spans, WAIT)
        came = Counter(one.traces.numbers + two.traces.numbers)
        findings += [
            Finding("one back: spans that arrived", str(sent.spans), str(len(came))),
            Finding("one back: spans that arrived twice", "0", str(came.total() - len(came))),
            Finding("one back: spans counted, of both", str(sent.spans), str(counted_by([one, two]))),
        ]
    write_proof(
        pytestconfig,
        "two-tier-long-outage",
        f"An agent that may hold {MEMORY} spans for each gateway, and two gateways, of which one is killed and started "
        "again after many more spans. Expected numbers are the sender's own.",
        findings,
    )
    assert unexpected(findings) == []


@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_an_agent_ends_while_a_gateway_is_away(tmp_path: Path, pytestconfig: pytest.Config, how: str) -> None:
    with two_tiers(tmp_path, gateway_spans=MEMORY) as (collector, (one, two)):
        sent = Sent(collector.settings.otlp_http_port)
        one.kill()
        for _ in range(MANY):
            sent.send(100)
            time.sleep(0.05)
        began = time.monotonic()
        (collector.process.kill if how == "killed" else collector.process.stop)()
        ended = time.monotonic() - began
        folder, settings = collector.data_dir, replace(Settings(), collector=collector.settings)
        settings = replace(settings, agent=agent_settings([one, two], MEMORY))
        one.begin()
        with native.running_collector(settings, folder, role=agent):
            arrived = settled([one, two])
        came = Counter(arrived)
        lost = sent.spans - len(came)
        findings = [
            Finding("the agent's end took, s", None, f"{ended:.1f}"),
            Finding("spans accepted", None, str(sent.spans)),
            Finding("lost of them", None, str(lost)),
            Finding(f"lost of them is more than the {MEMORY} that may be in memory", "False", str(lost > MEMORY)),
            Finding("spans that arrived twice", None, str(came.total() - len(came))),
        ]
    write_proof(
        pytestconfig,
        f"two-tier-agent-{how}",
        f"An agent that may hold {MEMORY} spans for each gateway is {how} while one gateway is away for which it has "
        "more than that, and both are started again.",
        findings,
    )
    assert unexpected(findings) == []


def test_a_gateway_is_killed_with_undecided_traces(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    with two_tiers(tmp_path) as (collector, (one, two)):
        sent = Sent(collector.settings.otlp_http_port)
        with sent.sending():
            time.sleep(3 * DECISION)
            killed = time.monotonic()
            one.kill()
            alive = len(two.traces.numbers)
            time.sleep(AWAY)
            went_on = set(map(trace_of, two.traces.numbers[alive:]))
            one.begin()
            time.sleep(2 * DECISION)
        later = {number for number, at in sent.accepted.items() if at > killed}
        eventually(lambda: later <= {*one.traces.numbers, *two.traces.numbers}, WAIT)
        came = Counter(settled([one, two]))
        both = sum(len(names) > 1 for names in homes([one, two]).values())
        uncounted = sent.spans - counted_by([one, two])
    findings = [
        *_account_of_traces(sent, killed, came),
        Finding("traces that arrived in both gateways", "0", str(both)),
        Finding("spans that arrived twice", None, str(came.total() - len(came))),
        Finding("traces that the other one passed on meanwhile", None, str(len(went_on))),
        Finding("it passed on some", "True", str(bool(went_on))),
        Finding("spans that are in no count", None, str(uncounted)),
        Finding(
            f"more than were accepted within {FLUSH + TICK:g} s before the kill",
            "False",
            str(uncounted > _accepted_within(sent, FLUSH + TICK, killed)),
        ),
    ]
    write_proof(
        pytestconfig,
        "two-tier-gateway-killed",
        f"A gateway is killed with SIGKILL while traces of {len(SERVICES)} spans come all the time, and started again "
        f"after {AWAY:g} s. A trace waits {DECISION} s for its decision. Expected numbers are the sender's own.",
        findings,
    )
    assert unexpected(findings) == []


def _account_of_traces(sent: Sent, killed: float, came: Counter[int]) -> list[Finding]:
    """Which are lost or have lost a part, and when they were sent."""
    arrived = Counter(map(trace_of, came))
    lost = {trace for trace in sent.traces if not arrived[trace]}
    damaged = {trace for trace in sent.traces if arrived[trace] < len(SERVICES)}
    begun, ended = (
        {trace: sent.accepted[trace * 100 + index] for trace in sent.traces} for index in (0, len(SERVICES) - 1)
    )
    window = DECISION + TICK
    recent = {trace for trace in sent.traces if ended[trace] >= killed - window and begun[trace] <= killed}
    waited = [killed - begun[trace] for trace in damaged]
    return [
        Finding("traces sent", None, str(len(sent.traces))),
        Finding(f"of these within {window:g} s before the kill", None, str(len(recent))),
        Finding("lost", None, str(len(lost))),
        Finding("lost in part", None, str(len(damaged - lost))),
        Finding("lost, also in part, of those sent earlier or after the kill", "0", str(len(damaged - recent))),
        Finding("the longest that one of them had waited, s", None, f"{max(waited, default=0):.1f}"),
    ]


def _accepted_within(sent: Sent, seconds: float, killed: float) -> int:
    return sum(killed - seconds <= at <= killed for at in sent.accepted.values())


def settled(gateways: list[Gateway]) -> list[int]:
    """All that arrived, once there was something and nothing more came."""
    arrived: list[int] = []

    def all_came() -> bool:
        before = arrived[:]
        arrived[:] = [number for each in gateways for number in each.traces.numbers]
        time.sleep(8)
        return len(arrived) > 0 and arrived == before

    eventually(all_came, WAIT)
    return arrived


def counted_by(gateways: list[Gateway]) -> int:
    return sum(each.counted().total() for each in gateways)


def _both(sent: Sent, gateways: list[Gateway]) -> list[Finding]:
    eventually(lambda: sum(len(each.traces.numbers) for each in gateways) >= sent.spans, WAIT)
    eventually(lambda: counted_by(gateways) >= sent.spans, WAIT)
    shares = [len(set(map(trace_of, each.traces.numbers))) for each in gateways]
    counted = [each.counted() for each in gateways]
    both = [service for service in SERVICES if all(service in each for each in counted)]
    return [
        Finding("traces sent", None, str(len(sent.traces))),
        Finding(
            "spans that arrived, of both", str(sent.spans), str(sum(len(each.traces.numbers) for each in gateways))
        ),
        Finding("traces that arrived in both gateways", "0", str(sum(len(n) > 1 for n in homes(gateways).values()))),
        Finding("traces of each gateway", None, " and ".join(map(str, shares))),
        Finding("gateways without a trace", "0", str(shares.count(0))),
        Finding("spans counted in span metrics, of both", str(sent.spans), str(counted_by(gateways))),
        Finding("services counted by both", "0", str(len(both))),
    ]


def _one_is_away(sent: Sent, one: Gateway, two: Gateway) -> list[Finding]:
    before, alive = set(one.traces.numbers), len(two.traces.numbers)
    spans_before, killed_counted = sent.spans, one.counted()
    one.kill()
    began = time.monotonic()
    meanwhile: set[int] = set()
    while time.monotonic() < began + AWAY:
        meanwhile |= set(sent.send(10))
        time.sleep(0.25)
    # Those of the other gateway have arrived while this one is still away.
    eventually(lambda: len(two.traces.numbers) > alive, WAIT)
    time.sleep(5)
    went_on = {trace_of(number) for number in two.traces.numbers[alive:]} & meanwhile
    one.begin()
    wanted = {trace * 100 + index for trace in meanwhile for index in range(len(SERVICES))}
    eventually(lambda: set(one.traces.numbers) | set(two.traces.numbers) >= wanted, WAIT)
    of_one = {trace_of(number) for number in set(one.traces.numbers) - before}
    came = Counter(one.traces.numbers[:]) + Counter(two.traces.numbers[:])
    both = {trace for trace, names in homes([one, two]).items() if len(names) > 1}
    after = sent.spans - spans_before
    eventually(lambda: counted_by([one, two]) >= sent.spans, WAIT)
    return [
        Finding("one away: traces sent meanwhile", None, str(len(meanwhile))),
        Finding(
            "one away: traces that the other one passed on meanwhile", str(len(meanwhile - of_one)), str(len(went_on))
        ),
        Finding("one back: traces that had waited for it", None, str(len(of_one))),
        Finding("one back: spans of that time that never arrived", "0", str(len(wanted - came.keys()))),
        Finding("one back: spans that arrived twice", "0", str(sum(n > 1 for n in came.values()))),
        Finding("one back: traces in both gateways", "0", str(len(both))),
        Finding("one back: spans counted, of both", str(sent.spans), str(counted_by([one, two]))),
        Finding("of these counted by the killed one before", None, str(killed_counted.total())),
        Finding("spans sent while it was away", None, str(after)),
    ]
