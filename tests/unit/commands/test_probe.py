"""`otlp-tracing probe`: an answer, or the reason for its absence."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from loaded_modules import modules_loaded_by
from otlp_tracing.cli import main
from otlp_tracing.commands import probe
from otlp_tracing.commands.doctor import kong_conf
from otlp_tracing.commands.option_kinds import Address
from otlp_tracing.commands.probe import ask_plugin_server, ask_sidecar, wait_for_answer
from otlp_tracing.errors import WireError
from otlp_tracing.kong_server.protocol.msgpack import encode_error

_REFUSAL = encode_error(0, "there is no method plugin.Probe")


@pytest.fixture
def answers_with(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[socket.socket, bytes], None]]:
    """Give a function that answers the first connection of a listener with some bytes, some time."""
    monkeypatch.setattr(probe, "_TIMEOUT_SECONDS", 20.0)
    served: list[tuple[socket.socket, threading.Thread]] = []

    def serve(listener: socket.socket, answer: bytes) -> None:
        listener.listen()

        def run() -> None:
            try:
                connection, _ = listener.accept()
            except OSError:
                return  # it was not asked before the end
            with connection:
                connection.recv(4096)
                connection.sendall(answer)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        served.append((listener, thread))

    yield serve
    for listener, thread in served:
        # A listener that is closed under its thread leaves a number that the next file may get.
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        thread.join(20)
        listener.close()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (_REFUSAL, None),
        (b"", "not as a plugin server"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "not as a plugin server"),
    ],
)
def test_a_plugin_server_answers(
    answers_with: Callable[[socket.socket, bytes], None], tmp_path: Path, answer: bytes, reason: str | None
) -> None:
    """A plugin server's refusal is an answer; silence and other protocols are not."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "s"))
    answers_with(listener, answer)

    if reason is None:
        ask_plugin_server(tmp_path / "s")
    else:
        with pytest.raises(WireError, match=reason):
            ask_plugin_server(tmp_path / "s")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", None),
        (b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", "status 503"),
        (b"220 mail\r\n", "not with HTTP"),
    ],
)
def test_a_sidecar_answers(
    answers_with: Callable[[socket.socket, bytes], None], answer: bytes, reason: str | None
) -> None:
    """Only a 200 is an answer; one that listens at every address is asked on loopback."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    answers_with(listener, answer)
    port = listener.getsockname()[1]

    if reason is None:
        ask_sidecar(Address("0.0.0.0", port))
    else:
        with pytest.raises(WireError, match=reason):
            ask_sidecar(Address("127.0.0.1", port))


def test_it_asks_until_the_time_is_up() -> None:
    """Without an answer it asks until the time is up and gives the last reason; with one it ends at once."""
    now, asked = [0.0], []

    def ask() -> None:
        asked.append(now[0])
        if now[0] < 2:
            raise ConnectionRefusedError(f"at {now[0]:.1f}")

    def sleep(seconds: float) -> None:
        now[0] += seconds

    assert str(wait_for_answer(ask, 1.0, lambda: now[0], sleep)).startswith("at 1.0")
    assert wait_for_answer(ask, 5.0, lambda: now[0], sleep) is None
    assert asked[-1] == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize("name", ["otlp-tracing.socket", "otlp-tracing.run/plugin-server.sock"])
def test_the_command_finds_the_socket(
    answers_with: Callable[[socket.socket, bytes], None], prefix: Path, name: str
) -> None:
    """A plugin server that Kong, the image or the shipped unit has started is found without the socket's name."""
    listener = listen(prefix / name)
    answers_with(listener, _REFUSAL)

    assert main(["probe", "--kong-prefix", str(prefix)]) == 0


def test_the_command_asks_where_kong_connects(
    answers_with: Callable[[socket.socket, bytes], None],
    prefix: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """If Kong's configuration names the socket, a server elsewhere is no answer: Kong does not reach it."""
    named = prefix / "own.sock"
    monkeypatch.setenv("KONG_PREFIX", str(prefix))
    monkeypatch.setenv("KONG_PLUGINSERVER_NAMES", "otlp-tracing")
    monkeypatch.setenv("KONG_PLUGINSERVER_OTLP_TRACING_SOCKET", str(named))
    listen(prefix / "otlp-tracing.socket").close()

    assert main(["probe", "--kong-prefix", str(prefix)]) == 1
    assert f"no answer from the plugin-server at {named}: no such file or directory\n" in capsys.readouterr().err

    answers_with(listen(named), _REFUSAL)
    assert main(["probe", "--kong-prefix", str(prefix)]) == 0


def test_the_command_says_why(prefix: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a plugin server: exit 1, and a sentence with every place that was asked."""
    listen(prefix / "otlp-tracing.run/plugin-server.sock").close()

    assert main(["probe", "--kong-prefix", str(prefix)]) == 1
    assert capsys.readouterr().err == (
        f"otlp-tracing: no answer from the plugin-server at {prefix}/otlp-tracing.socket: no such file or directory; "
        f"nor at {prefix}/otlp-tracing.run/plugin-server.sock: connection refused\n"
    )


def test_a_named_socket_alone_is_asked(
    answers_with: Callable[[socket.socket, bytes], None], prefix: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """--socket-name is asked although another place would answer."""
    answers_with(listen(prefix / "otlp-tracing.socket"), _REFUSAL)

    assert main(["probe", "--kong-prefix", str(prefix), "--socket-name", "s"]) == 1
    assert capsys.readouterr().err.endswith(f"at {prefix}/s: no such file or directory\n")


@pytest.fixture
def prefix(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a prefix of Kong, on a machine without a kong.conf and with a path that is short enough for a socket."""
    monkeypatch.setattr(kong_conf, "DEFAULT_FILES", ())
    return tmp_path_factory.mktemp("p")


def listen(path: Path) -> socket.socket:
    """Bind a socket, in a folder that is made for it."""
    path.parent.mkdir(exist_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    return listener


def test_a_health_check_loads_no_search_for_kong() -> None:
    """It runs each ten seconds; only a plugin server whose socket is not named has to be found."""
    loaded = modules_loaded_by("import otlp_tracing.commands.probe")

    assert not [name for name in loaded if name.startswith("otlp_tracing.commands.doctor")]
