"""The HTTP and RPC conventions' former attribute names, written beside the current ones (`span.semconv: dup`).

For backends and dashboards that know the names of up to 1.20 (HTTP) and 1.38 (RPC, peer). One name has two meanings:
`rpc.method` was the bare method, and is the full one. It keeps the current meaning, with `rpc.service` beside it.

Source: semantic conventions 1.44, docs/non-normative/http-migration.md and model/rpc/deprecated/.
"""

from __future__ import annotations

from collections.abc import Mapping

from otlp_tracing.config.settings import GRPC_CODES
from otlp_tracing.sidecar.spans.model import AttributeValue

_BOTH = (
    ("http.method", "http.request.method"),
    ("http.status_code", "http.response.status_code"),
    ("rpc.system", "rpc.system.name"),
)
_SERVER = (
    *_BOTH,
    ("http.scheme", "url.scheme"),
    ("http.client_ip", "client.address"),
    ("http.user_agent", "user_agent.original"),
    ("net.host.name", "server.address"),
    ("net.host.port", "server.port"),
)
_CLIENT = (
    *_BOTH,
    ("http.url", "url.full"),
    ("http.resend_count", "http.request.resend_count"),
    ("net.peer.name", "server.address"),
    ("net.peer.port", "server.port"),
    ("net.peer.ip", "network.peer.address"),
    ("peer.service", "service.peer.name"),
)
_FLAVORS = {"1.1": "1.1", "2": "2.0"}

Attributes = Mapping[str, AttributeValue]


def server_names(attributes: Attributes) -> dict[str, AttributeValue]:
    """Return a SERVER span's attributes under their former names."""
    former = _renamed(attributes, _SERVER)
    query = attributes.get("url.query")
    former["http.target"] = f"{attributes.get('url.path', '')}?{query}" if query else attributes.get("url.path", "/")
    return former


def client_names(attributes: Attributes) -> dict[str, AttributeValue]:
    """Return a CLIENT span's attributes under their former names."""
    return _renamed(attributes, _CLIENT)


def _renamed(attributes: Attributes, names: tuple[tuple[str, str], ...]) -> dict[str, AttributeValue]:
    former = {old: attributes[new] for old, new in names if new in attributes}
    if "http.request.method_original" in attributes:
        former["http.method"] = attributes["http.request.method_original"]
    flavor = _FLAVORS.get(str(attributes.get("network.protocol.version")))
    if flavor:
        former["http.flavor"] = flavor
    if "rpc.method" in attributes:
        asked_for = str(attributes.get("rpc.method_original", attributes["rpc.method"]))
        former["rpc.service"] = asked_for.partition("/")[0]
    if "rpc.response.status_code" in attributes:
        former["rpc.grpc.status_code"] = GRPC_CODES.index(str(attributes["rpc.response.status_code"]))
    return former
