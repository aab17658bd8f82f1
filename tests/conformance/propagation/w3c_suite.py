"""Run the W3C's own validation suite for Trace Context against a gateway with the plugin.

The suite posts the URLs to call to a service, and examines the headers of these calls. The service here adds nothing
and checks nothing: it makes each call through the gateway, with unchanged trace headers, byte for byte. So the suite
examines the gateway's work alone.

    suite ──▶ relay ──▶ gateway with the plugin ──▶ suite

docs/conformance.md has the commands. The suite is not part of this repository.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from e2e.declarations import declaration, tracing
from e2e.gateways import RealKong, RunningGateway, StandIn

HOST = "127.0.0.1"
HARNESS = f"http://{HOST}:7777"  # where the suite listens; it has no option for that
_LONGEST_HEAD = 1 << 20


class Relay:
    """The service that the suite asks to call it back.

    Args:
        gateway: host and port of every call.
    """

    def __init__(self, gateway: tuple[str, int]) -> None:
        self._gateway = gateway

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Make the calls that a request asks for, then answer it; one request a connection."""
        with contextlib.closing(writer), contextlib.suppress(asyncio.IncompleteReadError):
            head, body = await _read_request(reader)
            trace_lines = [line for line in head[1:] if line.lower().startswith(b"trace")]
            for call in json.loads(body) or []:
                await self._call(call, trace_lines)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 4\r\n"
                         b"Connection: close\r\n\r\nnull")  # fmt: skip
            await writer.drain()

    async def _call(self, call: dict[str, object], trace_lines: list[bytes]) -> None:
        body = json.dumps(call["arguments"]).encode()
        lines = [f"POST {urlsplit(str(call['url'])).path} HTTP/1.1".encode(), b"Host: suite", *trace_lines]
        lines += [b"Content-Type: application/json", f"Content-Length: {len(body)}".encode(), b"Connection: close"]
        reader, writer = await asyncio.open_connection(*self._gateway)
        with contextlib.closing(writer):
            writer.write(b"\r\n".join([*lines, b"", body]))
            answer = await reader.read()
            if b" 200 " not in answer.split(b"\r\n", 1)[0]:
                print("the gateway answered", answer[:200], file=sys.stderr)


async def _read_request(reader: asyncio.StreamReader) -> tuple[list[bytes], bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).removesuffix(b"\r\n\r\n").split(b"\r\n")
    lengths = [int(line.partition(b":")[2]) for line in head if line.lower().startswith(b"content-length:")]
    return head, await reader.readexactly(sum(lengths))


@contextlib.contextmanager
def relay_to(gateway: RunningGateway) -> Iterator[str]:
    """Run a relay in a thread, and give its URL."""
    address = urlsplit(gateway.url)
    relay = Relay((address.hostname or HOST, address.port or 80))
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(asyncio.start_server(relay.serve, HOST, 0, limit=_LONGEST_HEAD))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield f"http://{HOST}:{server.sockets[0].getsockname()[1]}/test"
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        server.close()
        loop.close()


def main(arguments: list[str] | None = None) -> int:
    """Run it; give the suite's exit code."""
    parser = argparse.ArgumentParser(description="the W3C's validation suite against a gateway with the plugin")
    parser.add_argument("suite", type=Path, help="the folder test/ of a checkout of w3c/trace-context")
    parser.add_argument("tests", nargs="*", help="as the suite names them; none means all")
    parser.add_argument("--kong", type=Path, metavar="PATH", help="a `kong` command; the stand-in Kong otherwise")
    parser.add_argument(
        "--kong-version", choices=["3.4", "3.9"], default="3.9", help="the Kong that the stand-in plays"
    )
    options = parser.parse_args(arguments)
    major, minor = options.kong_version.split(".")
    StandIn.version = int(major), int(minor)
    if options.kong is not None:
        RealKong.use(options.kong.resolve())
    everything = {
        "name": "suite",
        "url": HARNESS,
        "routes": [{"name": "suite", "paths": ["/"], "strip_path": False}],
        "plugins": [tracing(f"http://{HOST}:4317")],
    }
    gateway_kind = RealKong if options.kong else StandIn
    with (
        tempfile.TemporaryDirectory() as folder,
        gateway_kind(Path(folder), declaration(everything)) as gateway,
        relay_to(gateway) as url,
    ):
        environment = {**os.environ, "SERVICE_ENDPOINT": url, "STRICT_LEVEL": "2", "SPEC_LEVEL": "2"}
        command = [sys.executable, "test.py", url, *options.tests]
        return subprocess.run(command, cwd=options.suite, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
