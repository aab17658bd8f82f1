"""The kinds of options: each is a function that turns an option's text into its value.

It raises ValueError with the rule, the end of a sentence: `must be ADDRESS:PORT`. Imports nothing that takes time:
`serve` binds its socket after it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from otlp_tracing.config.tokens import read_token
from otlp_tracing.errors import ConfigError
from otlp_tracing.logs.file import CONTAINER, LogFile

_HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?|\[?[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*\]?")
_HOST_NAMES = rf"\s*|\s*(?:{_HOST_NAME.pattern})\s*(?:,\s*(?:{_HOST_NAME.pattern})?\s*)*"
_UNITS = {"": 0, "KiB": 10, "MiB": 20, "GiB": 30}

Kind = Callable[[str], Any]


class Address(NamedTuple):
    """Where an HTTP port is listened at or asked; port 0 listens at a free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read `127.0.0.1:9464`, `[::1]:9464` or `:9464`."""
        host, colon, port = text.rpartition(":")
        is_port = port.isascii() and port.isdecimal() and int(port[:6]) <= 65_535
        if not colon or not is_port or (host and not _HOST_NAME.fullmatch(host)):
            raise ValueError("must be ADDRESS:PORT, such as 127.0.0.1:9464")
        return cls(host.strip("[]") or "127.0.0.1", int(port))


def optional_address(text: str) -> Address | str:
    """Read an address, or `off`."""
    return text if text == "off" else Address.parse(text)


def choice(*names: str) -> Kind:
    """Make the kind that takes one of a few words."""

    def read(text: str) -> str:
        if text not in names:
            raise ValueError(f"must be {', '.join(names[:-1])} or {names[-1]}")
        return text

    return read


def integer(low: int, high: int, *words: str) -> Kind:
    """Make the kind that takes a whole number from low to high, or one of some words."""
    rule = f"must be {''.join(f'{word} or ' for word in words)}{low} to {high}"

    def read(text: str) -> int | str:
        if text in words:
            return text
        if not re.fullmatch(r"[0-9]{1,9}", text) or not low <= int(text) <= high:
            raise ValueError(rule)
        return int(text)

    return read


def size(*words: str) -> Kind:
    """Make the kind that takes a number of bytes, such as 512MiB, or one of some words."""
    rule = f"must be {''.join(f'{word} or ' for word in words)}1MiB to 1024GiB, such as 512MiB, 2GiB or 1073741824"

    def read(text: str) -> int | str:
        if text in words:
            return text
        found = re.fullmatch(r"([0-9]{1,13})(|KiB|MiB|GiB)", text)
        value = int(found[1]) << _UNITS[found[2]] if found else 0
        if not 1 << 20 <= value <= 1 << 40:
            raise ValueError(rule)
        return value

    return read


def seconds(text: str) -> float:
    """Read a length of time."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 86_400:
        raise ValueError("must be a number of seconds, 0 to 86400")
    return value


def text(pattern: str, rule: str) -> Kind:
    """Make the kind that takes every text of a pattern."""

    def read(value: str) -> str:
        if not re.fullmatch(pattern, value, re.DOTALL):
            raise ValueError(rule)
        return value

    return read


def path(value: str) -> Path:
    """Read a path."""
    return Path(text(r"[^\0]+", "must be a path")(value))


def absolute_path(value: str) -> Path:
    """Read an absolute path: the folder in which Kong starts a process is not known."""
    return Path(text(r"/[^\0]*", "must be an absolute path")(value))


def readable_file(value: str) -> Path:
    """Read the path of a file that is there."""
    file = path(value)
    try:
        with file.open("rb"):
            return file
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from error


def token_file(value: str) -> str:
    """Read the path of a file with a token, or nothing; the token has to be one that can be used."""
    if value:
        try:
            read_token("page", {}, value)
        except ConfigError as error:
            raise ValueError(error.faults[0].rule) from error
    return value


def log_file(value: str) -> str:
    """Read the name of a log file, or nothing; it has to be one that can be written."""
    if value:
        try:
            LogFile(value if value == CONTAINER else str(absolute_path(value))).close()
        except OSError as error:
            raise ValueError(f"cannot be written: {error.strerror}") from error
    return value


def log_level(value: str) -> str:
    """Read a level; capitals do not matter."""
    return str(choice("debug", "info", "warning", "error")(value.lower()))


def host_names(value: str) -> str:
    """Read host names, separated by commas."""
    return str(text(_HOST_NAMES, "must be host names, separated by commas")(value))
