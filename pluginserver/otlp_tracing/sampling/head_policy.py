"""The rules of the head decision that a policy file brings: the same for all entries of a process."""

from __future__ import annotations

import json
from collections.abc import Sequence

from otlp_tracing.config.settings import SamplingRule, Settings
from otlp_tracing.sampling.rules import Rules


class HeadPolicy:
    """The rules in force; they are replaced as a whole, while requests are decided."""

    __slots__ = ("rules",)

    def __init__(self) -> None:
        self.rules = Rules()

    def set(self, rules: Sequence[SamplingRule]) -> None:
        """Replace the rules.

        Raises:
            ConfigError: for a rule that cannot work; the rules before stay.
        """
        self.rules = Rules.of(rules, "policies")

    def set_json(self, rules: bytes) -> None:
        """Replace the rules by those of policies.rules_json.

        Raises:
            ConfigError: for anything else; the rules before stay.
            ValueError: likewise.
        """
        self.set(Settings.from_config({"sampling": {"rules": json.loads(rules)}}).sampling.rules)
