"""Questions to the collectors: name, connection, TLS, and an empty export, for each signal.

An export request without spans, points or log records is a valid request that stores nothing.
Source: opentelemetry-proto, docs/specification.md.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import re
import shlex
import socket
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from otlp_tracing.commands.doctor.findings import Finding, Masking
from otlp_tracing.commands.doctor.kong_yml import ConfiguredEntry
from otlp_tracing.config.otel_variables import SIGNALS, Signal, signal_path
from otlp_tracing.config.settings import Settings
from otlp_tracing.config.validation import is_vault_reference
from otlp_tracing.errors import ConfigError
from otlp_tracing.sidecar.export import certificates
from otlp_tracing.sidecar.export.causes import CLOSED, GRPC
from otlp_tracing.sidecar.export.destination import Destination
from otlp_tracing.sidecar.export.exporters import new_transport
from otlp_tracing.sidecar.export.remedies import remedy_for
from otlp_tracing.sidecar.export.result import Action, ExportResult
from otlp_tracing.sidecar.otlp.encoder import encode_resource, encode_span, request
from otlp_tracing.sidecar.spans.model import SpanRecord

_SECONDS = 5.0  # for a name, a connection and a handshake each; an export has the transport's own deadline
_MOST = 32  # destinations that are asked; the rest is counted
_DAYS_LEFT = 14
_SPAN_NAME = "otlp-tracing doctor"
_UNKNOWN_AUTHORITY = frozenset({2, 18, 19, 20, 21})  # openssl-verify(1), X509_V_ERR_*
_EXPIRED, _OTHER_NAME = 10, frozenset({62, 64})
_PORTS = {"grpc": 4317, "http/protobuf": 4318}
_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
_WITH_KONG_YML = "otlp-tracing doctor KONG_YML"
_REDIRECTION = re.compile(r"it redirects to (https?://\S+)")
_VAULT = re.compile(r"\{vault://env/([^/?}]+)\}")


@dataclass(frozen=True)
class Candidate:
    """A destination, with the first entry that names it.

    Args:
        entry: None for a destination that the sidecar alone has named.
        lacks_headers: Kong or the sidecar has headers that are not known here.
    """

    entry: ConfiguredEntry | None
    destination: Destination
    lacks_headers: bool

    @property
    def label(self) -> str:
        """Return its name in the findings."""
        return f"{self.destination.label} ({self.destination.protocol})"

    def set_command(self, field: str, value: str, variable: str = "") -> str:
        """Return the command that sets a field of the entry, or the variable that counts for the unset field."""
        if self.entry is None:
            return _WITH_KONG_YML
        signal = self.destination.signal
        if field == "endpoint" and signal != "traces":
            return self.entry.set_command(f"config.{signal}.endpoint", value)
        if variable and not getattr(self.entry.settings, field):
            return f"export {variable}={shlex.quote(value)}"
        return self.entry.set_command(f"config.{field}", value)

    def set_endpoint(self, old: str, new: str) -> str:
        """Return the command that replaces a part of the endpoint."""
        return self.set_command("endpoint", self.destination.endpoint.replace(old, new, 1), _ENDPOINT)


def of_sidecar(report: Mapping[str, Any], environment: Mapping[str, str]) -> Candidate | None:
    """Return a destination that a sidecar reports; its headers and certificates are not in the report."""
    signal: Signal = next((one for one in SIGNALS if one == report.get("signal")), "traces")
    endpoint = str(report.get("destination")).removesuffix(f" ({signal})")
    config: dict[str, Any] = {"protocol": report.get("protocol")}
    config.update({"endpoint": endpoint} if signal == "traces" else {signal: {"endpoint": endpoint}})
    try:
        destination = Destination.from_settings(Settings.from_config(config), environment, signal=signal)
        return Candidate(None, destination, True)
    except ConfigError:
        return None


def candidates(
    entries: Sequence[ConfiguredEntry], environment: Mapping[str, str], masking: Masking
) -> Iterator[Candidate | Finding]:
    """Return the destinations of entries, each once and of each signal; or a finding for an entry that has none.

    Args:
        entries: of a kong.yml.
        environment: of the sidecar.
        masking: learns the headers' values.
    """
    seen = set()
    for one in entries:
        headers = [_resolved(line, environment) for line in one.settings.headers]
        settings = replace(one.settings, headers=tuple(headers))
        if endpoint := one.settings.endpoint:
            settings = replace(settings, endpoint=_resolved(endpoint, environment))
        if is_vault_reference(settings.endpoint):
            yield Finding("note", one.place, "not asked: Kong alone resolves the vault reference in `endpoint`")
            continue
        for line in headers:
            masking.add(line.partition(":")[2])
        for signal in settings.signals:
            try:
                destination = Destination.from_settings(settings, environment, signal=signal)
            except ConfigError as error:
                text = "; ".join(map(str, error.faults))
                yield Finding("FAIL", one.place, text, f"otlp-tracing check {shlex.quote(str(one.file))}")
                break
            masking.add(*(value for _, value in destination.headers), urlsplit(destination.proxy or "").password or "")
            if destination.identity not in seen:
                seen.add(destination.identity)
                yield Candidate(one, destination, any(map(is_vault_reference, headers)))


def _resolved(line: str, environment: Mapping[str, str]) -> str:
    """Return a header; Kong resolves a reference to its environment, kong/vaults/env/init.lua."""
    found = _VAULT.fullmatch(line)
    return (found and (environment.get(_variable(found)) or os.environ.get(_variable(found)))) or line


def _variable(reference: re.Match[str]) -> str:
    return reference[1].upper().replace("-", "_")


async def ask_destinations(some: Sequence[Candidate], *, send: bool) -> list[Finding]:
    """Ask every destination, all at once, and return their findings in order.

    Args:
        some: the destinations.
        send: a span to each.
    """
    findings = [one for group in await asyncio.gather(*(_ask(one, send) for one in some[:_MOST])) for one in group]
    if len(some) > _MOST:
        findings.append(Finding("note", "destinations", f"{len(some) - _MOST} more were not asked"))
    return findings


async def _ask(one: Candidate, send: bool) -> list[Finding]:
    if one.destination.proxy:
        proxy = await _ask_proxy(one, one.destination.proxy)
        return [proxy] if proxy.level == "FAIL" else [proxy, await _ask_export(one, send)]
    host, port = one.destination.host_and_port
    findings = [] if _is_address(host) else [await _ask_name(one, host, port)]
    if not findings or findings[-1].level != "FAIL":
        findings.append(await _ask_connection(one, host, port))
    if findings[-1].level != "FAIL" and one.destination.secure:
        findings.append(await asyncio.to_thread(_ask_tls, one, host, port))
    if findings[-1].level != "FAIL":
        findings.append(await _ask_export(one, send))
    return findings


async def _ask_proxy(one: Candidate, url: str) -> Finding:
    proxy = urlsplit(url)  # its user and password are not shown
    if reason := await _connection_fault(proxy.hostname or "", proxy.port or 80):
        text = f"proxy: {proxy.hostname} port {proxy.port}: {reason}"
        host, _ = one.destination.host_and_port
        return Finding("FAIL", one.label, text, f"export NO_PROXY={shlex.quote(host)}")
    return Finding("ok", one.label, f"proxy: {proxy.hostname} port {proxy.port} is open")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


async def _ask_name(one: Candidate, host: str, port: int) -> Finding:
    loop = asyncio.get_running_loop()
    try:
        found = await asyncio.wait_for(loop.getaddrinfo(host, port, type=socket.SOCK_STREAM), _SECONDS)
    except (OSError, UnicodeError, asyncio.TimeoutError) as error:
        reason = (getattr(error, "strerror", None) or "no answer").lower()
        text = f"DNS: the name {host} does not resolve here: {reason}"
        return Finding("FAIL", one.label, text, one.set_endpoint(host, "HOST"))
    addresses = ", ".join(dict.fromkeys(str(address[4][0]) for address in found[:3]))
    return Finding("ok", one.label, f"DNS: {host} is {addresses}")


async def _ask_connection(one: Candidate, host: str, port: int) -> Finding:
    reason = await _connection_fault(host, port)
    if not reason:
        return Finding("ok", one.label, f"TCP: port {port} is open")
    text = f"TCP: {host} port {port}: {reason}"
    for protocol, other in _PORTS.items():
        if other != port and not await _connection_fault(host, other):
            text += f"; a collector listens at port {other}, OTLP over {protocol}"
            if protocol == one.destination.protocol:
                return Finding("FAIL", one.label, text, one.set_endpoint(f":{port}", f":{other}"))
    return Finding("FAIL", one.label, f"{text}; start the collector, or correct the port", _other_port(one, host))


def _other_port(one: Candidate, host: str) -> str:
    scheme = "https" if one.destination.secure else "http"
    bracketed = f"[{host}]" if ":" in host else host
    path = urlsplit(one.destination.url).path if one.destination.protocol != "grpc" else ""
    path = "" if path == signal_path(one.destination.signal) else path
    return one.set_command("endpoint", f"{scheme}://{bracketed}:PORT{path}", _ENDPOINT)


async def _connection_fault(host: str, port: int) -> str:
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(host, port), _SECONDS)
    except asyncio.TimeoutError:
        return f"no answer within {_SECONDS:.0f} s, a firewall may drop it"
    except OSError as error:
        refused = "the connection is refused, no program listens there"
        return (
            refused if "refused" in str(error).lower() or error.errno == 111 else str(error.strerror or error).lower()
        )
    writer.close()
    return ""


def _ask_tls(one: Candidate, host: str, port: int) -> Finding:
    tls = one.destination.tls
    try:
        context = certificates.context(tls)
    except ConfigError as error:
        field = next((fault.field for fault in error.faults), "tls")
        command = one.set_command(field, "/PATH/TO/FILE.pem")
        return Finding("FAIL", one.label, f"TLS: {'; '.join(map(str, error.faults))}", command)
    if one.destination.protocol == "grpc":
        context.set_alpn_protocols(["h2"])
    try:
        with _handshake(host, port, context) as wrapped:
            certificate, version = wrapped.getpeercert() or {}, wrapped.version()
    except ssl.SSLCertVerificationError as error:
        return _untrusted(one, host, error)
    except (OSError, ValueError) as error:
        if "WRONG_VERSION_NUMBER" in str(error) or "record layer failure" in str(error).lower():
            text = "TLS: the port does not speak TLS"
            return Finding("FAIL", one.label, text, one.set_endpoint("https://", "http://"))
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error) or "no answer"
        text = f"TLS: the handshake fails: {str(reason).lower().replace('_', ' ')}"
        return Finding("FAIL", one.label, text, one.set_command("tls.client_cert", "/PATH/TO/CLIENT.pem"))
    if tls.insecure_skip_verify:
        text = f"TLS: {version}; the certificate is not verified: insecure_skip_verify"
        return Finding("warn", one.label, text, one.set_command("tls.insecure_skip_verify", "false"))
    return _expiry(one, certificate, str(version))


@contextmanager
def _handshake(host: str, port: int, context: ssl.SSLContext) -> Iterator[ssl.SSLSocket]:
    with (
        socket.create_connection((host, port), _SECONDS) as plain,
        context.wrap_socket(plain, server_hostname=host) as wrapped,
    ):
        yield wrapped


def _expiry(one: Candidate, certificate: Mapping[str, Any], version: str) -> Finding:
    ends = ssl.cert_time_to_seconds(certificate["notAfter"])
    days = (ends - time.time()) / 86_400
    issuer = {key: value for names in certificate.get("issuer", ()) for key, value in names}
    authority = issuer.get("organizationName") or issuer.get("commonName") or "?"
    text = f"TLS: {version}, certificate of {authority}, valid for {days:.0f} days"
    if days < _DAYS_LEFT:
        return Finding("warn", one.label, f"{text}: renew it at the collector", _show_certificate(one))
    return Finding("ok", one.label, text)


def _show_certificate(one: Candidate) -> str:
    target, (name, _) = one.destination.target, one.destination.host_and_port
    return f"openssl s_client -connect {target} -servername {name} </dev/null | openssl x509 -noout -dates -subject"


def _untrusted(one: Candidate, host: str, error: ssl.SSLCertVerificationError) -> Finding:
    if one.entry is None:
        text = f"TLS: not asked: the sidecar may know another authority; here, {error.verify_message}"
        return Finding("note", one.label, text, _WITH_KONG_YML)
    if error.verify_code in _UNKNOWN_AUTHORITY:
        text = "TLS: the authority of the collector's certificate is not known here: set tls.ca_cert"
        return Finding("FAIL", one.label, text, one.set_command("tls.ca_cert", "/PATH/TO/AUTHORITY.pem"))
    if error.verify_code in _OTHER_NAME:
        text = f"TLS: the collector's certificate is for another name than {host}"
        return Finding("FAIL", one.label, text, one.set_endpoint(host, "NAME-IN-THE-CERTIFICATE"))
    if error.verify_code == _EXPIRED:
        return Finding(
            "FAIL", one.label, "TLS: the collector's certificate has expired: renew it there", _show_certificate(one)
        )
    return Finding(
        "FAIL", one.label, f"TLS: the certificate is refused: {error.verify_message}", _show_certificate(one)
    )


async def _ask_export(one: Candidate, send: bool) -> Finding:
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
        return Finding("ok", one.label, f"OTLP: {sent} ({milliseconds:.0f} ms)")
    closer = await asyncio.to_thread(_look_closer, one) if result.reason == CLOSED.reason else None
    return closer or _refusal(one, result, send)


def _look_closer(one: Candidate) -> Finding | None:
    """Find out why a port closes the connection: it wants TLS, or speaks gRPC over TLS."""
    host, port = one.destination.host_and_port
    context = certificates.unverified()
    context.set_alpn_protocols(["h2"])
    try:
        with _handshake(host, port, context) as wrapped:
            speaks_http2 = wrapped.selected_alpn_protocol() == "h2"
    except (OSError, ValueError):
        return None
    if not one.destination.secure:
        text = "OTLP: the port speaks TLS: write https:// in `endpoint`"
        return Finding("FAIL", one.label, text, one.set_endpoint("http://", "https://"))
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
            why = "not asked: the values of `headers` are not known here, and without them the answer is"
            return Finding("note", one.label, f"OTLP: {why} {result.reason}")
        return Finding("FAIL", one.label, text, _set_key(one))
    if result.action is Action.HOLD_NOT_OTLP:
        return Finding("FAIL", one.label, text, _set_protocol(one, remedy))
    if not send and result.action in {Action.SPLIT, Action.DROP}:
        return Finding("note", one.label, f"{text}; it refuses an export without spans: try --send")
    return Finding("FAIL", one.label, text, "otlp-tracing status")


def _command_of(one: Candidate, result: ExportResult) -> str:
    """Return the command of a remedy that is about neither key nor path; empty for another."""
    if target := _REDIRECTION.search(result.reason):
        return one.set_command("endpoint", target[1], _ENDPOINT)
    if "compression: none" in result.remedy:
        return one.set_command("compression", "none")
    if "https://" in result.remedy:
        return one.set_endpoint("http://", "https://")
    if "HTTPS_PROXY" in result.remedy:
        return "export HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT"
    if "quota" in result.remedy:
        return "otlp-tracing status"
    return one.set_command("tls.client_cert", "/PATH/TO/CLIENT.pem") if "tls.client_cert" in result.remedy else ""


def _set_key(one: Candidate) -> str:
    lines = one.entry.settings.headers if one.entry else ()
    if not lines:
        name = next((name for name, _ in one.destination.headers), "NAME")
        return f"export OTEL_EXPORTER_OTLP_HEADERS={name}=KEY"
    if reference := _VAULT.fullmatch(lines[0]):
        return f"export {_variable(reference)}='NAME: KEY'"
    name = lines[0].partition(":")[0].strip()
    return one.set_command("headers[1]", f'"{name}: KEY"')


def _set_protocol(one: Candidate, remedy: str) -> str:
    if match := re.search(r"`protocol: ([\w/]+)`", remedy):
        return one.set_command("protocol", match[1])
    if "http://" in remedy:
        return one.set_endpoint("https://", "http://")
    path, usual = urlsplit(one.destination.url).path.rstrip("/"), signal_path(one.destination.signal)
    if one.destination.protocol != "grpc" and not path.endswith(usual):
        base = one.destination.endpoint.split("?")[0].rstrip("/")
        return one.set_command("endpoint", base + usual, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    return _other_port(one, one.destination.host_and_port[0])
