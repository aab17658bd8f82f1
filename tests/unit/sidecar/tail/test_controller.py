"""Promises of sidecar/tail/controller.py."""

from __future__ import annotations

import dataclasses

import pytest

from doubles import ManualClock
from otlp_tracing.config.settings import Budget, Load, Sampling, SamplingRule
from otlp_tracing.handoff.frames import Decoder, Frame, Rates
from otlp_tracing.metrics import (
    CPU_LOAD,
    SAMPLING_BUDGET,
    SAMPLING_FACTOR,
    SAMPLING_PROBABILITY,
    SAMPLING_TRACES,
)
from otlp_tracing.sidecar.tail.controller import OWN, TICK_SECONDS, Link, RateKeeper
from otlp_tracing.sidecar.telemetry.registry import Metrics
from spans_of import CONTEXT

KEY = b"k" * 16
BUDGET = Sampling(1.0, "follow", budget=Budget(10))
ASKED = dataclasses.replace(CONTEXT, decided_by="rate", flags=1, probability=1.0)


class Process:
    """A process of the gateway, of which what it is told is kept."""

    def __init__(self, keeper: RateKeeper, name: bytes = b"process1", key: bytes | None = KEY) -> None:
        self.link = Link(name, self._receive)
        self.told: list[Frame] = []
        keeper.connect(self.link)
        if key is not None:
            keeper.announce(self.link, key)

    def shares(self) -> list[float]:
        assert self.told
        last = self.told[-1]
        assert isinstance(last, Rates)
        return last.shares

    def _receive(self, data: bytes) -> None:
        self.told += Decoder().feed(data)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def keeper(metrics: Metrics, clock: ManualClock) -> RateKeeper:
    return RateKeeper(metrics, clock)


def pass_time(keeper: RateKeeper, clock: ManualClock, seconds: float, cpu: float | None = None) -> None:
    for _ in range(round(seconds / TICK_SECONDS)):
        clock.now += TICK_SECONDS
        keeper.tick(lambda: cpu)


def test_processes_share_a_budget(keeper: RateKeeper, clock: ManualClock) -> None:
    """Evenly while nobody has traffic; nobody is told before the traffic could be known."""
    keeper.configure(KEY, "", BUDGET)
    processes = [Process(keeper, b"process%d" % number) for number in range(2)]
    pass_time(keeper, clock, 1.5)
    told_early = [list(process.told) for process in processes]
    pass_time(keeper, clock, 10)

    assert told_early == [[], []]
    assert [process.shares() for process in processes] == [[pytest.approx(5, rel=0.1)]] * 2


def test_records_that_waited_for_the_sidecar_are_no_debt(keeper: RateKeeper, clock: ManualClock) -> None:
    """After a minute without a sidecar the processes send a minute's records at once."""
    keeper.configure(KEY, "", BUDGET)
    process = Process(keeper)
    for _ in range(600):
        keeper.observe(KEY, process.link.process, ASKED, kept=True)
    pass_time(keeper, clock, 10)

    assert sum(sum(frame.shares) for frame in process.told[:1] if isinstance(frame, Rates)) == pytest.approx(
        10, rel=0.1
    )


def test_what_does_not_change_is_not_said_again(keeper: RateKeeper, clock: ManualClock) -> None:
    """A quiet gateway is told once; a process that connects anew is told at once."""
    keeper.configure(KEY, "", Sampling(1.0, "follow", load=Load(0.8)))
    process = Process(keeper)
    pass_time(keeper, clock, 60)
    again = Process(keeper)
    pass_time(keeper, clock, TICK_SECONDS)

    assert process.told == again.told == [Rates(KEY, 1.0, [])]


def test_a_process_that_is_gone_leaves_its_share(keeper: RateKeeper, clock: ManualClock) -> None:
    """The others get it; a late end of an old connection takes nothing from the new one."""
    keeper.configure(KEY, "", BUDGET)
    old, other = Process(keeper), Process(keeper, b"process2")
    new = Process(keeper)
    keeper.disconnect(old.link)
    pass_time(keeper, clock, 5)
    shared = other.shares()[0]
    keeper.disconnect(new.link)
    pass_time(keeper, clock, 5)

    assert new.shares() == [pytest.approx(shared, rel=0.1)]
    assert other.shares()[0] == pytest.approx(2 * shared, rel=0.1)


def test_a_process_is_told_of_its_own_entries_only(keeper: RateKeeper, clock: ManualClock) -> None:
    """Two entries have a budget each, also where they are configured alike."""
    keeper.configure(KEY, "one", BUDGET)
    keeper.configure(b"l" * 16, "two", BUDGET)
    one, two = Process(keeper), Process(keeper, b"process2", b"l" * 16)
    pass_time(keeper, clock, 10)

    assert {frame.key for frame in one.told if isinstance(frame, Rates)} == {KEY}
    assert one.shares() == two.shares() == [pytest.approx(10, rel=0.1)]


def test_a_process_that_cannot_be_told_is_taken_off_first(
    keeper: RateKeeper, metrics: Metrics, clock: ManualClock
) -> None:
    """What a gateway of before the budget keeps is kept unasked."""
    keeper.configure(KEY, "e", BUDGET)
    process = Process(keeper)
    for _ in range(40):
        for _ in range(3):
            keeper.observe(KEY, b"elderly!", dataclasses.replace(ASKED, probability=None), kept=True)
        pass_time(keeper, clock, TICK_SECONDS)

    assert process.shares() == [pytest.approx(4, rel=0.25)]
    assert metrics.value(SAMPLING_TRACES, entry="e") == pytest.approx(6, rel=0.1)


def test_the_sidecar_has_a_share_while_it_decides_itself(keeper: RateKeeper, clock: ManualClock) -> None:
    """Requests that Kong ended before `access` are decided in the sidecar, from the same budget."""
    own = keeper.configure(KEY, "", BUDGET)
    process = Process(keeper)
    assert own is not None
    for _ in range(200):
        for _ in range(100):
            probability, _ = own.take("", 1.0)
            keeper.observe(KEY, OWN, dataclasses.replace(ASKED, probability=probability, flags=0), kept=False)
            clock.now += TICK_SECONDS / 100
        keeper.tick(lambda: None)

    assert probability == pytest.approx(10 / 200, rel=0.35)
    assert process.shares()[0] < 1


def test_the_cpu_moves_the_rates_every_five_seconds(keeper: RateKeeper, metrics: Metrics, clock: ManualClock) -> None:
    """Halved while it is busy, raised by half when it is idle; shown and told."""
    keeper.configure(KEY, "e", Sampling(0.8, "follow", load=Load(0.8, 0.3)))
    process = Process(keeper)
    pass_time(keeper, clock, 10, cpu=0.95)
    busy = metrics.value(SAMPLING_FACTOR, entry="e", cause="load")
    probability, cpu = metrics.value(SAMPLING_PROBABILITY, entry="e"), metrics.value(CPU_LOAD)
    pass_time(keeper, clock, 5, cpu=0.1)

    assert (busy, cpu) == (0.25, 0.95)
    assert probability == pytest.approx(0.2)
    assert process.told[-1] == Rates(KEY, 0.375, [])


def test_a_cpu_that_cannot_be_measured_moves_nothing(keeper: RateKeeper, clock: ManualClock) -> None:
    """The rates stay as configured."""
    keeper.configure(KEY, "e", Sampling(0.8, "follow", load=Load(0.8, 0.3)))
    process = Process(keeper)
    pass_time(keeper, clock, 20, cpu=None)

    assert process.told == [Rates(KEY, 1.0, [])]
    assert keeper.cpu is None


def test_entries_whose_rates_stand_still_cost_nothing(keeper: RateKeeper, clock: ManualClock) -> None:
    """They are not told, not shown and not counted."""
    keeper.configure(KEY, "e", Sampling(0.8, "follow"))
    process = Process(keeper)
    keeper.observe(KEY, process.link.process, ASKED, kept=True)
    pass_time(keeper, clock, 10)

    assert process.told == []
    assert keeper.report() == []


def test_what_is_set_is_shown(keeper: RateKeeper, metrics: Metrics, clock: ManualClock) -> None:
    """Per entry, on /metrics and in the report; gone when the entry has been idle for minutes."""
    rule = SamplingRule("api", (), ("/api",), (), (), 0.5)
    keeper.configure(KEY, "e", dataclasses.replace(BUDGET, rules=(rule,)))
    process = Process(keeper)
    for _ in range(40):
        for _ in range(50):
            keeper.observe(KEY, process.link.process, dataclasses.replace(ASKED, probability=0.1, flags=0), kept=False)
        pass_time(keeper, clock, TICK_SECONDS)
    (report,) = keeper.report()
    shown = {cause: metrics.value(SAMPLING_FACTOR, entry="e", cause=cause) for cause in ("budget", "load")}
    pass_time(keeper, clock, 301)

    assert report["entry"] == "e"
    assert report["probability"] == pytest.approx(0.1)
    assert report["rules"] == {"api": 0.5}
    assert shown == {"budget": pytest.approx(0.1), "load": 1.0}
    assert keeper.report() == []
    assert metrics.registry.get_sample_value(SAMPLING_BUDGET.name, {"entry": "e"}) is None


def test_a_changed_configuration_takes_the_place_of_the_old(
    keeper: RateKeeper, metrics: Metrics, clock: ManualClock
) -> None:
    """Both have Kong's id of the entry; the new one is shown, also after the old one has been idle for minutes."""
    keeper.configure(KEY, "e", BUDGET)
    keeper.configure(b"l" * 16, "e", Sampling(1.0, "follow", budget=Budget(30)))
    shown = []
    for _ in range(400):
        keeper.observe(b"l" * 16, OWN, ASKED, kept=True)
        pass_time(keeper, clock, 1)
        shown.append(metrics.value(SAMPLING_BUDGET, entry="e"))

    assert set(shown) == {30}


def test_an_entry_that_is_configured_no_more_is_forgotten(
    keeper: RateKeeper, metrics: Metrics, clock: ManualClock
) -> None:
    """Its processes are told nothing more."""
    keeper.configure(KEY, "e", BUDGET)
    process = Process(keeper)
    pass_time(keeper, clock, 5)
    told = len(process.told)
    keeper.forget(KEY)
    pass_time(keeper, clock, 60)

    assert len(process.told) == told
    assert metrics.registry.get_sample_value(SAMPLING_BUDGET.name, {"entry": "e"}) is None
