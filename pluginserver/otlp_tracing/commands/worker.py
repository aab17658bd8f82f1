"""One worker process: the loop, the plugin, and the plugin's way to the sidecar, put together."""

from __future__ import annotations

import gc
import logging
import resource
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from otlp_tracing.commands.serve import Inherited
from otlp_tracing.kong_server.event import Runners
from otlp_tracing.kong_server.fd_passing import Siblings
from otlp_tracing.kong_server.heartbeat import SlotTable
from otlp_tracing.kong_server.instances import Instances
from otlp_tracing.kong_server.lifecycle import Lifecycle, watch
from otlp_tracing.kong_server.loader import load
from otlp_tracing.kong_server.protocol.detection import OpeningDialogue
from otlp_tracing.kong_server.protocol.msgpack_session import MsgPackDialogue, MsgPackEvents
from otlp_tracing.kong_server.protocol.protobuf_session import ProtoBufDialogue
from otlp_tracing.kong_server.protocol.session import Dialogue, Home
from otlp_tracing.kong_server.worker import Worker
from otlp_tracing.metrics import EVENTS_FAILED
from otlp_tracing.paths import PLUGIN_FILE, form
from otlp_tracing.plugin.environment import process_emitter

__all__ = ["WorkerOptions", "run_worker"]

_log = logging.getLogger("otlp_tracing.commands.worker")

# What the sidecar may take to acknowledge the last records; the supervisor waits for eight seconds.
_DRAIN_SECONDS = 2.0


@dataclass(frozen=True)
class WorkerOptions:
    """How a worker runs.

    Args:
        inherited: slot and descriptors.
        socket: where Kong connects.
        bound: identity of that socket when the group bound it.
        kong: pid of the process that started the group.
        plugins: folder of the plugin file.
    """

    inherited: Inherited
    socket: Path
    bound: tuple[int, int]
    kong: int
    plugins: Path


def run_worker(options: WorkerOptions) -> None:
    """Serve Kong's events until the lifecycle ends."""
    _take_all_descriptors()
    lifecycle = Lifecycle(options.socket, options.bound, watch(options.kong))
    lifecycle.end_on_signals()
    emitter = process_emitter()
    siblings = _siblings(options.inherited)
    open_dialogue, sweep = _speak(
        Instances(load(options.plugins / PLUGIN_FILE), siblings.slot),
        lambda phase: emitter.counters.add(EVENTS_FAILED, phase),
        siblings.table.slots,
    )
    # What is there by now stays: Python's collector need not walk it while Kong waits, to find nothing to free.
    gc.freeze()
    _log.info("worker %d serves; the path of a request is %s", siblings.slot, form())
    Worker(
        socket.socket(fileno=options.inherited.listener),
        siblings,
        open_dialogue=open_dialogue,
        sweep=sweep,
        side_channel=emitter,
        lifecycle=lifecycle,
    ).run()
    emitter.drain(_DRAIN_SECONDS)


def _take_all_descriptors() -> None:
    # Kong keeps up to 256 connections open for each of its workers; the usual soft limit is 1024.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _siblings(inherited: Inherited) -> Siblings:
    return Siblings(
        inherited.slot,
        SlotTable(inherited.table, len(inherited.outboxes)),
        [socket.socket(fileno=inbox) for inbox in inherited.inboxes],
        [socket.socket(fileno=outbox) for outbox in inherited.outboxes],
    )


def _speak(
    instances: Instances, on_failure: Callable[[str], None], slots: int
) -> tuple[Callable[[Home], Dialogue], Callable[[], object]]:
    events = MsgPackEvents(instances, on_failure=on_failure, slots=slots)
    runners = Runners()

    def open_dialogue(home: Home) -> Dialogue:
        return OpeningDialogue(
            lambda: MsgPackDialogue(events, home),
            lambda: ProtoBufDialogue(instances, runners, on_failure=on_failure, slots=slots, home=home),
        )

    return open_dialogue, events.free_abandoned
