"""A second `serve` takes the socket over under load; a group ends with SIGTERM, and with Kong."""

from __future__ import annotations

import os
import signal
import sys
from itertools import chain

import pytest

from e2e.processes import alive
from e2e.waiting import wait_for
from faults.plugin_server import Group
from faults.under_load import load_on, serves

pytestmark = pytest.mark.timeout(900)

# Starts the given command and lives on, as an nginx worker of Kong does.
_PARENT = "import shlex, subprocess, sys; subprocess.Popen(shlex.split(sys.argv[1])).wait()"


def test_a_second_group_takes_over(group: Group, rounds: int) -> None:
    """A second `serve` takes over under load without a failed event, and the first group ends."""
    with load_on(group) as load:
        for _ in range(max(1, rounds // 2)):
            before = [*chain(*group.wait_until_whole().values())]
            group.start()
            wait_for(lambda: not any(map(alive, before)), 40, "the old group ends")  # noqa: B023 - called in this round
            load.settle()
        group.wait_until_whole()

    load.assert_harmless()
    serves(group)


def test_nothing_is_left_after_sigterm(group: Group) -> None:
    """SIGTERM to `serve` under load ends every process, and fails no event that could be answered."""
    processes = group.wait_until_whole()
    with load_on(group):
        os.kill(processes["serve"][0], signal.SIGTERM)
        group.wait_until_gone()


@pytest.mark.parametrize("victims", [["parent"], ["parent", "serve"]], ids=["Kong", "Kong and the supervisor"])
def test_nothing_outlives_kong(prefix_group: Group, victims: list[str]) -> None:
    """When Kong is killed every process ends, even if no process is left that could stop them."""
    parent = prefix_group.start([sys.executable, "-c", _PARENT])
    pids = {"parent": parent.pid, "serve": prefix_group.wait_until_whole()["serve"][0]}
    for name in victims:
        os.kill(pids[name], signal.SIGKILL)

    prefix_group.wait_until_gone()
