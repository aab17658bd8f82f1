"""How the demo's requests are sent."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from otlp_tracing_devtools.demo.traffic import EXAMPLES, Caller, Example, Sent, send


def sent(example: Example) -> tuple[Sent, web.BaseRequest]:
    """Send an example to a server that answers 418 with a request id."""
    received: list[web.Request] = []

    async def answer(request: web.Request) -> web.Response:
        received.append(request)
        await request.read()
        return web.Response(status=418, headers={"X-Kong-Request-Id": "abc"})

    async def run() -> Sent:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", answer)
        async with TestServer(app) as server, ClientSession() as session:
            return await send(session, str(server.make_url("")).rstrip("/"), example)

    return asyncio.run(run()), received[0]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda one: one.title)
def test_a_request_is_sent_as_it_is_shown(example: Example) -> None:
    """Method and target arrive to the letter; status and Kong's id come back."""
    result, request = sent(example)

    assert (request.method, request.raw_path) == (example.method, example.target)
    assert (result.status, result.request_id) == (418, "abc")
    assert result.duration_ms > 0


@pytest.mark.parametrize(("caller", "flags"), [(Caller.SAMPLED, "01"), (Caller.UNSAMPLED, "00")])
def test_a_caller_brings_its_trace(caller: Caller, flags: str) -> None:
    """The traceparent is well formed and new each time, and its trace id is remembered."""
    (first, request), (second, _) = (sent(Example("t", "GET", "/", caller=caller)) for _ in range(2))

    version, trace_id, span_id, sampled = request.headers["traceparent"].split("-")
    assert (version, trace_id, sampled) == ("00", first.trace_id, flags)
    assert (len(bytes.fromhex(trace_id)), len(bytes.fromhex(span_id))) == (16, 8)
    assert first.trace_id != second.trace_id


def test_a_silent_caller_sends_no_traceparent() -> None:
    """The trace begins at the gateway, and its id is not known beforehand."""
    result, request = sent(Example("t", "GET", "/"))

    assert "traceparent" not in request.headers
    assert result.trace_id == ""
