"""Promises of sidecar/tail/cpu_load.py, on a file system that a test writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from doubles import ManualClock
from otlp_tracing.sidecar.tail.cpu_load import CpuLoad


class Machine:
    """Two processors, the second of which is not ours; a control group of version 2 or 1."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.clock = ManualClock()
        self.ticks = [[0, 0], [0, 0]]
        self.write("proc/self/cgroup", "0::/\n")
        self.spend(0, 0)

    def write(self, path: str, text: str) -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)

    def spend(self, busy: int, idle: int, others: int = 0) -> None:
        for number, (more_busy, more_idle) in enumerate(((busy, idle), (others, 0))):
            self.ticks[number][0] += more_busy
            self.ticks[number][1] += more_idle
        rows = [
            f"cpu{n} {busy // 2} 0 {busy - busy // 2} {idle} 7 0 0 0 99 9" for n, (busy, idle) in enumerate(self.ticks)
        ]
        self.write("proc/stat", "\n".join(["cpu 1 2 3 4 5 6 7 8", *rows, "intr 12 34", "ctxt 5"]))

    def load(self) -> CpuLoad:
        return CpuLoad(self.root, self.clock, lambda: {0})


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_the_load_is_that_of_the_processors_that_may_be_used(machine: Machine) -> None:
    """Since the last look, and of the process's own cpuset."""
    load = machine.load()
    machine.spend(30, 70, others=1000)
    first = load()
    machine.spend(90, 10)

    assert first == pytest.approx(0.3)
    assert load() == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("where", "limit", "usage"),
    [
        ("0::/\n", ("cpu.max", "50000 100000"), ("cpu.stat", "usage_usec {us}\nuser_usec 1\n")),
        ("0::/kube/pod\n", ("cpu.max", "50000 100000"), ("cpu.stat", "usage_usec {us}\n")),
    ],
)
def test_a_containers_quota_is_what_counts(
    machine: Machine, where: str, limit: tuple[str, str], usage: tuple[str, str]
) -> None:
    """Half a processor that is used up is a load of 1, however idle the machine; a host's path is searched upward."""
    machine.write("proc/self/cgroup", where)
    machine.write(f"sys/fs/cgroup/{limit[0]}", limit[1])
    machine.write(f"sys/fs/cgroup/{usage[0]}", usage[1].format(us=0))
    load = machine.load()
    machine.clock.now += 10
    machine.spend(10, 990)
    machine.write(f"sys/fs/cgroup/{usage[0]}", usage[1].format(us=4_000_000))

    assert load() == pytest.approx(0.8)


def test_version_1_of_control_groups_is_read(machine: Machine) -> None:
    """Quota and usage lie in two folders there, and usage is in nanoseconds."""
    machine.write("proc/self/cgroup", "5:cpu,cpuacct:/docker/x\n0::/\n")
    machine.write("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "200000\n")
    machine.write("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n")
    machine.write("sys/fs/cgroup/cpuacct/cpuacct.usage", "0\n")
    load = machine.load()
    machine.clock.now += 10
    machine.spend(10, 990)
    machine.write("sys/fs/cgroup/cpuacct/cpuacct.usage", "15000000000\n")

    assert load() == pytest.approx(0.75)


def test_a_group_without_a_quota_is_passed_over(machine: Machine) -> None:
    """`max` is no bound."""
    machine.write("sys/fs/cgroup/cpu.max", "max 100000")
    load = machine.load()
    machine.spend(50, 50)

    assert load() == pytest.approx(0.5)


@pytest.mark.parametrize("stat", ["", "cpu0 a b c\n", "cpu0 1\n"])
def test_what_cannot_be_measured_is_none(machine: Machine, stat: str) -> None:
    """No file, or one of another form, is no load rather than a wrong one."""
    load = machine.load()
    machine.write("proc/stat", stat)

    assert load() in {None, 0.0}
    (machine.root / "proc/stat").unlink()
    assert load() is None


def test_this_machine_has_a_load() -> None:
    """The real files are of the form that is read."""
    load = CpuLoad()
    measured = load()

    assert measured is not None
    assert 0 <= measured <= 1
