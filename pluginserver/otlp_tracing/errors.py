"""What can go wrong, by whose fault.

TracingError
├── ConfigError     what a person configured: names the field, the value and the rule
└── WireError       bytes from another process that break the protocol
    ├── FrameTooLarge
    └── UnsupportedVersion

No exception of a library crosses a subpackage's border; it becomes one of these there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["ConfigError", "Fault", "FrameTooLarge", "TracingError", "UnsupportedVersion", "WireError"]


class TracingError(Exception):
    """The root of everything this package raises on purpose."""


@dataclass(frozen=True)
class Fault:
    """One thing wrong with a configuration.

    Args:
        field: where, as a path: `sampling.rate`, `headers[1]`.
        value: what stands there, shown as JSON would show it; never a secret's value.
        rule: what it must be instead, as the end of a sentence: `must be between 0 and 1`.
    """

    field: str
    value: str
    rule: str

    def __str__(self) -> str:
        return f"{self.field} = {self.value}: {self.rule}" if self.value else f"{self.field}: {self.rule}"


class ConfigError(TracingError):
    """A configuration that cannot work, with every fault it has."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(str(fault) for fault in self.faults))


class WireError(TracingError):
    """The peer broke the protocol; the connection is of no further use."""


class FrameTooLarge(WireError):
    """A frame announces more bytes than the protocol allows."""


class UnsupportedVersion(WireError):
    """The peer speaks a version of the protocol that this side does not know."""
