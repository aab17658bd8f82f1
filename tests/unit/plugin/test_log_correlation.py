"""Promises of plugin/log_correlation.py."""

from __future__ import annotations

from otlp_tracing.plugin.log_correlation import remember, remember_trace_id


def test_the_trace_id_has_the_form_of_kongs_own_plugins() -> None:
    """A log plugin that reads `trace_id.w3c` finds it."""
    assert remember_trace_id("4b" * 16) == ("kong.log.set_serialize_value", "trace_id", {"w3c": "4b" * 16})


def test_the_context_is_one_field() -> None:
    """The sidecar reads it there again."""
    assert remember({"a": 1}) == ("kong.log.set_serialize_value", "otlp_tracing", {"a": 1})
