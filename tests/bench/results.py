"""The measurements of one run of the command."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bench.kills import Kills
from bench.kong_profile import Profile
from bench.measurement import Measurement, median
from bench.targets import Target, targets

Rounds = Mapping[str, Sequence[Measurement]]


@dataclass
class Results:
    """The parts that were asked for; the others are empty.

    Args:
        without_kong: of each subject, round by round.
        with_kong: likewise.
        profile: of each subject that was profiled.
        kills: of workers, by protocol and load.
    """

    without_kong: Rounds = field(default_factory=dict)
    with_kong: Rounds = field(default_factory=dict)
    profile: Mapping[str, Profile] = field(default_factory=dict)
    kills: Sequence[Kills] = ()

    @property
    def rounds(self) -> dict[str, Rounds]:
        """The parts that went in rounds, by name."""
        parts = {"without_kong": self.without_kong, "with_kong": self.with_kong}
        return {name: part for name, part in parts.items() if part}

    def medians(self, part: str) -> dict[str, Measurement]:
        """Return a part's median of each subject."""
        return {name: median(one) for name, one in self.rounds.get(part, {}).items()}

    @property
    def targets(self) -> list[Target]:
        """The target ratios, and the measured ones."""
        return targets(self.medians("without_kong"), self.medians("with_kong"), self.kills)
