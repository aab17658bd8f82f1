"""Kong behind a load balancer, and in front of a cache: facts that only a real Kong shows (`--kong`)."""

from __future__ import annotations

import pytest

from e2e.client import Caller
from e2e.conftest import StartGateway
from e2e.declarations import declaration, service, tracing
from e2e.spans import SinkReader, wait_for_trace
from e2e.upstreams import RecordingUpstream
from otlp_tracing_devtools.fake_collector import ThreadedOtlpSink

_FORWARDED = [
    ("Host", "internal"),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Host", "api.example.com"),
    ("X-Forwarded-Port", "8443"),
]


@pytest.fixture(autouse=True)
def _only_on_kong(on_kong: bool) -> None:
    if not on_kong:
        pytest.skip("needs a real Kong: the stand-in has neither trusted addresses nor a cache")


@pytest.mark.parametrize(
    ("trusted", "expected"),
    [("127.0.0.0/8", ("https", "api.example.com", 8443)), ("10.0.0.0/8", ("http", "internal", 80))],
)
def test_a_trusted_balancers_headers_count(  # noqa: PLR0917 - fixtures
    start_gateway: StartGateway,
    upstream: RecordingUpstream,
    sink: ThreadedOtlpSink,
    spans_at_sink: SinkReader,
    trusted: str,
    expected: tuple[str, str, int],
) -> None:
    """The span has the client's scheme, host and port if Kong trusts the peer, and Kong's own otherwise."""
    content = declaration(service("api", upstream.url, [tracing(sink.sink.endpoint)]))
    caller = Caller.new()
    with start_gateway(content, environment={"KONG_TRUSTED_IPS": trusted}) as gateway:
        gateway.get(f"/api/{caller.span_id}", [caller.header(), *_FORWARDED])
        server, _ = wait_for_trace(spans_at_sink, caller.trace_id, 2)

    names = ("url.scheme", "server.address", "server.port")
    assert tuple(server.attributes[name] for name in names) == expected


_OWN_TRACE_ID = """
local traceparent = kong.request.get_header("traceparent")
if traceparent then kong.response.set_header("X-Trace-Id", traceparent:sub(4, 35)) end
"""


def test_a_cached_response_has_the_requests_own_trace_id(
    start_gateway: StartGateway, upstream: RecordingUpstream, sink: ThreadedOtlpSink
) -> None:
    """The cache keeps the header of `response_header`; the snippet in the documentation sets it behind the cache."""
    cache = {"name": "proxy-cache", "config": {"strategy": "memory", "content_type": ["*/*"], "response_code": [200]}}
    snippet = {"name": "post-function", "config": {"header_filter": [_OWN_TRACE_ID]}}
    header = tracing(sink.sink.endpoint, propagation={"response_header": "X-Trace-Id"})
    content = declaration(
        service("stale", upstream.url, [header, cache]),
        service("own", upstream.url, [tracing(sink.sink.endpoint), cache, snippet]),
    )
    found = {}
    with start_gateway(content, environment={"KONG_PLUGINS": "bundled,otlp-tracing"}) as gateway:
        for path in ("/stale/a", "/own/a"):
            callers = [Caller.new() for _ in range(2)]
            answers = [gateway.get(path, [one.header()]) for one in callers]
            ids = [answer.headers.get("x-trace-id") for answer in answers]
            found[path] = [one == caller.trace_id for one, caller in zip(ids, callers, strict=True)]
            assert answers[1].headers["x-cache-status"] == "Hit"

    assert found["/own/a"] == [True, True]
