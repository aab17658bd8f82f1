"""Kong's entities as the stand-in uses them: services, routes, plugins, upstreams, consumers.

Each carries `record`, the entity as Kong shows it to plugins and in its log record: a map without
unset fields. Ids are the ones Kong derives from the names in a declarative file. Pure data.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

DEFAULT_WORKSPACE_ID = "0dc6f45b-8f8d-40d2-a504-473544ee190b"  # kong/constants.lua
_ENTITIES = uuid.UUID("fd02801f-0957-4a15-a55a-c8d9606f30b5")  # declarative_config.lua, uuid_generators


def entity_id(kind: str, key: str) -> str:
    """Derive an id as Kong does for an entity of a declarative file that has none."""
    return str(uuid.uuid5(uuid.uuid5(_ENTITIES, kind), key))


@dataclass(frozen=True)
class Service:
    """The receiver of requests; times in milliseconds."""

    id: str
    name: str | None
    protocol: str
    host: str
    port: int
    path: str | None
    retries: int
    connect_timeout_ms: int
    write_timeout_ms: int
    read_timeout_ms: int
    record: Mapping[str, Any] = field(repr=False)

    @property
    def is_grpc(self) -> bool:
        """Whether it speaks gRPC, and so HTTP/2."""
        return self.protocol in {"grpc", "grpcs"}


@dataclass(frozen=True)
class Route:
    """The requests that belong to a service; `paths` with a leading `~` are regular expressions."""

    id: str
    name: str | None
    service: Service | None
    protocols: Sequence[str]
    https_redirect_status_code: int
    methods: Sequence[str]
    hosts: Sequence[str]
    paths: Sequence[str]
    headers: Mapping[str, Sequence[str]]
    regex_priority: int
    strip_path: bool
    preserve_host: bool
    request_buffering: bool
    record: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True)
class Target:
    """One address of an upstream; weight 0 takes no traffic."""

    host: str
    port: int
    weight: int


@dataclass(frozen=True)
class Upstream:
    """A virtual host name with targets, tried in turn."""

    name: str
    host_header: str | None
    targets: Sequence[Target]


@dataclass(frozen=True)
class Consumer:
    """The owner of a credential."""

    id: str
    username: str | None
    custom_id: str | None
    record: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True)
class Credential:
    """A key of the key-auth plugin. `key` is a secret and stays out of logs."""

    id: str
    key: str = field(repr=False)
    consumer: Consumer
    record: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True)
class PluginEntry:
    """One `plugins:` entry; without route, service and consumer it is global.

    `config` is the content of the file until the plugin's schema has completed it.
    """

    id: str
    name: str
    where: str
    config: Mapping[str, Any] = field(repr=False)
    route_id: str | None = None
    service_id: str | None = None
    consumer_id: str | None = None

    @property
    def cache_key(self) -> str:
        """The `__key__` in the configuration; transcripts 16 and 43."""
        scopes = (self.route_id, self.service_id, self.consumer_id, None)
        return ":".join(["plugins", self.name, *(scope or "" for scope in scopes), DEFAULT_WORKSPACE_ID])


@dataclass(frozen=True)
class Declaration:
    """A whole declarative file, references resolved."""

    services: Sequence[Service] = ()
    routes: Sequence[Route] = ()
    plugins: Sequence[PluginEntry] = ()
    upstreams: Mapping[str, Upstream] = field(default_factory=dict)
    consumers: Mapping[str, Consumer] = field(default_factory=dict)
    credentials: Mapping[str, Credential] = field(default_factory=dict, repr=False)
