"""`otlp-tracing sidecar`: the sidecar alone, in a container or a unit of its own; `serve` starts it too."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from otlp_tracing.commands.option_kinds import absolute_path
from otlp_tracing.commands.options import (
    NO_QUEUE,
    PAGE_LOCKED,
    OptionParser,
    SidecarOptions,
    add_log_file_option,
    continues_with_faults,
)
from otlp_tracing.commands.variables import unknown_variables
from otlp_tracing.errors import ConfigError
from otlp_tracing.sidecar.live.http.options import PageOptions
from otlp_tracing.sidecar.spool.volume import spool_share

_Options = TypeVar("_Options")
_log = logging.getLogger("otlp_tracing.commands.sidecar")

EXAMPLE = "otlp-tracing sidecar --listen /run/otlp-tracing/sidecar.sock --http 127.0.0.1:9464"


def add_options(parser: OptionParser) -> None:
    """Add the command's options."""
    parser.option(
        "--listen", absolute_path, "/usr/local/kong/otlp-tracing/sidecar.sock", "PATH", "unix socket that takes records"
    )
    parser.add_argument("--embedded", type=int, metavar="PID", help=argparse.SUPPRESS)
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
    for remark in () if options.embedded else unknown_variables(os.environ):
        _log.warning("%s", remark)
    shared, is_strict = SidecarOptions.from_namespace(options), not continues_with_faults(options)
    locked = PageOptions(is_on=False, token=os.urandom(16).hex())
    page = _read(shared.page_options, PAGE_LOCKED, locked, is_strict=is_strict)
    ingest = _read(shared.ingest_options, NO_QUEUE, None, is_strict=is_strict)
    asyncio.run(
        service.run(
            service.ServiceOptions(
                options.listen,
                host,
                port,
                spool=spool,
                spool_max_bytes=None if spool is None else max_bytes,
                embedded=options.embedded,
                page=page,
                ingest=ingest,
                policy_file=Path(shared.policy_file) if shared.policy_file else None,
            )
        )
    )


def _read(read: Callable[[], _Options], effect: str, instead: _Options, *, is_strict: bool) -> _Options:
    # `serve` has read the files of an embedded sidecar's secrets. If one has changed since, the sidecar still runs.
    try:
        return read()
    except ConfigError as error:
        if is_strict:
            raise
        _log.warning("%s: %s", effect, error)
        return instead
