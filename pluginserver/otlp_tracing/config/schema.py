"""The plugin's configuration as Kong shows it: every field, its default, its range, its description.

Kong applies this when a configuration reaches its Admin API, `otlp-tracing check` before that; settings.py
turns a configuration that passed into typed values. Patterns mean the same to Lua and to Python
(see kong_schema.py). Optional fields without a default are unset unless a person sets them.

Source: kong/db/schema/metaschema.lua of Kong 3.9.1 for what a field may say.
"""

from __future__ import annotations

from typing import Any

__all__ = ["SCHEMA"]

Field = dict[str, dict[str, Any]]

_HEADER_LINE = "^[A-Za-z0-9_.-]+: *[^\x01-\x1f ][^\x01-\x1f]*$"
_HEADER_NAME = "^[A-Za-z0-9_-]+$"
_PATH_OR_PEM = "a file's absolute path, or the PEM text itself"

_DETECTORS = [
    "email",
    "jwt",
    "credentials",
    "credit_card",
    "iban",
    "cloud_key",
    "private_key",
    "phone",
    "ip",
]
_SENSITIVE_KEYS = [
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "token",
    "jwt",
    "secret",
    "key",
    "apikey",
    "auth",
    "credit_card",
    "ssn",
    "social_security",
    "authorization",
    "x-api-key",
    "x-auth-token",
    "cookie",
    "set-cookie",
    "session_id",
    # Known by their last word where it stands alone; these are for who writes them in one.
    "accesskey",
    "accesstoken",
    "authtoken",
    "clientsecret",
    "csrftoken",
    "idtoken",
    "jsessionid",
    "phpsessid",
    "privatekey",
    "refreshtoken",
    "secretkey",
    "sessiontoken",
    "xsrftoken",
    # The union of what the HTTP semantic conventions have listed between 1.41 and today.
    "AWSAccessKeyId",
    "Signature",
    "X-Amz-Signature",
    "X-Amz-Credential",
    "X-Amz-Security-Token",
    "sig",
    "X-Goog-Signature",
]
_MODES = ["mask", "hash", "drop"]


def _field(name: str, kind: str, description: str, **rules: Any) -> Field:
    return {name: {"type": kind, "description": description, **rules}}


def _record(name: str, description: str, *fields: Field) -> Field:
    return _field(name, "record", description, required=True, fields=list(fields))


def _strings(name: str, description: str, default: list[str] | None = None, **rules: Any) -> Field:
    return _field(name, "array", description, default=default or [], elements={"type": "string", **rules})


_TLS = _record(
    "tls",
    "TLS towards the collector; used when the endpoint starts with https://.",
    _field("ca_cert", "string", f"Authority that signed the collector's certificate: {_PATH_OR_PEM}. "
           "Unset: the system's."),
    _field("client_cert", "string", f"Certificate shown to the collector (mutual TLS): {_PATH_OR_PEM}."),
    _field("client_key", "string", f"Private key of client_cert: {_PATH_OR_PEM}.",
           encrypted=True, referenceable=True),
    _field("insecure_skip_verify", "boolean", "Take whatever certificate the collector shows. For trials only.",
           default=False),
)  # fmt: skip

_BATCH_EXPORT = _record(
    "batch_export",
    "How spans are gathered before they are sent.",
    _field("timeout", "integer", "Longest wait before a batch is sent, in milliseconds.",
           default=5000, between=[1, 600_000]),
    _field("send_batch_size", "integer", "Spans at which a batch is sent at once.", default=512, between=[1, 8192]),
    _field("max_retry_time", "integer", "Seconds for which an unreachable collector is retried; 0 means for ever.",
           default=0, between=[0, 2_592_000]),
    _field("spool_max_bytes", "integer", "Disk that spans waiting for this destination may take, in bytes.",
           default=1_073_741_824, between=[1_048_576, 1_099_511_627_776]),
)  # fmt: skip

_EXTRACTABLE = ["w3c", "b3", "jaeger", "datadog", "ot", "aws", "gcp"]
_INJECTABLE = ["w3c", "b3", "b3-single", "jaeger", "datadog", "ot", "aws", "gcp"]

_PROPAGATION = _record(
    "propagation",
    "How trace context enters and leaves the gateway.",
    _strings("extract", "Formats looked for in a request, in this order; the first found counts. b3 reads both "
             "of its forms.", ["w3c", "b3", "jaeger", "datadog"], one_of=_EXTRACTABLE),
    _strings("inject", "Formats written to the upstream request; and one of extract's that the caller used, so "
             "that no header goes on that names the caller's span.", ["w3c"], one_of=_INJECTABLE),
    _strings("clear", "Request headers removed before the upstream sees them; not those of inject.",
             match=_HEADER_NAME),
    _field("incoming", "string", "trust continues a caller's trace; ignore starts a new one; restart_and_link "
           "starts a new one that links to the caller's. With these two, no trace header and no baggage of the "
           "caller goes upstream.",
           default="trust", one_of=["trust", "ignore", "restart_and_link"]),
    _field("baggage", "string", "Whether baggage of a caller whose trace is continued goes upstream or is "
           "stripped at the gateway.", default="pass", one_of=["pass", "strip"]),
    _field("response_header", "string", "Response header that carries the trace id to the client; Server-Timing "
           "carries it as the metric trace. Unset: none.", match=_HEADER_NAME),
)  # fmt: skip

_RULE = {
    "type": "record",
    "fields": [
        _field("name", "string", "Name of the rule, up to 128 characters; it appears on the spans it decided.",
               required=True, match="^[^\x01-\x1f]+$"),
        _strings("methods", "Request methods; none means every method.", match="^[A-Z]+$"),
        _strings("paths", "Path globs (/health*) or, with a leading ~, regular expressions; none means every path.",
                 len_min=1),
        _strings("hosts", "Host names, * as the first label allowed; none means every host.", len_min=1),
        _strings("headers", "Request headers as `name: value`, * allowed in the value; all must match.",
                 match="^[A-Za-z0-9_-]+: *[^ ].*$"),
        _field("rate", "number", "Share of these traces that is kept.", required=True, between=[0, 1]),
    ],
}  # fmt: skip

_SAMPLING = _record(
    "sampling",
    "Which traces are kept.",
    _field("rate", "number", "Share of traces kept when nothing else decides; consistent with OpenTelemetry's "
           "probability samplers.", default=1.0, between=[0, 1]),
    _field("parent", "string", "follow obeys the caller's sampled flag; ignore decides anew.",
           default="follow", one_of=["follow", "ignore"]),
    _field("rules", "array", "Ordered rules, the first that matches sets the rate.", default=[], elements=_RULE),
    _record(
        "budget",
        "An upper bound on kept traces.",
        _field("traces_per_second", "number", "Traces kept per second by this entry on this gateway, all its workers "
               "together: rates are lowered to hold it. 0 means no bound.", default=0, between=[0, 1_000_000]),
    ),
    _record(
        "load",
        "Moves the rates with the machine's CPU load. Off while high is unset.",
        _field("high", "number", "Load above which rates are halved, every five seconds.", between=[0, 1]),
        _field("low", "number", "Load below which rates are raised by half, until they are as configured.",
               default=0.3, between=[0, 1]),
    ),
    _record(
        "keep",
        "Traces kept after the response whatever was decided before it.",
        _field("errors", "boolean", "Keep requests that ended with a 5xx or whose upstream failed.", default=True),
        _field("slower_than_ms", "integer", "Keep requests that took longer, in milliseconds; 0 means none.",
               default=0, between=[0, 3_600_000]),
        _field("statuses", "array", "Keep requests with these response statuses.", default=[],
               elements={"type": "integer", "between": [100, 599]}),
    ),
)  # fmt: skip

_CAPTURE = _record(
    "capture",
    "What else a span shows; redaction applies.",
    _strings("request_headers", "Request headers recorded as http.request.header.*.", match=_HEADER_NAME),
    _strings("response_headers", "Response headers recorded as http.response.header.*.", match=_HEADER_NAME),
    _strings("baggage", "Baggage members recorded as baggage.*.", len_min=1),
)  # fmt: skip

_REDACTION = _record(
    "redaction",
    "What must not leave the machine.",
    _strings("sensitive_keys", "Names whose values are redacted, of query parameters, headers, baggage, and before "
             "= or : in any text; compared by words: api_key, apiKey, apikey and X-Api-Keys are one, monkey is not.",
             _SENSITIVE_KEYS, len_min=1),
    _strings("extra_sensitive_keys", "Names added to sensitive_keys.", len_min=1),
    _field("query", "string", "Query parameters to redact: those with sensitive names, all, or none. With all, "
           "what has no = is a value too.",
           default="sensitive", one_of=["sensitive", "all", "none"]),
    _strings("safe_query", "Query parameters never redacted by name.", len_min=1),
    _strings("detectors", "What to look for in values.", _DETECTORS[:7], one_of=_DETECTORS),
    _field("patterns", "array", "Own patterns (RE2 syntax); ^ and $ are the ends of a value. All of an entry's "
           "together have a bound on their size.", default=[], elements={
        "type": "record",
        "fields": [
            _field("name", "string", "Name in reports.", required=True, match="^[A-Za-z0-9_.-]+$"),
            _field("pattern", "string", "Regular expression, RE2 syntax.", required=True, len_min=1),
            _field("mode", "string", "As mode, for this pattern.", one_of=_MODES),
        ],
    }),
    _field("mode", "string", "mask writes [REDACTED] (in URLs REDACTED), hash a keyed pseudonym, the same for the "
           "same value, drop removes the parameter or attribute.", default="mask", one_of=_MODES),
    _field("modes", "array", "Modes of single detectors; sensitive_key is what was found by name.", default=[],
           elements={
        "type": "record",
        "fields": [
            _field("detector", "string", "The detector whose mode it is.", required=True,
                   one_of=[*_DETECTORS, "sensitive_key"]),
            _field("mode", "string", "As mode, for this detector.", required=True, one_of=_MODES),
        ],
    }),
    _field("hash_key", "string", "Key of the pseudonyms, 16 bytes and more: a file's absolute path, or the key itself, "
           "from a vault. Unset: hash masks.", encrypted=True, referenceable=True),
    _field("dry_run", "boolean", "Only report what detectors and patterns find, and let it go; what is hidden by name, "
           "credentials' headers and URLs' userinfo stay hidden.", default=False),
)  # fmt: skip

_SPAN = _record(
    "span",
    "How spans are written.",
    _field("semconv", "string", "stable: the stable HTTP conventions; dup: the old attribute names as well.",
           default="stable", one_of=["stable", "dup"]),
)  # fmt: skip

SCHEMA: list[Field] = [
    _field("endpoint", "string", "The collector, as http://host:port or https://host:port (TLS). Unset: "
           "OTEL_EXPORTER_OTLP_ENDPOINT, else http://localhost:4317, over HTTP 4318. Over HTTP it may have a path, "
           "else /v1/traces.",
           match="^https?://[^/ @]+/?[^ @]*$",
           err="must be http://host:port or https://host:port, without user or password",
           referenceable=True),
    _field("protocol", "string", "OTLP over gRPC, or as protobuf over HTTP.",
           default="grpc", one_of=["grpc", "http/protobuf"]),
    _field("headers", "array", "Sent with every export, each as `name: value`.", default=[],
           elements={"type": "string", "encrypted": True, "referenceable": True, "match": _HEADER_LINE,
                     "err": "must be a line `name: value`, or wholly a reference {vault://…}"}),
    _field("resource_attributes", "array", "Attributes of the resource that the spans belong to.", default=[],
           elements={"type": "record", "fields": [
               _field("key", "string", "Attribute name, such as service.name.", required=True, len_min=1),
               _field("value", "string", "Attribute value, such as kong-gateway.", required=True,
                      referenceable=True),
           ]}),
    _TLS,
    _field("compression", "string", "How exports are compressed.", default="gzip", one_of=["gzip", "none"]),
    _BATCH_EXPORT,
    _PROPAGATION,
    _SAMPLING,
    _CAPTURE,
    _REDACTION,
    _SPAN,
]  # fmt: skip
"""The fields of `config`, in Kong's schema language."""
