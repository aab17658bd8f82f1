"""Promises of testing/gateway/protobuf_schema.py."""

from __future__ import annotations

from otlp_tracing_devtools.fake_kong.pdk import PDK_METHODS
from otlp_tracing_devtools.fake_kong.protobuf_schema import CALLS, MESSAGES


def test_calls_are_named_as_kong_names_them() -> None:
    """An underscore becomes a dot, a capital an underscore; digits belong to the word before them."""
    assert CALLS["kong.service.request.set_headers"] == ("Struct", "Empty")
    assert CALLS["kong.nginx.get_tls1_version_str"] == ("Empty", "String")
    assert CALLS["kong.ctx.shared.set"] == ("KV", "Empty")
    assert len(CALLS) == 74


def test_every_call_has_its_messages_and_its_function() -> None:
    """Arguments and replies are declared, and the stand-in answers every call of the protocol but two."""
    assert {name for kinds in CALLS.values() for name in kinds} <= set(MESSAGES)
    assert set(CALLS) - set(PDK_METHODS) == {"kong.response.set_status", "kong.service.request.set_scheme"}


def test_texts_may_be_any_bytes() -> None:
    """Bytes that are not UTF-8 are passed through, in names and in values."""
    entry = {"key": b"\xff", "value": {"string_value": b"\xfe"}}

    assert MESSAGES["Struct"](fields=[entry]).SerializeToString() == b"\n\x08\n\x01\xff\x12\x03\x1a\x01\xfe"
