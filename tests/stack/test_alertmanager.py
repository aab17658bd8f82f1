"""Which alert mutes which, in a real Alertmanager with the shipped file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from e2e.ports import HOST, free_port
from e2e.waiting import wait_for
from stack import programs, shipped
from stack.programs import Program, ProgramMissing
from stack.stage import wait_until_up

_SECONDS = 30.0


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """Run Alertmanager; give where its API is."""
    port = free_port()
    try:
        program = programs.alertmanager()
    except ProgramMissing as reason:
        pytest.skip(str(reason))
    command = [
        str(program),
        f"--config.file={shipped.alertmanager_configuration(tmp_path)}",
        f"--storage.path={tmp_path / 'data'}",
        f"--web.listen-address={HOST}:{port}",
        "--cluster.listen-address=",
    ]
    with Program(command, tmp_path / "log") as running:
        wait_until_up(running, "Alertmanager", f"{HOST}:{port}", "/-/ready")
        yield f"http://{HOST}:{port}/api/v2/alerts"


def test_only_what_the_collector_explains_is_muted(url: str) -> None:
    """CollectorDown mutes a stalled export to that collector; another's is heard, and every sidecar."""
    alerts = [
        {"alertname": "KongDown", "instance": "10.0.0.1:8100"},
        {"alertname": "TracingSidecarDown", "instance": "10.0.0.2:9464"},
        {"alertname": "CollectorDown", "instance": "otel-collector:8888"},
        {"alertname": "TracingExportStalled", "destination": "http://otel-collector:4317"},
        {"alertname": "TracingExportStalled", "destination": "https://otel-collector.observability:4318"},
        {"alertname": "TracingExportStalled", "destination": "https://otlp.example.com:4317"},
    ]
    body = json.dumps([{"labels": labels} for labels in alerts]).encode()
    with urlopen(Request(url, body, {"Content-Type": "application/json"}), timeout=10) as answer:  # noqa: S310 - http, ours
        assert answer.status == 200

    explained = {"http://otel-collector:4317", "https://otel-collector.observability:4318"}

    def muted() -> list[str]:
        """Return the gateways with muted alerts, once every alert is routed and the alerts that mute others are known
        too.
        """
        with urlopen(url, timeout=10) as answer:  # noqa: S310 - http, ours
            found: list[dict[str, Any]] = json.load(answer)
        settled = len(found) == len(alerts) and all(one["status"]["state"] != "unprocessed" for one in found)
        named = [one["labels"].get("destination", "") for one in found if one["status"]["inhibitedBy"]]
        return named if settled and explained <= set(named) else []

    assert sorted(wait_for(muted, _SECONDS, "what the collector explains is muted")) == sorted(explained)
