"""`otlp-tracing probe`: ask a running process whether it answers, for health checks and start scripts.

It asks a worker of the plugin server over Kong's socket, because the listener alone outlives its workers;
or the sidecar over HTTP. Without the socket's name it asks where Kong connects to, or at every usual place.
"""

from __future__ import annotations

import argparse
import http.client
import socket
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from otlp_tracing.commands.option_kinds import Address, absolute_path, seconds
from otlp_tracing.commands.options import OptionParser, SidecarOptions, socket_name
from otlp_tracing.errors import WireError
from otlp_tracing.kong_server.protocol.msgpack import Request, encode_request

EXAMPLE = "otlp-tracing probe --kong-prefix /usr/local/kong --wait 15"

_TIMEOUT_SECONDS = 1.0  # as long as Kong waits for an answer
_AGAIN_SECONDS = 0.05
_ANSWER_BYTES = 4096
# Kong has no such method: a worker answers with a sentence about it, in any state.
_QUESTION = encode_request(Request(0, "plugin.Probe", []))
_MSGPACK_ARRAY_OF_4 = 0x94


def add_options(parser: OptionParser) -> None:
    """Add the command's options."""
    parser.add_argument(
        "process",
        choices=("plugin-server", "sidecar"),
        nargs="?",
        default="plugin-server",
        help="process to ask (default plugin-server)",
    )
    parser.option("--kong-prefix", absolute_path, None, "DIR", "Kong's prefix; by default that of its configuration")
    parser.option(
        "--socket-name",
        socket_name,
        None,
        "NAME",
        "name of the socket in the prefix; by default the one that Kong connects to, or any usual name",
    )
    SidecarOptions.add_to(parser, "http")
    parser.option("--wait", seconds, "0", "SECONDS", "ask again for so long, until there is an answer")


def run(options: argparse.Namespace) -> int:
    """Ask, and return the exit code."""
    if options.process == "sidecar":
        places, ask = [str(options.http)], lambda _: ask_sidecar(options.http)
    else:
        places, ask = list(map(str, sockets(options))), lambda place: ask_plugin_server(Path(place))
    error = wait_for_answer(lambda: _ask_any(places, ask), options.wait)
    if error is None:
        return 0
    print(f"otlp-tracing: no answer from the {options.process} at {error}", file=sys.stderr)
    return 1


def sockets(options: argparse.Namespace) -> Sequence[Path]:
    """Return the sockets that the options mean: the named one, or those at which the plugin server may listen."""
    prefix, name = options.kong_prefix, options.socket_name
    if prefix is not None and name is not None:
        return [prefix / name]
    from otlp_tracing.commands.doctor.discovery import look_around  # noqa: PLC0415 - seldom needed

    found = look_around(prefix=prefix, kong_conf=None, address=None, token=None)
    return [found.prefix / name] if name is not None else found.sockets


def _ask_any(places: Sequence[str], ask: Callable[[str], None]) -> None:
    """Ask at each place until there is an answer.

    Raises:
        WireError: no place has one; it names each place and the reason there.
    """
    reasons = []
    for place in places:
        try:
            return ask(place)
        except (OSError, WireError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            reasons.append(f"{place}: {reason.lower()}")
    raise WireError("; nor at ".join(reasons))


def ask_plugin_server(path: Path) -> None:
    """Ask for an answer over Kong's socket.

    Raises:
        OSError: no process listens there, or none answers within a second.
        WireError: the process that answers is not a plugin server.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_TIMEOUT_SECONDS)
        connection.connect(str(path))
        connection.sendall(_QUESTION)
        answer = connection.recv(_ANSWER_BYTES)
    if not answer or answer[0] != _MSGPACK_ARRAY_OF_4:
        raise WireError("it answers, but not as a plugin server does")


def ask_sidecar(address: Address) -> None:
    """Ask for /healthz.

    Raises:
        OSError: no process listens there, or none answers within a second.
        WireError: the answer is not 200, or is not HTTP.
    """
    # A sidecar listens at these on every interface; a client cannot connect to them.
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address.host, address.host)  # noqa: S104
    connection = http.client.HTTPConnection(host, address.port, timeout=_TIMEOUT_SECONDS)
    try:
        connection.request("GET", "/healthz")
        status = connection.getresponse().status
    except http.client.HTTPException as error:
        raise WireError(f"it answers, but not with HTTP: {type(error).__name__}") from error
    finally:
        connection.close()
    if status != http.client.OK:
        raise WireError(f"it answers with status {status}")


def wait_for_answer(
    ask: Callable[[], None],
    seconds: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Exception | None:
    """Ask again until there is an answer, or for so long.

    Args:
        ask: one of the functions above.
        seconds: 0 asks once.
        clock: monotonic seconds.
        sleep: waits between two questions.

    Returns:
        None, or why the last question had no answer.
    """
    end = clock() + seconds
    while True:
        try:
            ask()
        except (OSError, WireError) as error:
            if clock() >= end:
                return error
            sleep(_AGAIN_SECONDS)
        else:
            return None
