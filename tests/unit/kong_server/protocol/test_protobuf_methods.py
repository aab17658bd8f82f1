"""Promises of kong_server/protocol/protobuf_methods.py."""

from __future__ import annotations

from otlp_tracing.kong_server.protocol.protobuf_messages import ARGUMENTS, REPLIES
from otlp_tracing.kong_server.protocol.protobuf_methods import METHODS
from otlp_tracing_devtools.fake_kong.protobuf_schema import CALLS

# What the table says more exactly than Kong's file does.
EXACT = {"Maximum": "Int", "Text": "String"}


def test_the_table_is_kongs() -> None:
    """Every call that Kong 3.9.1 takes is there, with its messages; the stand-in gateway has its own list."""
    assert {name: tuple(EXACT.get(kind, kind) for kind in kinds) for name, kinds in METHODS.items()} == CALLS
    assert len(METHODS) == 74


def test_every_message_is_known() -> None:
    """Each argument can be written, each reply read, and nothing else is there."""
    assert {argument for argument, _ in METHODS.values()} == set(ARGUMENTS)
    assert {reply for _, reply in METHODS.values()} == set(REPLIES)
