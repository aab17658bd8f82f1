"""`otlp-tracing probe`: ask a running process whether it answers, for health checks and for who must wait.

Asked is the one who would be missed: a worker of the plugin server over Kong's socket, since the listener
alone outlives its workers; or the sidecar over HTTP.
"""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Callable
from pathlib import Path

from otlp_tracing.errors import WireError
from otlp_tracing.kong_server.protocol.msgpack import Request, encode_request

__all__ = ["ask_plugin_server", "ask_sidecar", "wait_for_answer"]

_TIMEOUT_SECONDS = 1.0  # what Kong waits for an answer
_AGAIN_SECONDS = 0.05
_ANSWER_BYTES = 4096
# No method of Kong's: a worker says so, in a sentence, whatever else it is doing.
_QUESTION = encode_request(Request(0, "plugin.Probe", []))
_MSGPACK_ARRAY_OF_4 = 0x94


def ask_plugin_server(path: Path) -> None:
    """Ask for an answer over Kong's socket.

    Raises:
        OSError: nobody listens there, or nobody answers within a second.
        WireError: what answers is no plugin server.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_TIMEOUT_SECONDS)
        connection.connect(str(path))
        connection.sendall(_QUESTION)
        answer = connection.recv(_ANSWER_BYTES)
    if not answer or answer[0] != _MSGPACK_ARRAY_OF_4:
        raise WireError("it answers, but not as a plugin server does")


def ask_sidecar(host: str, port: int) -> None:
    """Ask for /healthz.

    Raises:
        OSError: nobody listens there, or nobody answers within a second.
        WireError: the answer is not 200, or is not HTTP.
    """
    # An address to listen at on every interface is none to connect to.
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    connection = http.client.HTTPConnection(reachable, port, timeout=_TIMEOUT_SECONDS)
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
