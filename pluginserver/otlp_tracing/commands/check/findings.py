"""The findings of `otlp-tracing check`, and their forms: lines of text, JSON, and annotations of GitHub."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from otlp_tracing.commands.screen import printable
from otlp_tracing.errors import Fault

_SECRET_FIELD = re.compile(r"header|key|cert", re.IGNORECASE)
_NAME = re.compile(r"[\w\[\]-]{1,40}")


@dataclass(frozen=True)
class Finding:
    """A fault, or a warning, at a place in a file."""

    file: str
    line: int
    column: int
    place: str
    text: str
    is_fault: bool = True

    def __str__(self) -> str:
        place = f" {self.place}:" if self.place else ""
        return f"{self.file}:{self.line}:{self.column}:{place} {'' if self.is_fault else 'warning: '}{self.text}"


def text_of(fault: Fault) -> str:
    """Return a fault as text, without the value of a header or key, of a record or list, and of a password in a URL."""
    if not fault.field:
        return fault.rule
    is_shown = not _SECRET_FIELD.search(fault.field) and fault.value[:1] not in {"{", "["}
    head, _, name = fault.field.removeprefix("config.").rpartition(".")
    name = name if _NAME.fullmatch(name) or not name else "…"
    return str(Fault(f"{head}.{name}" if head else name, fault.value if is_shown else "", fault.rule))


def _text(findings: Sequence[Finding]) -> None:
    for one in findings:
        print(printable(str(one)), file=sys.stderr)


def _json(findings: Sequence[Finding]) -> None:
    print(json.dumps([{**vars(one), "level": "error" if one.is_fault else "warning"} for one in findings], indent=1))


def _github(findings: Sequence[Finding]) -> None:
    for one in findings:
        where = f"file={_escaped(one.file, ',:')},line={one.line},col={one.column}"
        text = _escaped(f"{one.place}: {one.text}" if one.place else one.text)
        print(f"::{'error' if one.is_fault else 'warning'} {where}::{text}")


def _escaped(text: str, more: str = "") -> str:
    # GitHub, "Workflow commands": %, and in a property , and : too, are written as % and two digits.
    return "".join(f"%{ord(one):02X}" if one in f"%{more}" else one for one in printable(text))


PRINTERS: Mapping[str, Callable[[Sequence[Finding]], None]] = {"text": _text, "json": _json, "github": _github}
