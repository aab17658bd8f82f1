"""Promises of commands/doctor/destination_export.py."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from otlp_tracing.commands.doctor.candidates import Candidate, candidates
from otlp_tracing.commands.doctor.destination_export import ask_export
from otlp_tracing.commands.doctor.findings import Masking
from otlp_tracing.commands.doctor.kong_yml import read_entries
from otlp_tracing.commands.doctor.own_commands import OwnCommands
from otlp_tracing.commands.option_kinds import Address
from otlp_tracing.paths import command_line

OWN = OwnCommands(Address("127.0.0.1", 21001))


@pytest.mark.parametrize(
    ("status", "headers", "command"),
    [
        (308, {"Location": "http://other:4318/v1/traces?key=secret"}, "http://other:4318/v1/traces"),
        (307, {"Location": "mailto:someone"}, "/v1/traces"),
        (400, {}, "https://127.0.0.1"),
        (401, {}, "OTEL_EXPORTER_OTLP_HEADERS"),
        (402, {}, f"{command_line()[-1]} status --http 127.0.0.1:21001"),
        (404, {}, "/v1/traces"),
        (407, {}, "HTTPS_PROXY"),
        (415, {}, "compression: none"),
        (511, {}, "HTTPS_PROXY"),
        (503, {}, f"{command_line()[-1]} status --http 127.0.0.1:21001"),
    ],
)
async def test_each_kind_of_cause_has_its_command(
    status: int, headers: dict[str, str], command: str, tmp_path: Path
) -> None:
    """And a secret in the query of a redirection is in no command."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = b"Client sent an HTTP request to an HTTPS server." if status == 400 else b""
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    file = tmp_path / "kong.yml"
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        endpoint = f"http://127.0.0.1:{server.server_port}/otlp"
        config = f"    endpoint: {endpoint}\n    protocol: http/protobuf\n"
        file.write_text(f'_format_version: "3.0"\nplugins:\n- name: otlp-tracing\n  config:\n{config}')
        entries, _ = read_entries(file)
        (one,) = candidates(entries, {}, Masking(), OWN)
        assert isinstance(one, Candidate)
        found = await ask_export(one, False)
        server.shutdown()

    assert found.level == "FAIL"
    assert command in found.command
    assert "secret" not in found.command
