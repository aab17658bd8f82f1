"""Promises of commands/worker_options.py."""

from __future__ import annotations

from loaded_modules import modules_loaded_by
from otlp_tracing.commands.worker_options import WorkerOptions


def test_a_workers_options_survive_the_command_line() -> None:
    """Descriptors, the socket and its identity are read as they were written, in one argument."""
    options = WorkerOptions(1, 3, 4, [5, 6], [7, 8], "/a b/s", (64, 1234567), 1, 2, "/plugins", ["--http"])

    assert WorkerOptions.from_json(options.to_json()) == options


def test_a_worker_loads_nothing_of_its_supervisor() -> None:
    """It starts no processes and makes no files: modules for that would only cost its start and its memory."""
    loaded = modules_loaded_by("import otlp_tracing.commands.worker")

    assert not {
        "subprocess", "tempfile", "shutil", "greenlet", "gevent", "ssl", "asyncio", "otlp_tracing.commands.serve"
    } & set(loaded)  # fmt: skip
