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


async def test_ready_names_each_destination_that_needs_a_person() -> None:
    """Those of metrics too; a failing probe would take Kong down because of its tracing, so the answer is 200."""
    held = {"destination": "http://c:4317 (metrics)", "state": "held", "reason": "UNAUTHENTICATED"}
    health = Health(destinations=lambda: [held | {"destination": "http://c:4317"}], metrics=lambda: [held])
    async with TestClient(TestServer(create_app(Metrics(), health, REPORTS))) as there:
        answer = await there.get("/readyz")
        lines = (await answer.text()).splitlines()
        report = await (await there.get("/delivery")).json()

    assert answer.status == 200
    assert lines[1:] == ["http://c:4317 held: UNAUTHENTICATED", "http://c:4317 (metrics) held: UNAUTHENTICATED"]
    assert report["metrics"] == [held]
