"""Promises of commands/worker.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import pytest

from otlp_tracing.commands.worker import drain
from otlp_tracing.kong_server.lifecycle import Lifecycle, WorkerState
from otlp_tracing.plugin.emitter import Emitter


class Ending:
    """A worker at its end: a double of its lifecycle and of its emitter.

    Args:
        states: of its group, one for each look; the last one stays.
        takes_after: seconds until a sidecar has taken its records.
    """

    def __init__(self, states: Sequence[WorkerState], takes_after: float) -> None:
        self._states = list(states)
        self._takes_after = takes_after
        self.waited = 0.0

    def state(self) -> WorkerState:
        return self._states.pop(0) if len(self._states) > 1 else self._states[0]

    def drain(self, seconds: float) -> bool:
        self.waited += min(seconds, max(0.0, self._takes_after - self.waited))
        return self.waited >= self._takes_after


@pytest.mark.parametrize(
    ("states", "takes_after", "waited"),
    [
        ([WorkerState.DRAINING], 7, 7),
        ([WorkerState.DRAINING], 999, 32),
        ([WorkerState.STOPPING], 999, 2),
        ([WorkerState.DRAINING, WorkerState.DRAINING, WorkerState.STOPPING], 999, 4),
    ],
    ids=["the successor's sidecar starts", "no sidecar ever", "told to end", "told to end meanwhile"],
)
def test_the_last_records_wait_for_the_successors_sidecar(
    states: Sequence[WorkerState], takes_after: float, waited: float
) -> None:
    """A worker whose group is replaced waits for half a minute, one that is told to end for two seconds."""
    ending = Ending(states, takes_after)
    drain(cast(Emitter, ending), cast(Lifecycle, ending))

    assert ending.waited == waited
