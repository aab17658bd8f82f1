"""The target ratios of the benchmarks."""

from __future__ import annotations

import pytest

from bench.measurement import Loads, Measurement
from bench.subjects import MSGPACK_BEFORE, NO_PLUGIN, PROTOBUF_QUEUE, SUBJECTS, ZIPKIN
from bench.targets import Target, targets
from bench.with_kong import LOGGED, RATES


def loads(nginx_us: float, p50_ms: float = 1.0) -> Loads:
    one = Measurement(1_000, p50_ms, 9.0, nginx_us=nginx_us, server_us=100, sidecar_us=100)
    return Loads(one, one, one)


def ratios(changed: dict[str, list[Loads]], *, before: bool = False) -> dict[str, Target]:
    names = [name for name, subject in SUBJECTS.items() if before or not subject.before]
    rounds = {name: [loads(200), loads(200), loads(200)] for name in names}
    return {one.text: one for one in targets({}, dict.fromkeys(RATES, rounds | changed), [])}


def test_a_ratio_is_that_of_neighbours_in_time() -> None:
    """A disturbance of a whole round changes no ratio, and one of a single turn no median."""
    found = ratios(
        {PROTOBUF_QUEUE: [loads(110), loads(1_100), loads(900)], ZIPKIN: [loads(100), loads(1_000), loads(100)]}
    )

    target = found[f"nginx µs, {PROTOBUF_QUEUE} / zipkin"]
    assert target.ratio == pytest.approx(1.1)
    assert target.bound == "at most 1.15"
    assert target.met


def test_an_added_latency_is_compared_with_that_of_zipkin() -> None:
    """The latency without a plugin is taken off on both sides; twice of the rest misses its target."""
    plain, zipkin, ours = ([loads(200, p50_ms)] * 3 for p50_ms in (1.0, 1.5, 2.0))
    found = ratios({NO_PLUGIN: plain, ZIPKIN: zipkin, PROTOBUF_QUEUE: ours})

    target = found[f"added p50 alone, {PROTOBUF_QUEUE} / zipkin"]
    assert target.ratio == pytest.approx(2.0)
    assert not target.met


def test_a_log_record_is_compared_with_a_kept_trace() -> None:
    """The sidecar's CPU time at 0 % with the access log, and at 100 % without it, by the medians of the rounds."""
    kept, logged = ([Loads(*[Measurement(1_000, 1.0, 9.0, sidecar_us=us)] * 3)] * 3 for us in (200, 150))
    names = [name for name, subject in SUBJECTS.items() if not subject.before]
    rates = {rate: dict.fromkeys(names, logged if rate == LOGGED else kept) for rate in RATES}
    found = [one for one in targets({}, rates, []) if "a log record" in one.text]

    assert [(one.ratio, one.met) for one in found] == [(0.75, False)] * 4


def test_another_build_is_compared_only_where_it_ran() -> None:
    """Each protocol and hand-over has a ratio at 100, 10 and 0 %, but only with `--before`."""
    slow = {MSGPACK_BEFORE: [loads(600)] * 3}

    with_it = [one for text, one in ratios(slow, before=True).items() if text.endswith("/ before")]
    assert len(with_it) == 12
    assert [one.met for one in with_it] == [True] * 6 + [False] * 6
    assert not [text for text in ratios({}) if text.endswith("/ before")]
