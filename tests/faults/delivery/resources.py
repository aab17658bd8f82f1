"""Watch the resources of a process during a test."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

T = TypeVar("T")

_INTERVAL_SECONDS = 0.1


@contextlib.contextmanager
def watched(look: Callable[[], T]) -> Iterator[list[T]]:
    """Collect the results of `look`, ten times a second, for as long as the block runs."""
    seen = [look()]
    stop = threading.Event()

    def work() -> None:
        while not stop.wait(_INTERVAL_SECONDS):
            with contextlib.suppress(OSError, IndexError):
                seen.append(look())

    thread = threading.Thread(target=work, name="watch", daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()
        seen.append(look())
