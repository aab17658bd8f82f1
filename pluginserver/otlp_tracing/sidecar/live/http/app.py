"""The HTTP application: probes, metrics, JSON reports and the live page. Read only."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from aiohttp import web
from prometheus_client.exposition import choose_encoder

from otlp_tracing.sidecar.live.http.auth import Handler, add_security_headers, auth_middleware
from otlp_tracing.sidecar.live.http.options import PageOptions
from otlp_tracing.sidecar.live.http.page import MAX_BODY, Page
from otlp_tracing.sidecar.live.recorder import Recorder
from otlp_tracing.sidecar.telemetry.exemplars import SentExemplar
from otlp_tracing.sidecar.telemetry.registry import Metrics


@dataclass(frozen=True)
class Health:
    """State of the sidecar, for probes and for `status`.

    Args:
        not_ready: the reason why records are not accepted; None if they are.
        degraded: a fault in spite of which records are accepted; None without one.
        destinations: the state of each destination of spans and log records.
        metrics: the state of each destination of metrics.
        delivery: the rest of /delivery, by name.
    """

    not_ready: Callable[[], str | None] = lambda: None
    degraded: Callable[[], str | None] = lambda: None
    destinations: Callable[[], list[dict[str, Any]]] = list
    metrics: Callable[[], list[dict[str, Any]]] = list
    delivery: Callable[[], dict[str, Any]] = dict


def create_app(
    metrics: Metrics,
    health: Health,
    reports: Mapping[str, Callable[[], Any]],
    recorder: Recorder | None = None,
    options: PageOptions = PageOptions(),  # noqa: B008  # frozen
    *,
    exemplars: Callable[[], Iterable[SentExemplar]] = tuple,
) -> web.Application:
    """Make the application.

    Args:
        metrics: for /metrics, as Prometheus text or OpenMetrics, by the Accept header.
        health: for /readyz and /delivery.
        reports: further JSON documents by path, each made when it is requested.
        recorder: data of the live page; None turns the page off.
        options: of the page; they protect all paths but /healthz, /readyz and /metrics.
        exemplars: of the OTLP metrics, as collectors have accepted them.
    """
    documents = {
        "/delivery": lambda: {
            "spool_trouble": health.degraded(),
            "destinations": health.destinations(),
            "metrics": health.metrics(),
            **health.delivery(),
        },
        **reports,
    }

    async def healthz(_request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_request: web.Request) -> web.Response:
        reason, degraded = health.not_ready(), health.degraded()
        if reason is not None:
            return web.Response(status=503, text=f"{reason}\n")
        # Still 200: records are accepted, and a failing probe would take Kong down because of its tracing.
        lines = [f"ready, but spans and log records are in memory alone: {degraded}" if degraded else "ready"]
        lines += [
            f"{one['destination']} {one['state']}: {one['reason']}"
            for one in (*health.destinations(), *health.metrics())
            if one["state"] in {"held", "rejecting"}
        ]
        return web.Response(text="\n".join(lines) + "\n")

    async def show_metrics(request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(metrics.registry), headers={"Content-Type": content_type})

    async def show_report(request: web.Request) -> web.Response:
        return web.json_response(documents[request.path](), dumps=partial(json.dumps, indent=1))

    routes: dict[str, Handler] = {"/healthz": healthz, "/readyz": readyz, "/metrics": show_metrics}
    routes |= dict.fromkeys(documents, show_report)
    app = web.Application(middlewares=[auth_middleware(options)], client_max_size=MAX_BODY)
    app.on_response_prepare.append(add_security_headers)
    if recorder is not None:
        page = Page(recorder, options, exemplars)
        routes |= page.routes
        app.router.add_post("/trial", page.evaluate_rules)
        app.on_shutdown.append(page.close)
    app.add_routes([web.get(path, handler) for path, handler in routes.items()])
    return app
