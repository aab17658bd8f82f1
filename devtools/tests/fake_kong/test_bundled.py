"""The bundled plugins of the stand-in: their answers, and the requests that they leave to the next plugin."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import pytest

from otlp_tracing_devtools.fake_kong.context import RequestContext
from otlp_tracing_devtools.fake_kong.entities import PluginEntry
from otlp_tracing_devtools.fake_kong.headers import Headers
from otlp_tracing_devtools.fake_kong.plugin_chain import Plugin, PluginChain
from otlp_tracing_devtools.fake_kong.plugin_rpc import RequestExited
from otlp_tracing_devtools.fake_kong.rate_limiting import RATE_LIMITING_FIELDS, RateLimiting
from scripted_plugin_server import ScriptedPlugin

SCRIPTED = {"name": "scripted", "config": {"tag": "global"}}


def _context() -> RequestContext:
    return RequestContext("GET", "/", 1.1, Headers(), "127.0.0.1", 1, 8000, "node")


def test_rate_limiting_refuses_the_third_of_two_and_forgets_with_the_minute() -> None:
    """429 with Kong's headers and body; the next window starts anew."""
    now_s = 120.0
    runner = RateLimiting(lambda: now_s)
    plugin = Plugin("rate-limiting", 910, frozenset({"access"}), RATE_LIMITING_FIELDS, runner)
    chain = PluginChain([PluginEntry("id", "rate-limiting", "plugins[1]", {"minute": 2})], {"rate-limiting": plugin})
    configured = next(chain.global_plugins())
    contexts = [_context() for _ in range(4)]

    for context in contexts[:2]:
        asyncio.run(runner.run("access", context, configured))
    with pytest.raises(RequestExited) as refused:
        asyncio.run(runner.run("access", contexts[2], configured))
    now_s = 180.0
    asyncio.run(runner.run("access", contexts[3], configured))

    remaining = [context.extra_response_headers.get("x-ratelimit-remaining-minute") for context in contexts]
    assert remaining == ["1", "0", "0", "1"]
    assert refused.value.status == 429
    assert json.loads(refused.value.body or b"")["message"] == "API rate limit exceeded"
    assert contexts[2].extra_response_headers.get("retry-after") == "60"


@pytest.mark.parametrize(
    ("lines", "target", "status", "message"),
    [
        (b"", "/api/x", 401, "No API key found in request"),
        (b"apikey: wrong\r\n", "/api/x", 401, "Unauthorized"),
        (b"apikey: a\r\napikey: b\r\n", "/api/x", 401, "Duplicate API key found"),
        (b"apikey: right\r\n", "/api/x", 200, None),
        (b"", "/api/x?apikey=right", 200, None),
    ],
)
def test_key_auth_lets_in_who_has_a_key(
    bench: Any, fetch: Any, *, lines: bytes, target: str, status: int, message: str | None
) -> None:
    """A key in header or query names the consumer, and a plugin of lower priority sees the consumer."""
    plugin = ScriptedPlugin({"access": [("kong.client.get_consumer", [])], "log": []})
    extra = {"consumers": [{"username": "alice", "keyauth_credentials": [{"key": "right"}]}]}
    routes = [{"name": "r-api", "paths": ["/api"], "plugins": [{"name": "key-auth"}]}]

    async def run() -> tuple[Any, Any]:
        async with bench(plugin, extra=extra, service={"routes": routes}) as running:
            return await fetch(running.gateway.url, target, lines), running.upstream.calls

    answered, calls = asyncio.run(run())

    assert answered.status == status
    if message:
        assert json.loads(answered.body)["message"] == message
        assert answered.headers.get("www-authenticate") == "Key"
        assert plugin.results["access"] == []
    else:
        assert plugin.results["access"][0][1][b"username"] == b"alice"
        assert calls[0].headers.get("x-consumer-username") == "alice"


def test_request_termination_comes_last_and_log_still_runs(bench: Any, fetch: Any) -> None:
    """A plugin of higher priority has had its access phase; the record names the author of the answer."""
    plugin = ScriptedPlugin({"access": [("kong.request.get_method", [])], "log": [("kong.response.get_source", [])]})
    ended = {"name": "request-termination", "config": {"status_code": 503, "message": "so/long"}}
    extra = {"plugins": [{"name": "scripted"}, ended]}

    async def run() -> Any:
        async with bench(plugin, extra=extra) as running:
            answered = await fetch(running.gateway.url, "/api/x")
            await running.server.wait_for(lambda _server: bool(plugin.results["log"]))
            return answered

    answered = asyncio.run(run())

    assert (answered.status, answered.body) == (503, b'{"message":"so/long"}')
    assert plugin.results == {"access": [("plugin.Step", b"GET")], "log": [("plugin.Step", b"exit")]}


def test_another_bundled_plugin_is_accepted_and_said(bench: Any, caplog: pytest.LogCaptureFixture) -> None:
    """One line names the plugins that do nothing here."""
    extra = {"plugins": [{"name": "scripted"}, {"name": "zipkin", "config": {"anything": 1}}]}

    async def run() -> None:
        async with bench(ScriptedPlugin({}), extra=extra):
            pass

    with caplog.at_level(logging.WARNING, "otlp_tracing_devtools.fake_kong"):
        asyncio.run(run())

    assert [record.getMessage() for record in caplog.records] == ["plugin zipkin: accepted, does nothing here"]


def test_file_log_writes_a_line_for_each_request(bench: Any, fetch: Any, tmp_path: Path) -> None:
    """Each line is a request's log record, with the fields of another plugin; a file that cannot be opened is
    reported.
    """
    path = tmp_path / "requests.jsonl"
    entries = [{"name": "file-log", "config": {"path": str(path)}}]
    setting = ("kong.log.set_serialize_value", ["mine", {"a": "b"}])

    async def run() -> None:
        async with bench(
            ScriptedPlugin({"access": [setting], "log": []}), extra={"plugins": [*entries, SCRIPTED]}
        ) as running:
            for number in range(3):
                await fetch(running.gateway.url, f"/api/{number}")

    asyncio.run(run())
    records = [json.loads(line) for line in path.read_text().splitlines()]

    assert [record["mine"] for record in records] == 3 * [{"a": "b"}]
    assert [record["request"]["uri"] for record in records] == ["/api/0", "/api/1", "/api/2"]


def test_file_log_says_when_it_cannot_open_its_file(
    bench: Any, fetch: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A request is answered all the same."""
    entries = [{"name": "file-log", "config": {"path": str(tmp_path / "no-such-folder" / "x")}}]

    async def run() -> Any:
        async with bench(ScriptedPlugin({"access": [], "log": []}), extra={"plugins": [*entries, SCRIPTED]}) as running:
            return await fetch(running.gateway.url, "/api/x")

    answer = asyncio.run(run())

    assert answer.status == 200
    assert "[file-log] failed to open the file: No such file or directory" in caplog.text
