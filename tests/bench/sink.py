"""A process that takes OTLP over gRPC and throws it away: a double of a collector, as cheap as it can be."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc

from checkout import CHECKOUT
from e2e.ports import HOST, accepts, free_port
from e2e.waiting import wait_for

_START_SECONDS = 20.0


class _Discard(grpc.GenericRpcHandler):  # type: ignore[type-arg]  # no generic class at run time
    """Answers every call with an empty message, and reads none."""

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:  # type: ignore[type-arg]  # noqa: ARG002
        return grpc.unary_unary_rpc_method_handler(lambda _request, _context: b"")


@contextlib.contextmanager
def running_sink() -> Iterator[str]:
    """Run it as a process of its own; give its endpoint."""
    port = free_port()
    code = "import sys; sys.path.insert(0, 'tests'); from bench.sink import serve; serve(int(sys.argv[1]))"
    process = subprocess.Popen([sys.executable, "-c", code, str(port)], cwd=CHECKOUT)
    try:
        wait_for(lambda: accepts((HOST, port)), _START_SECONDS, "the sink accepts")
        yield f"http://{HOST}:{port}"
    finally:
        process.terminate()
        process.wait()


def serve(port: int) -> None:
    """Serve until SIGTERM."""
    server = grpc.server(ThreadPoolExecutor(2), options=[("grpc.max_receive_message_length", -1)])
    server.add_generic_rpc_handlers((_Discard(),))
    server.add_insecure_port(f"{HOST}:{port}")
    server.start()
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
