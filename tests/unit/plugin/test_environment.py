"""Promises of plugin/environment.py."""

from __future__ import annotations

import logging

import pytest

from otlp_tracing.plugin import environment
from otlp_tracing.plugin.names import HOSTED_VARIABLE


def test_unset_fields_are_filled_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Kong's own plugin server says once which variables it does not use; ours leaves that to `serve`."""
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.1")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    monkeypatch.delenv(HOSTED_VARIABLE, raising=False)
    environment._variables.cache_clear()
    with caplog.at_level(logging.WARNING):
        found = [environment.filled({"endpoint": "http://c:1"}) for _ in range(2)]
    environment._variables.cache_clear()

    assert found[0] == {"endpoint": "http://c:1", "sampling": {"rate": 0.1, "parent": "follow"}}
    assert [record.getMessage() for record in caplog.records] == [
        "OTEL_EXPORTER_OTLP_TIMEOUT: read by the sidecar, which has an environment of its own"
    ]
