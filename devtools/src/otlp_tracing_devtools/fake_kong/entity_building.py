"""Turn the completed fields of a declarative file into entities.

Knows how Kong derives ids and shows an entity; trusts that the fields are valid and references resolved.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from otlp_tracing.errors import Fault
from otlp_tracing_devtools.fake_kong.entities import (
    DEFAULT_WORKSPACE_ID,
    Consumer,
    Credential,
    Declaration,
    PluginEntry,
    Route,
    Service,
    Target,
    Upstream,
    entity_id,
)

_DEFAULT_PORT = 8000  # of a target without one: kong/tools/ip.lua, format_host
_DEFAULT_PORTS = {"https": 443}  # else 80, grpcs too: kong/db/schema/entities/services.lua


@dataclass(frozen=True)
class DeclaredEntity:
    """One entity of the file: its kind, its place (`services[1].routes[2]`), its fields."""

    kind: str
    where: str
    fields: dict[str, Any]
    config: Any = None

    def fault(self, field: str, value: str, rule: str) -> Fault:
        """Add a fault of one of its fields."""
        return Fault(f"{self.where}.{field}", value, rule)


def identify(kind: str, fields: Mapping[str, Any]) -> str:
    """Give the id Kong derives from a name, or a random one without a name.

    Source: kong/db/schema/others/declarative_config.lua, get_key_for_uuid_gen; the ids of transcripts 01-43.
    """
    if kind == "plugins":
        scopes = (fields.get(scope) or "" for scope in ("route", "service", "consumer"))
        return entity_id("plugins", ":".join(["plugins", "*", str(fields.get("name")), *scopes]))
    name = fields.get("username") or fields.get("name")
    return entity_id(kind, str(name)) if name else str(uuid.uuid4())


def build(items: Sequence[DeclaredEntity], now_s: int) -> Declaration:
    """Build the entities, each with the record Kong would show."""
    of_kind = {kind: [item for item in items if item.kind == kind] for kind in {item.kind for item in items}}
    services = {item.fields["id"]: _service(item.fields, now_s) for item in of_kind.get("services", ())}
    consumers = {item.fields["id"]: _consumer(item.fields, now_s) for item in of_kind.get("consumers", ())}
    credentials = [_credential(item.fields, consumers, now_s) for item in of_kind.get("keyauth_credentials", ())]
    routes = [_route(item.fields, services, now_s) for item in of_kind.get("routes", ())]
    targets = of_kind.get("targets", ())
    return Declaration(
        services=tuple(services.values()),
        routes=tuple(route for route in routes if route.service is None or route.service.record["enabled"]),
        plugins=tuple(_plugin(item) for item in of_kind.get("plugins", ()) if item.fields["enabled"]),
        upstreams={item.fields["name"]: _upstream(item.fields, targets) for item in of_kind.get("upstreams", ())},
        consumers=consumers,
        credentials={credential.key: credential for credential in credentials if credential},
    )


def _record(fields: Mapping[str, Any], now_s: int, *unseen: str, workspace: bool = True) -> dict[str, Any]:
    record = {name: value for name, value in fields.items() if value is not None and name not in unseen}
    record.update(created_at=now_s, updated_at=now_s)
    if workspace:
        record["ws_id"] = DEFAULT_WORKSPACE_ID
    return record


def _service(fields: Mapping[str, Any], now_s: int) -> Service:
    fields = {**fields, **_address(fields)}
    return Service(
        id=fields["id"],
        name=fields["name"],
        protocol=fields["protocol"],
        host=fields["host"],
        port=fields["port"],
        path=fields["path"],
        retries=fields["retries"],
        connect_timeout_ms=fields["connect_timeout"],
        write_timeout_ms=fields["write_timeout"],
        read_timeout_ms=fields["read_timeout"],
        record=_record(fields, now_s, "url"),
    )


def _address(fields: Mapping[str, Any]) -> dict[str, Any]:
    if not fields["url"]:
        return {}
    url = urlsplit(fields["url"])
    port = url.port or _DEFAULT_PORTS.get(url.scheme, 80)
    return {"protocol": url.scheme, "host": url.hostname, "port": port, "path": url.path or None}


def _route(fields: Mapping[str, Any], services: Mapping[str, Service], now_s: int) -> Route:
    service = services.get(fields["service"] or "")
    record = _record(fields, now_s, "service")
    if service:
        record["service"] = {"id": service.id}
    return Route(
        id=fields["id"],
        name=fields["name"],
        service=service,
        protocols=tuple(fields["protocols"]),
        methods=tuple(fields["methods"] or ()),
        hosts=tuple(fields["hosts"] or ()),
        paths=tuple(fields["paths"] or ()),
        headers=fields["headers"] or {},
        regex_priority=fields["regex_priority"],
        strip_path=fields["strip_path"],
        https_redirect_status_code=fields["https_redirect_status_code"],
        preserve_host=fields["preserve_host"],
        request_buffering=fields["request_buffering"],
        record=record,
    )


def _consumer(fields: Mapping[str, Any], now_s: int) -> Consumer:
    record = _record(fields, now_s, workspace=False)
    return Consumer(fields["id"], fields["username"], fields["custom_id"], record)


def _credential(fields: Mapping[str, Any], consumers: Mapping[str, Consumer], now_s: int) -> Credential | None:
    consumer = consumers.get(fields["consumer"] or "")
    if consumer is None:
        return None
    record = {"id": fields["id"], "consumer": {"id": consumer.id}, "key": fields["key"], "created_at": now_s}
    return Credential(fields["id"], fields["key"], consumer, record)


def _plugin(item: DeclaredEntity) -> PluginEntry:
    fields = item.fields
    return PluginEntry(
        id=fields["id"],
        name=fields["name"],
        where=item.where,
        config=item.config if item.config is not None else {},
        route_id=fields["route"],
        service_id=fields["service"],
        consumer_id=fields["consumer"],
    )


def _upstream(fields: Mapping[str, Any], targets: Iterable[DeclaredEntity]) -> Upstream:
    own = (item.fields for item in targets if item.fields["upstream"] == fields["id"])
    return Upstream(fields["name"], fields["host_header"], tuple(_target(target) for target in own))


def _target(fields: Mapping[str, Any]) -> Target:
    host, _, port = fields["target"].rpartition(":")
    if not port.isdigit():
        host, port = fields["target"], str(_DEFAULT_PORT)
    return Target(host, int(port), fields["weight"])
