"""The commands of this program that findings offer, with the address and the options of this run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from otlp_tracing.commands.option_kinds import Address
from otlp_tracing.paths import typed_command


@dataclass(frozen=True)
class OwnCommands:
    """Makes those commands.

    Args:
        address: of the sidecar's HTTP port.
        options: of doctor, as this run was given them.
    """

    address: Address
    options: Sequence[str] = ()

    def status(self) -> str:
        """Return the command that shows the state of the destinations."""
        return typed_command("status", "--http", str(self.address))

    def doctor(self, *words: str) -> str:
        """Return the command that runs doctor again, with words of its own."""
        return typed_command("doctor", *words, *self.options)
