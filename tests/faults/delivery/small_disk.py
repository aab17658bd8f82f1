"""A file system of a few mebibytes, which only root can mount."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def small_disk(at: Path, size: str) -> Iterator[Path]:
    """Mount it.

    Args:
        at: a path that does not exist.
        size: as tmpfs(5) takes it, such as `16m`.
    """
    at.mkdir()
    subprocess.run(["/bin/mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", str(at)], check=True)
    try:
        yield at
    finally:
        subprocess.run(["/bin/umount", "--lazy", str(at)], check=True)
