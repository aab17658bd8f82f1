"""Lowers the rates while the machine is busy.

Every few seconds: above `high` the rate is halved, below `low` it is raised by half until it is the
configured one again, between them it stays as it is. Pure.
"""

from __future__ import annotations

from otlp_tracing.config.settings import Load

PERIOD_SECONDS = 5.0
"""Between two measurements: shorter periods would follow single requests and garbage collections."""

# Four halvings. Then tracing costs so little that fewer traces would save nothing.
_LEAST = 1 / 16


class LoadFactor:
    """The factor of one entry."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self.value = 1.0
        """The factor on every rate, 1/16 to 1."""

    def observe(self, cpu: float) -> None:
        """Adjust to the CPU load of the last period, 0 to 1."""
        if self._load.high is None:
            return
        if cpu > self._load.high:
            self.value = max(self.value / 2, _LEAST)
        elif cpu < self._load.low:
            self.value = min(self.value * 1.5, 1.0)
