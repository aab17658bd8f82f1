"""A plugin entry's settings: each is declared once, with its type, default, range and description.

schema.py makes Kong's schema from these classes, test_docs.py the table of docs/configuration.md. Kong hands
the configuration over as JSON with its defaults filled in, `check` reads it from a file, the sidecar gets it in
a frame. Fields that are None are unset. Patterns mean the same to Lua and to Python (see validation.py).
"""

# No `from __future__ import annotations`: compiling the annotations again would take a worker 10 ms at its start.
import dataclasses
import json
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

from otlp_tracing.config.declaration import about, fields_of, hints_of
from otlp_tracing.config.otel_variables import Signal
from otlp_tracing.config.validation import complete
from otlp_tracing.errors import ConfigError, Fault

T = TypeVar("T")

RedactionMode = Literal["mask", "hash", "drop"]
SpanAttributeSource = Literal[
    "literal", "request_header", "response_header", "query_parameter", "path_capture", "consumer_id",
    "consumer_username", "consumer_custom_id", "consumer_tag", "route_tag", "service_tag",
]  # fmt: skip

_MAX_STREAMS = 64  # shares of a budget: half a kilobyte in a frame

_HEADER_LINE = "^[A-Za-z0-9_.-]+: *[^\x01-\x1f ][^\x01-\x1f]*$"
_HEADER_NAME = {"match": "^[A-Za-z0-9_-]+$"}
_ENDPOINT = "^https?://[^/ @]+/?[^ @]*$"
_ENDPOINT_RULE = "must be http://host:port or https://host:port, without user or password"
_METRIC_ATTRIBUTES = ["kong.consumer.id", "kong.consumer.username", "kong.workspace.name"]
_NOT_EMPTY = {"len_min": 1}
_HEADER_CONDITION = {"match": "^[A-Za-z0-9_-]+: *[^ ].*$"}
_MAX_TAIL_RULES = 64  # each is asked for each request that none before it matches
_PATH_OR_PEM = "absolute path of a file, or the PEM text"
GRPC_CODES = (
    "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
    "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
    "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
)  # fmt: skip
"""The names of gRPC's status codes, each at its number."""

_EXTRACTABLE = ["w3c", "b3", "jaeger", "datadog", "ot", "aws", "gcp"]
_INJECTABLE = ["w3c", "b3", "b3-single", "jaeger", "datadog", "ot", "aws", "gcp"]
_DETECTORS = ("email", "jwt", "credentials", "credit_card", "iban", "cloud_key", "private_key", "phone", "ip")
_SENSITIVE_KEYS = (
    "password", "passwd", "passphrase", "pwd", "token", "jwt", "secret", "key", "apikey", "auth", "credit_card", "ssn",
    "social_security", "authorization", "x-api-key", "x-auth-token", "cookie", "set-cookie", "session_id",
    # The last word alone gives these away, unless a client writes them as one word.
    "accesskey", "accesstoken", "authtoken", "clientsecret", "csrftoken", "idtoken", "jsessionid", "phpsessid",
    "privatekey", "refreshtoken", "secretkey", "sessiontoken", "xsrftoken",
    # All names that the HTTP semantic conventions have listed between 1.41 and today.
    "AWSAccessKeyId", "Signature", "X-Amz-Signature", "X-Amz-Credential", "X-Amz-Security-Token", "sig",
    "X-Goog-Signature",
)  # fmt: skip


# A field is a line; or its type, its description and its rules are a line each.
# fmt: off
@dataclass(frozen=True, slots=True)
class KeyValue:
    """One resource attribute."""

    key: Annotated[str, about("Attribute name, such as service.name.", len_min=1)]
    value: Annotated[str, about("Attribute value, such as kong-gateway.", referenceable=True)]


@dataclass(frozen=True, slots=True)
class Tls:
    """TLS towards the collector."""

    ca_cert: Annotated[str | None, about(
        f"Certificate of the authority that signed the collector's: {_PATH_OR_PEM}. Unset: "
        "OTEL_EXPORTER_OTLP_CERTIFICATE, otherwise the authorities of the system.")] = None
    client_cert: Annotated[str | None, about(
        f"Client certificate for mutual TLS: {_PATH_OR_PEM}. Needs client_key. Both unset: "
        "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and OTEL_EXPORTER_OTLP_CLIENT_KEY.")] = None
    client_key: Annotated[str | None, about(
        f"Private key of client_cert: {_PATH_OR_PEM}.", encrypted=True, referenceable=True)] = None
    insecure_skip_verify: Annotated[bool, about("Accept any certificate of the collector. For tests only.")] = False


@dataclass(frozen=True, slots=True)
class BatchExport:
    """Size and age of a batch, and bounds on the spans that wait."""

    timeout: Annotated[int, about(
        "Longest time before a batch is exported, in milliseconds.", between=[1, 600_000])] = 5000
    send_batch_size: Annotated[int, about(
        "Number of spans at which a batch is exported at once.", between=[1, 8192])] = 512
    max_retry_time: Annotated[int, about(
        "Longest time that a failed export is retried, in seconds; then its spans are dropped. 0: without end.",
        between=[0, 2_592_000])] = 0
    spool_max_bytes: Annotated[int, about(
        "Disk space for the spans that wait for this destination, in bytes. Beyond it the oldest traces are "
        "dropped.", between=[1_048_576, 1_099_511_627_776])] = 1 << 30


@dataclass(frozen=True, slots=True)
class SamplingRule:
    """A rate for the requests that all of the lists match; an empty list matches every request."""

    name: Annotated[str, about(
        "Name of the rule, up to 128 characters. It is recorded on the spans that it decided.",
        match="^[^\x01-\x1f]+$")]
    methods: Annotated[tuple[str, ...], about(
        "Request methods, such as GET. Empty: all.", elements={"match": "^[A-Z]+$"})]
    paths: Annotated[tuple[str, ...], about(
        "Paths, * allowed (/health*); with a leading ~ a regular expression. Empty: all.",
        elements=_NOT_EMPTY)]
    hosts: Annotated[tuple[str, ...], about(
        "Host names, * allowed as the first label. Empty: all.", elements=_NOT_EMPTY)]
    headers: Annotated[tuple[str, ...], about(
        "Request headers as `name: value`, * allowed in the value. A request must have all of them.",
        elements=_HEADER_CONDITION)]
    rate: Annotated[float, about("Share of the matching traces that is kept.", between=[0, 1])]


@dataclass(frozen=True, slots=True)
class TailRule(SamplingRule):
    """A rate for the finished requests that match all of the conditions; an empty one matches every request."""

    consumers: Annotated[tuple[str, ...], about(
        "Consumers, by user name, custom id or id, * allowed. Empty: all, and requests without one.",
        elements=_NOT_EMPTY)] = ()
    services: Annotated[tuple[str, ...], about(
        "Services, by name or id, * allowed. Empty: all.", elements=_NOT_EMPTY)] = ()
    routes: Annotated[tuple[str, ...], about(
        "Routes, by name or id, * allowed. Empty: all.", elements=_NOT_EMPTY)] = ()
    tags: Annotated[tuple[str, ...], about(
        "Tags of the route, the service or the consumer, * allowed. A request must have one of them. Empty: all.",
        elements=_NOT_EMPTY)] = ()
    statuses: Annotated[tuple[int, ...], about(
        "Response statuses, such as 404; 1 to 5 are classes: 4 is 400 to 499. Empty: all.",
        elements={"between": [1, 599]})] = ()
    grpc_statuses: Annotated[tuple[str, ...], about(
        "Names of gRPC statuses, such as UNAVAILABLE. Empty: all, and requests that are no gRPC calls.",
        elements={"one_of": list(GRPC_CODES)})] = ()
    slower_than_ms: Annotated[int, about(
        "Requests that took longer, in milliseconds. 0: all.", between=[0, 3_600_000])] = 0
    faster_than_ms: Annotated[int, about(
        "Requests that took less time, in milliseconds. 0: all.", between=[0, 3_600_000])] = 0
    larger_than_bytes: Annotated[int, about(
        "Requests with more bytes, in the request or in the response. 0: all.", between=[0, 1 << 40])] = 0
    response_headers: Annotated[tuple[str, ...], about(
        "Response headers as `name: value`, * allowed in the value. A response must have all of them.",
        elements=_HEADER_CONDITION)] = ()
    attributes: Annotated[tuple[str, ...], about(
        "Attributes of the SERVER span as `name: value`, * allowed in the value. A span must have all of them.",
        elements={"match": "^[^ :]+: *[^ ].*$"})] = ()


@dataclass(frozen=True, slots=True)
class Keep:
    """Requests that are kept after the response, whatever the head decision."""

    errors: Annotated[bool, about("Keep requests that ended with a 5xx, or whose upstream failed.")] = True
    slower_than_ms: Annotated[int, about(
        "Keep requests that took longer, in milliseconds. 0: off.", between=[0, 3_600_000])] = 0
    statuses: Annotated[tuple[int, ...], about(
        "Keep requests with these response statuses.", elements={"between": [100, 599]})] = ()


@dataclass(frozen=True, slots=True)
class Budget:
    """An upper bound on kept traces."""

    traces_per_second: Annotated[float, about(
        "Traces that this entry keeps per second, all workers of this gateway together. Rates are lowered to stay"
        " below it. 0: no bound.", between=[0, 1_000_000])] = 0


@dataclass(frozen=True, slots=True)
class Load:
    """Bounds on the CPU load that move the rates."""

    high: Annotated[float | None, about(
        "Load above which rates are halved, every five seconds.", between=[0, 1])] = None
    low: Annotated[float, about(
        "Load below which rates are raised by half, up to the configured rates.", between=[0, 1])] = 0.3


@dataclass(frozen=True, slots=True)
class Sampling:
    """The head decision's rates, and everything that changes them."""

    rate: Annotated[float, about(
        "Share of traces that is kept if no rule and no caller decides. The decision agrees with OpenTelemetry's "
        "consistent probability samplers. Unset: OTEL_TRACES_SAMPLER, otherwise 1.0.", between=[0, 1],
        variable="OTEL_TRACES_SAMPLER")] = 1.0
    parent: Annotated[Literal["follow", "ignore"], about(
        "follow: the caller's sampled flag decides. ignore: the gateway decides. Unset: OTEL_TRACES_SAMPLER if rate is "
        "unset too, otherwise follow.", variable="OTEL_TRACES_SAMPLER")] = "follow"
    rules: Annotated[tuple[SamplingRule, ...], about(
        "Rules in order; the first that matches a request sets its rate.")] = ()
    budget: Annotated[Budget, about("An upper bound on kept traces.")] = Budget()
    load: Annotated[Load, about(
        "Lowers the rates while the CPU load of the machine is high. Unset high: off.")] = Load()
    keep: Annotated[Keep, about("Requests that are kept after the response, whatever was decided before it.")] = Keep()
    tail_rules: Annotated[tuple[TailRule, ...], about(
        "Rules on the finished request, in order. The first that matches sets its rate, whatever was decided before: 1 "
        "keeps, 0 drops. Requests that keep names are kept, and no rule is asked.", len_max=_MAX_TAIL_RULES)] = ()

    @property
    def moves(self) -> bool:
        """Tell whether rates change with measurements of the sidecar."""
        return self.budget.traces_per_second > 0 or self.load.high is not None

    @property
    def streams(self) -> dict[str, float]:
        """The streams that share a budget, with their rates: the entry's own, named "", and its rules by name.

        Rules of one name are one stream, with the highest of their rates; rules past the bound are part
        of the entry's own stream. The order is that of the shares in a Rates frame.
        """
        streams = {"": self.rate}
        for rule in self.rules:
            if rule.name in streams or len(streams) < _MAX_STREAMS:
                streams[rule.name] = max(rule.rate, streams.get(rule.name, 0.0))
        return streams


@dataclass(frozen=True, slots=True)
class Propagation:
    """How trace context enters and leaves the gateway."""

    extract: Annotated[tuple[str, ...], about(
        "Formats that are read from a request, in this order; the first that is found counts. b3 is read in both "
        "of its forms. Unset: OTEL_PROPAGATORS, otherwise w3c, b3, jaeger, datadog.",
        elements={"one_of": _EXTRACTABLE}, variable="OTEL_PROPAGATORS")] = ("w3c", "b3", "jaeger", "datadog")
    inject: Annotated[tuple[str, ...], about(
        "Formats that are written to the upstream request. The format that the caller used is written too, if "
        "extract names it: so no header still carries the caller's span. Unset: OTEL_PROPAGATORS, otherwise w3c.",
        elements={"one_of": _INJECTABLE}, variable="OTEL_PROPAGATORS")] = ("w3c",)
    clear: Annotated[tuple[str, ...], about(
        "Request headers that are removed before the upstream; headers of inject stay.", elements=_HEADER_NAME)] = ()
    incoming: Annotated[Literal["trust", "ignore", "restart_and_link"], about(
        "trust: continue the caller's trace. ignore: start a new trace. restart_and_link: start a new trace that "
        "links to the caller's. With the last two, no trace header and no baggage of the caller is sent upstream."
    )] = "trust"
    baggage: Annotated[Literal["pass", "strip"], about(
        "pass: send the baggage of a caller whose trace is continued upstream. strip: remove it.")] = "pass"
    response_header: Annotated[str | None, about(
        "Response header that returns the trace id to the client; in Server-Timing it is the metric trace. Unset:"
        " no header.", **_HEADER_NAME)] = None


@dataclass(frozen=True, slots=True)
class Capture:
    """Attributes beyond the semantic conventions, by name."""

    baggage: Annotated[tuple[str, ...], about(
        "Baggage members that are recorded as baggage.*.", elements=_NOT_EMPTY)] = ()
    request_headers: Annotated[tuple[str, ...], about(
        "Request headers that are recorded as http.request.header.*.", elements=_HEADER_NAME)] = ()
    response_headers: Annotated[tuple[str, ...], about(
        "Response headers that are recorded as http.response.header.*.", elements=_HEADER_NAME)] = ()
    gen_ai_messages: Annotated[tuple[str, ...], about(
        "Texts of ai-proxy's calls that are recorded: input, the prompt; output, the answer. Kong's record has them if "
        "ai-proxy logs payloads.", elements={"one_of": ["input", "output"]})] = ()


@dataclass(frozen=True, slots=True)
class SpanAttribute:
    """An attribute of one's own."""

    name: Annotated[str, about(
        "Name of the attribute, such as app.tenant; not in a namespace that the spans have already, such as http.",
        match="^[A-Za-z][A-Za-z0-9_.-]*$", len_max=128)]
    source: Annotated[SpanAttributeSource, about(
        "The part of the request, or of Kong's configuration, that the value is read from. literal: value itself.")]
    key: Annotated[str | None, about(
        "Name of the header, query parameter or path capture; a capture without a name has its number. For tags the "
        "part before the colon: key team reads payments from the tag team:payments; unset: all tags.",
        len_max=256)] = None
    value: Annotated[str | None, about(
        "Value of a literal. With other sources, the value of requests that have none. Unset: no attribute.",
        len_max=1024)] = None


@dataclass(frozen=True, slots=True)
class Span:
    """The names and the attributes of spans."""

    semconv: Annotated[Literal["stable", "dup"], about(
        "stable: the stable HTTP semantic conventions. dup: the old attribute names as well.")] = "stable"
    name: Annotated[str | None, about(
        "Name of the SERVER span, with names of attributes in braces: {http.request.method} {kong.route.name}. Only "
        "attributes with few values can be named. Unset: method and route, for gRPC the method of the call.",
        len_max=256)] = None
    attributes: Annotated[tuple[SpanAttribute, ...], about(
        "Attributes to add to SERVER spans and access logs, at most 32; redaction applies to them.",
        len_max=32)] = ()


@dataclass(frozen=True, slots=True)
class MetricExport:
    """Metrics of all requests of an entry, sent as OTLP."""

    enabled: Annotated[bool, about(
        "Send metrics of every request of this entry, whatever the sampling, and the counts of otlp-tracing.")] = False
    endpoint: Annotated[str | None, about(
        "The collector for metrics, as endpoint. Unset: endpoint; over HTTP, with /v1/metrics for /v1/traces.",
        match=_ENDPOINT, err=_ENDPOINT_RULE, referenceable=True)] = None
    interval: Annotated[int | None, about(
        "Time between two exports, in milliseconds. Unset: OTEL_METRIC_EXPORT_INTERVAL, otherwise 60000.",
        between=[1000, 3_600_000])] = None
    attributes: Annotated[tuple[str, ...], about(
        "Attributes to add to the metrics of requests. Each of their values makes new series, so that only names with "
        "few values can be added.", elements={"one_of": _METRIC_ATTRIBUTES})] = ()


@dataclass(frozen=True, slots=True)
class LogExport:
    """Access logs of an entry, sent as OTLP."""

    requests: Annotated[Literal["none", "sampled", "all"], about(
        "Requests that are logged, with a log record each: none, those whose trace is kept, or all.")] = "none"
    min_severity: Annotated[Literal["info", "warn", "error"], about(
        "Lowest severity that is logged: info, warn (a status of 4xx), or error (a 5xx, or a failed call).")] = "info"
    endpoint: Annotated[str | None, about(
        "The collector for logs, as endpoint. Unset: endpoint; over HTTP, with /v1/logs for /v1/traces.",
        match=_ENDPOINT, err=_ENDPOINT_RULE, referenceable=True)] = None
    body: Annotated[str | None, about(
        "Text of a log record, with names of its attributes in braces: {http.request.method} {url.path}. Unset: no "
        "text.")] = None


@dataclass(frozen=True, slots=True)
class Pattern:
    """A user's own pattern; without a mode it has the mode of the entry."""

    name: Annotated[str, about("Name of the pattern in reports.", match="^[A-Za-z0-9_.-]+$")]
    pattern: Annotated[str, about("Regular expression in RE2's syntax.", len_min=1)]
    mode: Annotated[RedactionMode | None, about("Mode for the findings of this pattern. Unset: redaction.mode.")] = None


@dataclass(frozen=True, slots=True)
class DetectorMode:
    """How one detector's findings are replaced."""

    detector: Annotated[str, about(
        "Detector whose mode this is; sensitive_key: findings by name.", one_of=[*_DETECTORS, "sensitive_key"])]
    mode: Annotated[RedactionMode, about("Mode for the findings of this detector.")]


@dataclass(frozen=True, slots=True)
class Redaction:
    """Which values are replaced, by name and by content, and how."""

    sensitive_keys: Annotated[tuple[str, ...], about(
        "Names whose values are redacted: of query parameters, headers and baggage, and in any text before = or "
        ":. Names are compared by words: api_key, apiKey, apikey and X-Api-Keys are the same name, monkey is not.",
        elements=_NOT_EMPTY)] = _SENSITIVE_KEYS
    extra_sensitive_keys: Annotated[tuple[str, ...], about(
        "Names that are added to sensitive_keys.", elements=_NOT_EMPTY)] = ()
    query: Annotated[Literal["sensitive", "all", "none"], about(
        "Query parameters that are redacted: those with sensitive names, all, or none. With all, a parameter "
        "without = is redacted too.")] = "sensitive"
    safe_query: Annotated[tuple[str, ...], about(
        "Query parameters that are never redacted by name.", elements=_NOT_EMPTY)] = ()
    detectors: Annotated[tuple[str, ...], about(
        "Kinds of secrets and personal data that are searched for in values.",
        elements={"one_of": list(_DETECTORS)})] = _DETECTORS[:7]
    patterns: Annotated[tuple[Pattern, ...], about(
        "Your own patterns, in RE2's syntax; ^ and $ are the ends of a value. The size of all patterns of an "
        "entry together is bounded.")] = ()
    mode: Annotated[RedactionMode, about(
        "mask: write [REDACTED], in URLs REDACTED. hash: write a keyed pseudonym, the same for equal values. "
        "drop: remove the parameter or attribute.")] = "mask"
    modes: Annotated[tuple[DetectorMode, ...], about(
        "Modes of single detectors; sensitive_key: findings by name.")] = ()
    hash_key: Annotated[str | None, about(
        "Key of the pseudonyms, at least 16 bytes: absolute path of a file, or a vault reference to the key. "
        "Unset: hash works as mask.", encrypted=True, referenceable=True)] = None
    dry_run: Annotated[bool, about(
        "Only report the findings of detectors and patterns, and leave the values. Sensitive names, headers with "
        "credentials and userinfo in URLs are redacted in a dry run too.")] = False

    def mode_of(self, rule: str) -> RedactionMode:
        """Return the mode for the findings of a detector or an own pattern; of several entries the last counts."""
        own = {one.detector: one.mode for one in self.modes}
        own |= {one.name: one.mode for one in self.patterns if one.mode}
        return own.get(rule, self.mode)


@dataclass(frozen=True, slots=True)
class Settings:
    """One plugin entry."""

    endpoint: Annotated[str | None, about(
        "The collector, as http://host:port; https:// turns TLS on. Without a port: 4317 (HTTP: 4318), with https:// "
        "443. Over HTTP, a path replaces /v1/traces. Unset: OTEL_EXPORTER_OTLP_ENDPOINT, otherwise localhost.",
        match=_ENDPOINT, err=_ENDPOINT_RULE, referenceable=True)] = None
    protocol: Annotated[Literal["grpc", "http/protobuf"] | None, about(
        "Protocol of OTLP: gRPC, or protobuf over HTTP. Unset: OTEL_EXPORTER_OTLP_PROTOCOL, otherwise grpc.")] = None
    headers: Annotated[tuple[str, ...], about(
        "Headers that are sent with every export, each as `name: value`. Empty: OTEL_EXPORTER_OTLP_HEADERS.",
        elements={"encrypted": True, "referenceable": True, "match": _HEADER_LINE,
                  "err": "must be a line `name: value`, or wholly a reference {vault://…}"})] = ()
    resource_attributes: Annotated[tuple[KeyValue, ...], about(
        "Attributes of the resource that the spans belong to.")] = ()
    tls: Annotated[Tls, about("TLS towards the collector; used if the endpoint starts with https://.")] = Tls()
    compression: Annotated[Literal["gzip", "none"] | None, about(
        "Compression of exports. Unset: OTEL_EXPORTER_OTLP_COMPRESSION, otherwise gzip, or none to a "
        "loopback address.")] = None
    batch_export: Annotated[BatchExport, about("How spans are batched, and how long they may wait.")] = BatchExport()
    propagation: Annotated[Propagation, about("How trace context enters and leaves the gateway.")] = Propagation()
    sampling: Annotated[Sampling, about("Which traces are kept.")] = Sampling()
    log_correlation: Annotated[bool, about(
        "Write the trace id into Kong's log record as Kong's opentelemetry plugin does, as trace_id.w3c. The field "
        "otlp_tracing.trace_id is always there.")] = False
    capture: Annotated[Capture, about(
        "Attributes beyond the semantic conventions; redaction applies to them.")] = Capture()
    redaction: Annotated[Redaction, about("Values that must not leave the machine.")] = Redaction()
    span: Annotated[Span, about("How spans are written.")] = Span()
    metrics: Annotated[MetricExport, about("Metrics of all requests, sent as OTLP.")] = MetricExport()
    logs: Annotated[LogExport, about("Access logs, sent as OTLP.")] = LogExport()

    @property
    def signals(self) -> tuple[Signal, ...]:
        """The signals that the entry sends."""
        metrics: tuple[Signal, ...] = ("metrics",) if self.metrics.enabled else ()
        logs: tuple[Signal, ...] = ("logs",) if self.logs.requests != "none" else ()
        return ("traces", *metrics, *logs)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "Settings":
        """Read a configuration from Kong or from a user.

        Args:
            config: the entry's `config`; fields may be left out, and fields that Kong adds (`__seq__`,
                `route_id`, `$refs`, …) are ignored.

        Raises:
            ConfigError: with every fault.
        """
        completed, faults = complete(fields_of(typing.cast(Any, cls)), user_config(config))
        if faults:
            raise ConfigError(faults)
        return cls.from_completed(completed)

    @classmethod
    def from_completed(cls, completed: Mapping[str, Any]) -> "Settings":
        """Read a configuration in which validation.complete found no fault.

        Raises:
            ConfigError: with every fault that the schema cannot find.
        """
        if faults := list(_faults_beyond_the_schema(completed)):
            raise ConfigError(faults)
        return _build(cls, completed)

# fmt: on


def user_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a configuration that the schema names, without those that Kong adds."""
    names = hints_of(Settings)
    return {name: value for name, value in config.items() if name in names}


def _faults_beyond_the_schema(completed: Mapping[str, Any]) -> Iterator[Fault]:
    for number, name in enumerate(completed["propagation"]["clear"], 1):
        if name.lower() == "host":
            # kong/pdk/service/request.lua, set_headers: throws for a Host without a value, on every request.
            yield Fault(f"propagation.clear[{number}]", json.dumps(name), "cannot be removed: every request needs it")


def _build(cls: type[T], data: Mapping[str, Any]) -> T:
    hints = hints_of(typing.cast(Any, cls))
    # A field that the environment may fill has no default in the schema, see declaration.about.
    given = {name: _convert(hint, data[name]) for name, hint in hints.items() if data[name] is not None}
    return cls(**given)


def _convert(hint: Any, value: Any) -> Any:
    if dataclasses.is_dataclass(hint):
        return _build(typing.cast(type[Any], hint), value)
    if typing.get_origin(hint) is tuple:
        return tuple(_convert(typing.get_args(hint)[0], item) for item in value)
    return value
