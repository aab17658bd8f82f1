"""Promises of sidecar/ingest/repeated_batches.py."""

from __future__ import annotations

from otlp_tracing.sidecar.ingest.repeated_batches import RepeatedBatches


def test_a_batch_is_recognized_after_a_restart() -> None:
    """By its bytes, and only if the earlier process took all of its records."""
    spooled: dict[bytes, int] = {}
    batches = RepeatedBatches(spooled, b"token")
    whole, partial = batches.digest(b"[{}]"), batches.digest(b"[{},{}]")
    for digest, is_whole in ((whole, True), (partial, False)):
        sender, number = batches.take(digest, is_whole=is_whole)
        spooled[sender] = max(spooled.get(sender, 0), number)

    assert RepeatedBatches(spooled, b"token").is_repeated(whole)
    assert not RepeatedBatches(spooled, b"token").is_repeated(partial)
    assert not RepeatedBatches(spooled, b"token").is_repeated(batches.digest(b"[]"))


def test_a_worker_with_the_number_of_a_batch_is_no_batch() -> None:
    """Workers number their records in the same table."""
    batches = RepeatedBatches({}, b"token")
    digest = batches.digest(b"[{}]")
    _, number = batches.take(digest, is_whole=True)

    assert not RepeatedBatches({b"8 bytes.": number}, b"token").is_repeated(digest)
