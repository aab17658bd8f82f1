"""The plugin entries that a sidecar knows, by the keys of their configurations."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Protocol

from otlp_tracing.errors import ConfigError
from otlp_tracing.metrics import RECORDS_REFUSED
from otlp_tracing.sidecar.entries.entry import Entry
from otlp_tracing.sidecar.ingest.log_record import Outline
from otlp_tracing.sidecar.ingest.scopes import EntryScopes
from otlp_tracing.sidecar.telemetry.registry import Metrics

_log = logging.getLogger("otlp_tracing.sidecar.entries")

MAX_ENTRIES = 4096
"""Configurations remembered. Each reload of Kong with changes brings new ones; the least recently used is evicted."""


class EntryHolder(Protocol):
    """Remembers something about each entry."""

    def forget(self, key: bytes) -> None:
        """Remove an entry that is evicted."""


class EntryRegistry:
    """The entries of a sidecar.

    Args:
        metrics: count invalid configurations.
        build: makes an entry from its key and its configuration; raises ConfigError or ValueError for an invalid one.
        holders: are told of each entry that is evicted.
        max_entries: bound on entries.
    """

    def __init__(
        self,
        metrics: Metrics,
        build: Callable[[bytes, bytes], Entry],
        holders: Sequence[EntryHolder],
        max_entries: int = MAX_ENTRIES,
    ) -> None:
        self._metrics = metrics
        self._build = build
        self._holders = holders
        self._max_entries = max_entries
        self._entries: OrderedDict[bytes, Entry | None] = OrderedDict()
        self._scopes = EntryScopes(max_entries)
        self.reads_whole = False  # an entry does, or did; see Entry

    def configure(self, key: bytes, config: bytes) -> None:
        """Register a plugin entry's configuration. An invalid one is logged and counted once.

        Args:
            key: entry_identity.settings_key of the entry.
            config: JSON.
        """
        if key in self._entries:
            self._entries.move_to_end(key)
            known = self._entries[key]
            if known is not None:
                self._scopes.set(known.scope, key)
            return
        try:
            entry = self._entries[key] = self._build(key, config)
            self._scopes.set(entry.scope, key)
            self.reads_whole |= entry.reads_whole
        except (ConfigError, ValueError) as error:
            _log.error("invalid configuration, tracing disabled for this entry: %s", error)
            self._metrics.add(RECORDS_REFUSED, "bad_configuration")
            self._entries[key] = None
        if len(self._entries) > self._max_entries:
            unused, _ = self._entries.popitem(last=False)
            for holder in self._holders:
                holder.forget(unused)

    def knows(self, key: bytes) -> bool:
        """Tell whether an entry's configuration, valid or not, is registered; the least recently used is evicted."""
        return key in self._entries

    def use(self, key: bytes) -> Entry | None:
        """Return an entry for a record of it; None if it is not registered, or invalid."""
        entry = self._entries.get(key)
        if entry is not None:
            self._entries.move_to_end(key)
        return entry

    def in_scope(self, log: Outline) -> bytes | None:
        """Return the key of the entry that applies to a request, see EntryScopes.find."""
        return self._scopes.find(log)
