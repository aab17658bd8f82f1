"""The bundled `rate-limiting` plugin with its local policy: windows of a second and of a minute.

Source: kong/plugins/rate-limiting/handler.lua of Kong 3.9.1; transcript 09.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from otlp_tracing.config.validation import FieldList
from otlp_tracing_devtools.fake_kong.answers import error_answer
from otlp_tracing_devtools.fake_kong.context import RequestContext
from otlp_tracing_devtools.fake_kong.headers import Headers
from otlp_tracing_devtools.fake_kong.plugin_chain import ConfiguredPlugin
from otlp_tracing_devtools.fake_kong.plugin_rpc import RequestExited

_WINDOWS_S = {"second": 1, "minute": 60}
_FLAG = {"type": "boolean", "required": True}
RATE_LIMITING_FIELDS: FieldList = [
    {"second": {"type": "number", "between": [1, 2**53]}},
    {"minute": {"type": "number", "between": [1, 2**53]}},
    {"limit_by": {"type": "string", "default": "consumer", "one_of": ["consumer", "credential", "ip", "service"]}},
    {"policy": {"type": "string", "default": "local", "one_of": ["local"]}},
    {"fault_tolerant": {**_FLAG, "default": True}},
    {"hide_client_headers": {**_FLAG, "default": False}},
    {"error_code": {"type": "number", "default": 429}},
    {"error_message": {"type": "string", "default": "API rate limit exceeded"}},
]
"""The fields of its configuration that are supported."""


class RateLimiting:
    """Counts requests per window, in this process; `clock` gives seconds since 1970."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        # Windows that are over are dropped whenever a new one starts, so the table stays small.
        self._counts: dict[tuple[str, str, str, int], int] = {}

    async def run(self, phase: str, context: RequestContext, plugin: ConfiguredPlugin) -> None:  # noqa: ARG002
        """Count the request, or answer 429."""
        config, now_s = plugin.config, int(self._clock())
        headers, tightest, stopped = Headers(), None, False
        keys: list[tuple[str, str, str, int]] = []
        for period, window_s in _WINDOWS_S.items():
            limit = config.get(period)
            if limit is None:
                continue
            key = (plugin.entry.id, _counted_for(context, config["limit_by"]), period, now_s // window_s)
            remaining = int(limit) - self._counts.get(key, 0)
            stopped = stopped or remaining <= 0
            left, reset = max(0, remaining - 1), max(1, window_s - now_s % window_s)
            headers.set(f"X-RateLimit-Limit-{period.title()}", str(int(limit)))
            headers.set(f"X-RateLimit-Remaining-{period.title()}", str(left))
            tightest = min(tightest or (left, -window_s, int(limit), reset), (left, -window_s, int(limit), reset))
            keys.append(key)
        _add_totals(headers, tightest, stopped)
        if not config["hide_client_headers"]:
            for name, value in headers:
                context.extra_response_headers.set(name, value)
        if stopped:
            answer = error_answer(context, int(config["error_code"]), config["error_message"])
            raise RequestExited(answer.status, answer.body, answer.headers)
        for key in keys:  # a refused request is not counted
            self._count(key, now_s)

    def _count(self, key: tuple[str, str, str, int], now_s: int) -> None:
        if key not in self._counts:
            self._counts = {old: n for old, n in self._counts.items() if old[3] >= now_s // _WINDOWS_S[old[2]]}
        self._counts[key] = self._counts.get(key, 0) + 1


def _counted_for(context: RequestContext, limit_by: str) -> str:
    identities = {
        "consumer": context.consumer.id if context.consumer else None,
        "credential": context.credential.id if context.credential else None,
        "service": context.service.id if context.service else None,
    }
    return identities.get(limit_by) or context.client_ip


def _add_totals(headers: Headers, tightest: tuple[int, int, int, int] | None, stopped: bool) -> None:
    if tightest is None:
        return
    left, _, limit, reset = tightest
    headers.set("RateLimit-Limit", str(limit))
    headers.set("RateLimit-Remaining", str(left))
    headers.set("RateLimit-Reset", str(reset))
    if stopped:
        headers.set("Retry-After", str(reset))
