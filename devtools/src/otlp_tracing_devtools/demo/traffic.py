"""The requests the demo sends, each with its purpose, and how they are sent."""

from __future__ import annotations

import enum
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aiohttp import ClientSession
from yarl import URL

from otlp_tracing_devtools.demo.services import ORDER_SERVICE, USER_SERVICE

GATEWAY = "kong-gateway"
"""The gateway's `service.name` in `kong.yml`."""

_REQUEST_ID = "X-Kong-Request-Id"


class Caller(enum.Enum):
    """The statements of a request's sender about its own trace."""

    SILENT = "sends no traceparent"
    SAMPLED = "sends traceparent …-01"
    UNSAMPLED = "sends traceparent …-00"


@dataclass(frozen=True)
class Example:
    """An interesting request.

    Args:
        title: its purpose.
        method: of the request.
        target: path and query, as sent.
        services: services with spans in its trace; none, if there is nothing to be traced.
        body: sent as JSON.
        caller: whether it brings a trace of its own.
        untraced: for one without services, the reason in a few words.
        explanation: the same in a sentence.
    """

    title: str
    method: str
    target: str
    services: Sequence[str] = ()
    body: Mapping[str, object] | None = None
    caller: Caller = Caller.SILENT
    untraced: str = ""
    explanation: str = ""


EXAMPLES = (
    Example(
        "users asks orders: one trace through the gateway and both services",
        "GET", "/api/users/1", (GATEWAY, USER_SERVICE, ORDER_SERVICE),
    ),
    Example(
        "a secret in the query string is redacted before anything is exported",
        "GET", "/api/users/1?token=secret&q=shoes", (GATEWAY, USER_SERVICE, ORDER_SERVICE),
    ),
    Example("reading the orders takes its time", "GET", "/api/users/2", (GATEWAY, USER_SERVICE, ORDER_SERVICE)),
    Example("there is no such user: 404 from the service", "GET", "/api/users/9", (GATEWAY, USER_SERVICE)),
    Example("orders fails, and users with it", "GET", "/api/users/3", (GATEWAY, USER_SERVICE, ORDER_SERVICE)),
    Example("an order is placed", "POST", "/api/orders", (GATEWAY, ORDER_SERVICE), body={"item": "shoes"}),
    Example(
        "the caller brings its own traceparent: the trace goes on",
        "GET", "/api/users/1", (GATEWAY, USER_SERVICE, ORDER_SERVICE), caller=Caller.SAMPLED,
    ),
    Example(
        "the caller's traceparent ends in -00",
        "GET", "/api/users/1", caller=Caller.UNSAMPLED,
        untraced="sampled by the caller: no",
        explanation="Gateway and services follow the caller's decision: nobody records a span.",
    ),
    Example(
        "no route: the gateway answers itself",
        "GET", "/nowhere",
        untraced="no route, no span",
        explanation="kong.yml as shipped enables otlp-tracing per service, and without a route there is no service. "
        "Enabled globally, the plugin traces these requests too.",
    ),
)  # fmt: skip

WARM_UP = Example("loads the plugin's worker; not counted", "GET", "/api/users/1", caller=Caller.UNSAMPLED)


@dataclass(frozen=True)
class Sent:
    """A request that was answered.

    Args:
        example: the request.
        status: of the answer.
        request_id: Kong's id, which the gateway's span has as `kong.request.id`.
        trace_id: of the trace that the caller brought; 32 hex digits, empty if it brought none.
    """

    example: Example
    status: int
    request_id: str
    trace_id: str
    duration_ms: float


async def send(session: ClientSession, gateway_url: str, example: Example) -> Sent:
    """Send a request and wait for the whole answer.

    Raises:
        aiohttp.ClientError, TimeoutError: nothing, or nothing that is HTTP, came back.
    """
    trace_id = "" if example.caller is Caller.SILENT else secrets.token_hex(16)
    headers = {}
    if trace_id:
        flags = "01" if example.caller is Caller.SAMPLED else "00"
        headers["traceparent"] = f"00-{trace_id}-{secrets.token_hex(8)}-{flags}"
    url = URL(gateway_url + example.target, encoded=True)
    started = time.perf_counter()
    async with session.request(example.method, url, headers=headers, json=example.body) as answer:
        await answer.read()
        duration_ms = (time.perf_counter() - started) * 1000
        return Sent(example, answer.status, answer.headers.get(_REQUEST_ID, ""), trace_id, duration_ms)
