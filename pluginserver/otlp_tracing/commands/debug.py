"""`otlp-tracing debug`: keep all requests that match, for a time or a number of them, and then stop by itself."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from otlp_tracing.commands.option_kinds import absolute_path, integer, text
from otlp_tracing.commands.options import OptionParser
from otlp_tracing.config.policies import read_match
from otlp_tracing.errors import ConfigError, Fault, WireError
from otlp_tracing.folders import existing, user_name
from otlp_tracing.handoff.frames import VERSION, Ack, Debug, Decoder, Hello, encode
from otlp_tracing.paths import typed_command
from otlp_tracing.sidecar.tail.rules import check_patterns
from otlp_tracing.unix_sockets import ForeignUserError, refuse_foreign_server

EXAMPLE = 'otlp-tracing debug --consumer gold-shop --path "/api/*" --minutes 5 --requests 50'
_DESCRIPTION = """\
Keep every request that matches, whatever the sampling, for some minutes or until there are enough.

It runs in the terminal and shows how many requests are kept. Control-C ends the session. A request must meet all kinds
of condition that are given, and one of each kind. With conditions on method, path, host and header alone the upstream
is told, and its services record too; otherwise the traces have the spans of the gateway only.

exit codes: 0 the session has ended, 2 it cannot begin."""
_CONDITIONS = {
    "method": ("methods", "NAME", "request method, such as GET"),
    "path": ("paths", "PATH", "path, * allowed; with a leading ~ a regular expression"),
    "host": ("hosts", "NAME", "host name, * allowed as the first label"),
    "header": ("headers", "LINE", "request header as `name: value`, * allowed in the value"),
    "consumer": ("consumers", "NAME", "consumer, by user name, custom id or id, * allowed"),
    "service": ("services", "NAME", "service, by name or id, * allowed"),
    "route": ("routes", "NAME", "route, by name or id, * allowed"),
    "tag": ("tags", "TAG", "tag of the route, the service or the consumer, * allowed"),
    "status": ("statuses", "STATUS", "response status, such as 404; 1 to 5 are classes"),
}
_SENDER = b"debug..."  # 8 bytes, as a worker's; it sends no record


def add_options(parser: OptionParser) -> None:
    """Add the command's options."""
    parser.description = _DESCRIPTION
    for name, (_, shape, help_text) in _CONDITIONS.items():
        parser.add_argument(f"--{name}", action="append", default=[], metavar=shape, help=f"{help_text}; repeatable")
    parser.option("--minutes", integer(1, 30), "5", "N", "longest duration of the session")
    parser.option("--requests", integer(1, 10_000), "100", "N", "number of requests after which it ends")
    parser.option(
        "--kong-prefix", absolute_path, "/usr/local/kong", "DIR", "Kong's prefix; the sidecar's socket is in it"
    )
    parser.option(
        "--sidecar",
        text("embedded|/.+", "must be embedded, or the absolute path of the socket of a sidecar"),
        "embedded",
        "embedded|PATH",
        "the sidecar: the one that serve has started, or the socket of another",
    )


def run(options: argparse.Namespace) -> int:
    """Run a session, and return the exit code."""
    match = conditions(options)
    path = options.kong_prefix / "otlp-tracing" / "sidecar.sock" if options.sidecar == "embedded" else options.sidecar
    # The person behind sudo, where there is one.
    sender = f"{os.environ.get('SUDO_USER') or user_name(os.geteuid())}, process {os.getpid()}"
    return debug(Path(path), Debug(json.dumps(match).encode(), options.minutes * 60, options.requests, sender))


def conditions(options: argparse.Namespace) -> dict[str, list[Any]]:
    """Return the conditions as a policy's `match` has them.

    Raises:
        ConfigError: for a condition that is wrong, or without any.
    """
    given = {name: getattr(options, name) for name in _CONDITIONS if getattr(options, name)}
    if not given:
        raise ConfigError([Fault("debug", "", 'needs a condition, such as --consumer NAME, or --path "*" for all')])
    match = {_CONDITIONS[name][0]: values for name, values in given.items()}
    if "statuses" in match:
        match["statuses"] = [int(one) if one.isdecimal() and len(one) < 10 else one for one in match["statuses"]]
    try:
        check_patterns(read_match(match))
    except ConfigError as error:
        names = {field: f"--{name}" for name, (field, *_) in _CONDITIONS.items()}
        faults = [(one.field.rpartition("match.")[2].partition("[")[0], one) for one in error.faults]
        raise ConfigError([Fault(names.get(name, name), one.value, one.rule) for name, one in faults]) from error
    return match


def debug(path: Path, session: Debug, show: Callable[[str], None] = lambda line: print(line, flush=True)) -> int:
    """Begin a session, show what it keeps until it ends, and return the exit code.

    Args:
        path: socket of the sidecar.
        session: as it is asked for.
        show: takes a line for a person.

    Raises:
        ConfigError: if no sidecar answers there, or it refuses the session.
    """
    kept: int | None = None
    begun, is_stopped = time.monotonic(), False
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.connect(str(path))
            refuse_foreign_server(connection, path)
            connection.sendall(encode(Hello(VERSION, _SENDER)) + encode(session))
            decoder = Decoder()
            while data := connection.recv(4096):
                for frame in decoder.feed(data):
                    if isinstance(frame, Ack):
                        if kept is None:
                            show(f"keeping up to {session.requests} requests for {session.seconds // 60} minutes …")
                        else:
                            show(f"{frame.number} of {session.requests} kept, {time.monotonic() - begun:.0f} s")
                        kept = frame.number
    except (OSError, WireError) as error:
        if kept is None:
            raise ConfigError([Fault("--sidecar", str(path), _reason(path, error))]) from error
    except KeyboardInterrupt:
        is_stopped = True
        print(file=sys.stderr)
    if kept is None:
        rule = "refused: another debug session is running, or the sidecar is of an older version; its log says more"
        raise ConfigError([Fault("debug", "", rule)])
    is_early = not is_stopped and kept < session.requests and time.monotonic() - begun < session.seconds - 1
    show(f"the session has ended{', because the sidecar has' if is_early else ''}: {kept} requests kept")
    return 0


def _reason(path: Path, error: OSError | WireError) -> str:
    """Return why no session begins at a socket; for another user's, with the user to be."""
    if isinstance(error, ForeignUserError):
        user = user_name(error.uid)
        command = f"runuser -u {shlex.quote(user)} -- {typed_command('debug')} OPTIONS"
        return f"the sidecar runs as {user}, and its folder does not belong to this user alone; run: {command}"
    if isinstance(error, PermissionError):
        owner, me = user_name(existing(path).lstat().st_uid), user_name(os.geteuid())
        also = "" if owner == "root" else " or as root"
        return f"the socket belongs to {owner}, and this process runs as {me}; run it as {owner}{also}"
    return f"no sidecar answers there: {getattr(error, 'strerror', None) or error}"
