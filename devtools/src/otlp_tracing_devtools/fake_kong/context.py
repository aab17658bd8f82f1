"""One request as every phase sees it: Kong's `ngx.ctx`, the request's and the answer's headers, the times.

Plain state with the few rules that belong to it. Knows neither sockets nor plugins.
"""

from __future__ import annotations

import copy
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from otlp_tracing_devtools.fake_kong.entities import Consumer, Credential, Route, Service
from otlp_tracing_devtools.fake_kong.headers import Headers
from otlp_tracing_devtools.fake_kong.paths import split_target
from otlp_tracing_devtools.fake_kong.router import Match
from otlp_tracing_devtools.fake_kong.version import NEWEST, Version


def now_ms() -> int:
    """Give the time in whole milliseconds, as `ngx.now()` has it."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True)
class TlsInfo:
    """How the client's connection is encrypted."""

    version: str
    cipher: str


@dataclass
class Timings:
    """Milliseconds since 1970, or None where the request did not get that far.

    Source: kong/init.lua of Kong 3.9.1, the KONG_… fields of ngx.ctx.
    """

    start_ms: int = field(default_factory=now_ms)
    balancer_end_ms: int | None = None
    answer_ms: int | None = None
    end_ms: int | None = None

    @property
    def kong_ms(self) -> int:
        """KONG_PROXY_LATENCY, or KONG_RESPONSE_LATENCY where nothing was proxied."""
        end = self.balancer_end_ms or self.answer_ms
        return end - self.start_ms if end else 0

    @property
    def waiting_ms(self) -> int:
        """KONG_WAITING_TIME: from the last try to the answer's head; -1 where nothing was proxied."""
        if self.balancer_end_ms is None:
            return -1
        return (self.answer_ms or self.end_ms or self.balancer_end_ms) - self.balancer_end_ms

    @property
    def receive_ms(self) -> int:
        """KONG_RECEIVE_TIME: from the answer's head to its end."""
        if self.balancer_end_ms is None or not (self.answer_ms and self.end_ms):
            return 0
        return self.end_ms - self.answer_ms

    @property
    def total_ms(self) -> int:
        """$request_time."""
        return (self.end_ms or now_ms()) - self.start_ms


@dataclass
class RequestContext:
    """Everything about one request; `headers` are those the upstream will see."""

    method: str
    target: str
    http_version: float
    headers: Headers
    client_ip: str
    client_port: int
    server_port: int
    version: Version = NEWEST
    tls: TlsInfo | None = None
    id: str = field(default_factory=lambda: secrets.token_hex(16))
    times: Timings = field(default_factory=Timings)
    received_bytes: Callable[[], int] = lambda: 0

    match: Match | None = None
    query: str | None = None
    upstream_path: str = ""
    upstream_host: str | None = None

    consumer: Consumer | None = None
    credential: Credential | None = None
    shared: dict[Any, Any] = field(default_factory=dict)
    serialize_values: list[tuple[str, Any, str]] = field(default_factory=list)

    tries: list[dict[str, Any]] | None = None
    upstream_statuses: list[str] = field(default_factory=list)
    status: int = 0
    response_headers: Headers = field(default_factory=Headers)
    extra_response_headers: Headers = field(default_factory=Headers)
    sent_bytes: int = 0
    plugins_collected: bool = False
    exited: bool = False
    unexpected: bool = False
    proxied: bool = False
    record: bytes = b""

    def __post_init__(self) -> None:
        self.query = split_target(self.target)[1]

    @property
    def route(self) -> Route | None:
        """The matched route."""
        return self.match.route if self.match else None

    @property
    def service(self) -> Service | None:
        """The matched route's service."""
        return self.match.route.service if self.match else None

    @property
    def scheme(self) -> str:
        """The client's: http or https."""
        return "https" if self.tls else "http"

    @property
    def is_grpc(self) -> bool:
        """Whether the client expects gRPC's errors; kong/pdk/response.lua, is_grpc_request."""
        return self.http_version == 2 and (self.headers.get("content-type") or "").startswith("application/grpc")

    @property
    def host(self) -> str:
        """The Host header without its port, in lower case; nginx uses its server name without one."""
        host = (self.headers.get("host") or "kong").lower()
        name, colon, port = host.rpartition(":")
        return name if colon and port.isdigit() else host

    @property
    def raw_path(self) -> str:
        """The path as sent."""
        return split_target(self.target)[0]

    @property
    def source(self) -> str:
        """The author of the answer: `service`, `exit` or `error`. kong/pdk/response.lua, get_source."""
        if self.unexpected:
            return "error"
        if self.exited:
            return "exit"
        return "service" if self.proxied else "error"

    def snapshot(self, record: bytes) -> RequestContext:
        """Freeze the view of the log phase; `shared` stays the same table, as in Kong."""
        frozen = copy.copy(self)
        frozen.headers = self.headers.copy()
        frozen.response_headers = self.response_headers.copy()
        frozen.record = record
        return frozen
