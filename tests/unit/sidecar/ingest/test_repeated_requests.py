"""Promises of sidecar/ingest/repeated_requests.py."""

from __future__ import annotations

from otlp_tracing.sidecar.ingest.repeated_requests import RepeatedRequests


def test_a_request_is_new_once() -> None:
    """And again after many others: the memory is bounded, and holds at least the number that it promises."""
    requests = RepeatedRequests(most=10)
    ids = [number.to_bytes(8, "big") for number in range(40)]

    assert [requests.is_new(one) for one in ids[:10] * 2] == [True] * 10 + [False] * 10
    assert all(requests.is_new(one) for one in ids[10:])
    assert not any(requests.is_new(one) for one in ids[30:])
    assert requests.is_new(ids[0])
