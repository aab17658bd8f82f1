"""The measurements of one run of the command."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bench.kills import Kills
from bench.kong_profile import Profile
from bench.measurement import Loads, Measurement, median, median_loads
from bench.start import Starts
from bench.targets import Target, targets
from bench.with_kong import WithKong


@dataclass
class Results:
    """The parts that were asked for; the others are empty.

    Args:
        without_kong: of each subject, round by round.
        with_kong: of each gateway.
        profile: of each subject that was profiled.
        kills: of workers, by protocol and load.
        start: milliseconds.
    """

    without_kong: Mapping[str, Sequence[Measurement]] = field(default_factory=dict)
    with_kong: WithKong = field(default_factory=WithKong)
    profile: Mapping[str, Profile] = field(default_factory=dict)
    kills: Sequence[Kills] = ()
    start: Starts = field(default_factory=dict)

    @property
    def without_kong_medians(self) -> dict[str, Measurement]:
        """The median of each subject."""
        return {name: median(rounds) for name, rounds in self.without_kong.items()}

    def at_rate(self, rate: str) -> dict[str, Loads]:
        """Return the median of each gateway."""
        return {name: median_loads(rounds) for name, rounds in self.with_kong.rates[rate].items()}

    @property
    def targets(self) -> list[Target]:
        """The target ratios, and the measured ones."""
        return targets(self.without_kong_medians, self.with_kong.rates, self.kills)
