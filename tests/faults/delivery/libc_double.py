"""Runs a process with a C library that lets the disk fail or stall, and the wall clock jump, when a test says so."""

from __future__ import annotations

import contextlib
import mmap
import shutil
import struct
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

_SOURCE = Path(__file__).with_name("libc_double.c")
_CONTROL = struct.Struct("qqqqq")


class LibcDouble:
    """The double, compiled into a folder. Without a C compiler the test is skipped.

    Args:
        folder: for it.
        disk: the folder on the disk that fails.
    """

    def __init__(self, folder: Path, disk: Path) -> None:
        compiler = shutil.which("cc")
        if compiler is None:
            pytest.skip("no C compiler here")
        library, control = folder / "libc_double.so", folder / "libc_double"
        subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-o", str(library), str(_SOURCE), "-ldl"], check=True)
        control.write_bytes(bytes(_CONTROL.size))
        with control.open("r+b") as file:
            self._control = mmap.mmap(file.fileno(), _CONTROL.size)
        self._error = self._ahead_ns = self._fast_ppm = self._fast_since_ns = 0
        self._stalls = False
        self.environment: Mapping[str, str] = {
            "LD_PRELOAD": str(library),
            "LIBC_DOUBLE": str(control),
            "LIBC_DOUBLE_FOLDER": str(disk),
        }

    def fail(self, error: int) -> None:
        """Let every write fail with an errno; 0 mends the disk."""
        self._error = error
        self._write()

    @contextlib.contextmanager
    def stalled(self) -> Iterator[None]:
        """Let writes take for as long as the block runs."""
        self._stalls = True
        self._write()
        try:
            yield
        finally:
            self._stalls = False
            self._write()

    def jump(self, seconds: float) -> None:
        """Put the wall clock forward from now on; back with a negative number."""
        self._ahead_ns += int(seconds * 1e9)
        self._write()

    @contextlib.contextmanager
    def slewed(self, ppm: int) -> Iterator[None]:
        """Let the wall clock run fast, or slow, by so many parts in a million for as long as the block runs."""
        self._fast_ppm, self._fast_since_ns = ppm, time.monotonic_ns()
        self._write()
        try:
            yield
        finally:
            self._ahead_ns += (time.monotonic_ns() - self._fast_since_ns) // 1_000_000 * ppm
            self._fast_ppm = self._fast_since_ns = 0
            self._write()

    def _write(self) -> None:
        fast = self._fast_ppm, self._fast_since_ns
        self._control[:] = _CONTROL.pack(self._error, self._stalls, self._ahead_ns, *fast)
