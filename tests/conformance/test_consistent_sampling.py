"""The head decision against OpenTelemetry's own consistent sampler, and estimates of all traces from the kept ones.

The peer is the SDK's composite sampler (experimental as of 1.45). It takes a rate to 56 bits, ours keeps the four
digits that the specification has by default. So the test compares two rates. At the probability that our `th` states,
both must agree on every id. At the configured rate they may differ only on ids between the two thresholds, at most one
in 100,000.

The bound on an estimate is computed, not chosen. A trace kept with probability p counts 1/p, and the variance of the
sum is that of independent draws. Four standard deviations are passed once in 16,000 trials. The seeds are fixed, so
the result does not change.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import pytest
from opentelemetry.sdk.trace._sampling_experimental import composable_traceid_ratio_based, composite_sampler
from opentelemetry.sdk.trace.sampling import Decision, Sampler
from opentelemetry.trace import TraceState

from otlp_tracing.config.settings import Budget, Load, Sampling, SamplingRule, Settings
from otlp_tracing.context import RequestContext
from otlp_tracing.propagation import tracestate as trace_state
from otlp_tracing.sampling import ot_tracestate as ot_state
from otlp_tracing.sampling import probability as head_sampling
from otlp_tracing.sampling import threshold
from otlp_tracing.sampling.head import RequestTracer
from simulation import Simulation, Traffic

IDS = 100_000
RATES = (0.0001, 0.001, 0.01, 0.05, 0.25, 1 / 3, 0.5, 0.9, 0.9999, 1.0)
DEVIATIONS = 4

# OpenTelemetry specification, trace/tracestate-probability-sampling.md.
ENCODED = {1.0: "0", 0.5: "8", 0.25: "c", 0.1: "e666", 0.01: "fd70a", 0.125: "e", 0.001: "ffbe77", 2**-56: "f" * 14}


@pytest.fixture(scope="module")
def ids() -> list[bytes]:
    source = random.Random(20)
    return [source.randbytes(16) for _ in range(IDS)]


def peer(rate: float) -> Sampler:
    return composite_sampler(composable_traceid_ratio_based(rate))


def kept_by_peer(sampler: Sampler, ids: Sequence[bytes]) -> set[bytes]:
    return {
        trace_id
        for trace_id in ids
        if sampler.should_sample(None, int.from_bytes(trace_id, "big"), "GET").decision is Decision.RECORD_AND_SAMPLE
    }


def kept_by_us(threshold_: int, ids: Sequence[bytes]) -> set[bytes]:
    return {trace_id for trace_id in ids if head_sampling.decide(trace_id, (), threshold_)[0]}


@pytest.mark.parametrize("rate", RATES)
def test_the_same_ids_are_kept_as_by_the_sdks_sampler(ids: list[bytes], rate: float) -> None:
    """Of 100,000 ids exactly the peer's; but for ids between its threshold and ours at the configured rate."""
    ours, exact = threshold.from_rate(rate), threshold.NEVER - round(rate * threshold.NEVER)
    between = {one for one in ids if min(ours, exact) <= threshold.randomness(one, None) < max(ours, exact)}
    kept, some = kept_by_us(ours, ids), [*between, *ids[: IDS // 10]]

    assert kept ^ kept_by_peer(peer(rate), ids) == between
    assert kept & {*some} == kept_by_peer(peer(threshold.probability(ours)), some)
    assert abs(ours - exact) / threshold.NEVER <= rate * 2**-12
    assert len(between) <= 1
    assert len(kept) == pytest.approx(rate * IDS, abs=DEVIATIONS * math.sqrt(IDS * rate * (1 - rate)))


@pytest.mark.parametrize("received", ["", "rv:00000000000001", "rv:ffffffffffffff", "rv:80000000000000;xy:1", "xy:1"])
@pytest.mark.parametrize("rate", [0.25, 0.5, 1.0])
def test_the_tracestate_is_the_peers(received: str, rate: float) -> None:
    """The same decision and the same `ot` member, whatever randomness and other keys a tracestate brings."""
    for trace_id in (b"\x01" * 16, b"\xff" * 16, bytes(9) + b"\xc0" + bytes(6)):
        state = f"ot={received},v=1" if received else ""
        theirs = peer(rate).should_sample(
            None, int.from_bytes(trace_id, "big"), "GET", trace_state=TraceState.from_header([state]) if state else None
        )
        kept, members = head_sampling.decide(trace_id, trace_state.parse([state]), threshold.from_rate(rate))

        assert kept == (theirs.decision is Decision.RECORD_AND_SAMPLE)
        assert _ot(trace_state.render(members)) == _ot(theirs.trace_state.to_header() if theirs.trace_state else "")


def _ot(header: str) -> dict[str, str]:
    return ot_state.read(trace_state.parse([header]))


@pytest.mark.parametrize(("probability", "encoded"), ENCODED.items())
def test_the_specifications_vectors(probability: float, encoded: str) -> None:
    """`th` as the specification's tables have it, and back."""
    assert threshold.encode(threshold.from_rate(probability)) == encoded
    decoded = threshold.decode(encoded)
    assert decoded is not None
    assert threshold.probability(decoded) == pytest.approx(probability, rel=2**-12)


def stated(context: RequestContext) -> float:
    """Read the probability as a backend does, from the tracestate alone."""
    decoded = threshold.decode(_ot(context.trace_state)["th"])
    assert decoded is not None
    return threshold.probability(decoded)


def off_by(contexts: Sequence[RequestContext]) -> float:
    """Return how many deviations the traces kept are off the number of all."""
    kept = [stated(context) for context in contexts if context.sampled]
    probabilities = [context.probability for context in contexts]
    assert all(context.trace_state == "" for context in contexts if not context.sampled)
    variance = sum((1 - p) / p for p in probabilities if p)
    return (sum(1 / p for p in kept) - len(contexts)) / math.sqrt(variance or 1)


@pytest.mark.parametrize("rate", [0.001, 0.01, 0.1, 0.5, 1.0])
def test_adjusted_counts_estimate_the_requests(rate: float) -> None:
    """Each kept trace represents 1/p requests: together they represent all requests, within the limits of chance."""
    tracer = RequestTracer.from_settings(Settings(sampling=Sampling(rate, "follow")), random.Random(4).randbytes)

    assert abs(off_by([tracer.begin({}) for _ in range(20_000)])) < DEVIATIONS


RULES = (
    SamplingRule("busy", (), ("/busy",), (), (), 0.5),
    SamplingRule("rare", (), ("/rare",), (), (), 1.0),
)


@pytest.mark.parametrize("seed", [1, 2])
def test_they_do_while_budget_and_load_move_the_rates(seed: int) -> None:
    """By path and in all: bursts, four workers, rules, a CPU that is busy half of the time."""
    moving = Sampling(0.8, "follow", RULES, budget=Budget(30), load=Load(0.8, 0.3))
    simulation = Simulation(moving, 4, seed, cpu=lambda at: 0.9 if at % 40 < 20 else 0.1)
    simulation.run(
        60,
        Traffic(lambda at: 400 if at % 10 < 4 else 20, 400),
        Traffic(lambda _at: 100, 100, "/busy"),
        Traffic(lambda _at: 3, 3, "/rare"),
    )
    by_path = {
        path: [context for _, where, context in simulation.seen if where == path] for path in ("/", "/busy", "/rare")
    }

    assert {context.decided_by for _, _, context in simulation.seen} == {"rate", "rule", "budget", "load"}
    assert all(abs(off_by(contexts)) < DEVIATIONS for contexts in by_path.values())
    assert abs(off_by([context for _, _, context in simulation.seen])) < DEVIATIONS


def test_a_moving_threshold_never_looks_at_the_id() -> None:
    """The probability of a request is the same whatever its id would have been."""
    runs = []
    for ids in (bytes, lambda size: b"\xff" * size, random.Random(9).randbytes):
        settings = Sampling(1.0, "follow", budget=Budget(5))
        simulation = Simulation(settings, seed=7, sidecar_is_away=lambda _at: True, ids=ids)
        simulation.run(20, Traffic(lambda at: 200 if at % 5 < 2 else 0, 200))
        runs.append([context.probability for _, _, context in simulation.seen])

    assert runs[0] == runs[1] == runs[2]
