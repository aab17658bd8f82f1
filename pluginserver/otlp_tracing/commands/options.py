"""The options of the commands: each is read from the command line or from its variable, by the same kind.

Imports nothing that takes time: `serve` binds its socket after it.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from otlp_tracing.commands.option_kinds import (
    Address,
    Kind,
    absolute_path,
    choice,
    host_names,
    log_file,
    optional_address,
    path,
    size,
    text,
    token_file,
)
from otlp_tracing.errors import Fault
from otlp_tracing.logs.file import CONTAINER

PREFIX = "OTLP_TRACING_"
TRACE_ID = "{trace_id}"
_NAME_RULE = "must be a file's name, relative to Kong's prefix"
socket_name = text("[^/](.*[^/])?", _NAME_RULE)
"""Reads the name of the plugin server's socket."""
_TRACE_URL = r"|https?://.*\{trace_id\}.*"


class _FromVariable(str):
    """The text of an environment variable, with the name of the variable."""

    __slots__ = ("variable",)
    variable: str


_NO_VALUE = "\0"  # no argument and no variable can have it


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    def _format_args(self, action: argparse.Action, default_metavar: str) -> str:
        # Without a value an option is a fault of its own; the help shows it as one that has a value.
        if action.const == _NO_VALUE:
            return str(action.metavar)
        return super()._format_args(action, default_metavar)


class OptionParser(argparse.ArgumentParser):
    """A parser that reads options from the environment too, and collects the faults of their values.

    Args:
        environment: another process's; None reads this one's.
    """

    def __init__(self, *args: Any, environment: Mapping[str, str] | None = None, **kwargs: Any) -> None:
        # An abbreviation would become ambiguous with the next option.
        super().__init__(*args, **{"formatter_class": _HelpFormatter, "allow_abbrev": False, **kwargs})
        self._environment = os.environ if environment is None else environment
        self.faults: list[Fault] = []
        self.set_defaults(faults=self.faults)

    def option(
        self, name: str, kind: Kind, default: str | None, metavar: str, text: str, *, hidden: bool = False
    ) -> None:
        """Add an option; a value that its kind refuses is a fault, and counts as the default.

        Args:
            name: as on the command line: `--kong-prefix`. Its variable is OTLP_TRACING_KONG_PREFIX.
            kind: reads its text.
            default: the text that counts where neither is set; None makes the option None.
            metavar: the shape of its value, for the help.
            text: the help.
            hidden: leaves the option out of the help.
        """
        variable = PREFIX + name.removeprefix("--").replace("-", "_").upper()
        given: str | None = default
        if variable in self._environment:
            given = _FromVariable(self._environment[variable])
            given.variable = variable
        self.add_argument(
            name,
            type=lambda value: self._read(name, kind, default, value),
            nargs="?",
            const=_NO_VALUE,
            default=given,
            metavar=metavar,
            help=argparse.SUPPRESS if hidden else f"{text} (default {default})" if default else text,
        )

    def _read(self, name: str, kind: Kind, default: str | None, value: str) -> Any:
        try:
            if value == _NO_VALUE:
                raise ValueError("needs a value")
            return kind(value)
        except ValueError as error:
            source = value.variable if isinstance(value, _FromVariable) else name
            shown = value if value and value.isprintable() else json.dumps(value)
            self.faults.append(Fault(source, "" if value == _NO_VALUE else shown, str(error), option=name))
            return None if default is None else kind(default)


def _option(kind: Kind, default: str, metavar: str, text: str) -> dict[str, Any]:
    return {"kind": kind, "default": default, "metavar": metavar, "text": text}


@dataclass(frozen=True)
class SidecarOptions:
    """The options that a sidecar has wherever it runs; `serve` reads them too and hands them on.

    A field is an option: it has the name, and as metadata the arguments of OptionParser.option.
    """

    # fmt: off
    http: Address = field(metadata=_option(
        Address.parse, "127.0.0.1:9464", "ADDRESS:PORT", "address of the live page, /healthz, /readyz and /metrics"))
    spool: str = field(metadata=_option(
        text("auto|none|/.+", "must be auto, none or the absolute path of a folder"), "auto", "auto|DIR|none",
        "folder of the spans that wait; auto: beside the sidecar's socket; none: memory"))
    spool_max_bytes: int | str = field(metadata=_option(
        size("auto"), "auto", "auto|SIZE",
        "disk space of all destinations together, such as 512MiB; auto: a fifth of the volume, up to 4 GiB"))
    page: str = field(metadata=_option(
        choice("auto", "on", "off"), "auto", "auto|on|off",
        "the live page; auto: on if only this machine can reach it, or with a token"))
    page_token_file: str = field(metadata=_option(
        token_file, "", "PATH", f"file with the token of the page; or the token itself as {PREFIX}PAGE_TOKEN"))
    page_hosts: str = field(metadata=_option(
        host_names, "", "NAME,…",
        "host names of the page, beside localhost and addresses"))
    ingest_http: Address | str = field(metadata=_option(
        optional_address, "off", "off|ADDRESS:PORT",
        "address that takes log records of Kong's http-log, for --hand-over kong; needs a token"))
    ingest_token_file: str = field(metadata=_option(
        token_file, "", "PATH", f"file with the token of that address; or the token itself as {PREFIX}INGEST_TOKEN"))
    policy_file: str = field(metadata=_option(
        text("|/.+", "must be an absolute path"), "", "PATH",
        "file with sampling policies for all entries, which is watched: its changes need no reload of Kong"))
    trace_url: str = field(metadata=_option(
        text(_TRACE_URL, f"must be an http URL with {TRACE_ID} in it"), "", "URL",
        f"a trace in your backend, such as http://jaeger/trace/{TRACE_ID}"))
    # fmt: on

    @staticmethod
    def add_to(parser: OptionParser, *names: str) -> None:
        """Add the options, or some of them by the names of their fields."""
        for one in fields(SidecarOptions):
            if not names or one.name in names:
                parser.option(_flag(one.name), **one.metadata)

    @classmethod
    def from_namespace(cls, options: argparse.Namespace) -> SidecarOptions:
        """Take the options from all that were read."""
        return cls(**{one.name: getattr(options, one.name) for one in fields(cls)})

    def to_argv(self) -> list[str]:
        """Return arguments that are read as these options.

        Each is one word, so that an empty value, or one that begins with a dash, stays a value.
        """
        return [f"{_flag(one.name)}={getattr(self, one.name)}" for one in fields(self)]


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def add_socket_options(parser: OptionParser) -> None:
    """Add the two options that name the plugin server's socket."""
    parser.option("--kong-prefix", absolute_path, "/usr/local/kong", "DIR", "Kong's prefix; the socket is in it")
    parser.option(
        "--socket-name",
        socket_name,
        "otlp-tracing.socket",
        "NAME",
        "name of the socket in the prefix",
    )


def add_log_file_option(parser: OptionParser) -> None:
    """Add the option of a log that does not depend on the level of Kong's."""
    parser.option(
        "--log-file",
        log_file,
        "",
        f"PATH|{CONTAINER}",
        f"file for the log, beside its own standard error; {CONTAINER}: that of the container's first process",
    )


def add_on_fault_option(parser: OptionParser) -> None:
    """Add the option that keeps tracing up where a person cannot correct a mistake at once."""
    parser.option(
        "--on-fault",
        choice("auto", "stop", "continue"),
        "auto",
        "auto|stop|continue",
        "at an option that cannot be used: stop, or continue with its default; auto: continue if Kong is the parent",
    )


def add_hand_over_option(parser: OptionParser) -> None:
    """Add the option that says which way records reach the sidecar."""
    parser.option(
        "--hand-over",
        choice("plugin", "kong"),
        "plugin",
        "plugin|kong",
        "plugin: the plugin hands each log record over; kong: Kong's http-log does, to --ingest-http of the sidecar",
    )


def continues_with_faults(options: argparse.Namespace) -> bool:
    """Tell whether the command runs although an option cannot be used."""
    # An embedded sidecar has the options of `serve`, which has refused those that can be refused.
    on_fault = "continue" if getattr(options, "embedded", False) else getattr(options, "on_fault", "stop")
    return on_fault == "continue" or (on_fault == "auto" and is_started_by_kong())


def is_started_by_kong() -> bool:
    """Tell whether nginx, which is Kong, is the parent, or the parent of the shell that runs Kong's query_cmd."""
    pid = os.getppid()
    for _ in range(2):
        try:
            # proc(5): the name is in parentheses and may hold some; then the state and the parent follow.
            head, _, rest = Path("/proc", str(pid), "stat").read_text().rpartition(")")
        except OSError:
            return False
        if head.partition("(")[2] == "nginx":
            return True
        pid = int(rest.split()[1])
    return False


def add_plugins_option(parser: OptionParser) -> None:
    """Add the option that names another folder with a plugin file; tests use it."""
    parser.option("--plugins", path, None, "DIR", "", hidden=True)
