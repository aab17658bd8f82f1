"""The stand-in Kong as a whole: one worker, its listeners, its plugin servers.

Wires the other modules and owns everything that has to be started and stopped.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import uuid
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from otlp_tracing.errors import ConfigError, Fault, TracingError
from otlp_tracing_devtools.fake_kong.balancer import Balancer
from otlp_tracing_devtools.fake_kong.bundled import bundled_plugins
from otlp_tracing_devtools.fake_kong.client_side import ClientRequest, Responder
from otlp_tracing_devtools.fake_kong.declaration import read_declaration
from otlp_tracing_devtools.fake_kong.entities import Declaration
from otlp_tracing_devtools.fake_kong.external import ExternalRunner
from otlp_tracing_devtools.fake_kong.http_log import HttpLog
from otlp_tracing_devtools.fake_kong.instances import ExternalPlugin
from otlp_tracing_devtools.fake_kong.listener import Listener
from otlp_tracing_devtools.fake_kong.msgpack_rpc import MsgPackRpc
from otlp_tracing_devtools.fake_kong.phases import Phases
from otlp_tracing_devtools.fake_kong.plugin_chain import Plugin, PluginChain
from otlp_tracing_devtools.fake_kong.plugin_description import PluginDescription, PluginServerCommands, query
from otlp_tracing_devtools.fake_kong.plugin_process import PluginProcess
from otlp_tracing_devtools.fake_kong.plugin_rpc import PluginRpc
from otlp_tracing_devtools.fake_kong.prometheus import Prometheus
from otlp_tracing_devtools.fake_kong.protobuf_rpc import ProtoBufRpc
from otlp_tracing_devtools.fake_kong.proxy import Proxy
from otlp_tracing_devtools.fake_kong.readiness import Readiness
from otlp_tracing_devtools.fake_kong.router import Router
from otlp_tracing_devtools.fake_kong.version import NEWEST, UNMANAGED_SERVERS, Version

_PROBE_S = 0.05  # between two attempts to reach a starting plugin server
_STOP_GRACE_S = 5.0  # for requests and log phases in work; Kong's worker_shutdown_timeout is 10 s and more


class FakeKong:
    """A stand-in Kong, for demos and tests, on one machine, in this process.

    It behaves like Kong where a plugin can tell the difference. The package's docstring lists the omissions. Start it
    with `start()` and end it with `stop()`, or use it with `async with`.

    Args:
        declaration: a declarative file's path or its parsed content.
        plugin_servers: as kong.conf would name them.
        listen: host and port of the proxy; port 0 takes a free one.
        status_listen: host and port of /metrics and /status; None for none.
        read_timeout_s: `nginx_proxy_lua_socket_read_timeout`; how long a plugin server may be silent.
        version: of the Kong that it plays, one of `version.RELEASES`.
        tls: makes the proxy's listener speak TLS, and HTTP/2 over it if the context offers `h2` by ALPN.
    """

    def __init__(
        self,
        declaration: Declaration | Path,
        plugin_servers: Sequence[PluginServerCommands] = (),
        listen: tuple[str, int] = ("127.0.0.1", 0),
        *,
        status_listen: tuple[str, int] | None = None,
        read_timeout_s: float = 60.0,
        version: Version = NEWEST,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._declaration = read_declaration(declaration) if isinstance(declaration, Path) else declaration
        self._servers = tuple(plugin_servers)
        self._listen = listen
        self._status_listen = status_listen
        self._read_timeout_s = read_timeout_s
        self._version = version
        self._tls = tls
        self._prometheus = Prometheus(str(uuid.uuid4()), version)
        self._stack = contextlib.AsyncExitStack()
        self._listener: Listener | None = None

    @property
    def url(self) -> str:
        """The proxy's address, as `http://127.0.0.1:8000`; there after `start()`."""
        if self._listener is None:
            raise RuntimeError("the gateway has not started")
        return self._listener.url

    async def start(self) -> None:
        """Query and start the plugin servers, check the declaration, listen.

        Requests are taken at once, as by Kong. Until a plugin server is up they get 500, or pass without it on 3.4.
        `wait_for_plugin_servers`.

        Raises:
            ConfigError: a plugin server's dump or a plugin's configuration is wrong; nothing is left running.
            TracingError: the address cannot be bound.
        """
        try:
            await self._start()
        except OSError as error:
            await self.stop()
            raise TracingError(f"cannot listen: {error}") from None
        except BaseException:
            await self.stop()
            raise

    async def _start(self) -> None:
        descriptions = [await query(server) for server in self._servers]
        phases = Phases(PluginChain(self._declaration.plugins, self._plugins(descriptions), self._version))
        self._start_processes()
        self._stack.push_async_callback(phases.stop, _STOP_GRACE_S)
        router, balancer = Router(self._declaration.routes), Balancer(self._declaration.upstreams)
        proxy = Proxy(router, balancer, phases, self._version)

        async def handle(request: ClientRequest, responder: Responder) -> None:
            self._prometheus.count_request()
            await proxy.handle(request, responder)

        self._listener = await self._started(Listener(handle, self._tls), self._listen)
        if self._status_listen:
            status = Listener(self._prometheus.handle_status)
            await self._started(status, self._status_listen)

    async def stop(self) -> None:
        """Stop listening, let running requests end, stop the plugin servers. May be called at any time."""
        await self._stack.aclose()
        self._listener = None

    async def wait_for_plugin_servers(self, timeout_s: float = 20.0) -> None:
        """Wait until every plugin server accepts connections.

        Raises:
            TracingError: one does not, within `timeout_s`.
        """
        for server in self._servers:
            try:
                await asyncio.wait_for(_reachable(server.socket), timeout_s)
            except asyncio.TimeoutError:
                raise TracingError(f"plugin server {server.name} does not listen on {server.socket}") from None

    async def __aenter__(self) -> FakeKong:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    async def _started(self, listener: Listener, address: tuple[str, int]) -> Listener:
        await listener.start(*address)
        self._stack.push_async_callback(listener.stop, _STOP_GRACE_S)
        return listener

    def _plugins(self, descriptions: Sequence[PluginDescription]) -> dict[str, Plugin]:
        http_log = HttpLog()
        self._stack.push_async_callback(http_log.stop, _STOP_GRACE_S)
        plugins = {**bundled_plugins(self._declaration, http_log), "prometheus": self._prometheus.plugin}
        for server, description in zip(self._servers, descriptions, strict=True):
            if description.name in plugins:
                field = f"pluginserver_{server.name}_query_cmd"
                raise ConfigError([Fault(field, description.name, "is a plugin that the stand-in Kong already has")])
            plugins[description.name] = self._external(server, description)
        return plugins

    def _external(self, server: PluginServerCommands, description: PluginDescription) -> Plugin:
        rpc: PluginRpc
        if description.protocol.startswith("ProtoBuf"):
            rpc = ProtoBufRpc(server.socket, self._read_timeout_s, self._version)
        else:
            rpc = MsgPackRpc(server.socket, self._read_timeout_s)
        external = ExternalPlugin(description.name, rpc, self._readiness_of(server))
        self._stack.push_async_callback(rpc.close)
        runner = ExternalRunner(external)
        return Plugin(
            name=description.name,
            priority=description.priority,
            phases=description.phases,
            fields=description.fields,
            runner=runner,
            refused_scopes=description.refused_scopes,
        )

    def _readiness_of(self, server: PluginServerCommands) -> Readiness | None:
        if self._version >= UNMANAGED_SERVERS:
            return None
        readiness = Readiness(server.socket)
        if server.start_cmd is not None:
            readiness.start()
            self._stack.push_async_callback(readiness.stop)
        return readiness

    def _start_processes(self) -> None:
        for server in self._servers:
            if server.start_cmd is not None:
                process = PluginProcess(server.name, server.start_cmd, server.environment)
                process.start()
                self._stack.push_async_callback(process.stop)


async def _reachable(socket: Path) -> None:
    while True:
        try:
            _, writer = await asyncio.open_unix_connection(str(socket))
        except OSError:
            await asyncio.sleep(_PROBE_S)
        else:
            writer.close()
            return
