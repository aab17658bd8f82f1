"""The options of the sidecar's two ports with a token: the live page, and the listener for Kong's own queue.

`serve` reads them before it starts a sidecar, which a fault would end once a second. The sidecar reads them again: a
file may have changed since.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from otlp_tracing.commands.option_kinds import Address
from otlp_tracing.commands.options import SidecarOptions
from otlp_tracing.errors import ConfigError, Fault
from otlp_tracing.sidecar.ingest.options import IngestOptions, ingest_options
from otlp_tracing.sidecar.live.http.options import PageOptions, page_options

_Options = TypeVar("_Options")


@dataclass(frozen=True)
class SidecarPorts:
    """The ports as they can be served.

    Args:
        page: None if its token cannot be used.
        ingest: None without the listener, and if its token cannot be used.
        faults: of the tokens.
    """

    page: PageOptions | None
    ingest: IngestOptions | None
    faults: tuple[Fault, ...]


def read_ports(
    options: SidecarOptions, log: logging.Logger, *, refused: Sequence[Fault], is_strict: bool
) -> SidecarPorts:
    """Read the tokens and put the options together.

    Args:
        options: of the sidecar.
        log: gets a warning with the effect of a token that cannot be used.
        refused: faults of options: without the file that was meant, the port of its token stays closed.
        is_strict: such a token is an error.

    Raises:
        ConfigError: for a token that cannot be used, if is_strict.
    """
    faults: list[Fault] = []

    def read(make: Callable[[], _Options], token_option: str, effect: str) -> _Options | None:
        if any(fault.option == token_option for fault in refused):
            log.warning("%s: %s cannot be used", effect, token_option)
            return None
        try:
            return make()
        except ConfigError as error:
            if is_strict:
                raise
            log.warning("%s: %s", effect, error)
            faults.extend(error.faults)
            return None

    def make_page() -> PageOptions:
        files = {"token_file": options.page_token_file, "hosts": options.page_hosts, "trace_url": options.trace_url}
        return page_options(options.page, options.http.host, os.environ, **files)

    def make_ingest() -> IngestOptions | None:
        address = options.ingest_http
        return ingest_options(*address, os.environ, options.ingest_token_file) if isinstance(address, Address) else None

    page = read(make_page, "--page-token-file", "live page locked")
    ingest = read(make_ingest, "--ingest-token-file", "no records of Kong's queue are taken")
    return SidecarPorts(page, ingest, tuple(faults))
