"""`otlp-tracing worker`, which `serve` starts: the loop, the plugin, and the plugin's connection to the sidecar."""

from __future__ import annotations

import argparse
import gc
import logging
import resource
import socket
from collections.abc import Callable
from pathlib import Path

from otlp_tracing.commands.options import OptionParser, add_log_file_option
from otlp_tracing.commands.worker_options import WorkerOptions
from otlp_tracing.kong_server.fd_passing import WorkerPeers
from otlp_tracing.kong_server.heartbeat import HeartbeatTable
from otlp_tracing.kong_server.instances import Instances
from otlp_tracing.kong_server.lifecycle import Lifecycle, WorkerState
from otlp_tracing.kong_server.loader import load
from otlp_tracing.kong_server.protocol.detection import speaks_msgpack
from otlp_tracing.kong_server.protocol.msgpack_session import MsgPackEvents, MsgPackSession
from otlp_tracing.kong_server.protocol.protobuf_session import ProtoBufSession
from otlp_tracing.kong_server.protocol.session import PreferredWorker, RpcSession
from otlp_tracing.kong_server.worker import OpenSession, Worker
from otlp_tracing.logs.lines import WARNINGS
from otlp_tracing.metrics import EVENTS_FAILED, OPTIONS_REFUSED
from otlp_tracing.paths import PLUGIN_FILE, build_flavor
from otlp_tracing.plugin.emitter import Emitter
from otlp_tracing.plugin.environment import process_emitter

_log = logging.getLogger("otlp_tracing.commands.worker")

# For the sidecar to acknowledge the last records; the supervisor waits for eight seconds.
_DRAIN_SECONDS = 2.0
_SUCCESSOR_SECONDS = 30  # a sidecar starts within ten on a busy machine

EXAMPLE = "(started by `otlp-tracing serve`)"


def add_options(parser: OptionParser) -> None:
    """Add the one argument, and the log file."""
    parser.add_argument("worker", type=WorkerOptions.from_json, metavar="JSON")
    add_log_file_option(parser)
    # Whatever has happened to the file since: Kong's requests need a worker.
    parser.set_defaults(on_fault="continue")


def run(options: argparse.Namespace) -> None:
    """Serve Kong's events until the lifecycle ends."""
    worker: WorkerOptions = options.worker
    WARNINGS.process = f"worker {worker.slot}"
    _raise_descriptor_limit()
    lifecycle = Lifecycle(Path(worker.socket), worker.bound, worker.kong, worker.supervisor_pid)
    lifecycle.end_on_signals()
    emitter = process_emitter()
    for name in worker.refused:
        emitter.counters.add(OPTIONS_REFUSED, name)
    peers = _peers(worker)
    open_session, sweep = _speak(
        Instances(load(Path(worker.plugins) / PLUGIN_FILE), peers.slot),
        lambda phase: emitter.counters.add(EVENTS_FAILED, phase),
        peers.table.slots,
    )
    # Objects made so far live as long as the process: the garbage collector need not visit them while Kong waits.
    gc.freeze()
    _log.info("worker started: slot %d, %s", peers.slot, build_flavor())
    Worker(
        socket.socket(fileno=worker.listener),
        peers,
        open_session=open_session,
        sweep=sweep,
        background_task=emitter,
        lifecycle=lifecycle,
    ).run()
    drain(emitter, lifecycle)


def drain(emitter: Emitter, lifecycle: Lifecycle) -> None:
    """Hand the last records over, before the process ends.

    The group that has taken over may have no sidecar yet: that of a killed supervisor ends with it.
    """
    for _ in range(_SUCCESSOR_SECONDS):
        if lifecycle.state() is not WorkerState.DRAINING or emitter.drain(1.0):
            break
    emitter.drain(_DRAIN_SECONDS)


def _raise_descriptor_limit() -> None:
    # Kong keeps up to 256 connections open for each of its workers; the usual soft limit is 1024.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _peers(options: WorkerOptions) -> WorkerPeers:
    return WorkerPeers(
        options.slot,
        HeartbeatTable(options.table, len(options.outboxes)),
        [socket.socket(fileno=inbox) for inbox in options.inboxes],
        [socket.socket(fileno=outbox) for outbox in options.outboxes],
    )


def _speak(
    instances: Instances, on_failure: Callable[[str], None], slots: int
) -> tuple[OpenSession, Callable[[], object]]:
    events = MsgPackEvents(instances, on_failure=on_failure, slots=slots)

    def open_session(first: bytes, preferred_worker: PreferredWorker | None) -> RpcSession:
        if speaks_msgpack(first):
            return MsgPackSession(events, preferred_worker)
        return ProtoBufSession(instances, on_failure=on_failure, slots=slots, preferred_worker=preferred_worker)

    return open_session, events.free_abandoned
