"""The question whether a destination accepts an export: an empty one, or one span.

An export request without spans, points or log records is a valid request that stores nothing.
Source: opentelemetry-proto, docs/specification.md.
"""

from __future__ import annotations

import asyncio
import os
import time

from otlp_tracing.commands.doctor.candidates import Candidate
from otlp_tracing.commands.doctor.destination_tls import handshake
from otlp_tracing.commands.doctor.findings import AcceptedExport, Finding, unasked
from otlp_tracing.sidecar.export import certificates
from otlp_tracing.sidecar.export.causes import GRPC, Kind
from otlp_tracing.sidecar.export.destination import Destination
from otlp_tracing.sidecar.export.exporters import new_transport
from otlp_tracing.sidecar.export.remedies import remedy_for
from otlp_tracing.sidecar.export.result import Action, ExportResult
from otlp_tracing.sidecar.otlp.encoder import encode_resource, encode_span, request
from otlp_tracing.sidecar.spans.model import SpanRecord

_SPAN_NAME = "otlp-tracing doctor"
# By kind of cause: the field and value that mend it, the endpoint's scheme before and after, another command.
_SETTINGS = {
    Kind.SPEAKS_GRPC: ("protocol", "grpc"),
    Kind.SPEAKS_HTTP1: ("protocol", "http/protobuf"),
    Kind.WANTS_CLIENT_CERTIFICATE: ("tls.client_cert", "/PATH/TO/CLIENT.pem"),
    Kind.WANTS_NO_GZIP: ("compression", "none"),
}
_SCHEMES = {Kind.SPEAKS_TLS: ("http://", "https://"), Kind.SPEAKS_NO_TLS: ("https://", "http://")}
_CLOSED = frozenset({Kind.CLOSED, Kind.WANTS_CLIENT_CERTIFICATE})


async def ask_export(one: Candidate, send: bool) -> Finding:
    """Export nothing, or a span, and tell whether the destination accepts it."""
    send = send and one.destination.signal == "traces"
    trace_id, body = _span(one.destination) if send else ("", b"")
    transport = new_transport(one.destination)
    begun = time.perf_counter()
    try:
        result = await transport.export(body)
    finally:
        await transport.close()
    if result.action is Action.SUCCESS and not result.rejected:
        sent = f"the span `{_SPAN_NAME}` was accepted; its trace id is {trace_id}" if send else "accepts an export"
        milliseconds = (time.perf_counter() - begun) * 1000
        return AcceptedExport("ok", one.label, f"OTLP: {sent} ({milliseconds:.0f} ms)")
    closer = await asyncio.to_thread(_look_closer, one) if result.kind in _CLOSED else None
    return closer or _refusal(one, result, send)


def _look_closer(one: Candidate) -> Finding | None:
    """Find out why a port closes the connection: it wants TLS, or speaks gRPC over TLS."""
    host, port = one.destination.host_and_port
    context = certificates.unverified()
    context.set_alpn_protocols(["h2"])
    try:
        with handshake(host, port, context) as wrapped:
            speaks_http2 = wrapped.selected_alpn_protocol() == "h2"
    except (OSError, ValueError):
        return None
    if not one.destination.secure:
        text = "OTLP: the port speaks TLS: write https:// in `endpoint`"
        return Finding("FAIL", one.label, text, one.replace_in_endpoint("http://", "https://"))
    if speaks_http2 and one.destination.protocol != "grpc":
        return Finding("FAIL", one.label, f"OTLP: {GRPC.reason}: {GRPC.remedy}", one.set_command("protocol", "grpc"))
    return None


def _span(destination: Destination) -> tuple[str, bytes]:
    now = time.time_ns()
    span = SpanRecord(
        trace_id=os.urandom(16),
        span_id=os.urandom(8),
        parent_span_id=None,
        name=_SPAN_NAME,
        kind="internal",
        start_unix_ns=now - 1_000_000,
        end_unix_ns=now,
        attributes={},
        flags=1,
        trace_state="",
        is_error=False,
    )
    resource = encode_resource(dict(destination.resource_attributes))
    return span.trace_id.hex(), request(resource, [encode_span(span)])


def _refusal(one: Candidate, result: ExportResult, send: bool) -> Finding:
    destination = one.destination
    remedy = result.remedy or remedy_for(result.action, destination)
    text = f"OTLP: {result.reason}" + (f": {remedy}" if remedy else "")
    if command := _command_of(one, result):
        return Finding("FAIL", one.label, text, command)
    if result.action is Action.HOLD_UNAUTHORIZED:
        if one.lacks_headers:
            why = "the values of `headers` are not known here, and without them the answer is"
            return unasked(one.label, f"{why} {result.reason}", question="OTLP")
        return Finding("FAIL", one.label, text, one.set_key())
    if result.action is Action.HOLD_NOT_OTLP:
        return Finding("FAIL", one.label, text, one.set_path())
    if not send and result.action in {Action.SPLIT, Action.DROP}:
        return Finding("note", one.label, f"{text}; it refuses an export without spans: try --send")
    return Finding("FAIL", one.label, text, one.own.status())


def _command_of(one: Candidate, result: ExportResult) -> str:
    """Return the command for a kind of cause; empty for one that has none."""
    if result.kind is Kind.REDIRECTION and result.location:
        return one.set_endpoint(result.location)
    if setting := _SETTINGS.get(result.kind):
        return one.set_command(*setting)
    if schemes := _SCHEMES.get(result.kind):
        return one.replace_in_endpoint(*schemes)
    if result.kind is Kind.PROXY:
        return "export HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT"
    return one.own.status() if result.kind is Kind.WANTS_PAYMENT else ""
