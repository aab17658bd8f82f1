"""The bundled plugin http-log: log records over HTTP, by Kong's queue; several in a batch are a JSON array.

`custom_fields_by_lua` is refused: there is no Lua here.

Source: kong/plugins/http-log/handler.lua and schema.lua of Kong 3.9.3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp

from otlp_tracing.config.validation import FieldList
from otlp_tracing_devtools.fake_kong.context import RequestContext
from otlp_tracing_devtools.fake_kong.plugin_chain import ConfiguredPlugin
from otlp_tracing_devtools.fake_kong.queue import QUEUE_FIELDS, Queue

HTTP_LOG_FIELDS: FieldList = [
    {"http_endpoint": {"type": "string", "required": True, "referenceable": True, "match": "^https?://.+$"}},
    {"method": {"type": "string", "default": "POST", "one_of": ["POST", "PUT", "PATCH"]}},
    {"content_type": {"type": "string", "default": "application/json"}},
    {"timeout": {"type": "number", "default": 10_000}},
    {"keepalive": {"type": "number", "default": 60_000}},
    {"headers": {"type": "map", "values": {"type": "string", "referenceable": True}}},
    {"queue": {"type": "record", "required": True, "fields": QUEUE_FIELDS}},
]


class HttpLog:
    """Sends the result of `kong.log.serialize()`."""

    def __init__(self) -> None:
        self._queues: dict[str, Queue] = {}
        self._session: aiohttp.ClientSession | None = None

    async def run(self, phase: str, context: RequestContext, plugin: ConfiguredPlugin) -> None:  # noqa: ARG002
        """Queue the record; entries with the same server share a queue, and the settings of its first entry."""
        config = plugin.config
        name = ":".join(str(config[field]) for field in ("http_endpoint", "method", "content_type", "timeout"))
        if name not in self._queues:
            self._queues[name] = Queue(config["queue"], lambda batch: self._send(config, batch))
        self._queues[name].add(context.record)

    async def stop(self, grace_s: float) -> None:
        """Send what is queued within `grace_s`."""
        for queue in self._queues.values():
            await queue.stop(grace_s)
        if self._session is not None:
            await self._session.close()

    async def _send(self, config: Mapping[str, Any], batch: Sequence[bytes]) -> str | None:
        body = batch[0] if config["queue"]["max_batch_size"] == 1 else b"[" + b",".join(batch) + b"]"
        if self._session is None:
            self._session = aiohttp.ClientSession()
        try:
            async with self._session.request(
                config["method"],
                config["http_endpoint"],
                data=body,
                headers={"Content-Type": config["content_type"], **(config["headers"] or {})},
                timeout=aiohttp.ClientTimeout(total=config["timeout"] / 1000),
            ) as answer:
                text = await answer.text()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return f"failed request to {config['http_endpoint']}: {error}"
        return None if answer.status < 300 else f"returned status code {answer.status} and body {text}"
