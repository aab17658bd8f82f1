"""Promises of sidecar/live/http/app.py."""

from __future__ import annotations

import pytest
from aiohttp.test_utils import TestClient, TestServer

from live_app import (
    DATA,
    REPORTS,
    ask,
)
from otlp_tracing.sidecar.live.http.app import Health, create_app
from otlp_tracing.sidecar.telemetry.registry import Metrics


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("path", ["/", "/page/main.js", *DATA])
def test_nothing_can_be_changed(path: str, method: str) -> None:
    """Other methods than GET are refused."""
    assert ask(path, method=method)[0] == 405


async def test_the_page_can_be_off() -> None:
    """Without a recorder only the machine paths answer."""
    async with TestClient(TestServer(create_app(Metrics(), Health(lambda: "stopping"), REPORTS))) as there:
        statuses = [(await there.get(path)).status for path in ("/", "/events", "/routes", "/healthz", "/readyz")]

    assert statuses == [404, 404, 404, 200, 503]
