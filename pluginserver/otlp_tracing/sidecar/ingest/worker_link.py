"""A connection to one worker of the plugin server, for the parts of the sidecar that send it frames."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from otlp_tracing.handoff.frames import VERSION


@dataclass(eq=False, slots=True)
class WorkerLink:
    """A connection to one worker.

    Args:
        worker_id: 8 bytes, of its greeting.
        send: sends it bytes; must not block.
        version: of the frames that it understands.
        close: closes the connection.
        told: the last frame sent, by entry; None before the first.
    """

    worker_id: bytes
    send: Callable[[bytes], None]
    version: int = VERSION
    close: Callable[[], None] = lambda: None
    told: dict[bytes, bytes | None] = field(default_factory=dict)
