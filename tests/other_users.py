"""Tests that run as root, and become another user for a part of them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")


@contextmanager
def open_folder(mode: int = 0o755) -> Iterator[Path]:
    """Give a folder on a way that every user may enter; pytest's own belong to the user of the run alone."""
    with tempfile.TemporaryDirectory(prefix="otlp-tracing-") as name:
        folder = Path(name)
        folder.chmod(mode)
        yield folder
