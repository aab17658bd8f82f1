"""Findings of `check` on the http-log entries by which Kong's own queue hands records over to the sidecar.

For each request Kong runs one http-log entry, the one of the narrowest scope. So an entry of the plugin needs one for
the sidecar in its own scope or a wider one, and no other http-log may be narrower.

Source: kong/runloop/plugins_iterator.lua of Kong 3.9.1 (lookup_cfg).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from otlp_tracing.commands.kong_files.documents import Document, Entry
from otlp_tracing.commands.kong_files.entities import PLACEHOLDER
from otlp_tracing.commands.kong_files.scope import Scope
from otlp_tracing.config.loopback import is_loopback
from otlp_tracing.config.validation import is_vault_reference
from otlp_tracing.errors import Fault
from otlp_tracing.sidecar.ingest.options import PATH, TOKEN_HEADER

HTTP_LOG = "http-log"
_PAGE = "docs/hand-over.md"
_MOST_RECORDS = 1000  # of a batch; with large headers it would pass the listener's 32 MiB


def queue_findings(document: Document, loggers: Sequence[Entry], hand_over: str) -> Iterator[tuple[Entry, Fault, bool]]:
    """Return the findings about one document, each with its entry, and whether it is a fault.

    Args:
        document: with the entries of the plugin.
        loggers: its entries of http-log.
        hand_over: kong, plugin, or auto: as the loggers show it.
    """
    entries, loggers = ([one for one in some if one.value.get("enabled", True)] for some in (document.entries, loggers))
    ours = [one for one in loggers if is_for_sidecar(one)]
    if hand_over == "plugin":
        for logger in ours:
            text = "brings the sidecar records that the plugin hands over too; each request is counted once"
            yield logger, Fault("", "", text), False
        return
    if hand_over == "auto" and not ours:
        return
    for logger in ours:
        yield from ((logger, fault, is_fault) for fault, is_fault in _setting_findings(_config(logger)))
    placed = [one for one in loggers if one.manifest is None]
    for entry in entries:
        gap = _gap(entry.scope, placed) if entry.manifest is None else None
        if gap:
            yield entry, Fault("", "", gap), True
    covered = [entry.scope for entry in entries if entry.manifest is None]
    for logger in placed:
        is_narrow = any(one.covers(logger.scope) for one in covered)
        if is_narrow and not is_for_sidecar(logger) and logger.scope.identity not in {one.identity for one in covered}:
            text = f"takes the place of the http-log for the sidecar: requests of this scope give no spans ({_PAGE})"
            yield logger, Fault("", "", text), True


def _gap(scope: Scope, loggers: Sequence[Entry]) -> str | None:
    fitting = [one for one in loggers if one.scope.covers(scope) and not one.scope.has_consumer]
    if not fitting:
        if scope.route and not scope.service and any(map(is_for_sidecar, loggers)):
            return None  # the route's service may have one: the file does not show which it is
        return f"no http-log brings its records to the sidecar: add one for the same scope ({_PAGE})"
    nearest = max(fitting, key=lambda one: (bool(one.scope.route), bool(one.scope.service)))
    if not is_for_sidecar(nearest):
        line, _ = nearest.position("")
        return f"the http-log in line {line} sends its records to another server, not to the sidecar ({_PAGE})"
    return None


def _setting_findings(config: Mapping[str, Any]) -> Iterator[tuple[Fault, bool]]:
    headers, queue = config.get("headers"), config.get("queue")
    names = {str(name).lower() for name in headers} if isinstance(headers, dict) else set()
    if TOKEN_HEADER.lower() not in names:
        text = f"must have {TOKEN_HEADER}, with the token of --ingest-token-file"
        yield Fault("config.headers", "", text), True
    if config.get("method", "POST") != "POST":
        yield Fault("config.method", str(config["method"]), "must be POST: the sidecar takes no other"), True
    size = queue.get("max_batch_size", 1) if isinstance(queue, dict) else 1
    if size == 1:
        text = "is 1: each record costs a request of its own; set 200"
        yield Fault("config.queue.max_batch_size", "", text), False
    elif isinstance(size, int) and size > _MOST_RECORDS:
        text = f"is over {_MOST_RECORDS}: the sidecar refuses a batch of more than 32 MiB"
        yield Fault("config.queue.max_batch_size", "", text), False
    endpoint = urlsplit(str(config.get("http_endpoint")))
    if not is_loopback(endpoint.hostname or ""):
        text = "leaves this machine: records are not redacted yet, and http-log verifies no certificate"
        yield Fault("config.http_endpoint", "", text), False


def is_for_sidecar(logger: Entry) -> bool:
    """Tell whether an http-log entry sends its records to the sidecar."""
    endpoint = _config(logger).get("http_endpoint")
    if not isinstance(endpoint, str) or PLACEHOLDER in endpoint or is_vault_reference(endpoint):
        return False
    try:
        return urlsplit(endpoint).path == PATH
    except ValueError:
        return False


def _config(entry: Entry) -> Mapping[str, Any]:
    config = entry.value.get("config")
    return config if isinstance(config, dict) else {}
