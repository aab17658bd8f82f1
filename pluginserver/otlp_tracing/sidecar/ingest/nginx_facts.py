"""Facts of nginx about a request that Kong's own record lacks; the `pre-function` snippet puts them there.

The snippet is config/nginx_facts.lua. A person can edit it, and any log plugin can write the field: each fact is
checked, and one of the wrong type is ignored and named. A record without the field never comes here.

Source: nginx, ngx_http_upstream_module and ngx_http_ssl_module (variables); kong/init.lua (ngx.ctx.KONG_*), Kong 3.4.2
and 3.9.3; tests/testdata/nginx_facts/ has recorded examples.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

LOG_FIELD = "otlp_tracing_nginx"
"""The field of Kong's log record that carries the facts."""

VERSION = 1
"""Of the snippet that this package ships."""

PHASES = ("rewrite", "access", "header_filter", "body_filter")
"""Kong's phases of which the snippet gives the start; of `balancer` it gives the duration alone."""

FACTS = (
    "version", "protocol", "connect", "header", "response", "grpc_status", "rewrite", "access", "balancer",
    "header_filter", "body_filter", "server_name", "client_verify", "client_subject", "client_issuer",
    "client_fingerprint",
)  # fmt: skip
"""The facts, as the metric names them."""

_PROTOCOL = re.compile(r"HTTP/([0-9])\.([0-9])")
_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,6})?")
_CODE = re.compile(r"[0-9]{1,9}")
_SHA1 = re.compile(r"[0-9a-fA-F]{40}")
_LONGEST_TIMES = 1024  # for 140 tries; a service makes six by default
_LONGEST_NAME = 255  # of a host: RFC 1035, 2.3.4
_LONGEST_DN = 2048  # nginx has no bound; a certificate of a person or a machine stays far below this one
_LATEST_MS = 1 << 42  # the year 2109
_LONGEST_MS = 1 << 32  # 49 days


class NginxFacts:
    """The facts of one request.

    Args:
        protocol_version: of HTTP as the client spoke it: "1.1", "2"; None without one.
        grpc_status: number of the status in the upstream's trailers; None without one.
        tries: for each try the seconds until the connection was made, until the response headers, and until its end.
        phase_ms: duration of each of Kong's phases that ran, in milliseconds.
        phase_starts: of those in PHASES, in milliseconds since 1970.
        attributes: of the client's TLS connection and certificate.
        ignored: the facts of FACTS that are of the wrong type, or of another version.
    """

    __slots__ = ("attributes", "grpc_status", "ignored", "phase_ms", "phase_starts", "protocol_version", "tries")
    protocol_version: Final[str | None]
    grpc_status: Final[str | None]
    tries: Final[list[dict[str, float]]]
    phase_ms: Final[dict[str, float]]
    phase_starts: Final[dict[str, float]]
    attributes: Final[dict[str, str]]
    ignored: Final[list[str]]

    def __init__(self, field: object) -> None:
        self.ignored = []
        facts: Mapping[str, Any] = field if isinstance(field, dict) else {}
        if facts.get("version") != VERSION:
            self.ignored.append("version")
        protocol = self._text(facts, "protocol", _PROTOCOL, 8)
        # The registry writes "1.1", and "2" and "3" without the zero.
        self.protocol_version = None if not protocol else protocol[5] if protocol[5] > "1" else protocol[5:]
        self.grpc_status = self._text(facts, "grpc_status", _CODE, 9) or None
        self.tries = []
        for name in ("connect", "header", "response"):
            self._add_times(name, facts)
        self.phase_ms, self.phase_starts = {}, {}
        for phase in PHASES:
            self._add_phase(phase, facts, has_start=True)
        self._add_phase("balancer", facts, has_start=False)
        self.attributes = {}
        for name, attribute, form, longest in _TLS:
            text = self._text(facts, name, form, longest)
            if text:
                self.attributes[attribute] = text.upper() if form is not None else text

    def _text(self, facts: Mapping[str, Any], name: str, form: re.Pattern[str] | None, longest: int) -> str:
        value = facts.get(name)
        if value is None or value == "":
            return ""
        if isinstance(value, str) and len(value) <= longest and (form is None or form.fullmatch(value)):
            return value
        self.ignored.append(name)
        return ""

    def _add_times(self, name: str, facts: Mapping[str, Any]) -> None:
        # nginx: a time a try, with a comma between, a colon after an internal redirect, "-" where it was not reached.
        text = self._text(facts, name, None, _LONGEST_TIMES)
        times = [time.strip() for time in text.replace(":", ",").split(",")] if text else []
        if not all(time == "-" or _SECONDS.fullmatch(time) for time in times):
            self.ignored.append(name)
            return
        for number, time in enumerate(times):
            if number == len(self.tries):
                self.tries.append({})
            if time != "-":
                self.tries[number][name] = float(time)

    def _add_phase(self, phase: str, facts: Mapping[str, Any], *, has_start: bool) -> None:
        duration = facts.get(f"{phase}_time")
        if duration is None:
            return  # the phase did not run, or did not end
        start: Any = facts.get(f"{phase}_start") if has_start else 0
        if not (_is_number(duration, _LONGEST_MS) and _is_number(start, _LATEST_MS)):
            self.ignored.append(phase)
            return
        self.phase_ms[phase] = duration
        if has_start:
            self.phase_starts[phase] = start


_TLS = (
    ("server_name", "nginx.ssl_server_name", None, _LONGEST_NAME),
    ("client_verify", "nginx.ssl_client_verify", None, _LONGEST_NAME),
    ("client_subject", "tls.client.subject", None, _LONGEST_DN),
    ("client_issuer", "tls.client.issuer", None, _LONGEST_DN),
    ("client_fingerprint", "tls.client.hash.sha1", _SHA1, 40),
)


def _is_number(value: object, largest: int) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= largest
