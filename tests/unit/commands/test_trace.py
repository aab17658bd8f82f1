"""Promises of commands/trace.py."""

from __future__ import annotations

import contextlib
import io
import threading
import time
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from nginx_records import recorded
from otlp_tracing.cli import main
from otlp_tracing.commands.screen import Screen
from otlp_tracing.commands.trace import TOKEN_VARIABLE, draw
from otlp_tracing.sidecar.ingest.log_record import DEBUG_OUTPUT_HEADER
from otlp_tracing.sidecar.spans.request_debug import DebugOutput

OUTPUT = recorded("3.9", "debugged")["response"]["headers"][DEBUG_OUTPUT_HEADER]


class Gateway:
    """Answers like a Kong; keeps the last request."""

    def __init__(self) -> None:
        self.headers: Mapping[str, str] = {"Via": "1.1 kong/3.9.3", "X-Kong-Request-Debug-Output": OUTPUT}
        self.seen: dict[str, Any] = {}
        self.is_endless = False
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                gateway.seen = {
                    "line": self.requestline,
                    "body": body,
                    **{k.lower(): v for k, v in self.headers.items()},
                }
                self.send_response_only(200)
                for name, value in gateway.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(b"hello")
                with contextlib.suppress(OSError):  # the client has gone
                    while gateway.is_endless:
                        self.wfile.write(b"data: 1\n\n")
                        time.sleep(0.05)

            do_GET = do_POST = _answer  # noqa: N815 - the names that http.server calls

            def log_message(self, *_: Any) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gateway]:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)
    running = Gateway()
    thread = threading.Thread(target=running.server.serve_forever, args=(0.02,))
    thread.start()
    yield running
    running.server.shutdown()
    running.server.server_close()
    thread.join()


def test_a_request_is_drawn(gateway: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
    """A line a step with its time, and the trace id under which the spans will be."""
    assert main(["trace", "GET", f"{gateway.url}/users/42?a=b"]) == 0

    first, *lines, last = capsys.readouterr().out.splitlines()
    assert first.startswith("GET /users/42: 200, 5 bytes, ")
    assert gateway.seen["traceparent"].split("-")[1] in first
    assert gateway.seen["line"] == "GET /users/42?a=b HTTP/1.1"
    assert gateway.seen["x-kong-request-debug"] == "*"
    assert "x-kong-request-debug-token" not in gateway.seen
    assert [line.split()[0] for line in lines] == [
        "rewrite",
        "plugin",
        "access",
        "router",
        "plugin",
        "balancer",
        "upstream",
        "header_filter",
        "plugin",
    ]
    assert all(" ms" in line and "█" in line and len(line) <= 80 for line in lines)
    assert last.startswith("Kong ")


def test_headers_body_and_token_are_sent(gateway: Gateway, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The token comes from a file, and no line shows it."""
    token, secret = tmp_path / "token", tmp_path / "headers"
    token.write_text("t0ken-of-kong\n")
    secret.write_text("apikey: anns-key\n\nX-B: 2\n")
    arguments = ["-H", "X-A: 1", "-H", f"@{secret}", "--data", "a=1", "--debug-token-file", str(token)]

    assert main(["trace", "POST", gateway.url, *arguments]) == 0

    assert (gateway.seen["line"], gateway.seen["body"]) == ("POST / HTTP/1.1", b"a=1")
    assert (gateway.seen["x-a"], gateway.seen["apikey"], gateway.seen["x-b"]) == ("1", "anns-key", "2")
    assert gateway.seen["x-kong-request-debug-token"] == "t0ken-of-kong"
    printed = capsys.readouterr()
    assert "t0ken" not in printed.out + printed.err


def test_the_token_can_be_in_the_environment(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """A caller's own traceparent is left alone."""
    monkeypatch.setenv(TOKEN_VARIABLE, "from-environment")
    own = f"00-{'a' * 32}-{'b' * 16}-01"

    assert main(["trace", "GET", gateway.url, "-H", f"traceparent: {own}"]) == 0

    assert gateway.seen["x-kong-request-debug-token"] == "from-environment"
    assert gateway.seen["traceparent"] == own


@pytest.mark.parametrize(
    ("headers", "sentence"),
    [
        ({"Via": "kong/3.4.2"}, "Kong 3.4 has no request debugging: it needs Kong 3.5 or newer"),
        ({"Server": "kong/3.4.2"}, "Kong 3.4 has no request debugging: it needs Kong 3.5 or newer"),
        ({"Via": "1.1 kong/3.9.3"}, "no debug output: Kong gives it to its own machine, otherwise with the token"),
        ({"Server": f"kong/{'9' * 5000}.1"}, "no debug output: Kong gives it to its own machine"),
        ({DEBUG_OUTPUT_HEADER: '{"truncated": true}'}, "Kong's output is over 2 KiB, and is cut for other machines"),
    ],
)
def test_an_answer_without_output_has_one_sentence(
    gateway: Gateway, capsys: pytest.CaptureFixture[str], headers: Mapping[str, str], sentence: str
) -> None:
    """The status is shown all the same."""
    gateway.headers = headers

    assert main(["trace", "GET", gateway.url]) == 1

    printed = capsys.readouterr()
    assert printed.out.startswith("GET /: 200, 5 bytes")
    assert printed.err.startswith(f"otlp-tracing: {sentence}")
    assert len(printed.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["GET", "127.0.0.1:8000"], "URL = 127.0.0.1:8000: must be like http://127.0.0.1:8000/path"),
        (["GET", "http://user:secret@kong/"], "URL: must have no user and password"),
        (["GET", "http://a/\r\nX: y"], "must be like http"),
        (["GE T", "http://a/"], "METHOD = GE T: must be a method of HTTP"),
        (["GET"], "trace: takes METHOD and URL: otlp-tracing trace GET http://127.0.0.1:8000/users/42"),
        (["GET", "http://a/", "-H", "apikey"], "must be 'NAME: VALUE'"),
        (["GET", "http://a/", "-H", "a: b\r\nc: d"], "must be 'NAME: VALUE'"),
        (["GET", "http://a/", "--data", "@/nowhere"], "cannot be read: No such file"),
        (["GET", "http://a/", "--debug-token-file", "/nowhere"], "cannot be read: No such file"),
    ],
)
def test_a_wrong_argument_has_one_sentence(
    capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    """Before anything is sent, and without a secret in it."""
    assert main(["trace", *arguments]) == 2

    text = capsys.readouterr().err
    assert sentence in text
    assert "secret" not in text


@pytest.mark.parametrize("host", ["127.0.0.1:1", f"{'a' * 70}.test", "a..b"])
def test_no_answer_is_one_sentence(capsys: pytest.CaptureFixture[str], host: str) -> None:
    """A port on which no Kong listens, and hosts that cannot be names."""
    assert main(["trace", "GET", f"http://{host}/"]) == 1

    text = capsys.readouterr().err
    assert text.startswith(f"otlp-tracing: no answer from {host}: ")
    assert len(text.splitlines()) == 1


def test_headers_are_sent_as_they_are_written(gateway: Gateway, tmp_path: Path) -> None:
    """In UTF-8, from the command line and from a file; a letter's byte that Latin-1 calls a line end ends no line."""
    file = tmp_path / "headers"
    file.write_text("X-City: Århus\r\nX-B: 2\n", "utf-8")

    assert main(["trace", "GET", gateway.url, "-H", f"@{file}", "-H", "X-Sea: Øresund"]) == 0
    assert [gateway.seen[name].encode("latin-1").decode() for name in ("x-city", "x-b", "x-sea")] == [
        "Århus",
        "2",
        "Øresund",
    ]


def test_an_answer_without_an_end_is_drawn(gateway: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
    """A stream of events is read for the time of --timeout; the waterfall is in the headers."""
    gateway.is_endless = True

    assert main(["trace", "GET", gateway.url, "--timeout", "1"]) == 0

    printed = capsys.readouterr()
    assert printed.err == "otlp-tracing: warning: the answer did not end in time; the rest is not read\n"
    assert "upstream" in printed.out


def test_the_waterfall_keeps_to_its_width() -> None:
    """A narrow terminal has no bars; names of others cannot drive it."""
    wide, narrow = io.StringIO(), io.StringIO()
    steps = DebugOutput('{"child": {"access": {"total_time": 2, "child": {"\\u001b[31m": {"total_time": 1}}}}}').steps

    draw(steps, Screen(wide, 60))
    draw(steps, Screen(narrow, 20))

    assert "█" in wide.getvalue()
    assert "█" not in narrow.getvalue()
    assert "\x1b" not in wide.getvalue()
