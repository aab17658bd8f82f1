"""Fixtures of the tests of the doubles: an HTTP client that keeps every byte, a gateway with a scripted plugin."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from otlp_tracing_devtools.fake_kong import FakeKong, PluginServerCommands, parse_declaration
from otlp_tracing_devtools.fake_kong.headers import Headers
from otlp_tracing_devtools.fake_kong.http1 import body_of, read_head
from scripted_plugin_server import Answer, ScriptedPluginServer
from scripted_upstream import ScriptedUpstream

FIELDS = [{"tag": {"type": "string", "default": "t"}}, {"limit": {"type": "integer", "between": [1, 9]}}]
DUMP = [
    {
        "Name": "scripted",
        "Version": "1",
        "Priority": 1000,
        "Phases": ["access", "log"],
        "Schema": {"name": "scripted", "fields": [{"config": {"type": "record", "fields": FIELDS}}]},
    }
]


@dataclass(frozen=True)
class Fetched:
    """A client's view of an answer."""

    status: int
    headers: Headers
    body: bytes


@dataclass(frozen=True)
class Bench:
    """A running gateway between an upstream and a plugin server."""

    gateway: FakeKong
    upstream: ScriptedUpstream
    server: ScriptedPluginServer


async def _fetch(url: str, target: str, lines: bytes = b"", method: str = "GET", body: bytes = b"") -> Fetched:
    host, _, port = url.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    length = b"Content-Length: %d\r\n" % len(body) if body else b""
    head = f"{method} {target} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n".encode()
    writer.write(head + length + lines + b"\r\n" + body)
    answer = await read_head(reader)
    assert answer is not None
    content = body_of(reader, answer.headers, until_close=True)
    data = b"".join([piece async for piece in content]) if content else b""
    writer.close()
    return Fetched(int(answer.start_line.split()[1]), answer.headers, data)


@pytest.fixture
def fetch() -> Callable[..., Awaitable[Fetched]]:
    """Make one request: `fetch(url, target, header_lines, method, body)`."""
    return _fetch


@pytest.fixture
def bench(tmp_path: Path) -> Callable[..., contextlib.AbstractAsyncContextManager[Bench]]:
    """Give a context manager that runs a gateway; route /api leads to the upstream, the plugin is global."""

    @contextlib.asynccontextmanager
    async def run(
        answer: Answer, *, extra: dict[str, Any] | None = None, service: dict[str, Any] | None = None, **options: Any
    ) -> AsyncIterator[Bench]:
        dump = tmp_path / "dump.json"
        dump.write_text(json.dumps(DUMP))
        socket = tmp_path / "plugin.sock"
        async with ScriptedUpstream() as upstream, ScriptedPluginServer(socket, answer) as server:
            api = {"name": "api", "host": "127.0.0.1", "port": upstream.port, **(service or {})}
            api.setdefault("routes", [{"name": "r-api", "paths": ["/api"]}])
            plugins = [{"name": "scripted", "config": {"tag": "global"}}]
            content = {"_format_version": "3.0", "services": [api], "plugins": plugins, **(extra or {})}
            servers = [PluginServerCommands("scripted", socket, f"cat {dump}")]
            async with FakeKong(parse_declaration(content), servers, **options) as gateway:
                yield Bench(gateway, upstream, server)

    return run
