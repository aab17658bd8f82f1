"""`otlp-tracing sidecar`: the sidecar alone, in a container or a unit of its own; `serve` starts it too."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
from pathlib import Path

from otlp_tracing.commands.option_kinds import absolute_path
from otlp_tracing.commands.options import (
    OptionParser,
    SidecarOptions,
    add_log_file_option,
    continues_with_faults,
)
from otlp_tracing.commands.sidecar_ports import read_ports
from otlp_tracing.commands.variables import unknown_variables
from otlp_tracing.sidecar.live.http.options import PageOptions
from otlp_tracing.sidecar.spool.size_limit import spool_share

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
    shared = SidecarOptions.from_namespace(options)
    ports = read_ports(shared, _log, refused=options.faults, is_strict=not continues_with_faults(options))
    asyncio.run(
        service.run(
            service.ServiceOptions(
                options.listen,
                host,
                port,
                spool=spool,
                spool_max_bytes=None if spool is None else max_bytes,
                embedded=options.embedded,
                # Without the token that was meant, no client may see the data of requests.
                page=ports.page or PageOptions(is_on=False, token=os.urandom(16).hex()),
                ingest=ports.ingest,
                policy_file=Path(shared.policy_file) if shared.policy_file else None,
            )
        )
    )
