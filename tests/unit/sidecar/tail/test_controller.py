"""Promises of sidecar/tail/controller.py."""

from __future__ import annotations

import dataclasses

import pytest

from doubles import ManualClock
from otlp_tracing.config.settings import Budget, Load, Sampling, SamplingRule
from otlp_tracing.context import RequestContext
from otlp_tracing.handoff.frames import Decoder, Frame, Policy, Rates, encode
from otlp_tracing.metrics import (
    CPU_LOAD,
    SAMPLING_BUDGET,
    SAMPLING_FACTOR,
    SAMPLING_PROBABILITY,
    SAMPLING_TRACES,
)
from otlp_tracing.sidecar.ingest.worker_link import WorkerLink
from otlp_tracing.sidecar.outcome import RequestOutcome
from otlp_tracing.sidecar.tail.controller import LOCAL, TICK_SECONDS, SamplingController
from otlp_tracing.sidecar.telemetry.registry import Metrics
from spans_of import CONTEXT, outcome_of

KEY = b"k" * 16
BUDGET = Sampling(1.0, "follow", budget=Budget(10))
ASKED = dataclasses.replace(CONTEXT, decided_by="rate", flags=1, probability=1.0)


class Process:
    """A worker that keeps the frames it receives."""

    def __init__(self, rates: SamplingController, name: bytes = b"process1", key: bytes | None = KEY) -> None:
        self.link = WorkerLink(name, self._receive)
        self.told: list[Frame] = []
        rates.connect(self.link)
        if key is not None:
            rates.announce(self.link, key)

    def shares(self) -> list[float]:
        assert self.told
        last = self.told[-1]
        assert isinstance(last, Rates)
        return last.shares

    def _receive(self, data: bytes) -> None:
        self.told += Decoder().feed(data)


def observed(context: RequestContext, worker_id: bytes, key: bytes = KEY) -> RequestOutcome:
    return outcome_of(context, entry=(key, ""), worker_id=worker_id)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def rates(metrics: Metrics, clock: ManualClock) -> SamplingController:
    return SamplingController(metrics, clock)


def pass_time(rates: SamplingController, clock: ManualClock, seconds: float, cpu: float | None = None) -> None:
    for _ in range(round(seconds / TICK_SECONDS)):
        clock.now += TICK_SECONDS
        rates.tick(lambda: cpu)


def test_processes_share_a_budget(rates: SamplingController, clock: ManualClock) -> None:
    """Evenly without traffic; no worker gets a share before the traffic could be known."""
    rates.configure(KEY, "", BUDGET)
    processes = [Process(rates, b"process%d" % number) for number in range(2)]
    pass_time(rates, clock, 1.5)
    told_early = [list(process.told) for process in processes]
    pass_time(rates, clock, 10)

    assert told_early == [[], []]
    assert [process.shares() for process in processes] == [[pytest.approx(5, rel=0.1)]] * 2


def test_records_that_waited_for_the_sidecar_are_no_debt(rates: SamplingController, clock: ManualClock) -> None:
    """After a minute without a sidecar the processes send a minute's records at once."""
    rates.configure(KEY, "", BUDGET)
    process = Process(rates)
    for _ in range(600):
        rates.observe(observed(ASKED, process.link.worker_id))
    pass_time(rates, clock, 10)

    assert sum(sum(frame.shares) for frame in process.told[:1] if isinstance(frame, Rates)) == pytest.approx(
        10, rel=0.1
    )


def test_a_policy_is_sent_to_all_workers_that_understand_it(rates: SamplingController) -> None:
    """At once, and to those that connect later; a worker of an older version gets none."""
    first = Process(rates)
    old = WorkerLink(b"process0", lambda _: pytest.fail("it does not know the frame"), version=3)
    rates.connect(old)
    rates.send_policy(encode(Policy(b"[]")))
    later = Process(rates, b"process2")

    assert first.told == later.told == [Policy(b"[]")]


def test_a_trace_dropped_later_is_not_counted_against_the_budget(
    rates: SamplingController, clock: ManualClock, metrics: Metrics
) -> None:
    """It is not kept."""
    rates.configure(KEY, "entry", BUDGET)
    process = Process(rates)
    for _ in range(40):
        rates.observe(outcome_of(ASKED, entry=(KEY, ""), worker_id=process.link.worker_id, is_dropped_later=True))
        pass_time(rates, clock, TICK_SECONDS)

    assert metrics.value(SAMPLING_TRACES, entry="entry") == 0


def test_what_does_not_change_is_not_said_again(rates: SamplingController, clock: ManualClock) -> None:
    """A quiet gateway is told once; a process that connects anew is told at once."""
    rates.configure(KEY, "", Sampling(1.0, "follow", load=Load(0.8)))
    process = Process(rates)
    pass_time(rates, clock, 60)
    again = Process(rates)
    pass_time(rates, clock, TICK_SECONDS)

    assert process.told == again.told == [Rates(KEY, 1.0, [])]


def test_a_process_that_is_gone_leaves_its_share(rates: SamplingController, clock: ManualClock) -> None:
    """The others get it; a late end of an old connection takes nothing from the new one."""
    rates.configure(KEY, "", BUDGET)
    old, other = Process(rates), Process(rates, b"process2")
    new = Process(rates)
    rates.disconnect(old.link)
    pass_time(rates, clock, 5)
    shared = other.shares()[0]
    rates.disconnect(new.link)
    pass_time(rates, clock, 5)

    assert new.shares() == [pytest.approx(shared, rel=0.1)]
    assert other.shares()[0] == pytest.approx(2 * shared, rel=0.1)


def test_a_process_is_told_of_its_own_entries_only(rates: SamplingController, clock: ManualClock) -> None:
    """Two entries have a budget each, also where they are configured alike."""
    rates.configure(KEY, "one", BUDGET)
    rates.configure(b"l" * 16, "two", BUDGET)
    one, two = Process(rates), Process(rates, b"process2", b"l" * 16)
    pass_time(rates, clock, 10)

    assert {frame.key for frame in one.told if isinstance(frame, Rates)} == {KEY}
    assert one.shares() == two.shares() == [pytest.approx(10, rel=0.1)]


def test_a_process_that_cannot_be_told_is_taken_off_first(
    rates: SamplingController, metrics: Metrics, clock: ManualClock
) -> None:
    """Traces of a worker from before the budget count as kept regardless of it."""
    rates.configure(KEY, "e", BUDGET)
    process = Process(rates)
    for _ in range(40):
        for _ in range(3):
            rates.observe(observed(dataclasses.replace(ASKED, probability=None), b"elderly!"))
        pass_time(rates, clock, TICK_SECONDS)

    assert process.shares() == [pytest.approx(4, rel=0.25)]
    assert metrics.value(SAMPLING_TRACES, entry="e") == pytest.approx(6, rel=0.1)


def test_the_sidecar_has_a_share_while_it_decides_itself(rates: SamplingController, clock: ManualClock) -> None:
    """Requests that Kong ended before `access` are decided in the sidecar, from the same budget."""
    own = rates.configure(KEY, "", BUDGET)
    process = Process(rates)
    assert own is not None
    for _ in range(200):
        for _ in range(100):
            probability, _ = own.take("", 1.0)
            rates.observe(observed(dataclasses.replace(ASKED, probability=probability, flags=0), LOCAL))
            clock.now += TICK_SECONDS / 100
        rates.tick(lambda: None)

    assert probability == pytest.approx(10 / 200, rel=0.35)
    assert process.shares()[0] < 1


def test_the_cpu_moves_the_rates_every_five_seconds(
    rates: SamplingController, metrics: Metrics, clock: ManualClock
) -> None:
    """Halved while it is busy, raised by half when it is idle; shown and told."""
    rates.configure(KEY, "e", Sampling(0.8, "follow", load=Load(0.8, 0.3)))
    process = Process(rates)
    pass_time(rates, clock, 10, cpu=0.95)
    busy = metrics.value(SAMPLING_FACTOR, entry="e", cause="load")
    probability, cpu = metrics.value(SAMPLING_PROBABILITY, entry="e"), metrics.value(CPU_LOAD)
    pass_time(rates, clock, 5, cpu=0.1)

    assert (busy, cpu) == (0.25, 0.95)
    assert probability == pytest.approx(0.2)
    assert process.told[-1] == Rates(KEY, 0.375, [])


def test_a_cpu_that_cannot_be_measured_moves_nothing(rates: SamplingController, clock: ManualClock) -> None:
    """The rates stay as configured."""
    rates.configure(KEY, "e", Sampling(0.8, "follow", load=Load(0.8, 0.3)))
    process = Process(rates)
    pass_time(rates, clock, 20, cpu=None)

    assert process.told == [Rates(KEY, 1.0, [])]
    assert rates.cpu is None


def test_entries_whose_rates_stand_still_cost_nothing(rates: SamplingController, clock: ManualClock) -> None:
    """They are not told, not shown and not counted."""
    rates.configure(KEY, "e", Sampling(0.8, "follow"))
    process = Process(rates)
    rates.observe(observed(ASKED, process.link.worker_id))
    pass_time(rates, clock, 10)

    assert process.told == []
    assert rates.report() == []


def test_what_is_set_is_shown(rates: SamplingController, metrics: Metrics, clock: ManualClock) -> None:
    """Per entry, on /metrics and in the report; gone when the entry has been idle for minutes."""
    rule = SamplingRule("api", (), ("/api",), (), (), 0.5)
    rates.configure(KEY, "e", dataclasses.replace(BUDGET, rules=(rule,)))
    process = Process(rates)
    for _ in range(40):
        for _ in range(50):
            rates.observe(observed(dataclasses.replace(ASKED, probability=0.1, flags=0), process.link.worker_id))
        pass_time(rates, clock, TICK_SECONDS)
    (report,) = rates.report()
    shown = {cause: metrics.value(SAMPLING_FACTOR, entry="e", cause=cause) for cause in ("budget", "load")}
    pass_time(rates, clock, 301)

    assert report["entry"] == "e"
    assert report["probability"] == pytest.approx(0.1)
    assert report["rules"] == {"api": 0.5}
    assert shown == {"budget": pytest.approx(0.1), "load": 1.0}
    assert rates.report() == []
    assert metrics.registry.get_sample_value(SAMPLING_BUDGET.name, {"entry": "e"}) is None


def test_a_changed_configuration_takes_the_place_of_the_old(
    rates: SamplingController, metrics: Metrics, clock: ManualClock
) -> None:
    """Both have Kong's id of the entry; the new one is shown, also after the old one has been idle for minutes."""
    rates.configure(KEY, "e", BUDGET)
    rates.configure(b"l" * 16, "e", Sampling(1.0, "follow", budget=Budget(30)))
    shown = []
    for _ in range(400):
        rates.observe(observed(ASKED, LOCAL, b"l" * 16))
        pass_time(rates, clock, 1)
        shown.append(metrics.value(SAMPLING_BUDGET, entry="e"))

    assert set(shown) == {30}


def test_an_entry_that_is_configured_no_more_is_forgotten(
    rates: SamplingController, metrics: Metrics, clock: ManualClock
) -> None:
    """Its processes are told nothing more."""
    rates.configure(KEY, "e", BUDGET)
    process = Process(rates)
    pass_time(rates, clock, 5)
    told = len(process.told)
    rates.forget(KEY)
    pass_time(rates, clock, 60)

    assert len(process.told) == told
    assert metrics.registry.get_sample_value(SAMPLING_BUDGET.name, {"entry": "e"}) is None
