"""PDK calls as Kong 3.9.1 answers them, in both phases; from the recorded probes."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from scripted_plugin_server import ScriptedPlugin

_STEP = "plugin.Step"


def _one_call(bench: Any, fetch: Any, phase: str, call: tuple[str, Any], *, lines: bytes = b"") -> tuple[int, Any]:
    """Let the plugin make one call; give the status, and the step that came back or None."""
    plugin = ScriptedPlugin({"access": [], "log": [], phase: [call]})

    async def run() -> int:
        async with bench(plugin) as running:
            answered = await fetch(running.gateway.url, "/api/x?a=1&a=2&b", lines)
            await running.server.wait_for(
                lambda server: sum(c.method.endswith("HandleEvent") for c in server.received) == 2
            )
            status: int = answered.status
        return status

    status = asyncio.run(run())
    return status, plugin.results[phase][0] if plugin.results[phase] else None


@pytest.mark.parametrize(
    ("method", "arguments", "step"),
    [
        ("kong.request.get_method", [], (_STEP, b"GET")),
        ("kong.request.get_method", None, (_STEP, b"GET")),
        ("kong.request.get_path", [], (_STEP, b"/api/x")),
        ("kong.request.get_raw_query", [], (_STEP, b"a=1&a=2&b")),
        ("kong.request.get_http_version", [], (_STEP, 1.1)),
        ("kong.request.get_header", ["x-absent"], (_STEP, None)),
        ("kong.request.get_raw_body", [], (_STEP, b"")),
        ("kong.request.get_query", [], ("plugin.StepMultiMap", {b"a": [b"1", b"2"], b"b": []})),
        ("kong.client.get_ip", [], (_STEP, b"127.0.0.1")),
        ("kong.client.get_consumer", [], ("plugin.StepConsumer", None)),
        ("kong.nginx.get_subsystem", [], (_STEP, b"http")),
        ("kong.request.get_scheme", [], (_STEP, b"http")),
        ("kong.request.get_host", [], (_STEP, b"127.0.0.1")),
        ("kong.request.get_forwarded_prefix", [], (_STEP, b"/api")),
        ("kong.request.get_path_with_query", [], (_STEP, b"/api/x?a=1&a=2&b")),
        ("kong.request.get_query_arg", ["a"], (_STEP, b"1")),
        ("kong.request.get_body", [], (_STEP, None)),
        ("kong.client.get_protocol", [], (_STEP, b"http")),
        ("kong.client.load_consumer", ["bob", True], ("plugin.StepConsumer", None)),
        ("kong.nginx.get_var", ["request_method"], (_STEP, b"GET")),
        ("kong.nginx.get_var", ["no_such_variable"], (_STEP, None)),
        ("kong.nginx.get_ctx", ["nothing"], (_STEP, None)),
        ("kong.ip.is_trusted", ["127.0.0.1"], (_STEP, False)),
        ("kong.vault.get", ["{vault://env/surely-not-set}"], (_STEP, None)),
        ("kong.does.not.exist", [], (_STEP, None)),
        ("kong.request.get_id", [], (_STEP, None)),
        ("kong.log.err", ["hello", 1], (_STEP, None)),
        ("kong.service.request.set_header", ["X-A", "1"], (_STEP, None)),
        ("kong.log.set_serialize_value", ["my.key", "v"], (_STEP, None)),
    ],
)
def test_calls_that_work_in_access(bench: Any, fetch: Any, method: str, arguments: Any, step: Any) -> None:
    """The step has the recorded method and value; a nil result leaves Data out."""
    assert _one_call(bench, fetch, "access", (method, arguments)) == (200, step)


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("kong.log.serialize", []),
        ("kong.service.request.set_header", ["X-A"]),
        ("kong.client.load_consumer", ["not-a-uuid"]),
        ("kong.response.get_status", []),
        ("kong.service.response.get_status", []),
        ("kong.request.get_header", [5]),
        ("kong.request.get_query_arg", []),
        ("kong.client.authenticate", []),
        ("kong.service.request.set_header", [1, "x"]),
        ("kong.service.request.set_header", ["X-A", ["x", 1]]),
        ("kong.service.request.set_headers", ["x"]),
        ("kong.service.request.set_path", ["no-slash"]),
        ("kong.service.request.set_method", ["BREW"]),
        ("kong.service.set_target", ["h", 70000]),
        ("kong.response.exit", ["200"]),
        ("kong.response.exit", [999]),
        ("kong.response.error", [200]),
        ("kong.log.set_serialize_value", [5, "v"]),
        ("kong.log.set_serialize_value", ["k", "v", {"mode": "guess"}]),
        ("kong.tracing.get_sampling_decision", []),
        ("kong.version", []),
    ],
)
def test_calls_that_throw_in_access(bench: Any, fetch: Any, method: str, arguments: Any) -> None:
    """The client gets 500 and no Step comes back."""
    assert _one_call(bench, fetch, "access", (method, arguments)) == (500, None)


@pytest.mark.parametrize(
    ("method", "arguments", "step"),
    [
        ("kong.response.get_status", [], (_STEP, 200)),
        ("kong.response.get_source", [], (_STEP, b"service")),
        ("kong.response.get_header", ["content-type"], (_STEP, b"application/json")),
        ("kong.request.get_header", ["X_Some"], (_STEP, b"thing")),
        ("kong.request.get_uri_captures", [], (_STEP, {b"unnamed": [], b"named": []})),
        ("kong.ctx.shared.get", ["x"], (_STEP, None)),
        ("kong.cluster.get_id", [], (_STEP, None)),
        ("kong.client.get_consumer", [], ("plugin.StepConsumer", None)),
    ],
)
def test_calls_that_work_in_log(bench: Any, fetch: Any, method: str, arguments: Any, step: Any) -> None:
    """The log phase sees a snapshot of the request."""
    assert _one_call(bench, fetch, "log", (method, arguments), lines=b"X-Some: thing\r\n") == (200, step)


@pytest.mark.parametrize(
    "method",
    [
        "kong.request.get_method",
        "kong.request.get_path",
        "kong.request.get_host",
        "kong.request.get_scheme",
        "kong.request.get_http_version",
        "kong.request.get_query",
        "kong.request.get_raw_query",
        "kong.request.get_forwarded_host",
        "kong.request.get_raw_body",
        "kong.client.get_ip",
        "kong.client.get_forwarded_ip",
        "kong.client.get_protocol",
        "kong.service.response.get_status",
        "kong.service.response.get_headers",
        "kong.response.get_raw_body",
        "kong.nginx.get_var",
        "kong.tracing.get_sampling_decision",
        "kong.version",
    ],
)
def test_calls_that_throw_in_log(bench: Any, fetch: Any, method: str) -> None:
    """The client has its answer; the event ends without a Step."""
    assert _one_call(bench, fetch, "log", (method, [])) == (200, None)


def test_a_plugin_may_answer_the_client(bench: Any, fetch: Any) -> None:
    """`kong.response.exit` ends the request with this answer, no Step comes back, and log runs."""
    exit_call = ("kong.response.exit", [418, {"a": "b/c"}, {"X-Probe": "1"}])
    plugin = ScriptedPlugin({"access": [exit_call], "log": [("kong.log.serialize", [])]})

    async def run() -> Any:
        async with bench(plugin) as running:
            answered = await fetch(running.gateway.url, "/api/x")
            await running.server.wait_for(lambda _server: bool(plugin.results["log"]))
            return answered

    answered = asyncio.run(run())
    record = json.loads(plugin.results["log"][0][1])

    assert (answered.status, answered.body, answered.headers.get("x-probe")) == (418, b'{"a":"b/c"}', "1")
    assert plugin.results["access"] == []
    assert (record["source"], record["tries"], record["latencies"]["proxy"]) == ("kong", [], -1)


def test_headers_set_for_the_upstream_are_seen_there_and_in_the_record(bench: Any, fetch: Any) -> None:
    """A list gives several lines, an empty list removes, names have no case; `authorization` is redacted."""
    plugin = ScriptedPlugin(
        {
            "access": [
                ("kong.service.request.set_headers", [{"X-A": "1", "X-B": ["2", "3"], "x-gone": []}]),
                ("kong.service.request.add_header", ["X-Added", "5"]),
                ("kong.service.request.clear_header", ["X-CLEARED"]),
                ("kong.log.set_serialize_value", ["otlp_tracing", {"id": "abc", "empty": {}}]),
                ("kong.response.set_header", ["X-Answer", "yes"]),
            ],
            "log": [("kong.log.serialize", [])],
        }
    )
    lines = b"X-Gone: 1\r\nX-Cleared: 1\r\nx-added: 4\r\nAuthorization: Bearer s3cr3t\r\n"

    async def run() -> tuple[Any, Any]:
        async with bench(plugin) as running:
            answered = await fetch(running.gateway.url, "/api/x", lines)
            await running.server.wait_for(lambda _server: bool(plugin.results["log"]))
            return answered, running.upstream.calls[0].headers

    answered, seen = asyncio.run(run())
    record = json.loads(plugin.results["log"][0][1])
    logged = record["request"]["headers"]

    assert (seen.get_all("x-b"), seen.get_all("x-added")) == (["2", "3"], ["4", "5"])
    assert (seen.get("x-gone"), seen.get("x-cleared"), seen.get("x-a")) == (None, None, "1")
    assert seen.get("authorization") == "Bearer s3cr3t"
    assert (logged["x-b"], logged["authorization"]) == (["2", "3"], "REDACTED")
    assert record["otlp_tracing"] == {"id": "abc", "empty": {}}
    assert answered.headers.get("x-answer") == "yes"


def test_bytes_that_are_not_utf_8_pass_unharmed(bench: Any, fetch: Any) -> None:
    """A Latin-1 byte in a header or query reaches plugin, upstream and record as that very byte."""
    plugin = ScriptedPlugin(
        {
            "access": [
                ("kong.request.get_header", ["X-Raw"]),
                ("kong.request.get_query", []),
                ("kong.service.request.set_header", ["X-Back", b"b\xfe"]),
            ],
            "log": [("kong.log.serialize", [])],
        }
    )

    async def run() -> Any:
        async with bench(plugin) as running:
            await fetch(running.gateway.url, "/api/x?q=%ff", b"X-Raw: a\xff\r\n")
            await running.server.wait_for(lambda _server: bool(plugin.results["log"]))
            step = next(call.raw for call in running.server.received if call.method == "plugin.Step")
            return running.upstream.calls[0].headers, step

    headers, step = asyncio.run(run())

    assert b"\xa4Data\xa2a\xff" in step
    assert plugin.results["access"][1] == ("plugin.StepMultiMap", {b"q": [b"\xff"]})
    assert (headers.get("x-raw"), headers.get("x-back")) == ("a\udcff", "b\udcfe")
    assert b'"x-raw":"a\xff"' in plugin.results["log"][0][1]
    assert b'"querystring":{"q":"\xff"}' in plugin.results["log"][0][1]


def test_the_upstreams_request_can_be_rewritten(bench: Any, fetch: Any) -> None:
    """The upstream gets the method, path, query, body and host that a plugin sets."""
    changes = [
        ("kong.service.request.set_method", ["PUT"]),
        ("kong.service.request.set_path", ["/other way"]),
        ("kong.service.request.set_query", [{"b": "2 3", "a": ["1", True]}]),
        ("kong.service.request.set_raw_body", ["new body"]),
        ("kong.service.request.set_header", ["Host", "elsewhere.example"]),
    ]
    plugin = ScriptedPlugin({"access": changes, "log": []})

    async def run() -> Any:
        async with bench(plugin) as running:
            await fetch(running.gateway.url, "/api/x?old=1")
            return running.upstream.calls[0]

    call = asyncio.run(run())

    assert (call.method, call.target, call.body) == ("PUT", "/other%20way?a=1&a&b=2%203", b"new body")
    assert call.headers.get("host") == "elsewhere.example"


@pytest.mark.parametrize(("length", "status"), [(5, 201), (20_000, 500)])
def test_a_body_over_nginxs_buffer_throws_when_a_plugin_reads_it(
    bench: Any, fetch: Any, length: int, status: int
) -> None:
    """A small body comes as binary; one over 8 KiB is in a file, and MessagePack cannot pack the nil."""
    plugin = ScriptedPlugin({"access": [("kong.request.get_raw_body", [])], "log": []})

    async def run() -> int:
        async with bench(plugin) as running:
            got: int = (await fetch(running.gateway.url, "/api/x", b"", "POST", b"z" * length)).status
        return got

    assert asyncio.run(run()) == status
    assert plugin.results["access"] == ([("plugin.Step", b"z" * length)] if status == 201 else [])
