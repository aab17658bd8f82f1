"""The options of a worker process, which `serve` starts and which imports as little as it can."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class WorkerOptions:
    """The options of one worker process, handed over as one JSON argument.

    Args:
        slot: its place in the table and in the lists, 0 to MAX_SLOTS - 1.
        listener: inherited descriptor of Kong's socket.
        table: inherited descriptor of the heartbeat table.
        inboxes: inherited descriptors, one of each worker.
        outboxes: likewise.
        socket: path that Kong connects to.
        bound: device and inode of that socket when the group bound it.
        kong: inherited pidfd of the process that started the group; None without one to follow.
        supervisor_pid: the group's `serve`.
        plugins: folder of the plugin file.
        refused: options that could not be used, which this worker counts.
    """

    slot: int
    listener: int
    table: int
    inboxes: Sequence[int]
    outboxes: Sequence[int]
    socket: str
    bound: tuple[int, int]
    kong: int | None
    supervisor_pid: int
    plugins: str
    refused: Sequence[str]

    @classmethod
    def from_json(cls, text: str) -> WorkerOptions:
        """Read the text that `to_json` wrote."""
        values = json.loads(text)
        return cls(**{**values, "bound": tuple(values["bound"])})

    def to_json(self) -> str:
        """Write them as one argument."""
        return json.dumps(dataclasses.asdict(self))
