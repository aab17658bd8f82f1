"""The group of processes that `serve` starts: workers, and an embedded sidecar, under a supervisor.

Imports nothing that takes time: the socket is bound here.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from otlp_tracing.errors import ConfigError, Fault
from otlp_tracing.kong_server import supervisor
from otlp_tracing.kong_server.fd_passing import create_inboxes
from otlp_tracing.kong_server.heartbeat import SlotTable
from otlp_tracing.kong_server.supervisor import Child
from otlp_tracing.paths import command_line

__all__ = ["MAX_WORKERS", "GroupOptions", "Inherited", "run_group"]

MAX_WORKERS = 64  # kong_server/instances.py keeps six bits of every number for the worker's slot


@dataclass(frozen=True)
class GroupOptions:
    """How `serve` runs.

    Args:
        socket: where Kong connects.
        workers: how many processes serve, 1 to MAX_WORKERS.
        plugins: folder of the plugin file.
        environment: for the workers, so that the plugin finds its sidecar.
        sidecar: command line of an embedded one; None where it runs elsewhere.
        log_level: handed on.
    """

    socket: Path
    workers: int
    plugins: Path
    environment: dict[str, str]
    sidecar: Sequence[str] | None
    log_level: str


def run_group(options: GroupOptions) -> None:
    """Serve until told to stop, Kong is gone, or another group has taken the socket over.

    Raises:
        ConfigError: if the socket cannot be had.
    """
    if not 1 <= options.workers <= MAX_WORKERS:
        raise ConfigError([Fault("--workers", str(options.workers), f"must be auto or 1 to {MAX_WORKERS}")])
    listener, bound = supervisor.bind(options.socket)
    table = SlotTable.create(options.workers)
    inboxes = create_inboxes(options.workers)
    outboxes = [writing.fileno() for _, writing in inboxes]
    children = [
        _worker(
            options,
            bound,
            Inherited(slot, listener.fileno(), table.descriptor, [r.fileno() for r, _ in inboxes], outboxes),
        )
        for slot in range(options.workers)
    ]
    if options.sidecar is not None:
        children.append(Child("sidecar", options.sidecar))
    supervisor.supervise(children, table, options.socket, bound)


@dataclass(frozen=True)
class Inherited:
    """What a worker inherits: its slot, and descriptors."""

    slot: int
    listener: int
    table: int
    inboxes: Sequence[int]
    outboxes: Sequence[int]

    @classmethod
    def parse(cls, text: str) -> Inherited:
        """Read what `__str__` wrote."""
        slot, listener, table, *boxes = (int(number) for number in text.split(","))
        half = len(boxes) // 2
        return cls(slot, listener, table, boxes[:half], boxes[half:])

    def __str__(self) -> str:
        return ",".join(map(str, (self.slot, *self.descriptors)))

    @property
    def descriptors(self) -> list[int]:
        """All that has to be inherited."""
        return [self.listener, self.table, *self.inboxes, *self.outboxes]


def _worker(options: GroupOptions, bound: tuple[int, int], inherited: Inherited) -> Child:
    return Child(
        f"worker {inherited.slot}",
        command_line(
            "worker",
            *("--inherited", str(inherited)),
            *("--socket", str(options.socket), "--bound", "{}:{}".format(*bound), "--kong", str(os.getppid())),
            *("--plugins", str(options.plugins), "--log-level", options.log_level),
        ),
        environment=options.environment,
        descriptors=inherited.descriptors,
        slot=inherited.slot,
    )
