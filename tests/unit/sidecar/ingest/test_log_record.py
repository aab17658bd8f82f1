"""Promises of sidecar/ingest/log_record.py."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otlp_tracing.errors import WireError
from otlp_tracing.sidecar.ingest.log_record import decode


def test_a_string_that_is_not_utf8_is_latin1_alone() -> None:
    """The byte is kept as the character it is in Latin-1; strings that are UTF-8 stay what they are."""
    record = decode(b'{"request":{"headers":{"a":"caf\xe9","b":"caf\xc3\xa9"},"uri":"/\xff"}}')

    assert record.request.headers == {"a": "café", "b": "café"}
    assert record.request.uri == "/ÿ"


@pytest.mark.parametrize(
    "log",
    [
        b"", b"[]", b"5", b"{", b'{"request":5}', b'{"tries":"x"}', b'{"request":"\xff"}', b"\xff", b"[" * 100_000,
        b'{"response":{"status":"200"}}', b'{"started_at":1e999}', b'{"started_at":1e999,"client_ip":"\xff"}',
        b'{"started_at":NaN,"client_ip":"\xff"}', b'{"started_at":-Infinity,"client_ip":"\xff"}',
    ],
)  # fmt: skip
def test_what_is_no_log_record_is_refused(log: bytes) -> None:
    """One kind of error, whatever is wrong."""
    with pytest.raises(WireError):
        decode(log)


def test_what_nothing_reads_is_passed_over() -> None:
    """Other plugins add fields of any shape."""
    assert decode(b'{"more":{"a":[1]},"started_at":5.0}').started_at == 5


@given(st.binary())
def test_any_bytes_give_a_record_or_a_wire_error(log: bytes) -> None:
    """Never another exception."""
    with contextlib.suppress(WireError):
        decode(log)


@pytest.mark.parametrize(
    ("log", "place"),
    [
        (b"{}", ("", "")),
        (b'{"service":{"id":"s1","name":"users"},"route":{"id":"r1"}}', ("users", "r1")),
        (b'{"service":{"id":"s1"},"route":{"id":"r1","name":"list"}}', ("s1", "list")),
        (b'{"service":{},"route":{"name":""}}', ("", "")),
    ],
)
def test_a_place_is_named_as_people_know_it(log: bytes, place: tuple[str, str]) -> None:
    """By the name that somebody gave it, else by Kong's id."""
    assert decode(log).place == place
