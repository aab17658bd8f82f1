"""The plugin entries that a sidecar knows, by the keys of their configurations."""

from __future__ import annotations

import json
import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from otlp_tracing.config.entry_identity import entry_name, entry_scope
from otlp_tracing.errors import ConfigError
from otlp_tracing.metrics import RECORDS_REFUSED
from otlp_tracing.sidecar.entries.entry import Entry
from otlp_tracing.sidecar.entries.faulty_entries import FaultyEntries, FaultyEntry
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
        self._entries: OrderedDict[bytes, Entry | FaultyEntry] = OrderedDict()
        self._scopes = EntryScopes(max_entries)
        self._faulty = FaultyEntries()
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
            if isinstance(known, Entry):
                self._scopes.set(known.scope, key)
            self._note_faults(known)
            return
        try:
            entry = self._entries[key] = self._build(key, config)
            self._scopes.set(entry.scope, key)
            self.reads_whole |= entry.reads_whole
        except (ConfigError, ValueError) as error:
            _log.error("invalid configuration, tracing disabled for this entry: %s", error)
            self._metrics.add(RECORDS_REFUSED, "bad_configuration")
            self._entries[key] = _faulty_entry(config, error)
        self._note_faults(self._entries[key])
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
        if entry is None:
            return None
        if not isinstance(entry, Entry):
            self._note_faults(entry)
            return None
        self._entries.move_to_end(key)
        if self._faulty:
            # A worker announces a configuration once: one that is valid again is known by its records alone.
            self._note_faults(entry)
        return entry

    def refuse(self, entry: FaultyEntry) -> None:
        """Note an entry that a worker refused: no record of it will come."""
        self._faulty.add(entry)

    def faulty_entries(self) -> list[dict[str, Any]]:
        """Return the entries that trace nothing, or leave a part out, see FaultyEntries.report."""
        return self._faulty.report()

    def in_scope(self, log: Outline) -> bytes | None:
        """Return the key of the entry that applies to a request, see EntryScopes.find."""
        return self._scopes.find(log)

    def _note_faults(self, entry: Entry | FaultyEntry) -> None:
        if not isinstance(entry, Entry):
            self._faulty.add(entry)
        elif entry.left_out:
            self._faulty.add(FaultyEntry(entry.name, entry.scope, entry.left_out, traces=True))
        else:
            self._faulty.remove(entry.scope)


def _faulty_entry(config: bytes, error: ConfigError | ValueError) -> FaultyEntry:
    faults = [str(fault) for fault in error.faults] if isinstance(error, ConfigError) else [str(error)]
    try:
        document = json.loads(config)
    except ValueError:
        document = None
    known = document if isinstance(document, dict) else {}
    return FaultyEntry(entry_name(known), entry_scope(known), faults)
