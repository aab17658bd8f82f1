"""One process after the other is killed or stopped under load, and Kong's clients notice nothing."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from itertools import chain

import pytest

from e2e.processes import alive
from e2e.waiting import wait_for
from faults.plugin_server import Group
from faults.under_load import load_on, serves

pytestmark = pytest.mark.timeout(900)

_HOLD_SECONDS = 1.5  # longer than Kong waits for an answer


@pytest.mark.parametrize("role", ["worker", "sidecar"])
def test_a_killed_process_is_replaced(group: Group, role: str, rounds: int) -> None:
    """A worker or the sidecar killed under load fails no request, and is back."""
    with load_on(group) as load:
        for _ in range(rounds):
            victim = random.choice(group.wait_until_whole()[role])
            os.kill(victim, signal.SIGKILL)
            wait_for(lambda: not alive(victim), 20, "the killed process ends")  # noqa: B023 - called in this round
            load.settle()
        group.wait_until_whole()

    load.assert_harmless(resets=role == "worker")
    serves(group)


def test_a_killed_supervisor_is_replaced(group: Group, rounds: int) -> None:
    """The supervisor killed and started again by Kong fails no request; the old workers make room."""
    with load_on(group) as load:
        for _ in range(rounds):
            processes = group.wait_until_whole()
            os.kill(processes["serve"][0], signal.SIGKILL)
            group.start()
            wait_for(lambda: not any(map(alive, chain(*processes.values()))), 40, "the old group ends")  # noqa: B023
            load.settle()
        group.wait_until_whole()

    load.assert_harmless()
    serves(group)


def test_a_stopped_worker_is_replaced(group: Group, rounds: int) -> None:
    """A worker that does not move is killed by the others before Kong gives up waiting for it."""
    with load_on(group) as load:
        for _ in range(rounds):
            victim = random.choice(group.wait_until_whole()["worker"])
            os.kill(victim, signal.SIGSTOP)
            wait_for(lambda: not alive(victim), 20, "the stopped worker is killed")  # noqa: B023
            load.settle()
        group.wait_until_whole()

    load.assert_harmless(resets=True)
    serves(group)


@pytest.mark.parametrize("role", ["serve", "sidecar"])
def test_a_stopped_process_that_serves_no_events_is_not_missed(group: Group, role: str, rounds: int) -> None:
    """The supervisor or the sidecar may be stopped, and continue later."""
    with load_on(group) as load:
        for _ in range(rounds):
            (victim,) = group.wait_until_whole()[role]
            os.kill(victim, signal.SIGSTOP)
            try:
                time.sleep(_HOLD_SECONDS)  # the fault lasts as long
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(victim, signal.SIGCONT)
            load.settle()
        group.wait_until_whole()

    load.assert_untouched()
    serves(group)
