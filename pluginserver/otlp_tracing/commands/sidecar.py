"""`otlp-tracing sidecar`: the sidecar alone, in a container or a unit of its own; `serve` starts it too."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
from pathlib import Path

from otlp_tracing.commands.options import (
    OptionParser,
    SidecarOptions,
    absolute_path,
    add_log_file_option,
    continues_with_faults,
)
from otlp_tracing.errors import ConfigError
from otlp_tracing.sidecar.ingest.options import IngestOptions
from otlp_tracing.sidecar.live.http.options import PageOptions
from otlp_tracing.sidecar.spool.volume import spool_share

_log = logging.getLogger("otlp_tracing.commands.sidecar")

EXAMPLE = "otlp-tracing sidecar --listen /run/otlp-tracing/sidecar.sock --http 127.0.0.1:9464"


def add_options(parser: OptionParser) -> None:
    """Add the command's options."""
    parser.option(
        "--listen", absolute_path, "/usr/local/kong/otlp-tracing/sidecar.sock", "PATH", "unix socket that takes records"
    )
    parser.add_argument("--embedded", action="store_true", help=argparse.SUPPRESS)
    SidecarOptions.add_to(parser)
    add_log_file_option(parser)


def run(options: argparse.Namespace) -> None:
    """Run until SIGTERM or SIGINT."""
    # gRPC's own lines have no bound: one for each attempt. It reads this when it is imported.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    from otlp_tracing.sidecar import service  # noqa: PLC0415

    host, port = options.http
    auto = options.listen.parent / "spool" if options.spool == "auto" else Path(options.spool)
    spool = None if options.spool == "none" else auto
    max_bytes = spool_share(spool) if spool and options.spool_max_bytes == "auto" else options.spool_max_bytes
    shared, is_strict = SidecarOptions.from_namespace(options), not continues_with_faults(options)
    asyncio.run(
        service.run(
            service.ServiceOptions(
                options.listen,
                host,
                port,
                spool=spool,
                spool_max_bytes=None if spool is None else max_bytes,
                embedded=options.embedded,
                page=_page_options(shared, is_strict=is_strict),
                ingest=_ingest_options(shared, is_strict=is_strict),
            )
        )
    )


# `serve` has read the files of an embedded sidecar's secrets. If one of them has changed since, the sidecar still runs.


def _page_options(shared: SidecarOptions, *, is_strict: bool) -> PageOptions:
    try:
        return shared.page_options()
    except ConfigError as error:
        if is_strict:
            raise
        _log.warning("live page locked: %s", error)
        return PageOptions(is_on=False, token=os.urandom(16).hex())


def _ingest_options(shared: SidecarOptions, *, is_strict: bool) -> IngestOptions | None:
    try:
        return shared.ingest_options()
    except ConfigError as error:
        if is_strict:
            raise
        _log.warning("no records of Kong's queue are taken: %s", error)
        return None
