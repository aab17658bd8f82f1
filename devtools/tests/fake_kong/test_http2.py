"""A request over HTTP/2 through the stand-in Kong."""

from __future__ import annotations

import json
from typing import Any

from checkout import TRANSCRIPTS
from http2_client import Http2Client
from log_records import shape, stable, without_zipkin
from scripted_plugin_server import ScriptedPlugin


async def test_the_log_record_is_the_recorded_one(bench: Any) -> None:
    """The record has transcript 20's fields and types, and the same values where none is a time or an address."""
    recorded = without_zipkin(json.loads((TRANSCRIPTS / "20-http2-h2c.serialize.json").read_text()))
    setting = ("kong.service.request.set_header", ["x-probe", "hello-from-python/on-route"])
    plugin = ScriptedPlugin({"access": [setting], "log": [("kong.log.serialize", [])]})
    service = {"name": "echo", "routes": [{"name": "r-echo", "paths": ["/echo"]}]}
    async with bench(plugin, service=service) as running, Http2Client(running.gateway.url) as client:
        await client.fetch("/echo/h2", ("user-agent", "curl/7.88.1"), ("accept", "*/*"), ("traceparent", "00"))
        await running.server.wait_for(lambda _server: bool(plugin.results["log"]))
    record = json.loads(plugin.results["log"][0][1])

    assert shape(record) == shape(recorded)
    assert stable(record) == stable(recorded)


async def test_a_body_goes_through(bench: Any) -> None:
    """A body larger than a flow-control window and a header with any bytes arrive at the upstream."""
    plugin = ScriptedPlugin({"access": [], "log": []})
    async with bench(plugin) as running, Http2Client(running.gateway.url) as client:
        head, body = await client.fetch("/api/x?a=1", ("x-mine", "h\udcfcllo"), method="POST", body=b"z" * 100_000)
    (call,) = running.upstream.calls

    assert (head.get(":status"), len(body) > 0) == ("201", True)
    assert (call.method, call.target, len(call.body)) == ("POST", "/x?a=1", 100_000)
    assert (call.headers.get("x-mine"), call.headers.get("via")) == ("h\udcfcllo", "2 kong/3.9.1")
