"""Targets for the figures. They are ratios, since these hold on another machine too.

A ratio of two gateways is the median of the ratios of each round, because their turns in a round are a moment apart.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from bench import subjects, without_kong
from bench.kills import Kills
from bench.measurement import Loads, Measurement, median_loads
from bench.with_kong import LOGGED

Figures = Mapping[str, Measurement]
Rates = Mapping[str, Mapping[str, Sequence[Loads]]]

_QUEUED = {"MessagePack": subjects.MSGPACK_QUEUE, "ProtoBuf": subjects.PROTOBUF_QUEUE}
_BY_PLUGIN = {"MessagePack": subjects.MSGPACK, "ProtoBuf": subjects.PROTOBUF}
_BEFORE = {"MessagePack": subjects.MSGPACK_BEFORE, "ProtoBuf": subjects.PROTOBUF_BEFORE}


@dataclass(frozen=True)
class Target:
    """One ratio.

    Args:
        text: the compared figures.
        bound: the target, as shown.
        ratio: the measured ratio.
        met: whether it meets the target.
    """

    text: str
    bound: str
    ratio: float
    met: bool


def targets(without: Figures, rates: Rates, kills: Sequence[Kills]) -> list[Target]:
    """Compare the measurements, with Kong and without."""
    killed = [one for one in kills if one.subject.startswith(subjects.MSGPACK)]
    return [
        *(_without_kong(without) if without else []),
        *(_with_kong(rates) if rates else []),
        *(_at_most(f"failed requests a killed worker, {one.subject}", one.per_kill, 0) for one in killed),
    ]


def _without_kong(figures: Figures) -> list[Target]:
    def cpu(name: str) -> float:
        return figures[name].server_us or 0.0

    def speed(name: str) -> float:
        return figures[name].requests_per_second

    found = [
        _at_most(f"CPU of {name} / stock", cpu(name) / cpu(without_kong.STOCK), bound)
        for name, bound in (("ours, MessagePack, 1 worker", 0.5), ("ours, ProtoBuf, 1 worker", 0.25))
    ]
    for protocol in ("MessagePack", "ProtoBuf"):
        one, two = f"ours, {protocol}, 1 worker", f"ours, {protocol}, 2 workers"
        found.append(_at_least(f"requests/s, {protocol}, 2 workers / 1 worker", speed(two) / speed(one), 1.7))
        found.append(_at_least(f"the same from work per CPU second, {protocol}", 2 * cpu(one) / cpu(two), 1.7))
    return found


def _with_kong(rates: Rates) -> Iterator[Target]:
    full = rates["100 %"]
    for protocol, name in _QUEUED.items():
        bound = {"MessagePack": 1.6, "ProtoBuf": 1.15}[protocol]
        yield _at_most(f"nginx µs, {name} / zipkin", _ratio(full, name, subjects.ZIPKIN, _nginx_us), bound)
    for protocol, before in _BEFORE.items():
        if before in full:
            for rate in ("100 %", "10 %", "0 %"):
                bounds = {_QUEUED[protocol]: 0.65 if rate == "100 %" else 0.5, _BY_PLUGIN[protocol]: 0.8}
                for name, bound in bounds.items():
                    text = f"CPU in all at {rate}, {name} / before"
                    yield _at_most(text, _ratio(rates[rate], name, before, _cpu_us), bound)
    for name in (*_BY_PLUGIN.values(), *_QUEUED.values()):
        # Not round by round: the turns of two rates are minutes apart.
        logged, kept = (median_loads(rounds[name]).full.sidecar_us or 0.0 for rounds in (rates[LOGGED], full))
        ratio = logged / max(1.0, kept)
        yield _at_most(f"sidecar µs at 0 %, {name}, a log record of each request / 100 % without", ratio, 0.7)
    for protocol, bound in {"MessagePack": 1.5, "ProtoBuf": 1.0}.items():
        for name in (_BY_PLUGIN[protocol], _QUEUED[protocol]):
            ratio = _added_p50(full, name) / max(0.001, _added_p50(full, subjects.ZIPKIN))
            yield _at_most(f"added p50 alone, {name} / zipkin", ratio, bound)
    for protocol, bound in {"MessagePack": 0.5, "ProtoBuf": 0.3}.items():
        for name in (_BY_PLUGIN[protocol], _QUEUED[protocol]):
            ratio = _ratio(full, name, subjects.TRIVIAL, _server_us)
            yield _at_most(f"server µs, {name} / {subjects.TRIVIAL}", ratio, bound)


def _nginx_us(one: Loads) -> float:
    return one.full.nginx_us or 0.0


def _server_us(one: Loads) -> float:
    return one.full.server_us or 0.0


def _cpu_us(one: Loads) -> float:
    return one.full.cpu_us


def _ratio(rounds: Mapping[str, Sequence[Loads]], name: str, other: str, figure: Callable[[Loads], float]) -> float:
    # A round of one second may be too short for a tick of the CPU clock.
    return statistics.median(
        figure(one) / max(1.0, figure(two)) for one, two in zip(rounds[name], rounds[other], strict=True)
    )


def _added_p50(rounds: Mapping[str, Sequence[Loads]], name: str) -> float:
    """Return the milliseconds that a plugin adds to a request of one connection."""
    pairs = zip(rounds[name], rounds[subjects.NO_PLUGIN], strict=True)
    return statistics.median(traced.alone.p50_ms - plain.alone.p50_ms for traced, plain in pairs)


def _at_most(text: str, ratio: float, bound: float) -> Target:
    return Target(text, f"at most {bound:g}", ratio, ratio <= bound)


def _at_least(text: str, ratio: float, bound: float) -> Target:
    return Target(text, f"at least {bound:g}", ratio, ratio >= bound)
