"""Promises of sampling/token_bucket.py."""

from __future__ import annotations

import itertools
import random

import pytest

from doubles import ManualClock
from otlp_tracing.config.settings import Budget, Load, Sampling, SamplingRule
from otlp_tracing.sampling.token_bucket import SAVED_SECONDS, Allowance

RULES = tuple(SamplingRule(name, (), (), (), (), 1.0) for name in ("a", "b"))


def sampling(budget: float = 10, **fields: object) -> Sampling:
    return Sampling(1.0, "follow", budget=Budget(budget), **fields)  # type: ignore[arg-type]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def spend(allowance: Allowance, clock: ManualClock, requests: int, seconds: float, rate: float = 1.0) -> list[float]:
    taken = []
    for _ in range(requests):
        clock.now += seconds / requests
        taken.append(allowance.take("", rate)[0])
    return taken


def test_little_traffic_keeps_its_rate(clock: ManualClock) -> None:
    """Below the share nothing is lowered, and nothing said of a budget."""
    allowance = Allowance(sampling(), clock, processes=1)

    assert set(spend(allowance, clock, 300, 60.0)) == {1.0}
    assert allowance.take("", 0.25) == (0.25, "")


@pytest.mark.parametrize("per_second", [20, 200, 20_000])
def test_steady_traffic_settles_at_the_share(clock: ManualClock, per_second: int) -> None:
    """The probability becomes share / requests, whatever the traffic is."""
    allowance = Allowance(sampling(), clock, processes=1)
    spend(allowance, clock, 20 * per_second, 20.0)

    assert spend(allowance, clock, 100, 100 / per_second)[-1] == pytest.approx(10 / per_second, rel=0.05)


def test_no_traffic_spends_more_than_there_is(clock: ManualClock) -> None:
    """In any period no more is spent than the share gave in it and was saved before, however requests come."""
    source, allowance = random.Random(1), Allowance(sampling(), clock, processes=1)
    spent = [(clock.now, 0.0)]
    while clock.now < 1300:
        clock.now += source.expovariate(10 ** source.uniform(-1, 3))
        spent.append((clock.now, allowance.take("", source.choice((0.1, 1.0)))[0]))

    for start in range(0, len(spent), 50):
        total = 0.0
        for at, amount in spent[start + 1 :]:
            total += amount
            assert total <= 10 * (at - spent[start][0]) + 10 * SAVED_SECONDS + 1e-6


def test_the_probability_never_jumps_down(clock: ManualClock) -> None:
    """A burst after a pause is met by steps: each request takes a part of the remaining credit."""
    allowance = Allowance(sampling(40), clock, processes=1)
    clock.now += 60
    taken = spend(allowance, clock, 1000, 0.1)

    assert taken[0] == 1
    assert all(after >= before * 0.98 for before, after in itertools.pairwise(taken))
    assert taken[-1] < 0.05


def test_a_rate_that_is_not_0_never_becomes_0(clock: ManualClock) -> None:
    """A million requests in a moment leave a probability to count by."""
    allowance = Allowance(sampling(1), clock, processes=1)

    assert min(allowance.take("", 0.5)[0] for _ in range(10_000)) > 0
    assert allowance.take("", 0.0) == (0.0, "")


def test_rules_have_shares_of_their_own(clock: ManualClock) -> None:
    """Credit that one rule spends is still there for another; an unknown name is part of the entry's own rate."""
    allowance = Allowance(sampling(rules=RULES), clock, processes=1)
    for _ in range(1000):
        allowance.take("a", 1.0)

    assert allowance.take("a", 1.0)[1] == "budget"
    assert allowance.take("b", 1.0) == (1.0, "")
    assert allowance.take("unknown", 1.0) == (1.0, "")


def test_a_process_begins_as_one_of_many(clock: ManualClock) -> None:
    """Until it is told its share, it takes the budget's part of one processor."""
    spent = {}
    for processes in (1, 4):
        allowance = Allowance(sampling(), clock, processes)
        spend(allowance, clock, 20_000, 20.0)
        spent[processes] = sum(spend(allowance, clock, 20_000, 20.0))

    assert spent == {1: pytest.approx(200, rel=0.02), 4: pytest.approx(50, rel=0.02)}


def test_a_new_share_counts_from_then_on(clock: ManualClock) -> None:
    """Earlier credit came in at the old share; shares of another configuration are passed over."""
    allowance = Allowance(sampling(), clock, processes=1)
    spend(allowance, clock, 20_000, 20.0)
    allowance.set(1.0, [30.0])
    allowance.set(1.0, [1.0, 2.0])

    assert sum(spend(allowance, clock, 20_000, 20.0)) == pytest.approx(600, rel=0.02)


def test_a_new_share_is_not_paid_for_the_past(clock: ManualClock) -> None:
    """A pause before it came in at the old share."""
    allowance = Allowance(sampling(), clock, processes=1)
    spend(allowance, clock, 20_000, 20.0)
    clock.now += 1
    allowance.set(1.0, [1000.0])

    assert sum(allowance.take("", 1.0)[0] for _ in range(10_000)) < 11


def test_load_lowers_every_rate(clock: ManualClock) -> None:
    """Its factor is on the rate, with a budget or without; a further reduction comes from the budget."""
    loaded = Allowance(Sampling(0.5, "follow", load=Load(0.8)), clock)
    both = Allowance(sampling(load=Load(0.8)), clock, processes=1)
    loaded.set(0.5, [])
    both.set(0.5, [10.0])

    assert loaded.take("", 0.5) == (0.25, "load")
    assert loaded.take("a", 1.0) == (0.5, "load")
    assert both.take("", 1.0) == (0.5, "load")
    assert min(both.take("", 1.0) for _ in range(1000)) < (0.1, "budget")
