"""Promises of sidecar/ingest/log_record.py."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otlp_tracing.errors import WireError
from otlp_tracing.sidecar.ingest.log_record import decode_headers, decode_log


def test_a_string_that_is_not_utf8_is_latin1_alone() -> None:
    """The byte is kept as the character it is in Latin-1; strings that are UTF-8 do not change."""
    record = decode_log(b'{"request":{"headers":{"a":"caf\xe9","b":"caf\xc3\xa9"},"uri":"/\xff"}}')

    assert decode_headers(record.request.headers) == {"a": "café", "b": "café"}
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
        decode_log(log)


@pytest.mark.parametrize("headers", [b"[]", b"{}", b"[5]", b"5", b"null"])
def test_headers_that_cannot_be_read_cost_no_request(headers: bytes) -> None:
    """Lua's empty table may be a list; a record with headers that are none is one without headers."""
    record = decode_log(b'{"request":{"uri":"/a","headers":%b}}' % headers)

    assert (record.request.uri, decode_headers(record.request.headers)) == ("/a", {})


def test_what_nothing_reads_is_passed_over() -> None:
    """Other plugins add fields of any shape."""
    assert decode_log(b'{"more":{"a":[1]},"started_at":5.0}').started_at == 5


@given(st.binary())
def test_any_bytes_give_a_record_or_a_wire_error(log: bytes) -> None:
    """Never another exception."""
    with contextlib.suppress(WireError):
        decode_log(log)
