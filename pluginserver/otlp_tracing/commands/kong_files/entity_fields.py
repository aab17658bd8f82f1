"""Kong's fields of services, routes and other entities, as tables; entity_rules.py has the rules about several fields.

Fields that people seldom set are known by their names alone; Kong itself judges their values.

Source: kong/db/schema/entities/ and typedefs.lua of Kong 3.4, 3.8 and 3.9, which tests/kong_verdicts asks.
"""

from __future__ import annotations

from collections.abc import Mapping

from otlp_tracing.commands.kong_files.entities import COMMON, HTTP_PROTOCOLS, NAME, STREAM_PROTOCOLS, UUID
from otlp_tracing.config.declaration import Field

PROTOCOLS = (*HTTP_PROTOCOLS, *STREAM_PROTOCOLS)
_PROTOCOL = {"type": "string", "one_of": [*PROTOCOLS]}
_TIMEOUT = {"type": "integer", "between": [1, (1 << 31) - 2]}
_PORT = {"type": "integer", "between": [0, 65535], "default": 80, "required": True}
_BOOLEAN = {"type": "boolean"}
_FLAG = {"type": "boolean", "default": False, "required": True}
_TEXT = {"type": "string"}
_ANY = {"type": "any"}
_LABELS = r"(?![0-9.]+(?::|$))[A-Za-z0-9_-]*[A-Za-z0-9_](?:\.[A-Za-z0-9_-]*[A-Za-z0-9_])*\.?"
_OCTET = "(?:25[0-5]|2[0-4][0-9]|[01]?[0-9]?[0-9])"
_IPV4 = rf"{_OCTET}(?:\.{_OCTET}){{3}}"
_IPV6 = r"\[?[0-9A-Fa-f]*:[0-9A-Fa-f]*:[0-9A-Fa-f:.]*\]?"
_AND_PORT = r"(?::(?:[0-5]?[0-9]{1,4}|6(?:[0-4][0-9]{3}|5(?:[0-4][0-9]{2}|5(?:[0-2][0-9]|3[0-5])))))?"
_HOST = {"type": "string", "match": f"^(?:{_LABELS}|{_IPV4}|{_IPV6})$",
         "err": "must be a host alone: no scheme, port or path"}  # fmt: skip
_ROUTE_HOST = {"type": "string", "match": rf"^(?:(?:\*\.)?{_LABELS}|{_LABELS}\.\*|{_IPV4}|{_IPV6}){_AND_PORT}$",
               "err": "must be a host, or *.host, or host.*; no scheme or path"}  # fmt: skip
_UPSTREAM_NAME = {"type": "string", "required": True, "match": f"^{_LABELS}$",
                  "err": "must be a host name without a port, and no IP address"}  # fmt: skip
_TARGET = {"type": "string", "required": True, "match": f"^(?:{_LABELS}|{_IPV4}|{_IPV6}){_AND_PORT}$",
           "err": "must be host, or host:port"}  # fmt: skip
_URL_PATH = {"type": "string", "match": r"^/(?:[A-Za-z0-9_.~/:@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*$",
             "err": "must begin with /, and have no other characters than a URL's path"}  # fmt: skip
_ROUTE_PATH = {"type": "string", "match": r"^~?/(?:[^%]|%[0-9A-Fa-f]{2})*$",
               "err": "must begin with /, or with ~/ as a regular expression"}  # fmt: skip
_PEM = {"type": "string", "required": True, "referenceable": True, "encrypted": True,
        "match": "^\\s*-----BEGIN .*$", "err": "must have the PEM text itself, from -----BEGIN on"}  # fmt: skip
_HASH_ON = {"type": "string", "one_of": [
    "none", "consumer", "ip", "header", "cookie", "path", "query_arg", "uri_capture"]}  # fmt: skip

FIELDS: Mapping[str, list[Field]] = {
    "services": [
        *COMMON, NAME, {"retries": {"type": "integer", "between": [0, 32767]}}, {"url": _TEXT},
        {"protocol": {**_PROTOCOL, "default": "http", "required": True}}, {"host": _HOST}, {"port": _PORT},
        {"path": _URL_PATH}, {"connect_timeout": _TIMEOUT}, {"write_timeout": _TIMEOUT}, {"read_timeout": _TIMEOUT},
        {"client_certificate": _ANY}, {"tls_verify": _BOOLEAN},
        {"tls_verify_depth": {"type": "integer", "between": [0, 64]}},
        {"ca_certificates": {"type": "array", "elements": UUID}}, {"enabled": {**_FLAG, "default": True}},
    ],
    "routes": [
        *COMMON, NAME,
        {"protocols": {"type": "set", "required": True, "len_min": 1, "default": ["http", "https"],
                       "elements": _PROTOCOL}},
        {"methods": {"type": "set", "elements": {"type": "string", "match": "^[A-Z]+$", "err": "must be in capitals"}}},
        {"hosts": {"type": "array", "elements": _ROUTE_HOST}}, {"paths": {"type": "array", "elements": _ROUTE_PATH}},
        {"headers": {"type": "map", "values": {"type": "array", "elements": _TEXT}}},
        {"snis": {"type": "set", "elements": _TEXT}}, {"sources": _ANY}, {"destinations": _ANY},
        {"https_redirect_status_code": {"type": "integer", "one_of": [426, 301, 302, 307, 308], "default": 426,
                                        "required": True}},
        {"strip_path": {**_FLAG, "default": True}}, {"preserve_host": _FLAG}, {"request_buffering": _FLAG},
        {"response_buffering": _FLAG}, {"regex_priority": {"type": "integer"}},
        {"path_handling": {"type": "string", "one_of": ["v0", "v1"]}}, {"service": _ANY},
        # Kong takes these two with router_flavor=expressions in kong.conf.
        {"expression": _ANY}, {"priority": _ANY},
    ],
    "consumers": [*COMMON, {"username": _TEXT}, {"custom_id": _TEXT}],
    "upstreams": [
        *COMMON, {"name": _UPSTREAM_NAME},
        {"algorithm": {"type": "string",
                       "one_of": ["consistent-hashing", "least-connections", "round-robin", "latency"]}},
        {"slots": {"type": "integer", "between": [10, 1 << 16]}}, {"client_certificate": _ANY},
        {"healthchecks": {"type": "map", "values": _ANY}}, {"use_srv_name": _BOOLEAN},
        {"hash_on": _HASH_ON}, {"hash_fallback": _HASH_ON},
        *({name: _ANY} for name in (
            "hash_on_header", "hash_fallback_header", "hash_on_cookie",
            "hash_on_cookie_path", "hash_on_query_arg", "hash_fallback_query_arg", "hash_on_uri_capture",
            "hash_fallback_uri_capture", "host_header")),
    ],
    "targets": [*COMMON, {"target": _TARGET}, {"weight": {"type": "integer", "between": [0, 65535]}},
                {"upstream": _ANY}],
    "certificates": [*COMMON, {"cert": _PEM}, {"key": _PEM}, {"cert_alt": _ANY}, {"key_alt": _ANY}],
    "snis": [*COMMON, {"name": {"type": "string", "required": True}}, {"certificate": _ANY}],
    "ca_certificates": [*COMMON, {"cert": _PEM}, {"cert_digest": _ANY}],
    "vaults": [
        *COMMON, {"name": {**_TEXT, "required": True}}, {"description": _TEXT}, {"config": _ANY},
        {"prefix": {**_TEXT, "required": True, "match": "^[a-z][a-z0-9-]*[a-z0-9]$"}},
    ],
}  # fmt: skip
"""The fields of each kind of entity, without those for nested entities."""

NESTED: Mapping[str, tuple[str, ...]] = {
    "services": ("routes", "plugins", "filter_chains", "oauth2_tokens", "oauth2_authorization_codes"),
    "routes": ("plugins", "filter_chains"),
    "consumers": (
        *("plugins", "acls", "basicauth_credentials", "hmacauth_secrets", "jwt_secrets", "keyauth_credentials"),
        "oauth2_credentials",
    ),
    "upstreams": ("targets",),
    "certificates": ("snis", "services", "upstreams"),
}
"""Fields with entities that belong to the entity around them."""

CREDENTIALS = tuple(one for one in NESTED["consumers"] if one != "plugins")
"""Sections with credentials of consumers."""

REFERENCES = {
    "service": "services",
    "route": "routes",
    "consumer": "consumers",
    "upstream": "upstreams",
    "certificate": "certificates",
    "client_certificate": "certificates",
}
"""Fields that name another entity, and the section that must have it."""
