"""Promises of commands/doctor/destinations.py; tests/e2e/test_doctor.py has the faults of a whole set-up."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from otlp_tracing.commands.doctor.candidates import Candidate, candidates, of_sidecar
from otlp_tracing.commands.doctor.destinations import ask_destinations
from otlp_tracing.commands.doctor.findings import Masking
from otlp_tracing.commands.doctor.kong_yml import read_entries
from otlp_tracing.commands.doctor.own_commands import OwnCommands
from otlp_tracing.commands.option_kinds import Address

OWN = OwnCommands(Address("127.0.0.1", 21001))


@pytest.fixture
def collector() -> Iterator[str]:
    """Give the URL of a collector that takes traces and metrics, and knows no logs."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(404 if self.path == "/v1/logs" else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def _candidates(tmp_path: Path, config: str) -> list[Candidate]:
    file = tmp_path / "kong.yml"
    file.write_text(f'_format_version: "3.0"\nplugins:\n- name: otlp-tracing\n  config: {config}\n')
    entries, _ = read_entries(file)
    return [one for one in candidates(entries, {}, Masking(), OWN) if isinstance(one, Candidate)]


async def test_each_signal_of_an_entry_is_asked(tmp_path: Path, collector: str) -> None:
    """A collector without a pipeline for logs is found before the first record is held."""
    config = (
        f"{{endpoint: '{collector}', protocol: http/protobuf, metrics: {{enabled: true}}, logs: {{requests: all}}}}"
    )
    some = _candidates(tmp_path, config)
    levels = {one.subject: one.level for one in await ask_destinations(some, send=True) if one.text.startswith("OTLP")}

    assert levels == {
        f"{collector} (http/protobuf)": "ok",
        f"{collector} (metrics) (http/protobuf)": "ok",
        f"{collector} (logs) (http/protobuf)": "FAIL",
    }


def test_signals_that_are_off_are_not_asked(tmp_path: Path) -> None:
    """An entry sends traces alone unless it says otherwise."""
    assert [one.destination.signal for one in _candidates(tmp_path, "{endpoint: 'http://c:4317'}")] == ["traces"]


@pytest.mark.parametrize("signal", ["traces", "metrics", "logs"])
def test_a_destination_of_the_sidecar_keeps_its_signal(signal: str) -> None:
    """A report has endpoint and signal beside the name; without them, as of an older sidecar, nothing is asked."""
    found = of_sidecar({"endpoint": "http://c:4317", "protocol": "grpc", "signal": signal}, {}, OWN)

    assert found is not None
    assert (found.destination.endpoint, found.destination.signal) == ("http://c:4317", signal)
    assert of_sidecar({"destination": "http://c:4317", "protocol": "grpc"}, {}, OWN) is None
