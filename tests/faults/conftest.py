"""Fixtures of the fault tests: a plugin server and the load on it, over both protocols.

Each test is long: `--fault-rounds=3` is the quick form.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from faults.plugin_server import Group

FULL_SECONDS = 600.0


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --fault-rounds, and --kong unless the end-to-end tests have."""
    parser.addoption("--fault-rounds", type=int, default=20, metavar="N", help="how often each fault is repeated")
    parser.addoption(
        "--fault-seconds",
        type=float,
        default=10.0,
        metavar="S",
        help="how long the longest fault lasts, a collector that is away; the others in proportion (600 is all of it)",
    )
    parser.addoption(
        "--fault-rate", type=int, default=300, metavar="N", help="requests a second during the longest outage"
    )
    with contextlib.suppress(ValueError):
        parser.addoption(
            "--kong", type=Path, metavar="PATH", help="run the tests of a real Kong on this `kong` command"
        )


@pytest.fixture
def rounds(pytestconfig: pytest.Config) -> int:
    """Give the number of repetitions."""
    return int(pytestconfig.getoption("--fault-rounds"))


@pytest.fixture
def seconds(pytestconfig: pytest.Config) -> Callable[[float, float], float]:
    """Give how long a fault lasts: `seconds(in full, at least)`."""
    share = float(pytestconfig.getoption("--fault-seconds")) / FULL_SECONDS
    return lambda full, least: max(least, full * share)


@pytest.fixture(params=["msgpack", "protobuf"])
def protocol(request: pytest.FixtureRequest) -> str:
    """Give each protocol."""
    return str(request.param)


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    """Give a folder for Kong's prefix."""
    folder = tmp_path / "prefix"
    folder.mkdir()
    return folder


@pytest.fixture
def group(prefix: Path, protocol: str) -> Iterator[Group]:
    """Give a plugin server that serves."""
    with Group(prefix, protocol) as running:
        yield running


@pytest.fixture
def prefix_group(prefix: Path, protocol: str) -> Iterator[Group]:
    """Give a plugin server that the test starts."""
    group = Group(prefix, protocol)
    try:
        yield group
    finally:
        group.close()
