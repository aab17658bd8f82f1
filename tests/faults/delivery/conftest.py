"""Fixtures of the delivery tests."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from faults.conftest import FULL_SECONDS
from faults.delivery.scene import Scene, StartScene, scenes


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give an empty folder with a path that is short enough for a socket."""
    return tmp_path_factory.mktemp("s")


@pytest.fixture
def pause_s(pytestconfig: pytest.Config) -> float:
    """Give the seconds by which a bound on the clock may be passed, for delays of a shared machine that cannot be
    measured.

    A soak has a machine of its own and gets no extra seconds.
    """
    return 0.0 if pytestconfig.getoption("--fault-seconds") >= FULL_SECONDS else 1.5


@pytest.fixture
def start_scene(folder: Path) -> StartScene:
    """Give a context manager that starts a scene: `start_scene(http=True, …)`."""
    return partial(scenes, folder)


@pytest.fixture
def scene(start_scene: StartScene) -> Iterator[Scene]:
    """Give a scene without anything special."""
    with start_scene() as running:
        yield running
