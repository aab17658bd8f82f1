"""A child process of the demo: started with a clean environment, in a session of its own, stopped for sure."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

_STOP_S = 1.2


async def start(
    command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
) -> asyncio.subprocess.Process:
    """Start a process that writes to a file.

    Args:
        command: program and arguments.
        log: written anew.
        environment: added to ours, from which everything is taken that configures tracing.
    """
    own = {name: os.environ[name] for name in os.environ.keys() - tracing_variables(os.environ)}
    with log.open("wb") as output:
        return await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**own, **(environment or {})},
            start_new_session=True,  # a Ctrl-C is for the demo, which then stops everything in order
        )


async def stop(process: asyncio.subprocess.Process) -> None:
    """Stop a process and whatever is left of its session."""
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), _STOP_S)
    except asyncio.TimeoutError:
        pass
    finally:
        # It leads its session, so no one else's process is in there.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def tracing_variables(names: Iterable[str]) -> list[str]:
    """Find variables that configure other tracing or another plugin server: the demo sets its own."""
    return [name for name in names if name.startswith(("OTEL_", "OTLP_TRACING_"))]
