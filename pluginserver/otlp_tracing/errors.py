"""The exceptions of this package.

TracingError                 every exception that this package raises on purpose
├── ConfigError              a configuration or an option that cannot work: field, value and rule of each fault
│   └── UnreadableFileError  commands/kong_files/reader.py: a file of Kong's, with the place of the fault in it
├── WireError                bytes of another process that break the protocol
│   └── FrameTooLarge
├── KongCallError            plugin/pdk.py: Kong answered a call with an error
├── RefusalError             kong_server/instances.py: a request of Kong's that is answered with an error
│   └── NoInstanceError      it names an instance that does not exist
└── DiskError                sidecar/spool/writer.py: the spool cannot be written

An exception of a library does not leave the package that calls the library: it becomes one of these.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from typing import Literal

_LONGEST_SHOWN = 80  # characters
# Each begins where no other match can, so that a megabyte takes no longer than its length.
_USERINFO = re.compile(r"(?<![^/\"])[^/\"]*@")
_QUERY = re.compile(r"(://(?:(?!://)[^?#\"])*)[?#][^\"]*")


class TracingError(Exception):
    """The root of every exception that this package raises on purpose."""


def cut(text: str) -> str:
    """Return the beginning of a text, long enough to find it, for one line."""
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


@dataclass(frozen=True)
class Fault:
    """One fault of a configuration.

    Args:
        field: its path: `sampling.rate`, `headers[1]`; or the name of an option, a variable or a file; empty for the
            whole.
        value: as JSON; empty for a secret. The user and password before an `@`, the query of a URL, and the end of a
            long value are not shown.
        rule: the end of a sentence: `must be between 0 and 1`.
        kind: unknown for a field that does not exist, misspelt if a known field has a similar name; otherwise rule.
        option: of a command, `--page-token-file`, also where `field` is its variable; otherwise empty.
        command: for a shell, that mends it; empty if none is known.
    """

    field: str
    value: str
    rule: str
    kind: Literal["rule", "unknown", "misspelt"] = dataclass_field(default="rule", compare=False)
    option: str = dataclass_field(default="", compare=False)
    command: str = dataclass_field(default="", compare=False)

    def __str__(self) -> str:
        value = cut(_QUERY.sub(r"\1?…", _USERINFO.sub("…@", self.value)))
        named = f"{self.field} = {value}" if value else self.field
        return f"{named}: {self.rule}" if named else self.rule


class ConfigError(TracingError):
    """A configuration that cannot work, with all its faults."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(str(fault) for fault in self.faults))


class WireError(TracingError):
    """The peer broke the protocol; the connection has to be closed."""


class FrameTooLarge(WireError):
    """A frame announces more bytes than the protocol allows."""
