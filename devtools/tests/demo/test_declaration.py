"""The shipped kong.yml on one machine."""

from __future__ import annotations

import copy

import yaml

from otlp_tracing_devtools.demo.declaration import BATCH_TIMEOUT_MS, localise
from otlp_tracing_devtools.demo.traffic import GATEWAY
from otlp_tracing_devtools.paths import KONG_YML

ADDRESSES = {
    "user-service:8080": "127.0.0.1:1",
    "order-service:8080": "127.0.0.1:2",
    "otel-collector:4317": "127.0.0.1:3",
}
SHIPPED = yaml.safe_load(KONG_YML.read_text(encoding="utf-8"))


def test_only_addresses_and_the_timeout_change() -> None:
    """With both put back, the file is the shipped one again."""
    text = yaml.safe_dump(localise(SHIPPED, ADDRESSES, traces_alone=False))
    for name, address in ADDRESSES.items():
        assert name not in text
        text = text.replace(address, name)

    assert yaml.safe_load(text.replace(f"timeout: {BATCH_TIMEOUT_MS}", "timeout: 5000")) == SHIPPED


def test_the_demo_sends_traces_alone() -> None:
    """Its receiver takes no metrics and no logs."""
    for service in localise(SHIPPED, ADDRESSES)["services"]:
        configs = [one["config"] for one in service["plugins"] if one["name"] == "otlp-tracing"]
        assert configs
        assert not {"metrics", "logs"} & {field for config in configs for field in config}


def test_the_shipped_file_is_not_touched() -> None:
    """The demo works on a copy."""
    before = copy.deepcopy(SHIPPED)
    localise(SHIPPED, ADDRESSES)

    assert before == SHIPPED


def test_an_entry_without_batch_export_gets_one() -> None:
    """A plugin entry that differs from the defaults is made as quick, in any place."""
    config = {"endpoint": "http://otel-collector:4317"}
    route = {"name": "r", "plugins": [{"name": "otlp-tracing", "config": dict(config)}]}
    declaration = {
        "services": [{"name": "s", "url": "http://elsewhere:1/x", "routes": [route]}],
        "plugins": [{"name": "otlp-tracing", "config": dict(config)}, {"name": "prometheus"}],
    }

    local = localise(declaration, ADDRESSES)

    wanted = {"endpoint": "http://127.0.0.1:3", "batch_export": {"timeout": BATCH_TIMEOUT_MS}}
    assert local["plugins"][0]["config"] == wanted
    assert local["services"][0]["routes"][0]["plugins"][0]["config"] == wanted
    assert local["services"][0]["url"] == "http://elsewhere:1/x"


def test_the_gateways_name_is_the_one_in_the_file() -> None:
    """The demo waits for spans of this service."""
    text = KONG_YML.read_text(encoding="utf-8")

    assert f"value: {GATEWAY}\n" in text
