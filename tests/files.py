"""Facts about files that another thread or process may delete meanwhile."""

from __future__ import annotations

from pathlib import Path


def size(path: Path) -> int | None:
    """Return the bytes of a file; None if it is not there."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None
