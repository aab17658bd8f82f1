"""The gateway's calls to a plugin server, in any protocol, and the ways they can fail.

`PluginRpc` is the border behind which MessagePack and ProtoBuf are. Knows neither.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from otlp_tracing.errors import TracingError
from otlp_tracing_devtools.fake_kong.headers import Headers


class PluginError(TracingError):
    """Kong's Lua raised an error on behalf of a plugin: 500 in access, the end of the event in log."""


class RpcError(TracingError):
    """A call ended as `nil, err` in Lua. The protocol decides about the consequence, see `PluginRpc`."""


class RequestExited(Exception):
    """A PDK call answered the client; nothing after it happens, no Step is sent."""

    def __init__(self, status: int, body: bytes | None, headers: Headers) -> None:
        super().__init__(status)
        self.status = status
        self.body = body
        self.headers = headers


@dataclass(frozen=True)
class InstanceConfig:
    """One plugin configuration; `key` is the plugin entity's id, `sequence` counts configurations."""

    plugin_name: str
    key: str
    sequence: int
    config: Mapping[str, Any]


class PdkCaller(Protocol):
    """Runs PDK calls for one event."""

    async def call(self, method: str, arguments: Any) -> Any:
        """Run one call.

        Raises:
            PluginError: the call is wrong, or not allowed in this phase.
            RequestExited: the call answered the client.
        """


class PluginRpc(Protocol):
    """A plugin server, as one worker of the gateway speaks to it.

    `on_new_server` is called when the server tells that it is another one: its instances are gone. So they are when an
    RpcError holds one of `lost_words`: the event is repeated with a new one. After any other RpcError the request
    continues, or gets 500 with `errors_end_requests`.
    """

    on_new_server: Callable[[], None]
    lost_words: tuple[str, ...]
    errors_end_requests: bool

    async def start_instance(self, config: InstanceConfig) -> Any:
        """Start an instance and give its id.

        Raises:
            PluginError: it could not be started, for whatever reason.
        """

    async def close_instance(self, instance_id: Any) -> None:
        """Close an instance; a failure is of no interest."""

    async def handle_event(self, instance_id: Any, phase: str, pdk: PdkCaller) -> None:
        """Run one phase of one request in a plugin, to its end.

        Raises:
            RpcError: the server could not be asked, or answered an error.
            PluginError: the server broke the protocol, or a PDK call threw.
            RequestExited: the plugin answered the client.
        """

    async def close(self) -> None:
        """Close every connection."""
