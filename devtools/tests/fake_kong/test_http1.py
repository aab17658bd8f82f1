"""A request over HTTP/1.1 through the stand-in Kong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from otlp_tracing.errors import ConfigError
from otlp_tracing_devtools.fake_kong import FakeKong, PluginServerCommands, parse_declaration
from scripted_plugin_server import ScriptedPlugin


async def test_every_byte_of_a_header_goes_through(bench: Any, fetch: Any) -> None:
    """Upstream and log record have a value's exact bytes, and the upstream learns the client and the way to it."""
    plugin = ScriptedPlugin({"access": [], "log": [("kong.log.serialize", [])]})
    async with bench(plugin) as running:
        lines = [("X-Mine", b"caf\xe9 \xff"), ("X-Forwarded-For", "10.0.0.9"), ("Keep-Alive", "5")]
        answered = await fetch(running.gateway.url, "/api/a%20b?x=%2F", lines)
        await running.server.wait_for(lambda _server: bool(plugin.results["log"]))
    (call,) = running.upstream.calls
    record = json.loads(plugin.results["log"][0][1].decode("utf-8", "surrogateescape"))

    assert (answered.status, call.target) == (200, "/a%20b?x=%2F")
    assert call.headers.get("x-mine") == record["request"]["headers"]["x-mine"] == "caf\udce9 \udcff"
    assert call.headers.get("x-forwarded-for") == "10.0.0.9, 127.0.0.1"
    assert call.headers.get("x-kong-request-id") == answered.headers.get("x-kong-request-id")
    assert call.headers.get("keep-alive") is None
    assert answered.headers.get("via") == "1.1 kong/3.9.1"


async def test_a_plugin_server_that_is_not_up(bench: Any, fetch: Any, tmp_path: Path) -> None:
    """A request is answered 500 by Kong 3.9, and passes without the plugin on Kong 3.4."""
    dump = tmp_path / "absent.json"
    fields: list[Any] = []
    schema = {"name": "absent", "fields": [{"config": {"type": "record", "fields": fields}}]}
    dump.write_text(
        json.dumps([{"Name": "absent", "Version": "1", "Priority": 1, "Phases": ["access"], "Schema": schema}])
    )
    servers = [PluginServerCommands("absent", tmp_path / "absent.sock", f"cat {dump}", "sleep infinity")]
    async with bench(ScriptedPlugin({})) as running:
        service = {"name": "a", "host": "127.0.0.1", "port": running.upstream.port, "routes": [{"paths": ["/"]}]}
        content = {"_format_version": "3.0", "services": [service], "plugins": [{"name": "absent", "config": {}}]}
        statuses = []
        for version in ((3, 4), (3, 9)):
            async with FakeKong(parse_declaration(content), servers, version=version) as gateway:
                statuses.append((await fetch(gateway.url, "/")).status)

    assert statuses == [200, 500]


def test_every_fault_of_a_declaration_is_told() -> None:
    """A declaration is refused with the place of each fault."""
    content = {"_format_version": "3.0", "services": [{"name": "a", "port": 0, "host": "h", "surprise": 1}]}

    with pytest.raises(ConfigError) as refused:
        parse_declaration(content)

    assert sorted(fault.field for fault in refused.value.faults) == ["services[1].surprise"]
