"""Everything the demo runs, brought up in order and taken down in the reverse one.

The sink starts first and stops last, so that programs stopped before it can still export. No process, file or port is
left behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml
from aiohttp import ClientError, ClientSession, ClientTimeout

from otlp_tracing.errors import TracingError
from otlp_tracing_devtools.demo.declaration import localise
from otlp_tracing_devtools.demo.plugin_server import PluginServer
from otlp_tracing_devtools.demo.ports import HOST, Port
from otlp_tracing_devtools.demo.services import serve
from otlp_tracing_devtools.demo.spans import SeenSpan, TraceBook, is_complete, seen
from otlp_tracing_devtools.demo.traffic import WARM_UP, Example, Sent, send
from otlp_tracing_devtools.fake_collector import OtlpSink
from otlp_tracing_devtools.fake_kong import FakeKong, parse_declaration
from otlp_tracing_devtools.paths import KONG_YML

WANTED_PORTS = {"gateway": 8000, "users": 8081, "orders": 8082, "orders-grpc": 9090, "sidecar": 9464, "sink": 4317}

_REQUEST_TIMEOUT_S = 10.0
_GATEWAY_STOP_S = 0.5
_SINK_STOP_S = 0.3


@dataclass(frozen=True)
class Programs:
    """The running programs, for the sender of requests."""

    book: TraceBook
    plugin_server: PluginServer
    _gateway_url: str
    _session: ClientSession
    _sink: OtlpSink

    async def send(self, example: Example) -> Sent:
        """Send a request through the gateway.

        Raises:
            TracingError: the gateway does not answer.
        """
        try:
            return await send(self._session, self._gateway_url, example)
        except asyncio.TimeoutError:
            reason = f"no answer within {_REQUEST_TIMEOUT_S:.0f} s"
        except ClientError as error:
            reason = str(error)
        raise TracingError(f"{example.method} {example.target} through the gateway: {reason}")

    async def trace_of(self, sent: Sent, timeout_s: float) -> list[SeenSpan]:
        """Wait for the whole trace of a request. When the time is up, give the spans that have arrived."""

        def arrived(sink: OtlpSink) -> bool:
            self.book.add(map(seen, sink.spans))
            sink.clear()
            return is_complete(self.book.trace(sent.trace_id, sent.request_id), sent.example.services)

        with contextlib.suppress(TracingError):
            await self._sink.wait_for(arrived, timeout_s)
        return self.book.trace(sent.trace_id, sent.request_id)


@contextlib.asynccontextmanager
async def running_programs(ports: Mapping[str, Port]) -> AsyncIterator[Programs]:
    """Run everything until the block ends.

    Args:
        ports: one for each of `WANTED_PORTS`.

    Raises:
        TracingError: a part does not come up; the message says which, and why.
    """
    async with contextlib.AsyncExitStack() as stack:
        prefix = stack.enter_context(_temporary_folder())
        sink = OtlpSink()
        await sink.start(ports["sink"].hand_over())
        stack.push_async_callback(sink.stop, _SINK_STOP_S)
        await stack.enter_async_context(
            serve(ports["users"], ports["orders"], ports["orders-grpc"], ports["sink"].url, prefix)
        )
        plugin_server = PluginServer(prefix, ports["sidecar"])
        stack.enter_context(_with_log_tail(plugin_server))
        await stack.enter_async_context(plugin_server.running())
        gateway = await stack.enter_async_context(_gateway(plugin_server, ports))
        timeout = ClientTimeout(total=_REQUEST_TIMEOUT_S)
        session = await stack.enter_async_context(ClientSession(timeout=timeout))
        ready = Programs(TraceBook(), plugin_server, gateway.url, session, sink)
        await ready.send(WARM_UP)
        yield ready


@contextlib.contextmanager
def _temporary_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="otlp-tracing-demo-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _with_log_tail(plugin_server: PluginServer) -> Iterator[None]:
    """Add the plugin server's output to any failure while it runs; the file is gone soon after."""
    try:
        yield
    except TracingError as error:
        raise TracingError(f"{error}\n{plugin_server.log_tail()}".rstrip()) from error


@contextlib.asynccontextmanager
async def _gateway(plugin_server: PluginServer, ports: Mapping[str, Port]) -> AsyncIterator[FakeKong]:
    shipped = yaml.safe_load(KONG_YML.read_text(encoding="utf-8"))
    local = {
        "user-service:8080": ports["users"].address,
        "order-service:8080": ports["orders"].address,
        "order-service:9090": ports["orders-grpc"].address,
        "otel-collector:4317": ports["sink"].address,
    }
    declaration = parse_declaration(localise(shipped, local))
    gateway = FakeKong(declaration, [plugin_server.commands], (HOST, ports["gateway"].hand_over()))
    try:
        await gateway.start()
        yield gateway
    finally:
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(gateway.stop(), _GATEWAY_STOP_S)
