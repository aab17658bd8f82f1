"""Promises of `otlp-tracing doctor`: each planted fault is found, with the command that mends it.

The faults are real: files, sockets, processes and collectors of this machine.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
import pytest

from e2e.certificates import Authority, Pair
from e2e.ports import free_port
from e2e.processes import end
from e2e.waiting import wait_for
from otlp_tracing.cli import main
from otlp_tracing.commands.doctor import kong_questions
from otlp_tracing.commands.doctor.command import ask_deliveries, joined
from otlp_tracing.commands.doctor.discovery import look_around
from otlp_tracing.commands.doctor.findings import AcceptedExport, Finding
from otlp_tracing.commands.doctor.kong_conf import KongConf
from otlp_tracing.commands.doctor.plugin_server_questions import ask_socket
from otlp_tracing.commands.doctor.processes import Process
from otlp_tracing.commands.doctor.sidecar_port import ask_port
from otlp_tracing.commands.doctor.sidecar_questions import ask_spool
from otlp_tracing.commands.option_kinds import Address
from otlp_tracing.commands.probe import ask_plugin_server, ask_sidecar
from otlp_tracing.handoff.frames import Config, Hello, Record, encode
from otlp_tracing.kong_server.loader import describe, load
from otlp_tracing.paths import PLUGIN_FILE, command_line, plugin_folder
from otlp_tracing_devtools.fake_collector import ThreadedOtlpSink

OTLP = shlex.join(command_line())
_OF_PATH = re.compile(r"(^|&& |-- )otlp-tracing ")
"""A command of this program that is sought in PATH: the README installs it elsewhere."""
SECRET = "s3cr3t-value-of-a-key"


@dataclass
class Machine:
    """A machine with a Kong that does not run: its prefix, kong.conf and kong.yml, all without a fault.

    Args:
        folder: an empty one, with a path that is short enough for a socket.
        http: the sidecar's address.
    """

    folder: Path
    http: str = field(default_factory=lambda: f"127.0.0.1:{free_port()}")

    def __post_init__(self) -> None:
        self.prefix = self.folder / "kong"
        self.prefix.mkdir(exist_ok=True)
        self.socket = self.prefix / "otlp-tracing.socket"
        self.kong_conf = self.folder / "kong.conf"
        self.kong_yml = self.folder / "kong.yml"
        self.programs, self.starts = self.folder / "bin", self.folder / "starts"
        for one in (self.programs, self.starts):
            one.mkdir(exist_ok=True)
        self.options: list[str] = []
        self.conf()

    def conf(self, **changes: str | None) -> None:
        """Write a kong.conf without a fault, but for some settings; None leaves one out."""
        settings = {
            "prefix": str(self.prefix),
            "plugins": "bundled,otlp-tracing",
            "pluginserver_names": "otlp-tracing",
            "pluginserver_otlp_tracing_socket": str(self.socket),
            "pluginserver_otlp_tracing_start_cmd": f"{OTLP} serve --kong-prefix {self.prefix}",
            # As in a container beside Kong; faster than `otlp-tracing dump`.
            "pluginserver_otlp_tracing_query_cmd": f"cat {self._description()}",
            **changes,
        }
        self.kong_conf.write_text("".join(f"{name} = {value}\n" for name, value in settings.items() if value))

    def kong(self, version: str) -> None:
        """Put a `kong` of a version in the path."""
        program = self.programs / "kong"
        program.write_text(f"#!/bin/sh\necho {version}\n")
        program.chmod(0o755)

    def _description(self) -> Path:
        path = self.folder / "description.json"
        path.write_text(json.dumps(describe(load(plugin_folder() / PLUGIN_FILE))))
        return path

    def yml(self, endpoint: str, *lines: str) -> None:
        """Write a kong.yml with one entry."""
        config = "".join(f"      {line}\n" for line in (f"endpoint: {endpoint}", *lines))
        self.kong_yml.write_text(f'_format_version: "3.0"\nplugins:\n  - name: otlp-tracing\n    config:\n{config}')

    def doctor(self, *more: str) -> int:
        """Run the command, and return its exit code."""
        files = [str(self.kong_yml)] * self.kong_yml.exists()
        conf = ["--kong-conf", str(self.kong_conf)]
        http = ["--http", self.http] if self.http else []
        return main(["doctor", *files, *conf, *http, *self.options, *more])


@dataclass(frozen=True)
class Found:
    """The findings of a run."""

    code: int
    findings: list[dict[str, str]]

    def of_level(self, *levels: str) -> list[dict[str, str]]:
        return [one for one in self.findings if one["level"] in levels]


Examine = Callable[[Machine], Found]


@pytest.fixture
def examine(capsys: pytest.CaptureFixture[str]) -> Examine:
    """Give a function that runs doctor on a machine."""

    def run(machine: Machine) -> Found:
        capsys.readouterr()
        code = machine.doctor("--json")
        text = capsys.readouterr().out
        assert SECRET not in text
        findings = json.loads(text)
        assert [one for one in findings if _OF_PATH.search(one["command"])] == []
        return Found(code, findings)

    return run


@pytest.fixture
def machine(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Give a machine without a fault."""
    machine = Machine(tmp_path_factory.mktemp("m"))
    monkeypatch.setenv("PATH", f"{machine.programs}:{os.environ['PATH']}")
    monkeypatch.setattr(kong_questions, "DEFAULT_STARTS", machine.starts)
    return machine


@contextlib.contextmanager
def listening(path: Path, *, listens: bool = True) -> Iterator[socket.socket]:
    """Bind a unix socket that never answers."""
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(path))
        path.chmod(0o600)
        if listens:
            one.listen()
        yield one


@contextlib.contextmanager
def web_server(status: int, body: bytes = b"") -> Iterator[str]:
    """Run a server that gives every request one answer; return its address."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            is_good = status in {308, 404} and self.path == "/otlp/v1/traces"
            self.send_response(200 if is_good else status)
            content = b"" if is_good else body
            self.send_header("Content-Length", str(len(content)))
            if status == 308:
                self.send_header("Location", "/otlp/v1/traces")
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = answer  # noqa: N815 - the base class names them

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def collector(certificate: Pair | None = None) -> ThreadedOtlpSink:
    """Make a collector that accepts everything, with TLS if it has a certificate."""
    if certificate is None:
        return ThreadedOtlpSink()
    pair = (certificate.key.encode(), certificate.certificate.encode())
    return ThreadedOtlpSink(credentials=grpc.ssl_server_credentials([pair]))


def script(machine: Machine, text: str) -> str:
    """Write a program, and return its path."""
    path = machine.folder / "program"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


Plant = Callable[[Machine, contextlib.ExitStack], None]


def another_plugin_file(machine: Machine, _: contextlib.ExitStack) -> None:
    plugins = machine.folder / "plugins"
    plugins.mkdir()
    (plugins / "otlp-tracing.py").write_text("version = '0.0.9'\nclass Plugin: pass\n")
    machine.options = ["--plugins", str(plugins)]


def no_plugin(machine: Machine, _: contextlib.ExitStack) -> None:
    machine.conf(plugins="bundled,cors")


def misspelt_plugin(machine: Machine, _: contextlib.ExitStack) -> None:
    machine.conf(plugins="bundled,otlp_tracing,cors")


def misspelt_plugin_beside_the_right_one(machine: Machine, _: contextlib.ExitStack) -> None:
    machine.conf(plugins="bundled,otlp_tracing,otlp-tracing")


def no_name(machine: Machine, _: contextlib.ExitStack) -> None:
    machine.conf(pluginserver_names=None)


def other_socket(machine: Machine, _: contextlib.ExitStack) -> None:
    machine.conf(pluginserver_otlp_tracing_socket="/usr/local/kong/other.socket")


def query_is_gone(machine: Machine, _: contextlib.ExitStack) -> None:
    machine.conf(pluginserver_otlp_tracing_query_cmd="/nowhere/otlp-tracing dump")


def query_is_chatty(machine: Machine, _: contextlib.ExitStack) -> None:
    machine.conf(pluginserver_otlp_tracing_query_cmd=script(machine, f"echo 'a warning'; {OTLP} dump"))


def query_is_of_another_version(machine: Machine, _: contextlib.ExitStack) -> None:
    changed = """sed 's/"Version": "[^"]*"/"Version": "0.0.9"/'"""
    machine.conf(pluginserver_otlp_tracing_query_cmd=script(machine, f"{OTLP} dump | {changed}"))


def no_query(machine: Machine, _: contextlib.ExitStack) -> None:
    machine.conf(pluginserver_otlp_tracing_query_cmd=None)


def start_is_gone(machine: Machine, _: contextlib.ExitStack) -> None:
    machine.conf(pluginserver_otlp_tracing_start_cmd="/nowhere/otlp-tracing serve")


def start_has_a_bad_option(machine: Machine, _: contextlib.ExitStack) -> None:
    start = f"env OTLP_TRACING_WORKERS=2x KEY={SECRET} {OTLP} serve --kong-prefix {machine.prefix}"
    machine.conf(pluginserver_otlp_tracing_start_cmd=start)


def start_breaks_the_admin_api(machine: Machine, _: contextlib.ExitStack) -> None:
    machine.kong("3.9.3")


def stay_alive_breaks_the_admin_api(machine: Machine, _: contextlib.ExitStack) -> None:
    machine.kong("3.9.3")
    machine.conf(pluginserver_otlp_tracing_start_cmd="sleep infinity")


def no_start_for_an_old_kong(machine: Machine, _: contextlib.ExitStack) -> None:
    machine.kong("3.4.2")
    machine.conf(pluginserver_otlp_tracing_start_cmd=None)


def a_program_with_the_servers_name(machine: Machine, _: contextlib.ExitStack) -> None:
    machine.conf(pluginserver_otlp_tracing_start_cmd=None)
    (machine.starts / "otlp-tracing").touch()


def short_timeout(machine: Machine, _: contextlib.ExitStack) -> None:
    machine.conf(nginx_proxy_lua_socket_read_timeout="1s")


def left_over_socket(machine: Machine, planted: contextlib.ExitStack) -> None:
    planted.enter_context(listening(machine.socket, listens=False))


def file_in_the_way(machine: Machine, _: contextlib.ExitStack) -> None:
    machine.socket.write_text("")


def hung_plugin_server(machine: Machine, planted: contextlib.ExitStack) -> None:
    planted.enter_context(listening(machine.socket))


def open_socket(machine: Machine, planted: contextlib.ExitStack) -> None:
    planted.enter_context(listening(machine.socket, listens=False))
    machine.socket.chmod(0o666)


def closed_socket(machine: Machine, planted: contextlib.ExitStack) -> None:
    planted.enter_context(listening(machine.socket, listens=False))
    machine.socket.chmod(0)


def port_is_taken(machine: Machine, planted: contextlib.ExitStack) -> None:
    machine.http = planted.enter_context(web_server(404, b"<html>"))


def port_of_start_is_taken(machine: Machine, planted: contextlib.ExitStack) -> None:
    address = planted.enter_context(web_server(404, b"<html>"))
    machine.http = ""
    machine.conf(pluginserver_otlp_tracing_start_cmd=f"{OTLP} serve --kong-prefix {machine.prefix} --http {address}")


def open_folder(machine: Machine, _: contextlib.ExitStack) -> None:
    (machine.prefix / "otlp-tracing").mkdir()
    (machine.prefix / "otlp-tracing").chmod(0o755)


def no_entry(machine: Machine, _: contextlib.ExitStack) -> None:
    machine.kong_yml.write_text('_format_version: "3.0"\nplugins:\n  - name: cors\n')


def entry_with_a_fault(machine: Machine, _: contextlib.ExitStack) -> None:
    machine.yml("http://127.0.0.1:4317", "sampling: {rate: 7}")


def unresolved_name(machine: Machine, _: contextlib.ExitStack) -> None:
    machine.yml("http://collector.invalid:4317")


def no_collector(machine: Machine, _: contextlib.ExitStack) -> None:
    machine.yml(f"http://127.0.0.1:{free_port()}")


def grpc_to_http(machine: Machine, planted: contextlib.ExitStack) -> None:
    machine.yml(f"http://{planted.enter_context(web_server(200))}")


def http_to_grpc(machine: Machine, planted: contextlib.ExitStack) -> None:
    machine.yml(planted.enter_context(collector()).sink.endpoint, "protocol: http/protobuf")


def plain_to_tls(machine: Machine, planted: contextlib.ExitStack) -> None:
    sink = planted.enter_context(collector(Authority("private").issue("collector"))).sink
    machine.yml(sink.endpoint.replace("https:", "http:"))


def http_to_grpc_over_tls(machine: Machine, planted: contextlib.ExitStack) -> None:
    sink = planted.enter_context(collector(Authority("private").issue("collector"))).sink
    machine.yml(sink.endpoint, "protocol: http/protobuf", "tls: {insecure_skip_verify: true}")


def tls_to_plain_grpc(machine: Machine, planted: contextlib.ExitStack) -> None:
    machine.yml(planted.enter_context(collector()).sink.endpoint.replace("http:", "https:"))


def tls_to_plain_http(machine: Machine, planted: contextlib.ExitStack) -> None:
    machine.yml(f"https://{planted.enter_context(web_server(200))}", "protocol: http/protobuf")


def unknown_authority(machine: Machine, planted: contextlib.ExitStack) -> None:
    machine.yml(planted.enter_context(collector(Authority("private").issue("collector"))).sink.endpoint)


def with_authority(machine: Machine, planted: contextlib.ExitStack, *, host: str, days: int) -> None:
    authority = Authority("private")
    (machine.folder / "ca.pem").write_text(authority.certificate)
    sink = planted.enter_context(collector(authority.issue("collector", days))).sink
    machine.yml(sink.endpoint.replace("127.0.0.1", host), f"tls: {{ca_cert: {machine.folder}/ca.pem}}")


def expired_certificate(machine: Machine, planted: contextlib.ExitStack) -> None:
    with_authority(machine, planted, host="127.0.0.1", days=0)


def certificate_of_another_name(machine: Machine, planted: contextlib.ExitStack) -> None:
    with_authority(machine, planted, host="localhost", days=30)


def certificate_ends_soon(machine: Machine, planted: contextlib.ExitStack) -> None:
    with_authority(machine, planted, host="127.0.0.1", days=3)


def no_authority_file(machine: Machine, planted: contextlib.ExitStack) -> None:
    sink = planted.enter_context(collector(Authority("private").issue("collector"))).sink
    machine.yml(sink.endpoint, "tls: {ca_cert: /nowhere/ca.pem}")


def refused_key(machine: Machine, planted: contextlib.ExitStack) -> None:
    address = planted.enter_context(web_server(401, f"no such key: {SECRET}".encode()))
    machine.yml(f"http://{address}", "protocol: http/protobuf", "headers:", f'  - "x-api-key: {SECRET}"')


def wrong_path(machine: Machine, planted: contextlib.ExitStack) -> None:
    machine.yml(f"http://{planted.enter_context(web_server(404))}/otlp", "protocol: http/protobuf")


def answering(machine: Machine, planted: contextlib.ExitStack, status: int, body: bytes = b"") -> None:
    machine.yml(f"http://{planted.enter_context(web_server(status, body))}", "protocol: http/protobuf")


def redirection(machine: Machine, planted: contextlib.ExitStack) -> None:
    answering(machine, planted, 308)


def plain_to_a_web_server_with_tls(machine: Machine, planted: contextlib.ExitStack) -> None:
    answering(machine, planted, 400, b"Client sent an HTTP request to an HTTPS server.")


def no_gzip(machine: Machine, planted: contextlib.ExitStack) -> None:
    answering(machine, planted, 415)


def refusing_proxy(machine: Machine, planted: contextlib.ExitStack) -> None:
    answering(machine, planted, 407)


def no_quota(machine: Machine, planted: contextlib.ExitStack) -> None:
    answering(machine, planted, 402)


# Each fault, a word of its finding, a part of the command; True if the command as printed removes the finding.
FAULTS: list[tuple[Plant, str, str, bool]] = [
    (another_plugin_file, "has version 0.0.9", "pip install --force-reinstall --no-deps CHECKOUT", False),
    (no_plugin, "plugins has no otlp-tracing", "plugins = bundled,cors,otlp-tracing", True),
    (misspelt_plugin, "plugins has otlp_tracing, and the name is", "plugins = bundled,cors,otlp-tracing", True),
    (misspelt_plugin_beside_the_right_one, "plugins has otlp_tracing", "plugins = bundled,otlp-tracing", True),
    (no_name, "pluginserver_names is not set", "pluginserver_names = otlp-tracing", True),
    (other_socket, "Kong connects to /usr/local/kong/other.socket", "pluginserver_otlp_tracing_socket = ", True),
    (query_is_gone, "ends with 127", "pluginserver_otlp_tracing_query_cmd = ", True),
    (query_is_chatty, "text that is not JSON: a warning", "pluginserver_otlp_tracing_query_cmd = ", True),
    (query_is_of_another_version, "describes version '0.0.9'", "pluginserver_otlp_tracing_query_cmd = ", True),
    (no_query, "query_cmd is not set", "pluginserver_otlp_tracing_query_cmd = ", True),
    (start_is_gone, "no program /nowhere/otlp-tracing", "pluginserver_otlp_tracing_start_cmd = ", True),
    (start_has_a_bad_option, "OTLP_TRACING_WORKERS = 2x: must be", "pluginserver_otlp_tracing_start_cmd = ", True),
    (start_breaks_the_admin_api, "answers 500 in one nginx worker", "systemctl enable --now otlp-tracing && ", False),
    (stay_alive_breaks_the_admin_api, "answers 500 in one nginx worker", "sed -i ", True),
    (no_start_for_an_old_kong, "Kong 3.4 never calls", "pluginserver_otlp_tracing_start_cmd = sleep infinity", True),
    (a_program_with_the_servers_name, "in the place of the plugin server", "mv ", False),
    (short_timeout, "binds every plugin server", "nginx_proxy_lua_socket_read_timeout", True),
    (left_over_socket, "connection refused", "serve --kong-prefix", False),
    (file_in_the_way, "is not a socket", "mv ", True),
    (hung_plugin_server, "no worker answers", "serve --kong-prefix", False),
    (open_socket, "has mode 0666", "chmod 600 ", True),
    (closed_socket, " cannot connect", "chmod 600 ", True),
    (port_is_taken, "another program has the port", " --http 127.0.0.1:", False),
    (port_of_start_is_taken, "another program has the port", " --http 127.0.0.1:", False),
    (open_folder, "has mode 0755", "chmod 700 ", True),
    (no_entry, "no entry of otlp-tracing", "- name: otlp-tracing", True),
    (entry_with_a_fault, "has faults", "otlp-tracing check ", False),
    (unresolved_name, "collector.invalid does not resolve", "http://HOST:4317", False),
    (no_collector, "no program listens there", "http://127.0.0.1:PORT", False),
    (grpc_to_http, "speaks HTTP/1.1", "protocol: http/protobuf", True),
    (http_to_grpc, "speaks gRPC", "protocol: grpc", True),
    (tls_to_plain_grpc, "does not speak TLS", "endpoint: http://127.0.0.1", True),
    (tls_to_plain_http, "does not speak TLS", "endpoint: http://127.0.0.1", True),
    (plain_to_tls, "the port speaks TLS", "endpoint: https://127.0.0.1", True),
    (http_to_grpc_over_tls, "speaks gRPC", "protocol: grpc", True),
    (unknown_authority, "authority of the collector's certificate is not known", "ca_cert: /PATH/TO/", False),
    (expired_certificate, "has expired", "openssl s_client -connect 127.0.0.1:", False),
    (certificate_of_another_name, "for another name than localhost", "https://NAME-IN-THE-CERTIFICATE:", False),
    (certificate_ends_soon, "valid for 3 days", "openssl s_client -connect 127.0.0.1:", False),
    (no_authority_file, "tls.ca_cert = /nowhere/ca.pem: cannot be read", "ca_cert: /PATH/TO/", False),
    (refused_key, "HTTP 401: no such key: …", 'x-api-key: KEY"', False),
    (wrong_path, "HTTP 404", "/otlp/v1/traces", True),
    (redirection, "HTTP 308: it redirects to http://127.0.0.1:", "/otlp/v1/traces", True),
    (plain_to_a_web_server_with_tls, "the port speaks TLS alone", "endpoint: https://127.0.0.1", False),
    (no_gzip, "HTTP 415", "compression: none", False),
    (refusing_proxy, "the proxy answers HTTP 407", "export HTTPS_PROXY=", False),
    (no_quota, "HTTP 402", "otlp-tracing status --http 127.0.0.1:", False),
]


@pytest.mark.parametrize("fault", FAULTS, ids=[one[0].__name__ for one in FAULTS])
def test_a_planted_fault_is_found(machine: Machine, examine: Examine, fault: tuple[Plant, str, str, bool]) -> None:
    """One FAIL or warning says it with its command, and its command mends it, or needs the reader's own value."""
    plant, text, command, mends = fault
    with contextlib.ExitStack() as planted:
        plant(machine, planted)
        before = examine(machine)
        wrong = [one for one in before.of_level("FAIL", "warn") if text in one["text"]]

        assert len(wrong) == 1, before.findings
        assert command in wrong[0]["command"]
        assert before.code == (1 if before.of_level("FAIL") else 0)
        if mends:
            subprocess.run(["/bin/sh", "-c", wrong[0]["command"]], check=True, cwd=machine.folder)
            after = examine(machine)
            still = [one for one in after.of_level("FAIL", "warn") if one["command"] == wrong[0]["command"]]
            assert still == [], machine.kong_yml.read_text()


def test_a_machine_without_a_fault_has_no_finding_but_notes(machine: Machine, examine: Examine) -> None:
    """With nothing running, files without a fault and a collector that accepts, nothing is wrong."""
    with collector() as sink:
        machine.yml(sink.sink.endpoint)
        found = examine(machine)

    assert found.of_level("FAIL", "warn") == []
    assert found.code == 0
    assert any("OTLP: accepts an export" in one["text"] for one in found.of_level("ok"))
    assert [one["subject"] for one in found.of_level("note")] == ["kong.conf", "socket", "sidecar"]
    assert sink.sink.spans == []


@pytest.mark.parametrize(
    ("path", "headers", "level", "words"),
    [
        ("/logs", "{}", "note", "http-log is for another server"),
        ("/otlp-tracing/records", "{X-OTLP-Tracing-Token: t}", "note", "http-log brings the records to the sidecar"),
        ("/otlp-tracing/records", "{}", "FAIL", "must have X-OTLP-Tracing-Token"),
    ],
)
def test_an_http_log_is_explained(  # noqa: PLR0917 - the case
    machine: Machine, examine: Examine, path: str, headers: str, level: str, words: str
) -> None:
    """It may be the way of the records; then its faults lose them."""
    machine.yml(f"http://127.0.0.1:{free_port()}")
    entry = f"  - name: http-log\n    config: {{http_endpoint: 'http://127.0.0.1:9465{path}', headers: {headers}"
    text = f"{machine.kong_yml.read_text()}{entry}, queue: {{max_batch_size: 200}}}}\n"
    machine.kong_yml.write_text(text)

    assert [one["level"] for one in examine(machine).findings if words in one["text"]] == [level]


def test_nothing_at_all_is_no_fault(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without Kong, files and processes it names the questions that it could not ask, and exits with 0."""
    for name in [name for name in os.environ if name.startswith("KONG_")]:
        monkeypatch.delenv(name)

    assert main(["doctor", "--kong-prefix", str(tmp_path), "--http", "127.0.0.1:1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert {line.split()[0] for line in lines[:-1]} == {"ok", "note"}
    assert lines[-1] == "nothing wrong was found; 4 questions could not be asked"


def test_a_key_of_the_environment_is_not_shown(
    machine: Machine, examine: Examine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A collector that repeats the key of OTEL_EXPORTER_OTLP_HEADERS is quoted without it."""
    with web_server(403, f"no access for {SECRET}".encode()) as address:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", f"authorization=Bearer%20{SECRET}")
        machine.yml(f"http://{address}", "protocol: http/protobuf")
        (wrong,) = examine(machine).of_level("FAIL")

    assert "no access for …" in wrong["text"]
    assert wrong["command"] == "export OTEL_EXPORTER_OTLP_HEADERS=authorization=KEY"


def test_a_span_can_be_looked_for(machine: Machine, examine: Examine) -> None:
    """With --send each collector gets one span, and its trace id is printed."""
    with collector() as sink:
        machine.yml(sink.sink.endpoint, "resource_attributes: [{key: service.name, value: edge}]")
        machine.options = ["--send"]
        found = examine(machine)
        (span,) = sink.wait_for_spans(1)

    assert (span.name, span.resource["service.name"]) == ("otlp-tracing doctor", "edge")
    assert any(span.trace_id in one["text"] for one in found.of_level("ok"))


def test_each_finding_is_one_line(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    """The level comes first, the command last."""
    machine.conf(plugins="bundled")

    assert machine.doctor() == 1
    lines = capsys.readouterr().out.splitlines()
    (failed,) = [line for line in lines if line.startswith("FAIL")]
    assert failed.startswith("FAIL  kong.conf: plugins has no otlp-tracing -- run: sed -i ")
    command = f"kong start -c {machine.kong_conf} -p {machine.prefix}"
    assert lines[-1] == f"1 failed, 0 warnings; after a change of kong.conf or kong.yml: {command}"


def test_a_file_that_is_not_there_is_bad_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 2, and a sentence with the file."""
    assert main(["doctor", "--kong-conf", str(tmp_path / "kong.conf")]) == 2
    assert "kong.conf: cannot be read: No such file" in capsys.readouterr().err
    assert main(["doctor", str(tmp_path / "kong.yml")]) == 2
    assert "kong.yml: cannot be read: No such file" in capsys.readouterr().err


@pytest.fixture
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Give a machine on which the plugin server and its sidecar run."""
    machine = Machine(tmp_path_factory.mktemp("r"))
    with serving(machine):
        yield machine


@contextlib.contextmanager
def serving(machine: Machine, **environment: str) -> Iterator[None]:
    command = command_line("serve", "--kong-prefix", str(machine.prefix), "--http", machine.http, "--workers", "1")
    with (machine.folder / "log").open("wb") as log:
        started = subprocess.Popen(command, stderr=log, env={**os.environ, **environment})
    try:
        wait_for(lambda: answers(lambda: ask_plugin_server(machine.socket)), 30, "the plugin server")
        wait_for(lambda: answers(lambda: ask_sidecar(Address.parse(machine.http))), 30, "the sidecar")
        yield
    finally:
        end(started, 20)


def answers(ask: Callable[[], None]) -> bool:
    try:
        ask()
    except OSError:
        return False
    return True


def hand_over(machine: Machine, config: Mapping[str, Any], requests: int) -> None:
    """Send the records of requests to the sidecar, as a worker of the plugin server does."""
    log = json.dumps({"request": {"method": "GET", "uri": "/"}, "response": {"status": 200}, "started_at": 1}).encode()
    key = os.urandom(16)
    with socket.socket(socket.AF_UNIX) as worker:
        worker.connect(str(machine.prefix / "otlp-tracing" / "sidecar.sock"))
        worker.sendall(encode(Hello(1, os.urandom(8))) + encode(Config(key, json.dumps(config).encode())))
        for number in range(1, requests + 1):
            worker.sendall(encode(Record(number, key, log)))
            worker.recv(4096)


def test_a_healthy_set_up_has_no_warning(running: Machine, examine: Examine) -> None:
    """With plugin server, sidecar and collector that work, every answer is ok but for Kong itself."""
    with collector() as sink:
        running.yml(sink.sink.endpoint)
        hand_over(running, {"endpoint": sink.sink.endpoint, "batch_export": {"timeout": 100}}, requests=1)
        sink.wait_for_spans(1)
        found = examine(running)

    assert found.of_level("FAIL", "warn") == []
    assert [one["subject"] for one in found.of_level("note") if one["subject"] != "log"] == ["kong.conf"]
    texts = " | ".join(one["text"] for one in found.findings)
    for part in ("answers MessagePack in", "ProtoBuf in", "answers at http://", "takes writes", "1 requests: 1 rate"):
        assert part in texts


def test_a_sampler_of_the_environment_that_keeps_nothing_is_a_fault(
    tmp_path_factory: pytest.TempPathFactory, examine: Examine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variable, often meant for another program, is named, with the command that sets the entry's own rate."""
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    machine = Machine(tmp_path_factory.mktemp("r"))
    with collector() as sink, serving(machine):
        hand_over(machine, {"endpoint": sink.sink.endpoint, "sampling": {"rate": 0}}, requests=5)
        machine.yml(sink.sink.endpoint)
        found = examine(machine)

    (wrong,) = found.of_level("FAIL")
    assert "5 requests, all not_sampled: OTEL_TRACES_SAMPLER is always_off" in wrong["text"]
    assert "rate: 1" in wrong["command"]


def test_requests_that_were_all_sampled_out_are_a_fault(
    tmp_path_factory: pytest.TempPathFactory, examine: Examine
) -> None:
    """The entry with the rate 0 is named, with the command that changes its rate."""
    machine = Machine(tmp_path_factory.mktemp("r"))
    with collector() as sink, serving(machine):
        config = {"endpoint": sink.sink.endpoint, "sampling": {"rate": 0}}
        hand_over(machine, config, requests=5)
        machine.yml(sink.sink.endpoint, "sampling:", "  rate: 0")
        found = examine(machine)

    (wrong,) = found.of_level("FAIL")
    assert "5 requests, all not_sampled: sampling.rate is 0" in wrong["text"]
    assert "rate: 1" in wrong["command"]


def test_an_entry_that_traces_nothing_is_named_until_it_is_corrected(running: Machine, examine: Examine) -> None:
    """Kong has accepted it: its requests are refused, which is not the absence of requests."""
    with collector() as sink:
        running.yml(sink.sink.endpoint)
        wrong = {"__plugin_id": "0f4c", "endpoint": f"{sink.sink.endpoint}/v1/traces"}
        hand_over(running, wrong, requests=3)
        found = examine(running)
        (entry,) = found.of_level("FAIL")
        texts = " | ".join(one["text"] for one in found.findings)
        right = {**wrong, "endpoint": sink.sink.endpoint, "batch_export": {"timeout": 100}}
        hand_over(running, right, requests=1)
        sink.wait_for_spans(1)
        corrected = examine(running)

    assert entry["subject"] == "entry 0f4c (global)"
    assert entry["text"].startswith("traces nothing, its requests are refused: endpoint = ")
    assert entry["command"].endswith(f"otlp-tracing check {running.kong_yml}")
    assert "no request has reached the sidecar" not in texts
    assert "no request is traced: each one so far had no record, or a refused one" in texts
    assert "records that the sidecar refused: 4 bad_configuration" in texts
    assert corrected.of_level("FAIL", "warn") == []
    assert "4 bad_configuration since the start; no entry is refused now" in " | ".join(
        one["text"] for one in corrected.findings
    )


def test_a_variable_that_cannot_be_read_is_named(
    tmp_path_factory: pytest.TempPathFactory, examine: Examine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A header of the sidecar with a colon, and a sampler; a variable of another program is no warning."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", f"x-api-key: {SECRET}")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "sometimes")
    monkeypatch.setenv("OTEL_OF_ANOTHER_PROGRAM", "1")
    machine = Machine(tmp_path_factory.mktemp("v"))
    with serving(machine):
        found = examine(machine)
    warned = [one for one in found.of_level("warn") if one["subject"] == "variables"]

    assert [one["text"].partition(":")[0].split(" =")[0] for one in warned] == [
        "OTEL_EXPORTER_OTLP_HEADERS",
        "OTEL_TRACES_SAMPLER",
    ]
    assert "must be name=value" in warned[0]["text"]
    assert SECRET not in json.dumps(found.findings)
    assert [one["command"] for one in warned] == [
        "export OTEL_EXPORTER_OTLP_HEADERS=NAME=VALUE",
        "unset OTEL_TRACES_SAMPLER",
    ]


def test_a_spool_without_a_disk_is_found(tmp_path_factory: pytest.TempPathFactory, examine: Examine) -> None:
    """A file in the place of the spool's folder: the spans are in memory alone, and the command moves the file away."""
    machine = Machine(tmp_path_factory.mktemp("r"))
    (machine.prefix / "otlp-tracing").mkdir(mode=0o700)
    (machine.prefix / "otlp-tracing" / "spool").write_text("")
    with serving(machine):
        found = examine(machine)

    (wrong,) = found.of_level("FAIL")
    assert "spans and log records are in memory alone" in wrong["text"]
    assert wrong["command"].startswith("mv ")


def test_a_destination_of_the_sidecar_is_asked_without_a_file(running: Machine, examine: Examine) -> None:
    """Without a kong.yml, a collector that takes nothing is known from the sidecar, and asked."""
    endpoint = f"http://127.0.0.1:{free_port()}"
    running.kong_yml.unlink(missing_ok=True)
    hand_over(running, {"endpoint": endpoint, "batch_export": {"timeout": 100}}, requests=1)
    url = Address.parse(running.http)

    def failed() -> list[dict[str, str]]:
        return [one for one in examine(running).of_level("FAIL") if endpoint in one["subject"]]

    wait_for(lambda: len(failed()) == 2, 20, f"{url} says that {endpoint} fails")
    texts = " | ".join(one["text"] for one in failed())
    assert "the sidecar is retrying" in texts
    assert "no program listens there" in texts


def test_a_proxy_is_asked_in_the_place_of_the_collector(
    machine: Machine, examine: Examine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy that is away is the fault, and its password is not shown."""
    monkeypatch.setenv("HTTP_PROXY", f"http://user:{SECRET}@127.0.0.1:{free_port()}")
    machine.yml("http://collector.invalid:4318", "protocol: http/protobuf")
    (wrong,) = examine(machine).of_level("FAIL")

    assert wrong["text"].startswith("proxy: 127.0.0.1 port")
    assert wrong["command"] == "export NO_PROXY=collector.invalid"


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a folder to another user")
def test_a_folder_of_another_user_is_found(machine: Machine, examine: Examine) -> None:
    """A root shell's left-overs: the sidecar of Kong's user cannot use them, and `chown` mends it."""
    folder = machine.prefix / "otlp-tracing"
    folder.mkdir(mode=0o700)
    code = "import os, time; os.setuid(65534); print(flush=True); time.sleep(60)"
    command = [sys.executable, "-c", code, "otlp-tracing", "sidecar", f"--listen={folder}/sidecar.sock"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as sidecar:
        try:
            assert sidecar.stdout
            sidecar.stdout.readline()
            before = [one for one in examine(machine).of_level("FAIL") if one["subject"] == "sidecar's folder"]
            subprocess.run(["/bin/sh", "-c", before[0]["command"]], check=True)
            after = [one for one in examine(machine).of_level("FAIL") if one["subject"] == "sidecar's folder"]
        finally:
            sidecar.kill()

    assert "belongs to root, and the plugin server runs as nobody" in before[0]["text"]
    assert (after, folder.stat().st_uid) == ([], 65534)


@pytest.mark.parametrize(
    ("spool", "command"),
    [
        ("/missing/spans", "install -d -m 700 -o nobody /missing/spans"),
        ("/var/lib/missing/spool", "install -d -m 700 -o nobody /var/lib/missing/spool"),
        ("{prefix}/otlp-tracing", "chown -R nobody {prefix}/otlp-tracing"),
        ("{prefix}/spans", "chown nobody {prefix}/spans"),
    ],
)
def test_a_spool_that_another_user_has_is_mended_alone(machine: Machine, spool: str, command: str) -> None:
    """The command makes a missing folder, and gives away no file of other programs."""
    spool, command = (text.format(prefix=machine.prefix) for text in (spool, command))
    if "missing" not in spool:
        Path(spool).mkdir(exist_ok=True)
    found = replace(
        look_around(prefix=machine.prefix, kong_conf=None, address=Address.parse(machine.http), token=None),
        sidecar=Process(1 << 22, 1, 65534, ("otlp-tracing", "sidecar", "--spool", spool)),
    )
    (finding,) = ask_spool(found, {"spool_trouble": "no"})

    assert finding.command == command


@pytest.mark.parametrize(("of_sidecar", "of_worker"), [(0, 65534), (65534, 0), (1, 65534)])
def test_a_sidecar_of_another_user_is_found(running: Machine, of_sidecar: int, of_worker: int) -> None:
    """Root's too: the plugin server may not connect, or the sidecar refuses it. Its options and folder are kept."""
    folder = running.prefix / "otlp-tracing"
    argv = ("/opt/bin/otlp-tracing", "sidecar", "--listen", f"{folder}/sidecar.sock", "--spool=/data", "")
    found = replace(
        look_around(prefix=running.prefix, kong_conf=None, address=Address.parse(running.http), token=None),
        sidecar=Process(1 << 22, 1, of_sidecar, argv),
        workers=[Process(2, 1, of_worker, ("otlp-tracing", "worker"))],
    )
    (wrong,) = ask_port(found)
    (same,) = ask_port(replace(found, workers=[Process(2, 1, of_sidecar, ("otlp-tracing", "worker"))]))
    names = {0: "root", 1: "daemon", 65534: "nobody"}
    own = f"chown -R {names[of_worker]} {folder} && " if of_sidecar == os.geteuid() else ""

    assert (wrong.level, same.level) == ("FAIL", "ok")
    assert wrong.text.startswith(f"runs as {names[of_sidecar]}, and the plugin server as {names[of_worker]}: no record")
    assert wrong.command == (
        f"kill {1 << 22} && sleep 2 && {own}runuser -u {names[of_worker]} -- /opt/bin/otlp-tracing sidecar "
        f"--listen {folder}/sidecar.sock --spool=/data --http {running.http}"
    )


def test_the_home_of_root_keeps_its_owner(running: Machine) -> None:
    """A sidecar that root has started there has its socket in a folder that is private, and not its own."""
    socket_of_root = Path("/root") / "sidecar.sock"
    found = replace(
        look_around(prefix=running.prefix, kong_conf=None, address=Address.parse(running.http), token=None),
        sidecar=Process(1 << 22, 1, 0, ("/opt/bin/otlp-tracing", "sidecar", "--listen", str(socket_of_root))),
        workers=[Process(2, 1, 65534, ("otlp-tracing", "worker"))],
    )
    (wrong,) = ask_port(found)

    assert wrong.command.startswith(f"kill {1 << 22} && sleep 2 && runuser -u nobody -- ")


def test_a_program_that_changes_the_user_is_no_sidecar() -> None:
    """It stays as the parent, and still belongs to root."""
    words = ("/opt/bin/otlp-tracing", "sidecar", "")
    roles = [
        Process(1, 1, 0, (*before, *words)).role for before in ((), ("/usr/bin/python3.11", "-P"), ("runuser", "--"))
    ]

    assert roles == ["sidecar", "sidecar", None]


def test_an_option_of_the_sidecar_may_be_a_variable() -> None:
    """As in the image and in a unit."""
    environment = {"OTLP_TRACING_LISTEN": "/a", "OTLP_TRACING_SPOOL": "/b"}
    with subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, env=environment) as started:
        sidecar = Process(started.pid, 1, 0, ("otlp-tracing", "sidecar", "--spool", "/c", ""))
        wait_for(lambda: sidecar.environment() == environment, 10, "its environment")
        found = [sidecar.setting(name) for name in ("--listen", "--spool", "--http")]
        started.communicate()

    assert found == ["/a", "/c", None]


def test_the_socket_shows_the_user_of_a_sidecar_that_is_not_seen(running: Machine) -> None:
    """It may run in another container."""
    other = os.geteuid() + 1
    found = look_around(prefix=running.prefix, kong_conf=None, address=Address.parse(running.http), token=None)
    worker = Process(2, 1, other, ("otlp-tracing", "worker"))
    (wrong,) = ask_port(replace(found, sidecar=None, workers=[worker]))

    assert wrong.level == "FAIL"
    assert f"(its socket {running.prefix}/otlp-tracing/sidecar.sock has mode 0600)" in wrong.text
    assert "sidecar --listen" in wrong.command


@pytest.mark.skipif(os.geteuid() != 0, reason="changes the user")
def test_a_root_shell_starts_the_server_as_kongs_user(machine: Machine) -> None:
    """A plugin server of root could not be reached by Kong's workers."""
    kong = Process(1, 0, 0, ("nginx: master process",))
    worker = Process(2, 1, 65534, ("nginx: worker process",))
    found = look_around(prefix=machine.prefix, kong_conf=machine.kong_conf, address=None, token=None)

    running = replace(found, kong=kong, kong_worker=worker)
    assert running.start_command.startswith("runuser -u nobody -- ")
    assert replace(running, kong_worker=replace(worker, uid=0)).start_command == found.start_command


def test_kong_reads_a_change_by_the_last_command(machine: Machine) -> None:
    """Kong needs its file and prefix: `kong reload -p PREFIX` alone reads neither kong.conf nor kong.yml again."""
    found = look_around(prefix=machine.prefix, kong_conf=machine.kong_conf, address=None, token=None)
    running = replace(found, kong=Process(1, 0, os.geteuid(), ("nginx: master process",)))
    places = f"-c {machine.kong_conf} -p {machine.prefix}"
    assert running.reload_command == f"kong reload {places}"
    assert running.restart_command == f"kong restart {places}"
    assert found.reload_command == found.restart_command == f"kong start {places}"

    of_unknown_file = KongConf("a Kong", {"declarative_config": "/etc/a b.yml"}, None, is_origin_known=False)
    assert replace(running, conf=of_unknown_file).reload_command == (
        f"env 'KONG_DECLARATIVE_CONFIG=/etc/a b.yml' kong reload -p {machine.prefix}"
    )
    with_database = replace(of_unknown_file, values={})
    assert replace(running, conf=with_database).reload_command == f"kong reload -p {machine.prefix}"


@pytest.mark.skipif(os.geteuid() != 0, reason="changes the user")
def test_a_root_shell_reloads_as_kongs_user(machine: Machine) -> None:
    """Files of root in the prefix would stop the next start by Kong's user."""
    found = look_around(prefix=machine.prefix, kong_conf=machine.kong_conf, address=None, token=None)
    running = replace(found, kong=Process(1, 0, 65534, ("nginx: master process",)))

    assert running.reload_command.startswith("runuser -u nobody -- kong reload ")


def test_a_removed_line_needs_a_restart(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    """A reload keeps the line, on Kong 3.4.2 and 3.9.3."""
    machine.doctor()
    assert "a removed line" not in capsys.readouterr().out
    machine.conf(nginx_proxy_lua_socket_read_timeout="1s")
    machine.doctor()

    last = capsys.readouterr().out.splitlines()[-1]
    assert last.endswith(f", a removed line too: kong start -c {machine.kong_conf} -p {machine.prefix}")


def test_a_server_at_another_socket_is_found(machine: Machine) -> None:
    """The mending command tells Kong the socket at which the plugin server listens."""
    served = machine.prefix / "otlp-tracing.run" / "plugin-server.sock"
    server = Process(3, 1, os.getuid(), ("otlp-tracing", "worker", json.dumps({"socket": str(served)})))
    found = look_around(prefix=machine.prefix, kong_conf=machine.kong_conf, address=None, token=None)
    running = replace(found, kong=Process(1, 0, 0, ("nginx: master process",)), workers=[server])

    (one,) = ask_socket(running)
    assert (one.level, one.subject) == ("FAIL", "socket")
    assert f"the plugin server listens at {served}" in one.text
    subprocess.run(one.command, shell=True, check=True)  # noqa: S602
    again = look_around(prefix=machine.prefix, kong_conf=machine.kong_conf, address=None, token=None)
    assert again.socket == served


def test_the_process_without_a_sidecar_is_named(machine: Machine) -> None:
    """It may be another Kong's plugin server, which a person can tell by its pid and socket."""
    server = Process(3, 77, os.getuid(), ("otlp-tracing", "worker", json.dumps({"socket": str(machine.socket)})))
    address = Address("127.0.0.1", free_port())
    found = look_around(prefix=machine.prefix, kong_conf=machine.kong_conf, address=address, token=None)

    (one,) = ask_port(replace(found, workers=[server]))
    assert (one.level, one.text.partition("; ")[2]) == (
        "FAIL",
        f"the plugin server has pid 77 and serves {machine.socket}",
    )


def test_a_destination_has_one_line_for_its_answer_and_its_state() -> None:
    """A healthy destination is not printed twice; a state that is not well keeps its own line and command."""
    port, answer = (
        Finding("ok", "http://a:4317 (grpc)", "TCP: open"),
        AcceptedExport("ok", "http://a:4317 (grpc)", "OTLP: yes"),
    )
    well, other = Finding("ok", "http://a:4317 (grpc)", "it is ok"), Finding("ok", "http://b:4317 (grpc)", "it is ok")
    held = Finding("FAIL", "http://a:4317 (grpc)", "it is held", "mend it")

    assert list(joined([port, answer], [well, other, held])) == [
        port,
        Finding("ok", "http://a:4317 (grpc)", "OTLP: yes; it is ok"),
        other,
        held,
    ]


def test_the_command_of_a_failing_destination_is_the_sidecars(machine: Machine) -> None:
    """The sidecar knows the file that it cannot read; without a command of its own, `status` shows more."""
    found = look_around(prefix=machine.prefix, kong_conf=machine.kong_conf, address=None, token=None)
    report = {"destination": "http://c:4317", "protocol": "grpc", "state": "retrying", "reason": "a; run: b"}
    (known,) = ask_deliveries(found, [{**report, "command": "chown -R kong /key.pem"}], is_asked=True)
    (unknown,) = ask_deliveries(found, [report], is_asked=True)

    assert known.command == "chown -R kong /key.pem"
    assert " status --http " in unknown.command
