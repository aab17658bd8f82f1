"""The queue of log plugins: batches, repetitions, bounds."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from otlp_tracing.config.validation import complete
from otlp_tracing_devtools.fake_kong.queue import QUEUE_FIELDS, Queue


class Taker:
    """Takes batches, after refusing the first few."""

    def __init__(self, refusals: int = 0) -> None:
        self.tried: list[list[bytes]] = []
        self.taken: list[bytes] = []
        self._refusals = refusals

    async def send(self, batch: Sequence[bytes]) -> str | None:
        self.tried.append(list(batch))
        if len(self.tried) <= self._refusals:
            return "returned status code 503"
        self.taken += batch
        return None


async def sent(taker: Taker, entries: Sequence[bytes], **config: float) -> Taker:
    completed, faults = complete(QUEUE_FIELDS, config)
    assert not faults
    queue = Queue(completed, taker.send)
    for entry in entries:
        queue.add(entry)
    await asyncio.sleep(0)
    await queue.stop(5)
    return taker


async def test_entries_are_sent_in_batches() -> None:
    """In order, each up to the size that is set."""
    taker = await sent(Taker(), [b"1", b"2", b"3", b"4", b"5"], max_batch_size=2, max_coalescing_delay=0.01)

    assert taker.tried == [[b"1", b"2"], [b"3", b"4"], [b"5"]]


async def test_a_batch_is_repeated_as_it_was() -> None:
    """Until it is taken; those behind it wait."""
    taker = await sent(Taker(refusals=2), [b"1", b"2", b"3"], max_batch_size=2, initial_retry_delay=0.001)

    assert taker.tried == [[b"1", b"2"]] * 3 + [[b"3"]]


async def test_a_batch_is_given_up_after_its_time(caplog: pytest.LogCaptureFixture) -> None:
    """With a line that has their number."""
    taker = await sent(Taker(refusals=1), [b"1", b"2"], max_retry_time=-1)

    assert taker.taken == [b"2"]
    assert "1 queue entries were lost" in caplog.text


@pytest.mark.parametrize("bound", [{"max_entries": 2}, {"max_bytes": 3}])
async def test_a_full_queue_drops_its_oldest(bound: dict[str, float], caplog: pytest.LogCaptureFixture) -> None:
    """By number or by bytes."""
    taker = await sent(Taker(), [b"1", b"2", b"3", b"4"][:4], max_batch_size=9, **bound)

    assert taker.taken == [b"1", b"2", b"3", b"4"][-int(next(iter(bound.values()))) :]
    assert "queue full" in caplog.text
