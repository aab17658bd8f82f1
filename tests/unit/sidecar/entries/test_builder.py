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


@pytest.mark.parametrize("config", [{"endpoint": "ftp://c"}, {"sampling": {"rate": 7}}])
def test_an_invalid_configuration_is_an_error(config: dict[str, Any]) -> None:
    """An entry without a valid endpoint or rate cannot be made."""
    with pytest.raises(ConfigError):
        built(config)
