"""Promises of sidecar/tail/budget.py, alone and with real tracers and allowances in simulated time."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otlp_tracing.config.settings import Budget as BudgetSettings
from otlp_tracing.config.settings import Sampling, SamplingRule
from otlp_tracing.sidecar.tail.budget import Budget, water_fill
from simulation import Simulation, Traffic

TRACES = 20.0
MINUTE = 60


def sampling(*rules: SamplingRule, rate: float = 1.0) -> Sampling:
    return Sampling(rate, "follow", rules, budget=BudgetSettings(TRACES))


def steady(per_second: float, path: str = "/", weights: Sequence[float] = (), seconds: float = 0.02) -> Traffic:
    return Traffic(lambda _at: per_second, per_second, path, weights=weights, seconds=seconds)


def bursting(low: float, high: float, on: float = 5, off: float = 5) -> Traffic:
    return Traffic(lambda at: high if at % (on + off) < on else low, high)


def sampled_by_caller(source: random.Random) -> dict[str, list[str]]:
    return {"traceparent": [f"00-{source.randbytes(16).hex()}-{source.randbytes(8).hex()}-01"]}


TRAFFIC: dict[str, Callable[[], Traffic]] = {
    "steady": lambda: steady(100),
    "ten-times-for-seconds-then-nothing": lambda: bursting(0, 200),
    "ten-times-for-seconds": lambda: bursting(25, 250, 3, 7),
}


@pytest.mark.parametrize("workers", [1, 2, 4])
@pytest.mark.parametrize("traffic", TRAFFIC)
def test_the_budget_holds(traffic: str, workers: int) -> None:
    """Within a tenth in every minute, under steady and bursting load, however many workers share it."""
    simulation = Simulation(sampling(), workers)
    simulation.run(100, TRAFFIC[traffic]())
    minutes = [kept / MINUTE / TRACES for kept in simulation.kept_in_windows(MINUTE)]

    # Workers begin with half of their maximum savings, so the first minute may keep fewer traces.
    assert min(minutes[10:]) > 0.9
    assert max(minutes) < 1.1


@pytest.mark.parametrize("traffic", [steady(20), bursting(0, 40)], ids=["steady", "bursting"])
def test_a_small_budget_holds_over_five_minutes(traffic: Traffic) -> None:
    """A trace a second for four workers: chance moves single minutes by more than a tenth, and is evened out."""
    simulation = Simulation(Sampling(1.0, "follow", budget=BudgetSettings(1)), workers=4)
    simulation.run(400, traffic)
    shares = [kept / 300 for kept in simulation.kept_in_windows(300)]

    assert min(shares) > 0.9
    assert max(shares) < 1.1


def test_a_burst_after_a_pause_costs_five_seconds_worth() -> None:
    """Unused budget is saved, for five seconds and no longer."""
    simulation = Simulation(sampling(), workers=4)
    simulation.run(70, bursting(0, 800, on=10, off=50))
    first_second, burst = (len(simulation.kept(60, until)) / TRACES for until in (61, 70))

    assert first_second < 7
    assert 13 < burst < 16.5


def test_traffic_below_the_budget_is_left_alone() -> None:
    """The configured rate applies if it keeps less."""
    simulation = Simulation(sampling(), workers=2)
    simulation.run(60, steady(8))

    assert {context.decided_by for _, _, context in simulation.seen} == {"rate"}


def test_workers_with_unlike_traffic_share_by_traffic() -> None:
    """One of four workers has nearly all requests, and gets nearly all of the budget."""
    simulation = Simulation(sampling(), workers=4)
    simulation.run(120, steady(100, weights=(0.97, 0.01, 0.01, 0.01)))

    assert len(simulation.kept(MINUTE)) == pytest.approx(TRACES * MINUTE, rel=0.1)


def test_a_busy_rule_starves_no_rare_one() -> None:
    """A rule with two requests a second keeps nearly all of them beside one with a hundred and fifty."""
    rare = SamplingRule("rare", (), ("/rare",), (), (), 1.0)
    simulation = Simulation(sampling(rare), workers=2)
    simulation.run(120, steady(150), steady(2, "/rare"))
    seen = sum(1 for at, path, _ in simulation.seen if path == "/rare" and at >= 10)

    assert len(simulation.kept(10, path="/rare")) > 0.8 * seen
    assert len(simulation.kept(MINUTE)) == pytest.approx(TRACES * MINUTE, rel=0.1)


def test_callers_decisions_are_obeyed_and_counted() -> None:
    """Traces that callers sampled are all kept; the local decisions yield to them, and the budget holds."""
    simulation = Simulation(sampling(), workers=2)
    callers = Traffic(lambda _at: 12, 12, "/called", sampled_by_caller)
    simulation.run(120, steady(100), callers)
    called = [context for _, path, context in simulation.seen if path == "/called"]

    assert all(context.sampled and context.decided_by == "parent" for context in called)
    assert len(simulation.kept(MINUTE)) == pytest.approx(TRACES * MINUTE, rel=0.1)


def test_callers_who_take_all_leave_a_twentieth() -> None:
    """Something is decided here all the same, to count by."""
    simulation = Simulation(sampling(), workers=2)
    simulation.run(90, steady(100), Traffic(lambda _at: 40, 40, "/called", sampled_by_caller))

    assert len(simulation.kept(30, path="/")) == pytest.approx(0.05 * TRACES * 60, rel=0.3)


def test_requests_that_take_long_do_not_make_it_swing() -> None:
    """A kept trace is known half a minute late; the average holds, and no minute is far from it."""
    simulation = Simulation(sampling(), workers=2)
    simulation.run(180, steady(100, seconds=30))

    assert len(simulation.kept()) == pytest.approx(TRACES * 180, rel=0.1)
    assert max(simulation.kept_in_windows(MINUTE)) < 1.2 * TRACES * MINUTE


def test_it_holds_while_the_sidecar_is_away() -> None:
    """Each worker continues with its last share."""
    simulation = Simulation(sampling(), workers=4, sidecar_is_away=lambda at: at > 20)
    simulation.run(120, bursting(0, 200))

    assert max(simulation.kept_in_windows(MINUTE)) < 1.1 * TRACES * MINUTE
    assert len(simulation.kept(MINUTE)) > 0.85 * TRACES * MINUTE


def test_it_holds_over_restarts_of_the_sidecar() -> None:
    """A sidecar that knows nothing yet hands nothing out that is spent already."""
    simulation = Simulation(sampling(), workers=4)
    for _ in range(9):
        simulation.run(15, bursting(0, 200))
        simulation.start_sidecar()

    assert max(simulation.kept_in_windows(MINUTE)) < 1.1 * TRACES * MINUTE
    assert len(simulation.kept(MINUTE, 2 * MINUTE)) > 0.85 * TRACES * MINUTE


def test_shares_never_exceed_the_budget() -> None:
    """For any requests, the sum of the shares is at most the budget and a twelfth."""
    source = random.Random(3)
    budget = Budget(sampling(SamplingRule("a", (), (), (), (), 0.5)), 0.0)
    processes = [b"1", b"2", b"3"]
    for tick in range(1, 400):
        for _ in range(source.randrange(200)):
            stream = source.choice(("", "a"))
            budget.decided(source.choice(processes), stream, 0.1, kept=source.random() < 0.1)
        shares = budget.tick(tick / 2, source.sample(processes, source.randrange(1, 4)), 1.0)

        assert sum(map(sum, shares.values())) <= TRACES * (1 + 1 / 12) + 1e-9
        assert min(map(min, shares.values())) > 0


def handed_out(budget: Budget, seconds: float, kept_unasked: float = 0.0, of_share: float = 1.0) -> list[float]:
    """Let a worker keep a part of its share, and return its share at each tick."""
    told, kept = [TRACES], 0.0
    for _ in range(round(seconds * 2)):
        kept += of_share * told[-1] / 2
        for _ in range(int(kept)):
            budget.decided(b"1", "", 1.0, kept=True)
        kept -= int(kept)
        for _ in range(round(kept_unasked / 2)):
            budget.kept_unasked()
        (shares,) = budget.tick(budget.measured_at + 0.5, [b"1"], 1.0).values()
        told.append(sum(shares))
    return told[1:]


def test_a_storm_is_repaid() -> None:
    """After seconds of errors that were all kept, less is handed out until the budget is made good, and no longer."""
    budget = Budget(sampling(), 0.0)
    quiet = handed_out(budget, 60)[-1]
    storm = handed_out(budget, 2, kept_unasked=10 * TRACES)[-1]
    after = handed_out(budget, 90)

    assert storm == pytest.approx(0.05 * TRACES)
    assert sum(after[:40]) / 40 < 0.6 * quiet
    assert after[-1] == pytest.approx(quiet, rel=0.02)


def test_what_chance_leaves_unspent_is_handed_out_again() -> None:
    """A process that keeps a twentieth less than it may is told a twentieth more, within a minute or two."""
    budget = Budget(sampling(), 0.0)

    assert handed_out(budget, 120, of_share=0.95)[-1] == pytest.approx(TRACES / 0.95, rel=0.01)


def test_a_process_that_is_gone_is_forgotten() -> None:
    """Nothing is kept of processes that came and went."""
    budget = Budget(sampling(), 0.0)
    for number in range(100):
        budget.decided(b"%d" % number, "", 1.0, kept=True)
    for tick in range(1, 100):
        budget.tick(tick / 2, [b"0"], 1.0)

    assert budget.asking() <= {b"0"}


@given(st.lists(st.floats(0, 1e6), max_size=10), st.floats(0, 1e6))
def test_water_is_filled_fairly(demands: list[float], supply: float) -> None:
    """No demand gets more than it asks for, no demanded supply is left over, and the smaller parts are equal."""
    given_ = water_fill(demands, supply)
    short = [got for got, wanted in zip(given_, demands, strict=True) if got < wanted]

    assert all(got <= wanted for got, wanted in zip(given_, demands, strict=True))
    assert sum(given_) == pytest.approx(min(supply, sum(demands)), rel=1e-6, abs=1e-6)
    assert all(got == pytest.approx(max(given_), rel=1e-6, abs=1e-6) for got in short)
