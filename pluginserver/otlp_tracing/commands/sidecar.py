"""`otlp-tracing sidecar`: the sidecar alone, in a container or a unit of its own; `serve` starts it too."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from otlp_tracing.commands.options import OptionParser, SidecarOptions, path
from otlp_tracing.sidecar import service
from otlp_tracing.sidecar.spool.volume import spool_share

EXAMPLE = "otlp-tracing sidecar --listen /run/otlp-tracing/sidecar.sock --http 127.0.0.1:9464"


def add_options(parser: OptionParser) -> None:
    """Add the command's options."""
    parser.option(
        "--listen", path, "/usr/local/kong/otlp-tracing/sidecar.sock", "PATH", "unix socket that takes records"
    )
    parser.add_argument("--embedded", action="store_true", help=argparse.SUPPRESS)
    SidecarOptions.add_to(parser)


def run(options: argparse.Namespace) -> None:
    """Run until SIGTERM or SIGINT."""
    host, port = options.http
    auto = options.listen.parent / "spool" if options.spool == "auto" else Path(options.spool)
    spool = None if options.spool == "none" else auto
    max_bytes = spool_share(spool) if spool and options.spool_max_bytes == "auto" else options.spool_max_bytes
    shared = SidecarOptions.from_namespace(options)
    asyncio.run(
        service.run(
            service.SidecarOptions(
                options.listen,
                host,
                port,
                spool=spool,
                spool_max_bytes=None if spool is None else max_bytes,
                embedded=options.embedded,
                page=shared.page_options(),
                ingest=shared.ingest_options(),
            )
        )
    )
