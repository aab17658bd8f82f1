"""`otlp-tracing trace`: send one request with Kong's request debugging, and draw the time that each plugin took."""

from __future__ import annotations

import argparse
import http.client
import os
import re
import ssl
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from otlp_tracing.commands.option_kinds import readable_file, seconds
from otlp_tracing.commands.options import OptionParser
from otlp_tracing.commands.screen import Screen, printable
from otlp_tracing.config.loopback import is_loopback
from otlp_tracing.errors import ConfigError, Fault
from otlp_tracing.sidecar.export.certificates import unverified
from otlp_tracing.sidecar.ingest.log_record import DEBUG_OUTPUT_HEADER
from otlp_tracing.sidecar.spans.request_debug import DebugOutput, Step

EXAMPLE = "otlp-tracing trace GET http://127.0.0.1:8000/users/42"
TOKEN_VARIABLE = "OTLP_TRACING_REQUEST_DEBUG_TOKEN"  # noqa: S105  # the name of it

_DESCRIPTION = f"""\
Send one request through Kong, and show the time that every phase and plugin, the router, DNS and the upstream took.

Kong 3.5 or newer measures this for a request from its own machine, and for one with its token. Kong writes the token
to PREFIX/.request_debug_token when it starts; --debug-token-file or {TOKEN_VARIABLE} brings it. The request
begins a sampled trace, and its id is printed."""
_METHOD = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")
_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\0]*)")
_TOKEN = re.compile(r"[\x21-\x7e]{1,1024}")
_KONG = re.compile(r"\bkong/([0-9]{1,3})\.([0-9]{1,3})\b", re.IGNORECASE)
_FIRST_VERSION = (3, 5)
_MOST_BODY = 64 << 20
_NARROWEST_BAR = 10


def add_options(parser: OptionParser) -> None:
    """Add the command's options."""
    parser.description = _DESCRIPTION
    parser.add_argument("method", metavar="METHOD", nargs="?", help="GET, POST, …")
    parser.add_argument("url", metavar="URL", nargs="?", help="of Kong's proxy, with the path of a route")
    parser.add_argument(
        "-H",
        "--header",
        action="append",
        default=[],
        metavar="'NAME: VALUE'",
        help="a header; @FILE reads some from a file, where other users do not see them",
    )
    parser.add_argument("--data", metavar="TEXT", help="the body; @FILE reads it from a file, @- from stdin")
    parser.add_argument("--insecure", action="store_true", help="do not verify Kong's certificate")
    parser.option("--timeout", seconds, "30", "SECONDS", "time for the answer")
    parser.option(
        "--debug-token-file", readable_file, None, "FILE", "the file with Kong's token, PREFIX/.request_debug_token"
    )


def run(options: argparse.Namespace) -> int:
    """Send the request, and draw; return the exit code: 1 without an answer or without debug output.

    Raises:
        ConfigError: if an argument cannot be used.
    """
    if options.method is None or options.url is None:
        raise ConfigError([Fault("trace", "", f"takes METHOD and URL: {EXAMPLE}")])
    url = _url(options.url)
    if not _METHOD.fullmatch(options.method):
        raise ConfigError([Fault("METHOD", options.method, "must be a method of HTTP, such as GET")])
    headers = [pair for one in options.header for pair in _headers(one)]
    body = _body(options.data)
    token = _token(options.debug_token_file)
    if token is not None and url.scheme == "http" and not is_loopback(url.hostname or ""):
        print("otlp-tracing: warning: Kong's token is sent without TLS", file=sys.stderr)
    trace_id = os.urandom(16).hex()
    if not any(name.lower() == "traceparent" for name, _ in headers):
        headers.append(("traceparent", f"00-{trace_id}-{os.urandom(8).hex()}-03"))
    headers.append(("X-Kong-Request-Debug", "*"))
    if token is not None:
        headers.append(("X-Kong-Request-Debug-Token", token))
    begun = time.monotonic()
    try:
        answer, size = _send(url, options.method, headers, body, options.timeout, is_verified=not options.insecure)
    except (OSError, http.client.HTTPException, UnicodeError) as error:  # UnicodeError: no name of a host
        print(f"otlp-tracing: no answer from {url.netloc}: {error or type(error).__name__}", file=sys.stderr)
        return 1
    took_ms = (time.monotonic() - begun) * 1000
    sent = next(value for name, value in headers if name.lower() == "traceparent")
    ids = sent.split("-")
    trace = f", trace {ids[1]}" if len(ids) > 1 else ""
    print(printable(f"{options.method} {url.path or '/'}: {answer.status}, {size:,} bytes, {took_ms:.1f} ms{trace}"))
    output = DebugOutput(answer.headers.get(DEBUG_OUTPUT_HEADER) or "")
    if not output.steps:
        print(f"otlp-tracing: {_reason(answer, output, has_token=token is not None)}", file=sys.stderr)
        return 1
    draw(output.steps, Screen())
    return 0


def draw(steps: Sequence[Step], screen: Screen) -> None:
    """Print steps as a waterfall: a line each, with its duration and a bar at its place.

    Args:
        steps: of DebugOutput.
        screen: with a width.
    """
    depths: list[int] = []
    for step in steps:
        depths.append(0 if step.parent is None else depths[step.parent] + 1)
    labels = [printable("  " * depth + _label(step)) for step, depth in zip(steps, depths, strict=True)]
    durations = [f"{step.duration_ms:,.2f} ms" for step in steps]
    left, middle = max(map(len, labels)), max(map(len, durations))
    width = screen.width - left - middle - 4
    total = max(step.start_ms + step.duration_ms for step in steps) or 1.0
    for step, label, duration in zip(steps, labels, durations, strict=True):
        bar = ""
        if width >= _NARROWEST_BAR:
            offset = min(int(step.start_ms / total * width), width - 1)
            bar = " " * offset + "█" * max(1, min(round(step.duration_ms / total * width), width - offset))
        style = "dim" if step.kind == "phase" else ""
        screen.line(label.ljust(left), "  ", (duration.rjust(middle), style), "  ", bar)
    phases = [step for step in steps if step.parent is None and step.kind == "phase"]
    upstream = sum(step.duration_ms for step in phases if step.name == "upstream")
    kong = sum(step.duration_ms for step in phases) - upstream
    screen.line(f"Kong {kong:,.2f} ms, upstream {upstream:,.0f} ms until its first byte")


def _label(step: Step) -> str:
    return step.name if step.kind in {"phase", "router", "other"} else f"{step.kind} {step.name}"


def _url(text: str) -> SplitResult:
    try:
        url = urlsplit(text)
        is_usable = url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0
    except ValueError:
        is_usable = False
    if not is_usable or not text.isascii() or not text.isprintable() or " " in text:
        raise ConfigError([Fault("URL", text, "must be like http://127.0.0.1:8000/path")])
    if url.username is not None or url.password is not None:
        raise ConfigError([Fault("URL", "", "must have no user and password: put them into a header")])
    return url


def _headers(text: str) -> list[tuple[str, str]]:
    lines = [text]
    if text.startswith("@"):
        content = _read(text[1:], "-H").decode("utf-8", "surrogateescape")
        lines = [line.rstrip("\r") for line in content.split("\n") if line.strip()]
    found = []
    for line in lines:
        match = _HEADER.fullmatch(line)
        if match is None:
            # The value of a header can be a secret.
            raise ConfigError([Fault("-H", line.partition(":")[0], "must be 'NAME: VALUE'")])
        found.append((match[1], match[2]))
    return found


def _body(text: str | None) -> bytes | None:
    if text is None:
        return None
    return _read(text[1:], "--data") if text.startswith("@") else text.encode("utf-8", "surrogateescape")


def _read(name: str, option: str) -> bytes:
    try:
        if name == "-":
            return sys.stdin.buffer.read(_MOST_BODY)
        with Path(name).open("rb") as file:
            return file.read(_MOST_BODY)
    except OSError as error:
        raise ConfigError([Fault(option, name, f"cannot be read: {error.strerror}")]) from error


def _token(file: Path | None) -> str | None:
    field, token = TOKEN_VARIABLE, os.environ.get(TOKEN_VARIABLE)
    if file is not None:
        field, token = "--debug-token-file", _read(str(file), "--debug-token-file").decode("latin-1").strip()
    if token is not None and not _TOKEN.fullmatch(token):
        raise ConfigError([Fault(field, "", "must hold a token of 1 to 1,024 visible ASCII characters")])
    return token


def _send(
    url: SplitResult,
    method: str,
    headers: Sequence[tuple[str, str]],
    body: bytes | None,
    timeout: float,
    *,
    is_verified: bool,
) -> tuple[http.client.HTTPResponse, int]:
    connection: http.client.HTTPConnection
    if url.scheme == "https":
        context = ssl.create_default_context() if is_verified else unverified()
        connection = http.client.HTTPSConnection(url.hostname or "", url.port, timeout=timeout, context=context)
    else:
        connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=timeout)
    names = {name.lower() for name, _ in headers}
    ends_at = time.monotonic() + timeout
    try:
        target = (url.path or "/") + (f"?{url.query}" if url.query else "")
        connection.putrequest(method, target, skip_host="host" in names, skip_accept_encoding=True)
        for name, value in headers:
            connection.putheader(name, value.encode("utf-8", "surrogateescape"))
        if body is not None and "content-length" not in names:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        return answer, _size(answer, ends_at)
    finally:
        connection.close()


def _size(answer: http.client.HTTPResponse, ends_at: float) -> int:
    """Read the body, and return its size in bytes; that of its beginning if it has no end in time, as a stream."""
    size = 0
    while chunk := answer.read1(1 << 16):
        size += len(chunk)
        if time.monotonic() >= ends_at:
            print("otlp-tracing: warning: the answer did not end in time; the rest is not read", file=sys.stderr)
            break
    return size


def _reason(answer: http.client.HTTPResponse, output: DebugOutput, *, has_token: bool) -> str:
    if output.is_truncated:
        return "Kong's output is over 2 KiB, and is cut for other machines than its own: run the command beside Kong"
    version = _KONG.search(f"{answer.headers.get('server', '')} {answer.headers.get('via', '')}")
    if version is not None and (int(version[1]), int(version[2])) < _FIRST_VERSION:
        return f"Kong {version[1]}.{version[2]} has no request debugging: it needs Kong 3.5 or newer"
    if has_token:
        return "no debug output: the token is not that of this Kong, or request_debug is off in its kong.conf"
    return (
        "no debug output: Kong gives it to its own machine, otherwise with the token of PREFIX/.request_debug_token "
        "(--debug-token-file), from version 3.5 on"
    )
