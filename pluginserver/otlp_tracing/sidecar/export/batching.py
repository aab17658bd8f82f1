"""Batching: encoded spans are joined to the batches that the spool stores, and these to the requests of an export.

exporter.py decides when a request is due, and send_queue.py keeps the batches until then.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from otlp_tracing.sidecar.spool.batch import SpooledBatch

_MAX_SPOOLED_BYTES = 256 << 10  # of a spooled batch, which is dropped as a whole when the spool is full


def join_requests(requests: Sequence[list[bytes]], max_spans: int, now_ms: int) -> list[SpooledBatch]:
    """Join the spans of requests to batches, without dividing a request.

    Args:
        requests: the encoded spans of each request, oldest first.
        max_spans: in a batch, unless one request has more.
        now_ms: the batches' arrival, by the spool's clock.
    """
    batches: list[SpooledBatch] = []
    spans: list[bytes] = []
    size = 0
    for one in requests:
        request_size = sum(map(len, one))
        if spans and (len(spans) + len(one) > max_spans or size + request_size > _MAX_SPOOLED_BYTES):
            batches.append(SpooledBatch(b"".join(spans), len(spans), now_ms))
            spans, size = [], 0
        spans += one
        size += request_size
    if spans:
        batches.append(SpooledBatch(b"".join(spans), len(spans), now_ms))
    return batches


def take_waiting(queue: deque[SpooledBatch], max_spans: int, max_bytes: int) -> list[SpooledBatch]:
    """Remove the batches of one export: the oldest that wait, as many as fit, at least one.

    Args:
        queue: oldest first. Batches that were dropped are removed on the way.
        max_spans: of the export, `send_batch_size`.
        max_bytes: of the bodies together.
    """
    batches: list[SpooledBatch] = []
    spans = size = 0
    while queue:
        batch = queue[0]
        if batch.is_waiting:
            spans, size = spans + batch.spans, size + len(batch.body)
            if batches and (spans > max_spans or size > max_bytes):
                break
            batches.append(batch)
        queue.popleft()
    return batches
