"""Secrets planted everywhere in traffic come out nowhere, also when the sidecar is killed in the middle."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import socket
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

import grpc
import pytest

from e2e.client import Caller, HeaderLines, fetch
from e2e.conftest import StartGateway
from e2e.declarations import declaration, service, tracing
from e2e.gateways import RunningGateway
from e2e.ports import HOST
from e2e.spans import SinkReader, trace, wait_for_trace
from e2e.upstreams import RecordingUpstream
from e2e.waiting import wait_for
from otlp_tracing_devtools.fake_collector import ScriptedAnswer, ThreadedOtlpSink

_SECONDS = 20.0
_CAPTURE = {
    "request_headers": ["cookie", "x-api-key", "x-note", "x-error", "referer", "authorization", "user-agent"],
    "response_headers": ["location", "set-cookie"],
    "baggage": ["api_key", "note"],
}
_PAGES = ("/", "/metrics", "/redaction", "/routes", "/delivery", "/sampling", "/readyz")
_TRIAL = {"rules": "rate: 0.5\nrules: [{name: api, paths: ['/api/*'], headers: ['x-note: *'], rate: 1}]"}
# nginx writes the request line into them, as it came; that is Kong's to configure.
_OF_NGINX = {"access.log", "error.log"}
_LINE_OF_NGINX = ', request: "'


class Canaries:
    """Values that no traffic has by chance: those that a name gives away, and those that their form does."""

    def __init__(self) -> None:
        self.planted: list[str] = []

    def named(self) -> str:
        return self._plant(f"canary{os.urandom(8).hex()}")

    def formed(self) -> str:
        return self._plant("ghp_" + base64.b32encode(os.urandom(25)).decode().strip("=")[:36])

    def request(self) -> tuple[str, HeaderLines]:
        """Return a target and headers with one of them in each place there is."""
        user = base64.b64encode(f"alice:{self.named()}".encode()).decode()
        self._plant(user)
        target = (
            f"/api/{self.formed()}/{quote(self._plant(f'{os.urandom(6).hex()}@canary.example'), safe='')}"
            f"?token={self.named()}&q={self.formed()}&next={quote(f'/?password={self.named()}', safe='')}"
        )
        return target, [
            ("User-Agent", f"agent/1.0 ({self.formed()})"),
            ("Authorization", f"Basic {user}"),
            ("Cookie", f"session={self.named()}; theme={self.formed()}"),
            ("X-Api-Key", self.named()),
            ("X-Note", f"see {self.formed()} there"),
            ("X-Error", f"login failed: password={self.named()}"),
            ("Referer", f"https://alice:{self.named()}@host.example/?api_key={self.named()}"),
            ("baggage", f"api_key={self.named()},note={self.formed()}"),
            ("tracestate", f"vendor={self.formed()}"),
        ]

    def call(self) -> tuple[str, HeaderLines]:
        """Return a gRPC call's, of a method that is one."""
        return f"/shop.Cart/{self.formed()}", [("Content-Type", "application/grpc"), ("X-Api-Key", self.named())]

    def seen_in(self, text: bytes) -> list[str]:
        return [one for one in self.planted if one.encode() in text or quote(one, safe="").encode() in text]

    def _plant(self, canary: str) -> str:
        self.planted.append(canary)
        return canary


@pytest.fixture
def gateway(
    start_gateway: StartGateway, upstream: RecordingUpstream, sink: ThreadedOtlpSink
) -> Iterator[RunningGateway]:
    plugin = tracing(sink.sink.endpoint, capture=_CAPTURE, span={"semconv": "dup"})
    services = [service(name, upstream.url, [plugin]) for name in ("api", "shop.Cart")]
    away = service("away", "http://127.0.0.1:1", [plugin])
    with start_gateway(declaration(*services, away)) as running:
        yield running


@pytest.mark.parametrize("killed", [False, True], ids=["running", "killed in the middle"])
def test_canaries_come_out_nowhere(
    gateway: RunningGateway, sink: ThreadedOtlpSink, spans_at_sink: SinkReader, killed: bool
) -> None:
    """Not in an export, on disk, in a log, on a page or in an argument; but the spans are there."""
    sink.sink.clear()
    canaries, callers = Canaries(), []
    # So that spans wait on disk while the disk is looked at.
    sink.sink.default_answer = ScriptedAnswer(grpc.StatusCode.UNAVAILABLE)
    try:
        for number in range(12):
            if killed and number == 6:
                _wait_for_spooled(gateway)
                (sidecar,) = gateway.processes()["sidecar"]
                os.kill(sidecar, signal.SIGKILL)
            target, headers = canaries.call() if number % 4 == 3 else canaries.request()
            if number % 4 == 2:
                target = target.replace("/api/", "/away/", 1)
            callers.append(Caller.new())
            gateway.get(target, [callers[-1].header(), *headers])
            disk_and_arguments = [*_files(gateway.prefix), *_arguments(gateway)]
            assert [canaries.seen_in(text) for text in disk_and_arguments if canaries.seen_in(text)] == []
        spooled = _wait_for_spooled(gateway)
    finally:
        sink.sink.default_answer = ScriptedAnswer()
    wait_for_trace(spans_at_sink, callers[0].trace_id)
    wait_for_trace(spans_at_sink, callers[-1].trace_id)
    wait_for(
        lambda: sum(bool(trace(spans_at_sink, caller.trace_id)) for caller in callers) >= 10, _SECONDS, "their spans"
    )
    shown = _shown(gateway, callers)
    exports = [received.message.SerializeToString() for received in sink.sink.requests]
    everything: Sequence[bytes] = [*exports, *spooled, *shown, *_files(gateway.prefix), _log(gateway)]

    assert [canaries.seen_in(text) for text in everything if canaries.seen_in(text)] == []
    assert b"REDACTED" in b"".join(exports)


def _wait_for_spooled(gateway: RunningGateway) -> list[bytes]:
    """Return the spool's files as soon as there is a redacted span in them."""

    def redacted() -> list[bytes] | None:
        texts = [*_contents(gateway.prefix.rglob("spool/*"))]
        return texts if any(b"REDACTED" in text for text in texts) else None

    found = wait_for(redacted, _SECONDS, "a redacted span is on disk")
    assert found
    return found


def _files(prefix: Path) -> list[bytes]:
    paths = prefix.rglob("*")
    return [*_contents(path for path in paths if path.name not in _OF_NGINX and path.name != "kong.yml")]


def _contents(paths: Iterable[Path]) -> Iterator[bytes]:
    """Read those that are files, and still there when they are read."""
    for path in paths:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if path.is_file():
                yield path.read_bytes()


def _log(gateway: RunningGateway) -> bytes:
    return "\n".join(line for line in gateway.log().splitlines() if _LINE_OF_NGINX not in line).encode()


def _arguments(gateway: RunningGateway) -> list[bytes]:
    pids = [pid for role in gateway.processes().values() for pid in role]
    return [*_contents(Path(f"/proc/{pid}/{name}") for pid in pids for name in ("cmdline", "environ"))]


def _shown(gateway: RunningGateway, callers: Sequence[Caller]) -> list[bytes]:
    """Return all that the sidecar shows: pages, the traces it has, the events up to the last one, a trial of rules."""
    last = callers[-1].trace_id
    wait_for(lambda: _page(gateway, f"/traces/{last}"), _SECONDS, "the page has the last trace")
    traces = [_page(gateway, f"/traces/{caller.trace_id}") for caller in callers]
    assert b"REDACTED" in traces[-1]
    body = json.dumps(_TRIAL).encode()
    trial = fetch(gateway.sidecar_url, "/trial", [("Content-Type", "application/json")], "POST", body=body)
    assert trial.status == 200, trial.text()
    assert json.loads(trial.text())["requests"] > 0
    pages = [_page(gateway, path) for path in _PAGES]
    assert all(pages)
    return [*pages, *traces, trial.body, _events(gateway, last.encode())]


def _page(gateway: RunningGateway, path: str) -> bytes:
    """Return a page, or nothing if it is missing."""
    try:
        answer = fetch(gateway.sidecar_url, path)
    except OSError:
        return b""
    return answer.body if answer.status == 200 else b""


def _events(gateway: RunningGateway, trace_id: bytes) -> bytes:
    """Return the first events of the stream, up to and with the one that contains a trace."""
    seen = b""
    with socket.create_connection((HOST, gateway.server.http_port), _SECONDS) as connection:
        connection.sendall(f"GET /events HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        while trace_id not in seen or not seen.endswith(b"\n\n\r\n"):
            piece = connection.recv(65536)
            assert piece, seen
            seen += piece
    return seen
