"""Promises of config/entry_identity.py."""

from __future__ import annotations

from doubles import FROM_KONG
from otlp_tracing.config.entry_identity import entry_config, entry_name, entry_scope, settings_key
from otlp_tracing.config.settings import Settings


def test_kongs_ids_are_read() -> None:
    """An id that is missing, no text, or longer than Kong's own is empty."""
    assert (entry_name(FROM_KONG), entry_scope(FROM_KONG)) == ("479343e1", ("7dbfe890", ""))
    assert (entry_name({"__plugin_id": 5}), entry_scope({"service_id": "x" * 65})) == ("", ("", ""))


def test_a_configuration_is_named_by_what_a_user_wrote() -> None:
    """The key changes with the configuration, not with Kong's sequence numbers or the order of fields."""
    again = dict(reversed(list(FROM_KONG.items()))) | {"__seq__": 99}

    assert settings_key(again) == settings_key(FROM_KONG)
    assert settings_key({**FROM_KONG, "protocol": "grpc"}) != settings_key(FROM_KONG)


def test_an_entry_is_more_than_what_it_says() -> None:
    """Two entries with one configuration are two: each has a budget of its own."""
    assert settings_key({**FROM_KONG, "__plugin_id": "another"}) != settings_key(FROM_KONG)


def test_the_sidecar_learns_which_entry_it_is() -> None:
    """The sidecar gets the user's fields and Kong's ids of entry and scope, nothing else; the key is the same there."""
    told = entry_config(FROM_KONG)

    assert told.keys() == {"__plugin_id", "route_id", "endpoint", "headers", "resource_attributes", "sampling"}
    assert settings_key(told) == settings_key(FROM_KONG)
    assert "__plugin_id" not in entry_config({**FROM_KONG, "__plugin_id": "x" * 65})
    assert Settings.from_config(told) == Settings.from_config(FROM_KONG)
