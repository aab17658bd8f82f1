"""The services behind the gateway: those of examples/, as processes of their own.

User 1 is an ordinary one, user 2 has an order list that takes its time, user 3 one that cannot be read,
and there is no user 9.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from aiohttp import ClientError, ClientSession, ClientTimeout

from otlp_tracing.errors import TracingError
from otlp_tracing_devtools.demo import child
from otlp_tracing_devtools.demo.ports import Port
from otlp_tracing_devtools.paths import EXAMPLES

USER_SERVICE = "user-service"
ORDER_SERVICE = "order-service"

_READY_S = 20.0  # two Python processes start, on a machine that may be busy
_POLL_S = 0.05
_TAIL_LINES = 12
_SEND_EVERY_MS = 100  # soon enough for a person that watches


@contextlib.asynccontextmanager
async def serve(users: Port, orders: Port, orders_grpc: Port, collector_url: str, folder: Path) -> AsyncIterator[None]:
    """Run both services until the block ends. Their remaining spans are exported then.

    Args:
        users: of user-service.
        orders: of order-service's HTTP side.
        orders_grpc: of order-service's gRPC side.
        collector_url: the destination of their exports.
        folder: for their output.

    Raises:
        TracingError: one of them does not come up; the message has the end of its output.
    """
    environment = {
        "PYTHONPATH": str(EXAMPLES),
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector_url,
        "OTEL_BSP_SCHEDULE_DELAY": str(_SEND_EVERY_MS),
    }
    commands = {
        "order_service": ["--listen", orders.address, "--grpc", orders_grpc.address],
        "user_service": ["--listen", users.address, "--orders", orders_grpc.address],
    }
    for port in (users, orders, orders_grpc):
        port.hand_over()
    async with contextlib.AsyncExitStack() as stack:
        running = [
            await stack.enter_async_context(_process(module, arguments, folder / f"{module}.log", environment))
            for module, arguments in commands.items()
        ]
        for (process, log), port in zip(running, (orders, users), strict=True):
            await _until_ready(process, log, port)
        yield


@contextlib.asynccontextmanager
async def _process(
    module: str, arguments: list[str], log: Path, environment: Mapping[str, str]
) -> AsyncIterator[tuple[asyncio.subprocess.Process, Path]]:
    process = await child.start([sys.executable, "-m", f"shop.{module}", *arguments], log, environment)
    try:
        yield process, log
    finally:
        await child.stop(process)


async def _until_ready(process: asyncio.subprocess.Process, log: Path, port: Port) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _READY_S
    async with ClientSession(timeout=ClientTimeout(total=1)) as session:
        while process.returncode is None and loop.time() < deadline:
            with contextlib.suppress(ClientError, asyncio.TimeoutError):
                async with session.get(f"{port.url}/readyz") as answer:
                    if answer.status == 200:
                        return
            await asyncio.sleep(_POLL_S)
    words = "\n".join(log.read_text(errors="replace").splitlines()[-_TAIL_LINES:])
    raise TracingError(f"the service at {port.url} did not come up\n{words}".rstrip())
