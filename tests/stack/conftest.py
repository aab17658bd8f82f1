"""The stack, once for all tests of it; on a real Kong with --kong=PATH."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from absent import absent
from stack.programs import ProgramMissing, alertmanager, collector, jaeger, prometheus
from stack.stage import Stage, StartGateway, stage

pytest_plugins = ["e2e.conftest"]


@pytest.fixture(scope="session")
def running(start_gateway: StartGateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Give the running stack."""
    try:
        for program in (jaeger, collector, prometheus, alertmanager):
            program()
    except ProgramMissing as reason:
        absent(str(reason), *reason.packages)
    with stage(tmp_path_factory.mktemp("stack"), start_gateway) as running:
        yield running
