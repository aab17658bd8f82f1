"""A finding of `doctor`: one line for a person, one object for a program."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal

from otlp_tracing.commands.screen import Screen, printable

Level = Literal["ok", "note", "warn", "FAIL"]
"""`note` is for a question that could not be asked, or that has no answer yet."""
_COLOURS: Mapping[Level, str] = {"ok": "green", "note": "dim", "warn": "yellow", "FAIL": "red"}
# Of the variables that this product and Kong read: others have words such as true, which would be hidden everywhere.
_SECRET_NAME = re.compile(r"(?:OTEL|OTLP|KONG)_.*(?:HEADER|KEY|TOKEN|PASSWORD|SECRET)", re.IGNORECASE)
_SHORTEST_SECRET = 4  # a shorter value is in many texts by chance


@dataclass(frozen=True)
class Finding:
    """The answer to one question.

    Args:
        level: FAIL if tracing cannot work so.
        subject: the part that was asked: `kong.conf`, `socket`, the endpoint of a destination.
        text: one sentence.
        command: the shell command that mends it; words in capitals in it are for the reader to fill in.
    """

    level: Level
    subject: str
    text: str
    command: str = ""


@dataclass(frozen=True)
class Unasked(Finding):
    """A question that could not be asked."""


@dataclass(frozen=True)
class AcceptedExport(Finding):
    """A destination's answer that is well: it accepts an export."""


@dataclass(frozen=True)
class Removal(Finding):
    """A finding with a command that removes a line of kong.conf."""


def unasked(subject: str, reason: str, command: str = "", *, question: str = "") -> Unasked:
    """Return the finding about a question that could not be asked.

    Args:
        subject: as in Finding.
        reason: one sentence.
        command: after which it can be asked.
        question: the one of several about the subject: `TLS`.
    """
    return Unasked("note", subject, f"{f'{question}: ' if question else ''}not asked: {reason}", command)


class Masking:
    """Hides the values of headers and keys, which a collector's answer or a command may repeat."""

    def __init__(self) -> None:
        self._secrets: set[str] = set()

    def add(self, *values: str) -> None:
        """Hide a value, and each of its words: `Bearer abc` has the secret abc."""
        for value in values:
            words = {value.strip(), *re.split(r"[\s=,;:]+", value)}
            self._secrets |= {word for word in words if len(word) >= _SHORTEST_SECRET and word.lower() not in _PUBLIC}

    def add_variables(self, variables: Mapping[str, str]) -> None:
        """Hide the values of the variables that have the name of a secret."""
        self.add(*(value for name, value in variables.items() if _SECRET_NAME.search(name)))

    def mask(self, text: str) -> str:
        """Return a text without those values."""
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, "…")
        return text


_PUBLIC = frozenset({"bearer", "basic", "authorization", "x-api-key", "api-key", "token"})


def show(findings: Iterable[Finding], masking: Masking, *, reload: str, restart: str, as_json: bool) -> int:
    """Print the findings as they come, and return the exit code: 1 with any FAIL.

    Args:
        findings: in order.
        masking: of their texts and commands.
        reload: the command by which Kong reads a changed configuration.
        restart: the command after which it has forgotten a line that was removed.
        as_json: print JSON.
    """
    shown: list[Finding] = []
    screen = Screen()
    for one in findings:
        text, command = (masking.mask(printable(value)) for value in (one.text, one.command))
        shown.append(replace(one, subject=printable(one.subject), text=text, command=command))
        if not as_json:
            run = f" -- run: {command}" if command else ""
            screen.line((f"{one.level:4}", _COLOURS[one.level]), f"  {shown[-1].subject}: {text}{run}")
    if as_json:
        print(json.dumps([asdict(one) for one in shown], indent=1))
    else:
        screen.line(_summary(shown, reload, restart))
    return 1 if any(one.level == "FAIL" for one in shown) else 0


def _summary(findings: Sequence[Finding], reload: str, restart: str) -> str:
    failed, warned = (sum(one.level == level for one in findings) for level in ("FAIL", "warn"))
    if not failed and not warned:
        count = sum(isinstance(one, Unasked) for one in findings)
        return "nothing wrong was found" + (f"; {count} questions could not be asked" if count else "")
    hint = f"; after a change of kong.conf or kong.yml: {reload}" if failed else ""
    if any(isinstance(one, Removal) for one in findings):
        hint = f"; after a change of kong.conf or kong.yml, a removed line too: {restart}"
    return f"{failed} failed, {warned} {'warning' if warned == 1 else 'warnings'}{hint}"
