"""The plugin's settings for the way to the collector: headers, compression, TLS."""

from __future__ import annotations

import contextlib
import gzip
from collections.abc import Iterator
from dataclasses import dataclass

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from e2e.certificates import Authority, Pair
from e2e.client import Caller, fetch
from e2e.conftest import StartGateway
from e2e.declarations import declaration, service, tracing
from e2e.gateways import RunningGateway
from e2e.metrics import metric
from e2e.relays import RecordingRelay, grpc_messages
from e2e.spans import SinkReader, trace, wait_for_trace
from e2e.upstreams import RecordingUpstream
from e2e.waiting import wait_for
from otlp_tracing_devtools.fake_collector import ThreadedOtlpSink

_SECONDS = 20.0
_SPOOLED, _IN_FLIGHT = "otlp_tracing_spans_spooled", "otlp_tracing_spans_in_flight"


@dataclass(frozen=True)
class Sinks:
    """OTLP receivers: one plain and recorded, one with a certificate, one that asks for the client's."""

    plain: ThreadedOtlpSink
    relay: RecordingRelay
    gzip_relay: RecordingRelay
    tls: ThreadedOtlpSink
    mutual: ThreadedOtlpSink


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority("the collector's authority")


@pytest.fixture(scope="module")
def sinks(authority: Authority) -> Iterator[Sinks]:
    pair = authority.issue("collector")
    with contextlib.ExitStack() as stack:
        plain = stack.enter_context(ThreadedOtlpSink())
        relay = stack.enter_context(RecordingRelay(plain.sink.port))
        gzip_relay = stack.enter_context(RecordingRelay(plain.sink.port))
        tls = stack.enter_context(ThreadedOtlpSink(credentials=_credentials(pair)))
        mutual = stack.enter_context(ThreadedOtlpSink(credentials=_credentials(pair, authority.certificate)))
        yield Sinks(plain, relay, gzip_relay, tls, mutual)


@pytest.fixture(scope="module")
def gateway(
    start_gateway: StartGateway, upstream: RecordingUpstream, authority: Authority, sinks: Sinks
) -> Iterator[RunningGateway]:
    right, stranger = authority.certificate, Authority("a stranger").certificate
    client = authority.issue("gateway")
    secure, mutual = sinks.tls.sink.endpoint, sinks.mutual.sink.endpoint
    headers = ["x-api-key: planted", "X-Tenant:  blue "]
    entries = {
        "plain": tracing(sinks.relay.endpoint, headers=headers),
        "gzip": tracing(sinks.gzip_relay.endpoint, compression="gzip"),
        "right-ca": tracing(secure, tls={"ca_cert": right}),
        "wrong-ca": tracing(secure, tls={"ca_cert": stranger}, headers=["x-route: wrong-ca"]),
        "no-check": tracing(secure, tls={"insecure_skip_verify": True}),
        "mutual": tracing(mutual, tls={"ca_cert": right, "client_cert": client.certificate, "client_key": client.key}),
        "not-mutual": tracing(mutual, tls={"ca_cert": right}),
    }
    with start_gateway(declaration(*(service(name, upstream.url, [entry]) for name, entry in entries.items()))) as up:
        yield up


def _credentials(pair: Pair, client_authority: str | None = None) -> grpc.ServerCredentials:
    return grpc.ssl_server_credentials(
        [(pair.key.encode(), pair.certificate.encode())],
        root_certificates=client_authority.encode() if client_authority else None,
        require_client_auth=client_authority is not None,
    )


def _traced(gateway: RunningGateway, path: str, sink: ThreadedOtlpSink) -> bool:
    caller = Caller.new()
    assert gateway.get(path, [caller.header()]).status == 200
    return len(wait_for_trace(SinkReader(sink), caller.trace_id)) == 2


def test_configured_headers_go_with_every_export(gateway: RunningGateway, sinks: Sinks) -> None:
    """Names in lower case, as gRPC wants them; values without the white space around them."""
    assert _traced(gateway, "/plain/1", sinks.plain)

    sent = dict(sinks.plain.sink.requests[-1].metadata)
    assert (sent["x-api-key"], sent["x-tenant"]) == ("planted", "blue")
    assert str(sent["user-agent"]).startswith("otlp-tracing/")


def test_exports_are_compressed_on_the_wire(gateway: RunningGateway, sinks: Sinks) -> None:
    """The bytes that are sent to a collector are gzip, and contain the export."""
    assert _traced(gateway, "/gzip/1", sinks.plain)

    (is_compressed, message), *_ = grpc_messages(sinks.gzip_relay.sent)
    assert is_compressed
    assert ExportTraceServiceRequest.FromString(gzip.decompress(message)).resource_spans


def test_exports_within_the_machine_are_not_compressed(gateway: RunningGateway, sinks: Sinks) -> None:
    """The default for a loopback endpoint."""
    assert _traced(gateway, "/plain/1", sinks.plain)

    (is_compressed, message), *_ = grpc_messages(sinks.relay.sent)
    assert not is_compressed
    assert ExportTraceServiceRequest.FromString(message).resource_spans


@pytest.mark.parametrize("path", ["/right-ca/1", "/no-check/1"])
def test_tls_with_the_collectors_own_authority_works(gateway: RunningGateway, sinks: Sinks, path: str) -> None:
    """An https:// endpoint is reached with the authority that signed its certificate, or without a check."""
    assert _traced(gateway, path, sinks.tls)


def test_mutual_tls_works(gateway: RunningGateway, sinks: Sinks) -> None:
    """A collector that asks for a certificate gets the configured one."""
    assert _traced(gateway, "/mutual/1", sinks.mutual)


@pytest.mark.parametrize("case", ["wrong-ca", "not-mutual"])
def test_a_refused_handshake_costs_no_span(gateway: RunningGateway, sinks: Sinks, case: str) -> None:
    """Nothing arrives, the client gets its answer, the spans wait, and the log says why."""
    sink = sinks.tls if case == "wrong-ca" else sinks.mutual
    waiting = {"destination": sink.sink.endpoint}
    caller = Caller.new()
    wait_for(
        lambda: not metric(gateway, _SPOOLED, **waiting) + metric(gateway, _IN_FLIGHT, **waiting),
        _SECONDS,
        "what the tests before have sent to the same collector is answered for",
    )

    assert gateway.get(f"/{case}/1", [caller.header()]).status == 200

    wait_for(lambda: metric(gateway, _SPOOLED, **waiting) >= 2, _SECONDS, "the spans wait")
    assert trace(SinkReader(sink), caller.trace_id) == []

    def lines() -> list[str]:
        return [line for line in gateway.log().splitlines() if f"export failed: {sink.sink.endpoint}" in line]

    wait_for(lambda: len(lines()) == 1, _SECONDS, "the log says it once")
    assert ("the authority of" if case == "wrong-ca" else "closed the connection") in lines()[0]
    # At its default level Kong's log has none of the product's lines; the sidecar lists this one.
    assert "export failed" not in gateway.own_log()
    shown = fetch(gateway.sidecar_url, "/log").text()
    assert f"export failed: {sink.sink.endpoint}" in shown
