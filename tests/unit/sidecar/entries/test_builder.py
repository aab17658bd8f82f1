"""Promises of sidecar/entries/builder.py."""

from __future__ import annotations

from typing import Any

import pytest

from entry_stage import built
from otlp_tracing.errors import ConfigError
from otlp_tracing.metrics import SETTINGS_REFUSED


def test_an_entry_has_its_name_its_scope_and_its_destinations() -> None:
    """A minimal one has Kong's ids and exports traces alone."""
    entry, _ = built({"__plugin_id": "p", "route_id": "r", "endpoint": "http://c:4317"})

    assert (entry.name, entry.scope, entry.destination.signal, entry.log) == ("p", ("r", ""), "traces", None)


def test_an_access_log_has_a_destination_of_its_own() -> None:
    """Logs can have another endpoint than traces."""
    entry, _ = built({"endpoint": "http://c:4317", "logs": {"requests": "all", "endpoint": "http://d:4317"}})

    assert entry.log is not None
    assert (entry.log[1].signal, entry.log[1].address) != (entry.destination.signal, entry.destination.address)


@pytest.mark.parametrize(
    ("config", "setting"),
    [
        ({"span": {"name": "{url.pth}"}}, "span.name"),
        ({"span": {"attributes": [{"name": "url.path", "source": "literal", "value": "1"}]}}, "span.attributes"),
        ({"logs": {"requests": "all", "body": "{url.pth}"}}, "logs.body"),
        ({"endpoint": "http://c/in", "protocol": "http/protobuf", "logs": {"requests": "all"}}, "logs"),
        ({"endpoint": "http://c/in", "protocol": "http/protobuf", "metrics": {"enabled": True}}, "metrics"),
    ],
)
def test_a_faulty_part_is_left_out_and_counted(
    caplog: pytest.LogCaptureFixture, config: dict[str, Any], setting: str
) -> None:
    """The entry is made without it, and the log has one sentence."""
    _, metrics = built(config)

    assert {labels["setting"]: value for labels, value in metrics.samples(SETTINGS_REFUSED) if value} == {setting: 1}
    assert len([line for line in caplog.messages if line.startswith("invalid configuration, ")]) == 1


@pytest.mark.parametrize(
    ("config", "reads_whole"),
    [
        ({}, False),
        ({"logs": {"requests": "sampled"}}, False),
        ({"logs": {"requests": "all", "min_severity": "warn"}}, False),
        ({"logs": {"requests": "all"}}, True),
        ({"metrics": {"enabled": True}}, True),
        ({"sampling": {"tail_rules": [{"name": "a", "statuses": [404], "services": ["s"], "rate": 1}]}}, False),
        ({"sampling": {"tail_rules": [{"name": "a", "consumers": ["c"], "rate": 1}]}}, True),
        ({"sampling": {"tail_rules": [{"name": "a", "attributes": ["url.path: /a"], "rate": 1}]}}, True),
    ],
)
def test_records_are_read_whole_if_each_is_logged_measured_or_matched(
    config: dict[str, Any], reads_whole: bool
) -> None:
    """The outline is enough for all others."""
    assert built({"endpoint": "http://c:4317", **config})[0].reads_whole is reads_whole


@pytest.mark.parametrize("config", [{"endpoint": "ftp://c"}, {"sampling": {"rate": 7}}])
def test_an_invalid_configuration_is_an_error(config: dict[str, Any]) -> None:
    """An entry without a valid endpoint or rate cannot be made."""
    with pytest.raises(ConfigError):
        built(config)
