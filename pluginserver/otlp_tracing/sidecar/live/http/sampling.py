"""The sampling report, `/sampling`: what is kept of every entry and route, and why, as JSON."""

from __future__ import annotations

import json
from functools import partial

from aiohttp import web

from otlp_tracing.sidecar.tail.controller import RateKeeper
from otlp_tracing.sidecar.tail.report import SamplingReport

__all__ = ["SamplingPage"]


class SamplingPage:
    """Puts the report together when somebody asks.

    Args:
        rates: as they are now.
        report: counts since the sidecar's start.
    """

    def __init__(self, rates: RateKeeper, report: SamplingReport) -> None:
        self._rates = rates
        self._report = report

    def add_to(self, app: web.Application) -> None:
        """Add the path."""
        app.router.add_get("/sampling", self._show)

    async def _show(self, _request: web.Request) -> web.Response:
        document = {"cpu": self._rates.cpu, "entries": self._rates.report(), "routes": self._report.routes()}
        return web.json_response(document, dumps=partial(json.dumps, indent=1))
