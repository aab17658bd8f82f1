"""Which plugin entry a request belongs to, from the route and service of its record, as Kong itself chooses.

Source: kong/runloop/plugins_iterator.lua (lookup_cfg), without consumers: the plugin cannot belong to one.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from otlp_tracing.sidecar.ingest.log_record import Outline

UNNAMED: Final = b""
"""The key of records that name no entry, because `access` did not run."""


class EntryScopes:
    """The entry of each scope; of several, the one that was announced last.

    Args:
        most: scopes remembered; the one that was announced the longest ago is evicted.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._keys: OrderedDict[tuple[str, str], bytes] = OrderedDict()

    def set(self, scope: tuple[str, str], key: bytes) -> None:
        """Name the entry of a scope.

        Args:
            scope: ids of the route and the service; entry_identity.entry_scope.
            key: entry_identity.settings_key of the entry.
        """
        self._keys[scope] = key
        self._keys.move_to_end(scope)
        if len(self._keys) > self._most:
            self._keys.popitem(last=False)

    def find(self, log: Outline) -> bytes | None:
        """Return the key of the entry that applies to a request; None without one."""
        route = (log.route.id if log.route else None) or ""
        service = (log.service.id if log.service else None) or ""
        for scope in ((route, service), (route, ""), ("", service), ("", "")):
            if scope in self._keys:
                return self._keys[scope]
        return None
