"""A plugin entry's configuration as typed values.

Knows the shape, not where values come from: Kong hands the configuration over as JSON with its
defaults filled in, `check` reads it from a file, the sidecar gets it in a frame. Fields that nothing
reads yet are in the schema only.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from otlp_tracing.config.schema import SCHEMA
from otlp_tracing.config.validation import complete
from otlp_tracing.errors import ConfigError, Fault

__all__ = [
    "BatchExport",
    "Budget",
    "Capture",
    "DetectorMode",
    "Keep",
    "KeyValue",
    "Load",
    "Pattern",
    "Propagation",
    "Redaction",
    "Sampling",
    "SamplingRule",
    "Settings",
    "Span",
    "Tls",
    "entry_config",
    "entry_name",
    "settings_key",
    "user_config",
]

T = TypeVar("T")

RedactionMode = Literal["mask", "hash", "drop"]

_FIELD_NAMES = frozenset(name for field in SCHEMA for name in field)
_PLUGIN_ID = "__plugin_id"  # Kong's id of the entry, added to what an instance is started with
_MAX_STREAMS = 64  # shares of a budget; more rules than a person keeps in order, half a kilobyte in a frame
_LONGEST_NAME = 64  # characters; Kong's ids have 36


@dataclass(frozen=True, slots=True)
class KeyValue:
    """One resource attribute."""

    key: str
    value: str


@dataclass(frozen=True, slots=True)
class Tls:
    """TLS towards the collector; certificates are absolute paths or PEM texts, None where unset."""

    ca_cert: str | None
    client_cert: str | None
    client_key: str | None
    insecure_skip_verify: bool


@dataclass(frozen=True, slots=True)
class BatchExport:
    """When a batch is sent, after `timeout` milliseconds or at `send_batch_size` spans, and what waits meanwhile.

    Args:
        max_retry_time: seconds; 0 means for ever.
        spool_max_bytes: on disk.
    """

    timeout: int
    send_batch_size: int
    max_retry_time: int = 0
    spool_max_bytes: int = 1 << 30


@dataclass(frozen=True, slots=True)
class SamplingRule:
    """A rate for the requests that all of the lists match; an empty list matches every request."""

    name: str
    methods: tuple[str, ...]
    paths: tuple[str, ...]
    hosts: tuple[str, ...]
    headers: tuple[str, ...]
    rate: float


@dataclass(frozen=True, slots=True)
class Keep:
    """What is kept after the response, whatever was decided before it; 0 ms means no request is too slow."""

    errors: bool = True
    slower_than_ms: int = 0
    statuses: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Budget:
    """How many traces a second the entry keeps on this gateway; 0 means as many as its rates give."""

    traces_per_second: float = 0


@dataclass(frozen=True, slots=True)
class Load:
    """Shares of the machine's CPU, 0 to 1: above `high` rates fall, below `low` they recover; off without `high`."""

    high: float | None = None
    low: float = 0.3


@dataclass(frozen=True, slots=True)
class Sampling:
    """Share of traces kept, 0 to 1, whether a caller's decision goes before it, and what else decides."""

    rate: float
    parent: Literal["follow", "ignore"]
    rules: tuple[SamplingRule, ...] = ()
    keep: Keep = Keep()
    budget: Budget = Budget()
    load: Load = Load()

    @property
    def moves(self) -> bool:
        """Its rates change with what the sidecar measures."""
        return self.budget.traces_per_second > 0 or self.load.high is not None

    @property
    def streams(self) -> dict[str, float]:
        """What a budget is divided among: the entry's own rate, named "", and its rules by name; with the rates.

        Rules of one name are one stream, whose rate is the highest of theirs; rules past the bound are part
        of the entry's own. The order is that of the shares in a Rates frame.
        """
        streams = {"": self.rate}
        for rule in self.rules:
            if rule.name in streams or len(streams) < _MAX_STREAMS:
                streams[rule.name] = max(rule.rate, streams.get(rule.name, 0.0))
        return streams


@dataclass(frozen=True, slots=True)
class Propagation:
    """How trace context enters and leaves the gateway; formats by the names that the schema has for them."""

    extract: tuple[str, ...] = ("w3c", "b3", "jaeger", "datadog")
    inject: tuple[str, ...] = ("w3c",)
    clear: tuple[str, ...] = ()
    incoming: Literal["trust", "ignore", "restart_and_link"] = "trust"
    baggage: Literal["pass", "strip"] = "pass"
    response_header: str | None = None


@dataclass(frozen=True, slots=True)
class Capture:
    """What of a request is recorded beyond the conventions: baggage members and headers, by name."""

    baggage: tuple[str, ...] = ()
    request_headers: tuple[str, ...] = ()
    response_headers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Span:
    """Which names attributes have: the current ones, or the former ones beside them."""

    semconv: Literal["stable", "dup"]


@dataclass(frozen=True, slots=True)
class Pattern:
    """A person's own pattern, in RE2's syntax; its mode is None where it is that of all."""

    name: str
    pattern: str
    mode: RedactionMode | None = None


@dataclass(frozen=True, slots=True)
class DetectorMode:
    """How one detector's findings are replaced."""

    detector: str
    mode: RedactionMode


@dataclass(frozen=True, slots=True)
class Redaction:
    """What is replaced, by name and by content, and with what; the key is a file's path or the key itself."""

    sensitive_keys: tuple[str, ...]
    query: Literal["sensitive", "all", "none"]
    safe_query: tuple[str, ...]
    extra_sensitive_keys: tuple[str, ...] = ()
    detectors: tuple[str, ...] = ()
    patterns: tuple[Pattern, ...] = ()
    mode: RedactionMode = "mask"
    modes: tuple[DetectorMode, ...] = ()
    hash_key: str | None = None
    dry_run: bool = False

    def mode_of(self, rule: str) -> RedactionMode:
        """Return how what a detector or an own pattern finds is replaced; the last word of several counts."""
        own = {one.detector: one.mode for one in self.modes}
        own |= {one.name: one.mode for one in self.patterns if one.mode}
        return own.get(rule, self.mode)


@dataclass(frozen=True, slots=True)
class Settings:
    """One plugin entry. `endpoint` is None where the environment decides."""

    endpoint: str | None
    protocol: Literal["grpc", "http/protobuf"]
    headers: tuple[str, ...]
    resource_attributes: tuple[KeyValue, ...]
    tls: Tls
    compression: Literal["gzip", "none"]
    batch_export: BatchExport
    sampling: Sampling
    redaction: Redaction
    propagation: Propagation
    capture: Capture
    span: Span

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Settings:
        """Read what Kong handed over or a user wrote.

        Args:
            config: the entry's `config`; fields may be left out, and what Kong adds (`__seq__`,
                `route_id`, `$refs`, …) is passed over.

        Raises:
            ConfigError: with every fault there is.
        """
        completed, faults = complete(SCHEMA, user_config(config))
        faults = faults or list(_faults_beyond_the_schema(completed))
        if faults:
            raise ConfigError(faults)
        return _build(cls, completed)


def user_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what Kong adds to a configuration: whatever the schema does not name."""
    return {name: value for name, value in config.items() if name in _FIELD_NAMES}


def entry_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the sidecar is told of an entry: what a user wrote, and Kong's id of the entry."""
    name = entry_name(config)
    return {**user_config(config), **({_PLUGIN_ID: name} if name else {})}


def entry_name(config: Mapping[str, Any]) -> str:
    """Return Kong's id of the entry; empty where there is none, as outside of Kong."""
    name = config.get(_PLUGIN_ID)
    return name if isinstance(name, str) and len(name) <= _LONGEST_NAME else ""


def settings_key(config: Mapping[str, Any]) -> bytes:
    """Name an entry by its configuration and Kong's id: 16 bytes, the same in every process.

    Two entries that say the same have a key each: a budget is an entry's own.
    """
    canonical = json.dumps(entry_config(config), sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(canonical.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _faults_beyond_the_schema(completed: Mapping[str, Any]) -> Iterator[Fault]:
    for number, name in enumerate(completed["propagation"]["clear"], 1):
        if name.lower() == "host":
            # kong/pdk/service/request.lua, set_headers: throws for a Host without a value, on every request.
            yield Fault(f"propagation.clear[{number}]", json.dumps(name), "cannot be removed: no request goes without")


def _build(cls: type[T], data: Mapping[str, Any]) -> T:
    hints = _hints(typing.cast(Any, cls))
    names = [field.name for field in dataclasses.fields(typing.cast(Any, cls))]
    return cls(**{name: _convert(hints[name], data[name]) for name in names})


@functools.cache
def _hints(cls: Any) -> dict[str, Any]:
    # Each call compiles the annotations anew: half of what reading a configuration took.
    return typing.get_type_hints(cls)


def _convert(hint: Any, value: Any) -> Any:
    if dataclasses.is_dataclass(hint):
        return _build(typing.cast(type[Any], hint), value)
    if typing.get_origin(hint) is tuple:
        return tuple(_convert(typing.get_args(hint)[0], item) for item in value)
    return value
