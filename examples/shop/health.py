"""/healthz says that the process runs, /readyz whether its dependencies answer.

Probes come every few seconds from everywhere: they make no spans here, and the gateway's kong.yml samples them at 0.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

__all__ = ["Check", "health_routes"]

Check = Callable[[], Awaitable[object]]

_CHECK_SECONDS = 1.0


def health_routes(checks: Mapping[str, Check]) -> list[web.RouteDef]:
    """Make the two routes.

    Args:
        checks: by the dependency's name; each raises if it does not answer.
    """

    async def healthz(_request: web.Request) -> web.Response:
        return web.json_response({"status": "healthy"})

    async def readyz(_request: web.Request) -> web.Response:
        found = dict(zip(checks, await asyncio.gather(*map(_ask, checks.values())), strict=True))
        healthy = all(one["status"] == "healthy" for one in found.values())
        body = {"status": "healthy" if healthy else "unhealthy", "dependencies": found}
        return web.json_response(body, status=200 if healthy else 503)

    return [web.get("/healthz", healthz), web.get("/readyz", readyz)]


async def _ask(check: Check) -> dict[str, str | float]:
    started = time.perf_counter()
    try:
        await asyncio.wait_for(check(), _CHECK_SECONDS)
    except Exception as error:  # whatever it is, it is the answer
        return {"status": "unhealthy", "reason": type(error).__name__}
    return {"status": "healthy", "milliseconds": round((time.perf_counter() - started) * 1000, 1)}
