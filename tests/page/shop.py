"""A shop behind the gateway: services with something to look at on each view, and requests to them."""

from __future__ import annotations

import contextlib
import json
import random
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from e2e.client import Caller, fetch
from e2e.declarations import declaration, tracing
from e2e.gateways import PluginServer, RunningGateway, StandIn
from e2e.ports import HOST, free_port

SECRET = "pl4nted-s3cret-value"
"""Sent in a query parameter and in headers; must be seen nowhere."""

DEBUGGED = ("x-kong-request-debug", "*")
"""Asks for the durations of plugins, which the shop answers in the place of Kong: the stand-in runs no Lua plugin."""


def _debug_output() -> tuple[str, float]:
    """Return the header's value, and the seconds that its phases claim."""

    def plugins(**durations: float) -> dict[str, Any]:
        each = {name.replace("_", "-"): one for name, one in durations.items()}
        entries = {
            name: {"total_time": one, "child": {str(uuid.uuid5(uuid.NAMESPACE_OID, name)): {"total_time": one}}}
            for name, one in each.items()
        }
        return {"plugins": {"total_time": sum(durations.values()), "child": entries}}

    phases: dict[str, dict[str, Any]] = {
        "rewrite": {"total_time": 0.4, "child": plugins(correlation_id=0.1)},
        "access": {
            "total_time": 17.2,
            "child": {"router": {"total_time": 0.2}, **plugins(key_auth=2.1, rate_limiting=13.6, acl=0.6)},
        },
        "header_filter": {"total_time": 0.7, "child": plugins(rate_limiting=0.3, cors=0.2)},
        "body_filter": {"total_time": 0.2, "child": {}},
    }
    return json.dumps({"child": phases}), sum(phase["total_time"] for phase in phases.values()) / 1000


TRACE_URL = "http://jaeger.test:16686/trace/{trace_id}"

# The behaviour of each path: seconds to wait at the least, and the status.
_BEHAVIOUR: Mapping[str, tuple[float, int]] = {
    "/api/users/1": (0.012, 200),
    "/api/users/2": (0.034, 200),
    "/api/users/9": (0.006, 404),
    "/api/orders": (0.045, 201),
    "/api/orders/77": (0.021, 200),
    "/api/search": (0.18, 200),
    "/api/reports/monthly": (0.62, 200),
    "/api/payments": (0.05, 201),
    "/api/payments/declined": (0.03, 500),
    "/healthz": (0.001, 200),
}


@dataclass(frozen=True)
class _Request:
    target: str
    method: str = "GET"
    weight: int = 1
    headers: tuple[tuple[str, str], ...] = ()


_REQUESTS = (
    _Request("/api/users/1", weight=9),
    _Request(f"/api/users/2?token={SECRET}&page=2", weight=5, headers=(("x-api-key", SECRET), ("x-tenant", "acme"))),
    _Request("/api/users/9", weight=2),
    _Request("/api/orders", "POST", weight=4, headers=(("x-tenant", "acme"),)),
    _Request("/api/orders/77", weight=5),
    _Request("/api/orders/78", headers=(DEBUGGED,)),
    _Request("/api/search?q=running+shoes&sort=price", weight=5),
    _Request("/api/reports/monthly", weight=2, headers=(("x-tenant", "jane.roe@example.com"),)),
    _Request("/api/payments", "POST", weight=3),
    _Request("/api/payments/declined", "POST", weight=1),
    _Request("/api/stock/12", weight=2),
    _Request("/api/search?q=jane.roe%40example.com", weight=3),
    _Request("/healthz", weight=6),
)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path.startswith("/v1/"):  # a collector of metrics and log records
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        seconds, status = _BEHAVIOUR.get(self.path.partition("?")[0], (0.002, 200))
        debug_output, claimed = _debug_output() if DEBUGGED[0] in self.headers else ("", 0.0)
        # The sidecar cuts claimed durations at the request's end; so the request must last longer on any machine.
        time.sleep(max(seconds, 2 * claimed) * random.uniform(1.0, 1.5))
        body = b"{}\n"
        self.send_response(status)
        if debug_output:
            self.send_header("X-Kong-Request-Debug-Output", debug_output)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = _answer  # noqa: N815  # names that http.server asks for

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextlib.contextmanager
def running_shop() -> Iterator[str]:
    """Run the services; give their address as host:port."""
    server = ThreadingHTTPServer((HOST, 0), _Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"{HOST}:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def shop_declaration(address: str, endpoint: str, **config: Any) -> Mapping[str, Any]:
    """Configure the gateway: eight services, one of them behind two addresses of which one is dead.

    Redaction of requests to the reports service is a dry run. Partners, which call from outside, are not trusted: each
    of their requests starts a trace of its own, which is linked to theirs and kept.

    Args:
        address: of running_shop.
        endpoint: destination of the spans.
        config: of the plugin, which is enabled globally.
    """
    entry = tracing(
        endpoint,
        **{
            "capture": {"request_headers": ["x-api-key", "x-tenant"]},
            "sampling": {
                "rate": 0.5,
                "rules": [
                    {"name": "health checks", "paths": ["/healthz"], "rate": 0},
                    {"name": "all payments", "paths": ["/api/payments*"], "rate": 1},
                ],
                "keep": {"errors": True, "slower_than_ms": 500},
            },
            **config,
        },
    )
    differences: Mapping[str, Mapping[str, Any]] = {
        "reports": {"redaction": {"dry_run": True}},
        "partners": {"propagation": {"incoming": "restart_and_link"}, "sampling": {"rate": 1}},
    }
    names = ("users", "orders", "search", "payments", *differences)
    services = [_service(name, f"http://{address}", [f"/api/{name}"]) for name in names]
    for name, service in zip(names, services, strict=True):
        if name in differences:
            service["plugins"] = [{**entry, "config": {**entry["config"], **differences[name]}}]
    services += [
        _service("stock", "http://stock-pool", ["/api/stock"]),
        _service("health", f"http://{address}", ["/healthz"]),
    ]
    dead = f"{HOST}:{free_port()}"
    pool = {"name": "stock-pool", "targets": [{"target": dead, "weight": 100}, {"target": address, "weight": 100}]}
    return declaration(*services, plugins=[entry], upstreams=[pool])


def all_signals(address: str) -> dict[str, Any]:
    """Return the part of the configuration that sends metrics and log records to the shop itself."""
    collector = f"http://{address}/v1"
    return {
        "protocol": "http/protobuf",
        "metrics": {"enabled": True, "endpoint": f"{collector}/metrics", "interval": 1000},
        "logs": {
            "requests": "all",
            "endpoint": f"{collector}/logs",
            "body": "{http.request.method} {url.path} {url.query} {http.response.status_code}",
        },
    }


def shop_gateway(folder: Path, declared: Mapping[str, Any], *variables: str) -> StandIn:
    """Start the stand-in Kong with a plugin server and a sidecar that has a page.

    Args:
        folder: an empty one.
        declared: of shop_declaration.
        variables: `NAME=value`, given to the plugin server's start command, as on a Kong.
    """

    def server(prefix: Path) -> PluginServer:
        ours = PluginServer.ours(prefix)
        start = ["env", f"OTLP_TRACING_TRACE_URL={TRACE_URL}", *variables, *ours.start]
        return replace(ours, start=start)

    return StandIn(folder, declared, server)


def send(gateway: RunningGateway, target: str, method: str = "GET", headers: Sequence[tuple[str, str]] = ()) -> str:
    """Send a request in a trace of its own, which the gateway decides about; return its trace id."""
    caller = Caller.new()
    fetch(gateway.url, target, [*headers, caller.header("01")], method)
    return caller.trace_id


def requests_of_a_shop(gateway: RunningGateway, count: int, seed: int = 7) -> None:
    """Send a mixed lot of requests with traces that start at the gateway."""
    chosen = random.Random(seed).choices(_REQUESTS, [one.weight for one in _REQUESTS], k=count)
    for one in chosen:
        agent = ("User-Agent", "shop-web/4.2")
        fetch(gateway.url, one.target, [agent, *one.headers], one.method)


def _service(name: str, url: str, paths: list[str]) -> dict[str, Any]:
    route = {"name": name, "paths": paths, "strip_path": False}
    return {"name": f"{name}-service", "url": url, "routes": [route]}
