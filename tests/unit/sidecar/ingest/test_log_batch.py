"""Promises of sidecar/ingest/log_batch.py."""

from __future__ import annotations

import json
import time

import pytest

from otlp_tracing.errors import WireError
from otlp_tracing.sidecar.ingest.log_batch import split


def record(number: int) -> bytes:
    tries = [{"port": 1}, {"port": 2}]
    return json.dumps({"tries": tries, "request": {"uri": f'/{number}?a=}},{{"'}, "started_at": number}).encode()


def batch(*records: bytes) -> bytes:
    return b"[" + b",".join(records) + b"]"


def test_a_batch_is_its_records_byte_by_byte() -> None:
    """Also with bytes that are not UTF-8, and with one record that http-log sends without an array."""
    latin = b'{"request": {"uri": "/caf\xe9"}}'

    assert split(batch(record(1), latin, record(2))) == ([record(1), latin, record(2)], 0)
    assert split(latin) == ([latin], 0)
    assert split(b"[]") == ([], 0)


BROKEN = [
    b'{"request": {"uri": }, "started_at": 1}',
    b'{"request": {"uri": "/"}',
    b'{"request": {"uri": "/}',
    b'{"tries": [{"port": 1},{"port": 2}], "request": nothing',
    b'{"tries": [{"port": 1},{"port": 2}]] , "request": 1}',
    b"",
    b"{",
    b"]",
    b"\xff\xfe",
    b"[" * 5000,
]


@pytest.mark.parametrize("broken", BROKEN, ids=range(len(BROKEN)))
@pytest.mark.parametrize("at", [0, 500, 999])
def test_one_broken_record_costs_no_other(broken: bytes, at: int) -> None:
    """Of a batch of a thousand 999 are taken, wherever the broken one is and however it is broken."""
    records = [record(number) for number in range(1000)]
    found, count = split(batch(*records[:at], broken, *records[at + 1 :]))

    assert found == [*records[:at], *records[at + 1 :]]
    assert count == 1


def test_a_batch_that_is_cut_off_gives_what_is_there() -> None:
    """The last record is counted as broken."""
    whole = batch(record(1), record(2), record(3))

    assert split(whole[:-10]) == ([record(1), record(2)], 1)
    assert split(whole[:-1]) == ([record(1), record(2), record(3)], 1)


@pytest.mark.parametrize("body", [b"", b"hello", b'"text"', b"1", b"\xff", b"null"])
def test_a_body_that_is_no_batch_is_refused(body: bytes) -> None:
    """It has neither an array nor an object."""
    with pytest.raises(WireError, match="neither a JSON array nor a JSON object"):
        split(body)


@pytest.mark.parametrize("piece", [b'[{"a":[', b'[0,{"a":', b'{"a":[0,{"request":', b",", b'[{"', b"[" * 100])
def test_the_search_for_records_ends(piece: bytes) -> None:
    """Whatever the bytes, its length grows with theirs, not with their square."""

    def seconds(size: int) -> float:
        body = b"[{" + piece * (size // len(piece)) + b"1" * size
        begun = time.process_time()
        split(body)
        return time.process_time() - begun

    shorter = max(seconds(1 << 18) for _ in range(3))

    # Four times the length: four times the time, and not sixteen. The clock has a grain.
    assert min(seconds(1 << 20) for _ in range(3)) < 10 * shorter + 0.01
