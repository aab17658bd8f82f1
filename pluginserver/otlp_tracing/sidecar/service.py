"""The sidecar as a process: brings its parts up, keeps them until SIGTERM, takes them down in order."""

from __future__ import annotations

import asyncio
import errno
import gc
import logging
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from otlp_tracing.errors import ConfigError, Fault
from otlp_tracing.log_limit import LimitedLog
from otlp_tracing.logs.lines import WARNINGS
from otlp_tracing.sidecar.export.exporters import ExporterRegistry
from otlp_tracing.sidecar.ingest import receiver
from otlp_tracing.sidecar.ingest.receiver import Receiver
from otlp_tracing.sidecar.live.http.app import Health, create_app
from otlp_tracing.sidecar.live.http.options import PageOptions
from otlp_tracing.sidecar.live.recorder import Recorder
from otlp_tracing.sidecar.pipeline import Pipeline
from otlp_tracing.sidecar.tail.controller import TICK_SECONDS, SamplingController
from otlp_tracing.sidecar.tail.cpu_load import CpuLoad
from otlp_tracing.sidecar.telemetry.recent_warnings import RecentWarnings
from otlp_tracing.sidecar.telemetry.registry import Metrics

_log = logging.getLogger("otlp_tracing.sidecar.service")
_rates_failed = LimitedLog(_log)

# Kong kills a plugin server ten seconds after SIGTERM; the supervisor waits eight.
FLUSH_SECONDS = 5.0
# A spool takes milliseconds to open; one that is broken, or held by a sidecar that is about to end, takes longer.
_OPEN_SECONDS = 1.5

_SHOWN_WARNINGS = 10  # beside the state of delivery; /log has all

# Enough to answer a scrape in progress; streams to open pages end at once.
_HTTP_STOP_SECONDS = 1.0

# A port that is taken when a Kong reload runs two server groups side by side is free within ten seconds.
_PORT_SECONDS = 1.0


@dataclass(frozen=True)
class SidecarOptions:
    """How a sidecar runs.

    Args:
        listen: its unix socket.
        http_host: address of /healthz, /readyz and /metrics.
        http_port: likewise; 0 takes a free one.
        spool: folder of the spool; None keeps everything in memory.
        spool_max_bytes: disk space of all destinations together; None without a bound.
        embedded: started by `serve`: it ends with its parent, and waits for its port where a sidecar of
            its own would refuse to start.
        page: the live page's.
    """

    listen: Path
    http_host: str
    http_port: int
    spool: Path | None = None
    spool_max_bytes: int | None = None
    embedded: bool = False
    page: PageOptions = field(default_factory=PageOptions)


async def run(options: SidecarOptions, environment: Mapping[str, str] = os.environ) -> None:
    """Run until SIGTERM or SIGINT.

    Raises:
        ConfigError: if the socket or the port cannot be had.
    """
    stop = _stop_event(options)
    metrics = Metrics()
    warnings = RecentWarnings()
    WARNINGS.pass_on_to(warnings.add)
    exporters = ExporterRegistry(metrics, environment, options.spool, spool_max_bytes=options.spool_max_bytes)
    # Not before the spool is open: records that an earlier process had spooled must not be processed twice.
    await exporters.spool.start(_OPEN_SECONDS)
    recorder = Recorder() if options.page.is_on else None
    rates = SamplingController(metrics, time.monotonic)
    pipeline = Pipeline(metrics, environment, exporters, rates, recorder=recorder)
    intake = Receiver(pipeline, rates, warnings.add)
    server = await asyncio.start_unix_server(intake.serve, sock=receiver.bind(options.listen))
    _log.info("taking records at %s", options.listen)
    health = Health(
        lambda: "stopping" if stop.is_set() else None,
        lambda: exporters.spool.trouble,
        exporters.status,
        lambda: {"spool_bytes": exporters.bound.bytes, "spool_max_bytes": exporters.bound.max_bytes},
        lambda: warnings.last(_SHOWN_WARNINGS),
    )
    reports = {
        "/log": warnings.as_json,
        "/redaction": pipeline.redactions.as_json,
        "/sampling": lambda: {"cpu": rates.cpu, "entries": rates.report(), "routes": pipeline.sampling.routes()},
    }
    app = create_app(metrics, health, reports, recorder, options.page)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_HTTP_STOP_SECONDS)
    await runner.setup()
    # Objects made so far live as long as the process: the garbage collector need not visit them while records wait.
    gc.freeze()
    ticking = asyncio.create_task(_tick(rates))
    http = asyncio.create_task(_serve_http(runner, options))
    try:
        await asyncio.wait({http, asyncio.create_task(stop.wait())}, return_when=asyncio.FIRST_COMPLETED)
        if http.done():
            http.result()
            await stop.wait()
    finally:
        http.cancel()
        ticking.cancel()
        server.close()
        intake.close()
        await exporters.close(FLUSH_SECONDS)
        await runner.cleanup()


async def _tick(rates: SamplingController) -> None:
    cpu = CpuLoad()
    while True:
        await asyncio.sleep(TICK_SECONDS)
        try:
            rates.tick(cpu)
        except Exception:
            # The workers keep their last rates.
            _rates_failed.warning("internal error, sampling rates not updated", exc_info=True)


def _stop_event(options: SidecarOptions) -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    parent = os.getppid()

    def look() -> None:
        if os.getppid() != parent:
            stop.set()
        else:
            loop.call_later(0.5, look)

    if options.embedded:
        look()
    return stop


async def _serve_http(runner: web.AppRunner, options: SidecarOptions) -> None:
    said = False
    while True:
        try:
            await web.TCPSite(runner, options.http_host, options.http_port).start()
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            rule = "is taken; name another with --http" if taken else f"cannot be used: {error.strerror}"
            fault = ConfigError([Fault("--http", f"{options.http_host}:{options.http_port}", rule)])
            if not (options.embedded and taken):
                raise fault from error
            if not said:
                _log.warning("%s; tracing goes on, /metrics waits for the port", fault)
            said = True
            await asyncio.sleep(_PORT_SECONDS)
        else:
            host, port = runner.addresses[0][:2]
            _log.info(
                "health and metrics%s at http://%s:%d", " and the live page" if options.page.is_on else "", host, port
            )
            return
