"""The HTTP application. Reads, never changes anything."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from aiohttp import web
from prometheus_client.exposition import choose_encoder

from otlp_tracing.sidecar.live.http.auth import guard, harden
from otlp_tracing.sidecar.live.http.options import PageOptions
from otlp_tracing.sidecar.live.http.page import MAX_BODY, Page
from otlp_tracing.sidecar.live.recorder import Recorder
from otlp_tracing.sidecar.telemetry.registry import Metrics

__all__ = ["Health", "application"]


@dataclass(frozen=True)
class Health:
    """What probes and people are told.

    Args:
        not_ready: says why records are not taken, or None if they are.
        degraded: says what is wrong although they are taken, or None.
        delivery: how every destination is.
    """

    not_ready: Callable[[], str | None] = lambda: None
    degraded: Callable[[], str | None] = lambda: None
    delivery: Callable[[], list[dict[str, Any]]] = list


def application(
    metrics: Metrics,
    health: Health,
    recorder: Recorder | None = None,
    options: PageOptions = PageOptions(),  # noqa: B008  # frozen
    redactions: Callable[[], dict[str, Any]] = dict,
) -> web.Application:
    """Make the application.

    Args:
        metrics: shown on /metrics, as Prometheus text or OpenMetrics, whichever is asked for.
        health: shown on /readyz and /delivery.
        recorder: what the live page shows; None for no page.
        options: of the page; also guard every path but those above.
        redactions: what redaction found, without any value, shown on /redaction.
    """

    async def healthz(_request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_request: web.Request) -> web.Response:
        reason, degraded = health.not_ready(), health.degraded()
        if reason is not None:
            return web.Response(status=503, text=f"{reason}\n")
        # Records are taken all the same; a probe that failed here would only take Kong down for its tracing.
        return web.Response(text=f"ready, but spans are in memory alone: {degraded}\n" if degraded else "ready\n")

    async def show_delivery(_request: web.Request) -> web.Response:
        return web.json_response({"spool_trouble": health.degraded(), "destinations": health.delivery()})

    async def show_metrics(request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(metrics.registry), headers={"Content-Type": content_type})

    async def show_redactions(_request: web.Request) -> web.Response:
        return web.json_response(redactions(), dumps=partial(json.dumps, indent=1))

    app = web.Application(middlewares=[guard(options)], client_max_size=MAX_BODY)
    app.on_response_prepare.append(harden)
    app.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", show_metrics)])
    app.add_routes([web.get("/redaction", show_redactions), web.get("/delivery", show_delivery)])
    if recorder is not None:
        Page(recorder, options).add_to(app)
    return app
