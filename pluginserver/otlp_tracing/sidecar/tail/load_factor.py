"""Lower the rates of a machine that is busy.

Every few seconds: above `high` the rate is halved, below `low` it is raised by half until it is the
configured one again, between them it stays as it is. Pure.
"""

from __future__ import annotations

from otlp_tracing.config.settings import Load

__all__ = ["PERIOD_SECONDS", "LoadFactor"]

PERIOD_SECONDS = 5.0
"""Between two looks at the load: shorter ones would follow single requests and garbage collections."""

# Four halvings. By then what tracing costs is far below what fewer traces could still save.
_LEAST = 1 / 16


class LoadFactor:
    """One entry's."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self.value = 1.0
        """The factor on every rate, 1/16 to 1."""

    def observe(self, cpu: float) -> None:
        """Take the CPU's load over the last period into account, 0 to 1."""
        if self._load.high is None:
            return
        if cpu > self._load.high:
            self.value = max(self.value / 2, _LEAST)
        elif cpu < self._load.low:
            self.value = min(self.value * 1.5, 1.0)
