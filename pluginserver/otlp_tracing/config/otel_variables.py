"""OpenTelemetry's environment variables, which fill the fields that a plugin entry leaves unset.

The plugin server reads those of the head decision: TracerVariables. The sidecar reads those of the export:
ExporterVariables and MetricVariables. A variable for one signal (`OTEL_EXPORTER_OTLP_TRACES_…`) has priority over the
one for all. An empty variable is unset. One that cannot be used is ignored and is a problem, which names it without its
value.

Source: OpenTelemetry specification, configuration/sdk-environment-variables.md and protocol/exporter.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar
from urllib.parse import unquote

from otlp_tracing.errors import Fault

T = TypeVar("T")

Protocol = Literal["grpc", "http/protobuf"]
Signal = Literal["traces", "metrics", "logs"]

_EXPORTER = "OTEL_EXPORTER_OTLP_"
SIGNALS: tuple[Signal, ...] = ("traces", "metrics", "logs")
_EXPORTER_NAMES = (
    "ENDPOINT", "PROTOCOL", "HEADERS", "CERTIFICATE", "CLIENT_CERTIFICATE", "CLIENT_KEY", "COMPRESSION", "TIMEOUT",
    "INSECURE",
)  # fmt: skip
_TRACER_NAMES = frozenset({"OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG", "OTEL_PROPAGATORS"})
_RESOURCE_NAMES = frozenset({
    "OTEL_RESOURCE_ATTRIBUTES", "OTEL_SERVICE_NAME", "OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS",
    "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS",
})  # fmt: skip
_RESOURCE = "OTEL_RESOURCE_ATTRIBUTES"
_INTERVAL = "OTEL_METRIC_EXPORT_INTERVAL"
_TEMPORALITY = f"{_EXPORTER}METRICS_TEMPORALITY_PREFERENCE"
_AGGREGATION = f"{_EXPORTER}METRICS_DEFAULT_HISTOGRAM_AGGREGATION"
_PREFIXES = (_EXPORTER, *(f"{_EXPORTER}{signal.upper()}_" for signal in SIGNALS))
_SIDECAR_NAMES = frozenset({
    *(prefix + name for prefix in _PREFIXES for name in _EXPORTER_NAMES), _INTERVAL, _TEMPORALITY, _AGGREGATION,
})  # fmt: skip

_TIMEOUT_MS = (1, 600_000)
_INTERVAL_MS = (1_000, 86_400_000)  # from that of an entry, so that seconds are noticed, to a day
_DEFAULT_TIMEOUT_S, _DEFAULT_INTERVAL_MS = 10.0, 60_000  # the specification's
_LIKELY_SECONDS = 100  # a timeout below it, in milliseconds, was probably meant in seconds, as Python's SDK reads it
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", re.ASCII)
_SAMPLERS: Mapping[str, tuple[Literal["follow", "ignore"], float | None]] = {
    # parent and rate; None is the sampler's argument
    "always_on": ("ignore", 1.0),
    "always_off": ("ignore", 0.0),
    "traceidratio": ("ignore", None),
    "parentbased_always_on": ("follow", 1.0),
    "parentbased_always_off": ("follow", 0.0),
    "parentbased_traceidratio": ("follow", None),
}
_PROTOCOLS: Mapping[str, Protocol] = {"grpc": "grpc", "http/protobuf": "http/protobuf"}
_COMPRESSIONS: Mapping[str, Literal["gzip", "none"]] = {"gzip": "gzip", "none": "none"}
# Formats to read and to write. Reading b3 covers both of its forms. Baggage passes through a gateway either way.
_PROPAGATORS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "tracecontext": (("w3c",), ("w3c",)),
    "baggage": ((), ()),
    "b3": (("b3",), ("b3-single",)),
    "b3multi": (("b3",), ("b3",)),
    "jaeger": (("jaeger",), ("jaeger",)),
    "xray": (("aws",), ("aws",)),
    "ottrace": (("ot",), ("ot",)),
    "datadog": (("datadog",), ("datadog",)),
    "none": ((), ()),
}


@dataclass(frozen=True, slots=True)
class ExporterVariables:
    """The variables of the OTLP exporter.

    Args:
        endpoint: as written, without blanks around it.
        endpoint_variable: the name of the endpoint's variable; empty without an endpoint.
        is_base: the endpoint is a base, to which OTLP over HTTP adds the path of the signal.
        headers: lower-case names and decoded values.
        headers_variable: the name of their variable; empty without one.
        ca_cert: path of a file, as the next two.
        timeout_s: of one attempt.
        insecure: an endpoint without a scheme means no TLS.
        problems: variables that cannot be used.
    """

    endpoint: str
    endpoint_variable: str
    is_base: bool
    protocol: Protocol | None
    headers: tuple[tuple[str, str], ...]
    headers_variable: str
    ca_cert: str | None
    client_cert: str | None
    client_key: str | None
    compression: Literal["gzip", "none"] | None
    timeout_s: float
    insecure: bool
    problems: tuple[Fault, ...]

    @classmethod
    def read(cls, environment: Mapping[str, str], signal: Signal = "traces") -> ExporterVariables:
        """Read those of a signal."""
        problems: list[Fault] = []
        endpoint_variable, endpoint = _find(environment, "ENDPOINT", signal)
        headers_variable, headers = _find(environment, "HEADERS", signal)
        return cls(
            endpoint=endpoint,
            endpoint_variable=endpoint_variable,
            is_base=endpoint_variable == f"{_EXPORTER}ENDPOINT",
            protocol=_protocol(*_find(environment, "PROTOCOL", signal), problems),
            headers=_headers(headers_variable, headers, problems),
            headers_variable=headers_variable,
            ca_cert=_find(environment, "CERTIFICATE", signal)[1] or None,
            client_cert=_find(environment, "CLIENT_CERTIFICATE", signal)[1] or None,
            client_key=_find(environment, "CLIENT_KEY", signal)[1] or None,
            compression=_choice(*_find(environment, "COMPRESSION", signal), _COMPRESSIONS, problems),
            timeout_s=_timeout(*_find(environment, "TIMEOUT", signal), problems),
            insecure=_insecure(*_find(environment, "INSECURE", signal), problems),
            problems=tuple(problems),
        )


@dataclass(frozen=True, slots=True)
class MetricVariables:
    """The variables of the interval and the form of metrics.

    Args:
        interval_ms: between two exports.
        delta_histograms: histograms have delta temporality.
        delta_counters: the sidecar's own counters have it.
        is_exponential: histograms are base2 exponential ones.
        problems: variables that cannot be used.
    """

    interval_ms: int
    delta_histograms: bool
    delta_counters: bool
    is_exponential: bool
    problems: tuple[Fault, ...]

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> MetricVariables:
        """Read them; an unknown value counts as the default, as in every SDK."""
        problems: list[Fault] = []
        text, interval_ms = value_of(environment, _INTERVAL), _DEFAULT_INTERVAL_MS
        low, high = _INTERVAL_MS
        if re.fullmatch(r"[0-9]{1,9}", text, re.ASCII) and low <= int(text) <= high:
            interval_ms = int(text)
        elif text:
            rule = f"must be {low} to {high} milliseconds; {interval_ms} is used"
            problems.append(Fault(_INTERVAL, "", rule))

        def word(name: str, *known: str) -> str:
            value = value_of(environment, name).lower() or known[0]
            if value not in known:
                problems.append(Fault(name, "", f"must be one of {', '.join(known)}; {known[0]} is used"))
            return value

        temporality = word(_TEMPORALITY, "cumulative", "delta", "lowmemory")
        aggregation = word(_AGGREGATION, "explicit_bucket_histogram", "base2_exponential_bucket_histogram")
        return cls(
            interval_ms,
            delta_histograms=temporality in {"delta", "lowmemory"},
            delta_counters=temporality == "delta",
            is_exponential=aggregation == "base2_exponential_bucket_histogram",
            problems=tuple(problems),
        )


@dataclass(frozen=True, slots=True)
class TracerVariables:
    """The variables of the head decision; None is unset.

    Args:
        rate: of the sampler, 0 to 1.
        parent: of the sampler.
        extract: formats to read.
        inject: formats to write.
        problems: variables that cannot be used.
    """

    rate: float | None
    parent: Literal["follow", "ignore"] | None
    extract: tuple[str, ...] | None
    inject: tuple[str, ...] | None
    problems: tuple[Fault, ...]

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> TracerVariables:
        """Read them."""
        problems: list[Fault] = []
        parent, rate = _sampler(environment, problems)
        extract, inject = _propagators(value_of(environment, "OTEL_PROPAGATORS"), problems)
        return cls(rate, parent, extract, inject, tuple(problems))

    def fill(self, config: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return an entry's configuration with its unset fields filled in.

        A sampler is a rate and a parent. So the parent is filled in only if the entry has no rate of its own.
        """
        sampling = _unset_filled(config.get("sampling"), {"rate": self.rate, "parent": self.parent}, unless="rate")
        propagation = _unset_filled(config.get("propagation"), {"extract": self.extract, "inject": self.inject})
        return {**config, **({"sampling": sampling} if sampling else {}),
                **({"propagation": propagation} if propagation else {})}  # fmt: skip


def exporter_remarks(environment: Mapping[str, str], *, is_embedded: bool) -> list[Fault]:
    """Return the sidecar's remarks at its start: on variables that are set and not used as written.

    Args:
        environment: of the sidecar.
        is_embedded: a plugin server with the same environment has started it.
    """
    remarks = exporter_problems(environment)
    if not is_embedded:
        rule = "is read by the plugin server, which has an environment of its own"
        remarks += [Fault(name, "", rule) for name in _TRACER_NAMES if environment.get(name)]
    remarks += _unknown(environment)
    return remarks


def exporter_problems(environment: Mapping[str, str]) -> list[Fault]:
    """Return the problems of the variables that the sidecar reads: each is not used as written.

    Args:
        environment: of the sidecar.
    """
    found = {signal: list(_signal_remarks(environment, signal)) for signal in SIGNALS}
    # A variable for all signals may be of use to one of them.
    remarks = [
        one
        for one in dict.fromkeys(fault for faults in found.values() for fault in faults)
        if all(one in found[signal] or one.field not in _read(environment, signal) for signal in SIGNALS)
    ]
    remarks += resource_variables(environment)[1]
    remarks += MetricVariables.read(environment).problems
    return remarks


def tracer_remarks(environment: Mapping[str, str], *, has_own_sidecar: bool) -> list[Fault]:
    """Return the plugin server's remarks at its start: on variables that are set and not used as written.

    Args:
        environment: of the plugin server.
        has_own_sidecar: the sidecar was started by another process, with an environment of its own.
    """
    remarks = list(TracerVariables.read(environment).problems)
    if has_own_sidecar:
        if names := ", ".join(sorted(name for name in _SIDECAR_NAMES | _RESOURCE_NAMES if environment.get(name))):
            remarks.append(Fault(names, "", "read by the sidecar, which has an environment of its own"))
        remarks += _unknown(environment)
    return remarks


def resource_variables(environment: Mapping[str, str]) -> tuple[dict[str, str], list[Fault]]:
    """Return the attributes of OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME, and the variables' problems."""
    attributes: dict[str, str] = {}
    problems: list[Fault] = []
    parts = [part for part in value_of(environment, _RESOURCE).split(",") if part.strip()]
    for number, part in enumerate(parts, 1):
        key, equals, value = _decoded(part)
        if key and equals:
            attributes[key] = value
        else:
            rule = f"must be key=value,key=value, percent-encoded; its part {number} of {len(parts)} cannot be read"
            problems.append(Fault(_RESOURCE, "", rule))
    if name := value_of(environment, "OTEL_SERVICE_NAME"):
        attributes["service.name"] = name
    return attributes, problems


def signal_path(signal: Signal) -> str:
    """Return the path at which a receiver of OTLP over HTTP takes a signal."""
    return f"/v1/{signal}"


def likely_path(path: str, signal: Signal) -> str:
    """Return the path that was probably meant by one at which no receiver is: of another signal, or added twice.

    Args:
        path: of an endpoint of OTLP over HTTP.
        signal: that is sent there.
    """
    return re.sub(r"(?:/v1/(?:traces|metrics|logs))+/*$", "", path).rstrip("/") + signal_path(signal)


def _signal_remarks(environment: Mapping[str, str], signal: Signal) -> Iterator[Fault]:
    variables = ExporterVariables.read(environment, signal)
    yield from variables.problems
    yield from _unused_tls(environment, signal, variables)
    path = re.search(r"/v1/(?:traces|metrics|logs)/*$", variables.endpoint)
    if variables.is_base and path:
        rule = f"is a base, to which each signal's path is added: end it before /v1, or set {_EXPORTER}TRACES_ENDPOINT"
        yield Fault(variables.endpoint_variable, "", rule)
    if (variables.client_cert is None) != (variables.client_key is None):
        yield from _set(environment, signal, ("CLIENT_CERTIFICATE", "CLIENT_KEY"), "works only together with its pair")


def _read(environment: Mapping[str, str], signal: Signal) -> set[str]:
    return {_find(environment, name, signal)[0] for name in _EXPORTER_NAMES}


def _unused_tls(environment: Mapping[str, str], signal: Signal, variables: ExporterVariables) -> Iterator[Fault]:
    scheme, separator, _ = variables.endpoint.partition("://")
    if scheme.lower() == "http" and separator:
        names = ("CERTIFICATE", "CLIENT_CERTIFICATE", "CLIENT_KEY")
        yield from _set(environment, signal, names, "is not used: no TLS with http://")
    if separator and variables.insecure != (scheme.lower() == "http"):
        yield from _set(environment, signal, ("INSECURE",), f"is not used: the endpoint starts with {scheme}://")


def _set(environment: Mapping[str, str], signal: Signal, names: Iterable[str], rule: str) -> Iterator[Fault]:
    found = (_find(environment, name, signal)[0] for name in names)
    return (Fault(variable, "", rule) for variable in found if variable)


def _unknown(environment: Mapping[str, str]) -> Iterator[Fault]:
    known = _SIDECAR_NAMES | _TRACER_NAMES | _RESOURCE_NAMES
    others = (name for name, value in environment.items() if name.startswith("OTEL_") and value and name not in known)
    if names := ", ".join(sorted(others)):
        yield Fault(names, "", "set, and not used by otlp-tracing")


def _find(environment: Mapping[str, str], name: str, signal: Signal = "traces") -> tuple[str, str]:
    for variable in (f"{_EXPORTER}{signal.upper()}_{name}", _EXPORTER + name):
        if value := value_of(environment, variable):
            return variable, value
    return "", ""


def value_of(environment: Mapping[str, str], variable: str) -> str:
    """Return a variable's value without blanks and a pair of quotes around it; empty if it is unset."""
    # Docker's --env-file hands over the quotes that a shell would remove.
    value = environment.get(variable, "").strip()
    return value[1:-1].strip() if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'" else value


def _protocol(variable: str, value: str, problems: list[Fault]) -> Protocol | None:
    if value.lower() == "http/json":
        problems.append(Fault(variable, "", "http/json is not supported; http/protobuf is used"))
        return "http/protobuf"
    return _choice(variable, value, _PROTOCOLS, problems)


def _choice(variable: str, value: str, known: Mapping[str, T], problems: list[Fault]) -> T | None:
    if value and value.lower() not in known:
        problems.append(Fault(variable, "", f"must be {' or '.join(known)}; it is not used"))
    return known.get(value.lower())


def _headers(variable: str, value: str, problems: list[Fault]) -> tuple[tuple[str, str], ...]:
    headers = {}
    parts = [part for part in value.split(",") if part.strip()]
    for number, part in enumerate(parts, 1):
        name, equals, text = _decoded(part)
        if equals and _HEADER_NAME.fullmatch(name) and text.isprintable():
            headers[name.lower()] = text
            continue
        place = f"its part {number} of {len(parts)}" if len(parts) > 1 else "it"
        problems.append(
            Fault(
                variable, "", f"must be name=value,name=value, percent-encoded; {place} cannot be read and is not sent"
            )
        )
    return tuple(headers.items())


def _decoded(part: str) -> tuple[str, str, str]:
    """Return name, = and value; empty texts if they are not UTF-8 after decoding."""
    name, equals, value = part.partition("=")
    try:
        return unquote(name, errors="strict").strip(), equals, unquote(value, errors="strict").strip()
    except UnicodeDecodeError:
        return "", "", ""


def _timeout(variable: str, value: str, problems: list[Fault]) -> float:
    low, high = _TIMEOUT_MS
    if not value:
        return _DEFAULT_TIMEOUT_S
    if not re.fullmatch(r"[0-9]{1,9}", value, re.ASCII) or not low <= int(value) <= high:
        problems.append(Fault(variable, "", f"must be {low} to {high} milliseconds; 10 seconds are used"))
        return _DEFAULT_TIMEOUT_S
    if int(value) < _LIKELY_SECONDS:
        problems.append(Fault(variable, "", "is in milliseconds; fewer than 100 are too few for most collectors"))
    return int(value) / 1000


def _insecure(variable: str, value: str, problems: list[Fault]) -> bool:
    if value.lower() not in {"", "true", "false"}:
        problems.append(Fault(variable, "", "must be true or false; false is used"))
    return value.lower() == "true"


def _sampler(
    environment: Mapping[str, str], problems: list[Fault]
) -> tuple[Literal["follow", "ignore"] | None, float | None]:
    argument = value_of(environment, "OTEL_TRACES_SAMPLER_ARG")
    name = value_of(environment, "OTEL_TRACES_SAMPLER").lower()
    if name and name not in _SAMPLERS:
        rule = f"must be one of {', '.join(_SAMPLERS)}; it is not used"
        problems.append(Fault("OTEL_TRACES_SAMPLER", "", rule))
        name = ""
    parent, rate = _SAMPLERS.get(name, (None, 1.0))
    if rate is None:
        rate = _share(argument, problems)
    elif argument:
        problems.append(Fault("OTEL_TRACES_SAMPLER_ARG", "", "is not used: no sampler takes an argument"))
    return parent, rate if name else None


def _share(argument: str, problems: list[Fault]) -> float:
    try:
        rate = float(argument or 1)
    except ValueError:
        rate = -1.0
    if not 0 <= rate <= 1:
        problems.append(Fault("OTEL_TRACES_SAMPLER_ARG", "", "must be a number from 0 to 1; 1 is used"))
        return 1.0
    return rate


def _propagators(value: str, problems: list[Fault]) -> tuple[tuple[str, ...], tuple[str, ...]] | tuple[None, None]:
    names = [name.strip().lower() for name in value.split(",") if name.strip()]
    known = [name for name in names if name in _PROPAGATORS]
    if len(known) < len(names):
        problems.append(Fault("OTEL_PROPAGATORS", "", f"may have {', '.join(_PROPAGATORS)}; others are not used"))
    if not known:
        return None, None
    extract, inject = zip(*(_PROPAGATORS[name] for name in known), strict=True)
    return _joined(extract), _joined(inject)


def _joined(formats: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for some in formats for name in some))


def _unset_filled(record: object, values: Mapping[str, Any], unless: str = "") -> Mapping[str, Any] | None:
    if not isinstance(record, Mapping) and record:
        return None  # a fault, which the schema names
    given: Mapping[str, Any] = record if isinstance(record, Mapping) else {}
    if unless and given.get(unless) is not None:
        return None
    found = {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()
             if value is not None and given.get(name) is None}  # fmt: skip
    return {**given, **found} if found else None
