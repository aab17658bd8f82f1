"""Kong's own fields around a plugin's configuration: of a declarative configuration, a plugin entry and a KongPlugin.

Source: kong/db/schema/others/declarative_config.lua, kong/db/schema/entities/plugins.lua and typedefs.lua of Kong
3.9.3, in which 3.4.2 does not differ; the CustomResourceDefinition of the Kong Ingress Controller 3.
"""

from __future__ import annotations

from otlp_tracing.config.declaration import Field

PLUGIN = "otlp-tracing"
"""The name of this plugin in Kong's files."""

PLACEHOLDER = "${{"
"""Begins a value that decK fills in; such a value cannot be checked."""

HTTP_PROTOCOLS = ("grpc", "grpcs", "http", "https")
STREAM_PROTOCOLS = ("tcp", "tls", "tls_passthrough", "udp")
_UUID = "^[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}$"
_NOT_ASCII = "\x80-\ud7ff\ue000-\U0010ffff"
_NAME = {
    "type": "string",
    "match": f"^[A-Za-z0-9._~{_NOT_ASCII}-]+$",
    "err": "must have letters, digits, `.`, `-`, `_` and `~` alone",
}
_INSTANCE_NAME: Field = {"instance_name": _NAME}
_ANY = {"type": "any"}
_REMARKS: list[Field] = [
    {"_comment": {"type": "string"}},
    {"_ignore": {"type": "array", "elements": _ANY}},
]
VERSION_RULE = 'must be "3.0", in quotes'

UUID = {"type": "string", "match": _UUID, "err": "must be a UUID"}
COMMON: list[Field] = [
    {"id": UUID},
    {"created_at": _ANY},
    {"updated_at": _ANY},
    {
        "tags": {
            "type": "set",
            "elements": {
                "type": "string",
                "match": f"^[ !-+.0-~{_NOT_ASCII}-]+$",
                "err": "must not have `,`, `/` or a control character",
            },
        }
    },
    *_REMARKS,
]
"""Fields of every entity."""

NAME: Field = {"name": _NAME}

ENTRY: list[Field] = [
    *(one for one in COMMON if "created_at" not in one),
    {"name": {"type": "string", "required": True}},
    _INSTANCE_NAME,
    {"created_at": {"type": "integer", "between": [1, 1 << 53]}},
    {"route": _ANY},
    {"service": _ANY},
    {"consumer": _ANY},
    {"config": _ANY},
    {
        "protocols": {
            "type": "set",
            "required": True,
            "default": [*HTTP_PROTOCOLS],
            "elements": {"type": "string", "one_of": [*HTTP_PROTOCOLS, *STREAM_PROTOCOLS]},
        }
    },
    {"enabled": {"type": "boolean", "required": True, "default": True}},
]
"""A plugin entry; what else its scope, consumer and configuration must be is in check/entry_rules.py."""

DECK_FIELDS = ("_config", "ordering")
"""Fields of an entry that decK takes too, for its shared configurations and for Kong Enterprise."""

MANIFEST: list[Field] = [
    {"name": {"type": "string", "required": True}},
    _INSTANCE_NAME,
    {"config": _ANY},
    {"configFrom": _ANY},
    {"configPatches": _ANY},
    {"consumerRef": _ANY},
    {"disabled": {"type": "boolean"}},
    {
        "protocols": {
            "type": "set",
            "elements": {"type": "string", "one_of": [*HTTP_PROTOCOLS, *(STREAM_PROTOCOLS[i] for i in (0, 1, 3))]},
        }
    },
    {"run_on": {"type": "string"}},
    {"ordering": _ANY},
    {"status": _ANY},
]
"""A KongPlugin or KongClusterPlugin, without its kind, apiVersion and metadata; its `plugin` is `name` here."""

NESTING = ("services", "routes", "consumers")
"""Entities of open-source Kong that may have plugin entries in them."""

GROUPS = "consumer_groups"
"""Entities that have plugin entries in Kong Enterprise."""

_OTHER_SECTIONS = (
    "plugins",
    "certificates",
    "snis",
    "ca_certificates",
    "upstreams",
    "targets",
    "vaults",
    "keys",
    "key_sets",
    "workspaces",
    "parameters",
    "clustering_data_planes",
    "filter_chains",
    "acls",
    "acme_storage",
    "basicauth_credentials",
    "hmacauth_secrets",
    "jwt_secrets",
    "keyauth_credentials",
    "oauth2_authorization_codes",
    "oauth2_credentials",
    "oauth2_tokens",
    "ratelimiting_metrics",
    "sessions",
)

DECLARATION: list[Field] = [
    {
        "_format_version": {
            "type": "string",
            "required": True,
            "one_of": ["1.1", "2.1", "3.0"],
            "err": VERSION_RULE,
        }
    },
    {"_transform": {"type": "boolean"}},
    *_REMARKS,
    *({section: _ANY} for section in (*NESTING, *_OTHER_SECTIONS)),
]
"""The top of a declarative configuration."""

DECK_SECTIONS = frozenset({"_info", "_workspace", "_plugin_configs", "_konnect"})
"""Fields at the top that decK takes and Kong does not."""
