"""A plugin entry's configuration as typed values.

Knows the shape, not where values come from: Kong hands the configuration over as JSON with its
defaults filled in, `check` reads it from a file, the sidecar gets it in a frame. Fields that nothing
reads yet are in the schema only.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from otlp_tracing.contract.kong_schema import complete
from otlp_tracing.contract.plugin_schema import SCHEMA
from otlp_tracing.errors import ConfigError

__all__ = [
    "BatchExport",
    "KeyValue",
    "Redaction",
    "Sampling",
    "Settings",
    "Tls",
    "settings_key",
    "user_config",
]

T = TypeVar("T")

_FIELD_NAMES = frozenset(name for field in SCHEMA for name in field)


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
    """When a batch is sent: after `timeout` milliseconds or at `send_batch_size` spans."""

    timeout: int
    send_batch_size: int


@dataclass(frozen=True, slots=True)
class Sampling:
    """Share of traces kept, 0 to 1, and whether a caller's decision goes before it."""

    rate: float
    parent: Literal["follow", "ignore"]


@dataclass(frozen=True, slots=True)
class Redaction:
    """Which query parameters lose their values."""

    sensitive_keys: tuple[str, ...]
    query: Literal["sensitive", "all", "none"]
    safe_query: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Settings:
    """One plugin entry. `endpoint` is None where the environment decides."""

    endpoint: str | None
    headers: tuple[str, ...]
    resource_attributes: tuple[KeyValue, ...]
    tls: Tls
    compression: Literal["gzip", "none"]
    batch_export: BatchExport
    sampling: Sampling
    redaction: Redaction

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
        if faults:
            raise ConfigError(faults)
        return _build(cls, completed)


def user_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what Kong adds to a configuration: whatever the schema does not name."""
    return {name: value for name, value in config.items() if name in _FIELD_NAMES}


def settings_key(config: Mapping[str, Any]) -> bytes:
    """Name a configuration by its content: 16 bytes, the same in every process."""
    canonical = json.dumps(user_config(config), sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(canonical.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _build(cls: type[T], data: Mapping[str, Any]) -> T:
    hints = typing.get_type_hints(cls)
    names = [field.name for field in dataclasses.fields(typing.cast(Any, cls))]
    return cls(**{name: _convert(hints[name], data[name]) for name in names})


def _convert(hint: Any, value: Any) -> Any:
    if dataclasses.is_dataclass(hint):
        return _build(typing.cast(type[Any], hint), value)
    if typing.get_origin(hint) is tuple:
        return tuple(_convert(typing.get_args(hint)[0], item) for item in value)
    return value
