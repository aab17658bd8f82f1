"""Targets for the figures. They are ratios, since these hold on another machine too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench import with_kong, without_kong
from bench.kills import Kills
from bench.measurement import Measurement

Figures = Mapping[str, Measurement]


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


def targets(without: Figures, with_: Figures, kills: Sequence[Kills]) -> list[Target]:
    """Compare the measurements, with Kong and without."""
    killed = [one for one in kills if one.subject.startswith(with_kong.MSGPACK)]
    return [
        *(_without_kong(without) if without else []),
        *(_with_kong(with_) if with_ else []),
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


def _with_kong(figures: Figures) -> list[Target]:
    def speed(name: str) -> float:
        return figures[name].requests_per_second

    return [
        _at_least("requests/s, ours over ProtoBuf / zipkin", speed(with_kong.PROTOBUF) / speed(with_kong.ZIPKIN), 1.0),
        _at_least(
            "requests/s, ours over ProtoBuf / opentelemetry",
            speed(with_kong.PROTOBUF) / speed(with_kong.OPENTELEMETRY),
            0.5,
        ),
        _at_least("requests/s, ours over MessagePack / stock", speed(with_kong.MSGPACK) / speed(with_kong.STOCK), 1.5),
    ]


def _at_most(text: str, ratio: float, bound: float) -> Target:
    return Target(text, f"at most {bound:g}", ratio, ratio <= bound)


def _at_least(text: str, ratio: float, bound: float) -> Target:
    return Target(text, f"at least {bound:g}", ratio, ratio >= bound)
