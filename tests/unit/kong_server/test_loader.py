"""Promises of kong_server/loader.py."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from otlp_tracing.config.schema import SCHEMA
from otlp_tracing.errors import ConfigError
from otlp_tracing.kong_server.loader import describe, load
from otlp_tracing.paths import PLUGIN_FILE, plugin_folder


def test_the_plugin_is_described_for_kong() -> None:
    """Name, phases, priority and schema, as one JSON list: Kong takes a list for MessagePack."""
    (described,) = json.loads(json.dumps(describe(load(plugin_folder() / PLUGIN_FILE))))

    assert described["Name"] == "otlp-tracing"
    assert sorted(described["Phases"]) == ["access", "log"]
    assert described["Priority"] > 100_001
    assert described["Schema"]["fields"][1]["config"]["fields"] == SCHEMA


@pytest.mark.parametrize("protocol", ["msgpack", "protobuf"])
def test_a_phase_can_be_left_out(protocol: str) -> None:
    """With Kong's own queue there is no `log` event, which is half of the price."""
    described = json.loads(json.dumps(describe(load(plugin_folder() / PLUGIN_FILE), protocol, {"log"})))
    (plugin,) = described["Plugins"] if protocol == "protobuf" else described

    assert plugin["Phases"] == ["access"]


def test_a_consumer_cannot_be_configured() -> None:
    """The plugin runs before the consumer is known, so Kong refuses a configuration for one."""
    (described,) = json.loads(json.dumps(describe(load(plugin_folder() / PLUGIN_FILE))))

    assert described["Schema"]["fields"][0] == {"consumer": {"type": "foreign", "reference": "consumers", "eq": None}}


def test_a_plugin_that_does_not_load_is_named(tmp_path: Path) -> None:
    """One sentence with the path and the reason."""
    (tmp_path / "broken.py").write_text("import no_such_module")

    with pytest.raises(ConfigError, match=r"broken\.py.*no_such_module"):
        load(tmp_path / "broken.py")


def test_protobuf_has_to_be_said() -> None:
    """A list alone means MessagePack to Kong; the other protocol is named beside it."""
    described = json.loads(json.dumps(describe(load(plugin_folder() / PLUGIN_FILE), "protobuf")))

    assert described["Protocol"] == "ProtoBuf:1"
    assert [plugin["Name"] for plugin in described["Plugins"]] == ["otlp-tracing"]
