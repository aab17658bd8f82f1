"""Promises of sidecar/export/spool_batches.py: batches of whole requests, within a bound on spans and on bytes."""

from __future__ import annotations

from otlp_tracing.sidecar.export.spool_batches import join_requests


def test_a_batch_has_no_more_spans_than_allowed() -> None:
    """The next request begins a new batch; the order of the spans is kept."""
    batches = join_requests([[b"a", b"b"], [b"c"], [b"d", b"e"]], 3, 7)

    assert [(batch.body, batch.spans, batch.at_ms) for batch in batches] == [(b"abc", 3, 7), (b"de", 2, 7)]


def test_a_request_is_never_divided() -> None:
    """A request with more spans than a batch may have is a batch of its own."""
    assert [batch.spans for batch in join_requests([[b"a"], [b"b"] * 5, [b"c"]], 3, 0)] == [1, 5, 1]


def test_a_batch_is_bounded_in_bytes() -> None:
    """The spool drops batches as a whole, so none is larger than 256 KiB unless one request is."""
    large = b"x" * (200 << 10)

    assert [batch.spans for batch in join_requests([[large], [large], [b"a"]], 512, 0)] == [1, 2]


def test_without_a_request_there_is_no_batch() -> None:
    """An empty list gives an empty list."""
    assert join_requests([], 3, 0) == []
