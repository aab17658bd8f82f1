"""The sidecar as a process: starts its parts, runs them until SIGTERM, and stops them in order."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from otlp_tracing.config.otel_variables import exporter_remarks
from otlp_tracing.errors import ConfigError, Fault
from otlp_tracing.log_limit import LimitedLibrary, LimitedLog
from otlp_tracing.logs.lines import WARNINGS
from otlp_tracing.sidecar.export.exporters import ExporterRegistry, new_transport
from otlp_tracing.sidecar.export.metric_exporter import MetricExporters
from otlp_tracing.sidecar.export.proxies import proxy_problems
from otlp_tracing.sidecar.ingest import receiver
from otlp_tracing.sidecar.ingest.http_listener import BatchListener, IngestServer
from otlp_tracing.sidecar.ingest.options import PATH, IngestOptions
from otlp_tracing.sidecar.ingest.receiver import Receiver
from otlp_tracing.sidecar.ingest.repeated_requests import RepeatedRequests
from otlp_tracing.sidecar.live.http.app import Health, create_app
from otlp_tracing.sidecar.live.http.http_port import HttpPort
from otlp_tracing.sidecar.live.http.options import PageOptions
from otlp_tracing.sidecar.live.recorder import Recorder
from otlp_tracing.sidecar.pipeline import Pipeline
from otlp_tracing.sidecar.tail.controller import TICK_SECONDS, SamplingController
from otlp_tracing.sidecar.tail.cpu_load import CpuLoad
from otlp_tracing.sidecar.tail.policy_file import PolicyFile
from otlp_tracing.sidecar.telemetry.recent_warnings import RecentWarnings
from otlp_tracing.sidecar.telemetry.registry import Metrics
from otlp_tracing.unix_sockets import identity, listener_pid

_log = logging.getLogger("otlp_tracing.sidecar.service")
_rates_failed, _cannot_listen = LimitedLog(_log), LimitedLog(_log)

# Kong kills a plugin server ten seconds after SIGTERM; the supervisor waits eight.
FLUSH_SECONDS = 5.0
# A spool takes milliseconds to open; one that is broken, or held by a sidecar that is about to end, takes longer.
_OPEN_SECONDS = 1.5

# Their warnings are limited. The first has a traceback for each request that is no HTTP. The second has a hundred
# a second once a client has taken every descriptor. The third has a line for each answer with a wrong cookie.
_LIBRARIES = ("aiohttp.server", "asyncio", "aiohttp.internal")

_PARENT_SECONDS = 0.5  # without a pidfd
_SOCKET_SECONDS = 1.0  # a worker tries again five times in it

_SHOWN_WARNINGS = 10  # beside the state of delivery; /log has all

# Enough to answer a scrape in progress; streams to open pages end at once.
_HTTP_STOP_SECONDS = 1.0


@dataclass(frozen=True)
class ServiceOptions:
    """How a sidecar runs.

    Args:
        listen: its unix socket.
        http_host: address of /healthz, /readyz and /metrics.
        http_port: likewise; 0 takes a free one.
        spool: folder of the spool; None keeps everything in memory.
        spool_max_bytes: disk space of all destinations together; None without a bound.
        embedded: pid of the `serve` that started it, with which it ends; None without one.
        page: the live page's.
        ingest: where Kong's own queue brings records; None if it does not.
        policy_file: watched for policies; None without one.
    """

    listen: Path
    http_host: str
    http_port: int
    spool: Path | None = None
    spool_max_bytes: int | None = None
    embedded: int | None = None
    page: PageOptions = field(default_factory=PageOptions)
    ingest: IngestOptions | None = None
    policy_file: Path | None = None

    @property
    def is_embedded(self) -> bool:
        """A `serve` has started it."""
        return self.embedded is not None


async def run(options: ServiceOptions, environment: Mapping[str, str] = os.environ) -> None:
    """Run until SIGTERM or SIGINT.

    Raises:
        ConfigError: if it cannot listen at its socket, or another sidecar does.
    """
    if not options.is_embedded:
        _refuse_second(options.listen)
    stop = _stop_event(options)
    for library in _LIBRARIES:
        logging.getLogger(library).addFilter(LimitedLibrary())
    metrics = Metrics()
    warnings = RecentWarnings()
    WARNINGS.pass_on_to(warnings.add)
    for remark in (
        *exporter_remarks(environment, is_embedded=options.is_embedded),
        *proxy_problems(environment),
    ):
        _log.warning("%s", remark)
    exporters = ExporterRegistry(metrics, environment, options.spool, spool_max_bytes=options.spool_max_bytes)
    # Not before the spool is open: records that an earlier process had spooled must not be processed twice.
    await exporters.spool.start(_OPEN_SECONDS)
    recorder = Recorder() if options.page.is_on else None
    rates = SamplingController(metrics, time.monotonic)
    policy = PolicyFile(options.policy_file, metrics, rates.send_policy, folder=options.spool)
    repetitions = RepeatedRequests() if options.ingest else None
    metric_exporters = MetricExporters(metrics, environment, new_transport, str(options.listen))
    pipeline = Pipeline(
        metrics,
        environment,
        exporters,
        rates,
        recorder=recorder,
        repetitions=repetitions,
        metric_exporters=metric_exporters,
        policy=policy,
    )
    intake = Receiver(pipeline, rates, warnings.add, sessions=policy)
    listening = _Listening(intake, options.listen)
    await listening.start()
    _log.info("sidecar listening: %s", options.listen)
    health = Health(
        lambda: "stopping" if stop.is_set() else None,
        lambda: exporters.spool.trouble,
        exporters.status,
        metric_exporters.status,
        lambda: {
            "spool_bytes": exporters.bound.bytes,
            "spool_max_bytes": exporters.bound.max_bytes,
            "warnings": warnings.last(_SHOWN_WARNINGS),
            "faulty_entries": pipeline.faulty_entries(),
            "policy": policy.report(),
            "debug_session": policy.session_report(),
        },
    )
    reports = {
        "/log": warnings.as_json,
        "/redaction": pipeline.redactions.as_json,
        "/sampling": lambda: {"cpu": rates.cpu, "entries": rates.report(), "routes": pipeline.sampling.routes()},
    }
    app = create_app(metrics, health, reports, recorder, options.page, exemplars=metric_exporters.sent_exemplars)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_HTTP_STOP_SECONDS)
    await runner.setup()
    # Objects made so far live as long as the process: the garbage collector need not visit them while records wait.
    gc.freeze()
    ingest = IngestServer(BatchListener(pipeline, exporters.last_records, options.ingest)) if options.ingest else None
    background: asyncio.Future[Any] = asyncio.gather(
        _tick(rates, policy),
        _watch(policy, is_named=options.policy_file is not None),
        listening.keep(),
        _serve_http(runner, options, metrics),
        _serve_ingest(ingest, options, metrics),
    )
    try:
        await stop.wait()
    finally:
        background.cancel()
        await asyncio.gather(background, return_exceptions=True)
        listening.close()
        intake.close()
        if ingest is not None:
            await ingest.close(_HTTP_STOP_SECONDS)
        await asyncio.gather(exporters.close(FLUSH_SECONDS), metric_exporters.close(FLUSH_SECONDS))
        await runner.cleanup()


class _Listening:
    """The socket for the workers.

    It is bound again if a person, or a cleaner of temporary files, deletes it, and after a sidecar that took its place.
    """

    def __init__(self, intake: Receiver, path: Path) -> None:
        self._intake = intake
        self._path = path
        self._server: asyncio.Server | None = None
        self._bound: tuple[int, int] | None = None

    async def start(self) -> None:
        """Bind it; raises ConfigError."""
        previous = self._server
        self._server = await asyncio.get_running_loop().create_unix_server(
            self._intake.connection, sock=receiver.bind(self._path)
        )
        self._bound = identity(self._path)
        if previous is not None:
            previous.close()  # its connections stay

    async def keep(self) -> None:
        """Look for it once a second. Another sidecar's socket is left alone."""
        while True:
            await asyncio.sleep(_SOCKET_SECONDS)
            try:
                if identity(self._path) == self._bound or listener_pid(self._path) is not None:
                    continue
                await self.start()
                _log.warning("socket deleted: %s: it is bound again", self._path)
            except ConfigError as error:
                _cannot_listen.warning("socket deleted: %s", error)
            except Exception:
                _cannot_listen.warning("internal error, socket not bound, trying again", exc_info=True)

    def close(self) -> None:
        """Take no further connection."""
        if self._server is not None:
            self._server.close()


def _refuse_second(path: Path) -> None:
    # The `serve` of an embedded one takes over from another `serve`, with all its processes.
    pid = listener_pid(path)
    if pid is not None:
        named = f"another process (pid {pid})" if pid else "another process"
        raise ConfigError(
            [Fault("--listen", str(path), f"{named} listens there; stop it first, or name another socket")]
        )


async def _tick(rates: SamplingController, policy: PolicyFile) -> None:
    cpu = CpuLoad()
    while True:
        await asyncio.sleep(TICK_SECONDS)
        try:
            rates.tick(cpu)
            policy.tick()
        except Exception:
            # The workers keep their last rates.
            _rates_failed.warning("internal error, sampling rates not updated", exc_info=True)


async def _watch(policy: PolicyFile, *, is_named: bool) -> None:
    while True:
        try:
            policy.apply(await asyncio.to_thread(policy.look))
        except Exception:
            _rates_failed.warning("internal error, policy file not read", exc_info=True)
        if not is_named:
            return  # the copy of an earlier one is removed by now
        await asyncio.sleep(TICK_SECONDS)


def _stop_event(options: ServiceOptions) -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    if options.embedded is not None:
        _stop_with(options.embedded, stop, loop)
    return stop


def _stop_with(supervisor: int, stop: asyncio.Event, loop: asyncio.AbstractEventLoop) -> None:
    """Set an event at the end of the supervisor, which may have ended before this process could look."""
    try:
        descriptor = os.pidfd_open(supervisor)
    except OSError:  # also where the kernel has none
        descriptor = None

    def look() -> None:
        if os.getppid() != supervisor:
            if descriptor is not None:
                loop.remove_reader(descriptor)
            stop.set()
        elif descriptor is None:
            loop.call_later(_PARENT_SECONDS, look)

    if descriptor is not None:
        loop.add_reader(descriptor, look)
    look()


async def _serve_http(runner: web.AppRunner, options: ServiceOptions, metrics: Metrics) -> None:
    async def start() -> str:
        site = web.TCPSite(runner, options.http_host, options.http_port)
        try:
            await site.start()
        except OSError:
            await site.stop()  # otherwise the runner keeps one more with each attempt
            raise
        host, port = runner.addresses[0][:2]
        return f"health and metrics{' and the live page' if options.page.is_on else ''} at http://{host}:{port}"

    port = HttpPort("--http", options.http_host, options.http_port, metrics, is_embedded=options.is_embedded)
    await port.run(start)


async def _serve_ingest(server: IngestServer | None, options: ServiceOptions, metrics: Metrics) -> None:
    if server is None or options.ingest is None:
        return
    host, port = options.ingest.host, options.ingest.port

    async def start() -> str:
        bound, at = await server.start(host, port)
        return f"taking records of Kong's queue at http://{bound}:{at}{PATH}"

    await HttpPort("--ingest-http", host, port, metrics, is_embedded=options.is_embedded).run(start)
