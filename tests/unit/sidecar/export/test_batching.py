"""Promises of sidecar/export/batching.py: batches of whole requests, and exports of batches, within two bounds."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from otlp_tracing.sidecar.export.batching import join_requests, take_waiting
from otlp_tracing.sidecar.spool.batch import SpooledBatch


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


def _waiting(*bodies: bytes) -> deque[SpooledBatch]:
    return deque(SpooledBatch(body, len(body), 0, is_waiting=True) for body in bodies)


def _bodies(batches: Iterable[SpooledBatch]) -> list[bytes]:
    return [batch.body for batch in batches]


def test_an_export_has_the_oldest_batches_that_fit() -> None:
    """A batch that does not fit is the first of the next export, also if a later one would fit."""
    queue = _waiting(b"aa", b"b", b"ccc", b"d")

    assert _bodies(take_waiting(queue, 4, 100)) == [b"aa", b"b"]
    assert _bodies(take_waiting(queue, 100, 3)) == [b"ccc"]
    assert _bodies(queue) == [b"d"]


def test_a_batch_that_is_too_large_is_an_export_of_its_own() -> None:
    """No batch is left behind, whatever its size."""
    queue = _waiting(b"aaaaa", b"b")

    assert _bodies(take_waiting(queue, 3, 3)) == [b"aaaaa"]
    assert _bodies(queue) == [b"b"]


def test_a_dropped_batch_is_no_part_of_an_export() -> None:
    """It is removed from the queue, and takes no place."""
    queue = _waiting(b"aaa", b"b", b"c")
    queue[0].is_waiting = queue[2].is_waiting = False

    assert _bodies(take_waiting(queue, 1, 1)) == [b"b"]
    assert not queue
