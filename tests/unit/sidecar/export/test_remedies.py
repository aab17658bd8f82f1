"""Promises of sidecar/export/remedies.py."""

from __future__ import annotations

import pytest

from otlp_tracing.config.settings import Settings
from otlp_tracing.sidecar.export.destination import Destination
from otlp_tracing.sidecar.export.remedies import remedy_for
from otlp_tracing.sidecar.export.result import Action


@pytest.mark.parametrize(
    ("action", "path", "words"),
    [
        (Action.HOLD_UNAUTHORIZED, "", "headers"),
        (Action.HOLD_NOT_OTLP, "/otlp", "here probably /otlp/v1/traces"),
        (Action.HOLD_NOT_OTLP, "/otlp/v1/traces/", "here probably /otlp/v1/traces"),
        (Action.HOLD_NOT_OTLP, "/v1/metrics", "usually at the path /v1/traces"),
        (Action.HOLD_NOT_OTLP, "/otlp/v1/traces/v1/traces", "here probably /otlp/v1/traces"),
        (Action.HOLD_NOT_OTLP, "", "usually at the path /v1/traces"),
    ],
)
def test_a_remedy_names_the_setting(action: Action, path: str, words: str) -> None:
    """The sentence says which setting to change, and how."""
    settings = Settings.from_config({"endpoint": f"http://c:1{path}", "protocol": "http/protobuf"})

    assert words in remedy_for(action, Destination.from_settings(settings, {}))


def test_over_grpc_there_is_no_path() -> None:
    """The remedy is about host, port and the collector's pipelines."""
    destination = Destination.from_settings(Settings.from_config({"endpoint": "http://c:1"}), {})

    assert "traces pipeline" in remedy_for(Action.HOLD_NOT_OTLP, destination)
    assert remedy_for(Action.RETRY, destination) == ""
