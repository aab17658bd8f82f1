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

import e2e.client
from otlp_tracing_devtools.fake_kong import FakeKong, PluginServerCommands, parse_declaration
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
class Bench:
    """A running gateway between an upstream and a plugin server."""

    gateway: FakeKong
    upstream: ScriptedUpstream
    server: ScriptedPluginServer


@pytest.fixture
def fetch() -> Callable[..., Awaitable[e2e.client.Answer]]:
    """Make one request from a thread: `e2e.client.fetch`."""

    async def fetch(*arguments: Any, **options: Any) -> e2e.client.Answer:
        return await asyncio.to_thread(e2e.client.fetch, *arguments, **options)

    return fetch


@pytest.fixture
def bench(tmp_path: Path) -> Callable[..., contextlib.AbstractAsyncContextManager[Bench]]:
    """Give a context manager that runs a gateway; route /api leads to the upstream, the plugin is global."""

    @contextlib.asynccontextmanager
    async def run(answer: Answer, *, service: dict[str, Any] | None = None, **options: Any) -> AsyncIterator[Bench]:
        dump = tmp_path / "dump.json"
        dump.write_text(json.dumps(DUMP))
        socket = tmp_path / "plugin.sock"
        async with ScriptedUpstream() as upstream, ScriptedPluginServer(socket, answer) as server:
            api = {"name": "api", "host": "127.0.0.1", "port": upstream.port, **(service or {})}
            api.setdefault("routes", [{"name": "r-api", "paths": ["/api"]}])
            plugins = [{"name": "scripted", "config": {"tag": "global"}}]
            content = {"_format_version": "3.0", "services": [api], "plugins": plugins}
            servers = [PluginServerCommands("scripted", socket, f"cat {dump}")]
            async with FakeKong(parse_declaration(content), servers, **options) as gateway:
                yield Bench(gateway, upstream, server)

    return run
