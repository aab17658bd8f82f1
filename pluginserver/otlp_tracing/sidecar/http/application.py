"""The HTTP application. Reads, never changes anything."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web
from prometheus_client.exposition import choose_encoder

from otlp_tracing.sidecar.metrics import Metrics

__all__ = ["application"]


def application(metrics: Metrics, not_ready: Callable[[], str | None]) -> web.Application:
    """Make the application.

    Args:
        metrics: shown on /metrics, as Prometheus text or OpenMetrics, whichever is asked for.
        not_ready: says why records are not taken, or None if they are.
    """

    async def healthz(_request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_request: web.Request) -> web.Response:
        reason = not_ready()
        return web.Response(text="ready\n") if reason is None else web.Response(status=503, text=f"{reason}\n")

    async def show_metrics(request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(metrics.registry), headers={"Content-Type": content_type})

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", show_metrics)])
    return app
