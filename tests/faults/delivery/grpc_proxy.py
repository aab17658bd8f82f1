"""A gRPC proxy before a real collector: passes exports on, answers some itself, and loses the answers to others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
import grpc.aio
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from e2e.ports import HOST, free_port
from faults.delivery.background import Background

_METHOD = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


class GrpcProxy(Background):
    """The proxy. Use it with `with`.

    Args:
        target_port: the collector's.
        code: the answer to the n-th export, from 0, instead of passing it on; None passes it on.
        loses: whether the n-th export's answer is lost after the collector accepted it.
    """

    def __init__(
        self,
        target_port: int,
        code: Callable[[int], grpc.StatusCode | None],
        loses: Callable[[int], bool] | None = None,
    ) -> None:
        super().__init__()
        self.port = free_port()
        self.calls = 0
        self.lost_spans = 0  # of exports with a lost answer
        self.answered: list[grpc.StatusCode] = []
        self._target = f"{HOST}:{target_port}"
        self._code = code
        self._loses = loses

    @property
    def endpoint(self) -> str:
        """Where it listens, as an OTLP endpoint."""
        return f"http://{HOST}:{self.port}"

    async def opened(self) -> None:
        self._channel = grpc.aio.insecure_channel(self._target)
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        self._server.add_generic_rpc_handlers((_Handler(self._export),))
        self._server.add_insecure_port(f"{HOST}:{self.port}")
        await self._server.start()

    async def closing(self) -> None:
        await self._server.stop(None)
        await self._channel.close(None)

    async def _export(self, body: bytes, context: Any) -> bytes:
        number = self.calls
        self.calls += 1
        code = self._code(number)
        if code is not None:
            self.answered.append(code)
            await context.abort(code, "the proxy says so")
        try:
            answer: bytes = await self._channel.unary_unary(_METHOD, None, None)(body, timeout=10)
        except grpc.aio.AioRpcError as error:
            await context.abort(error.code(), error.details() or "", error.trailing_metadata() or ())
            raise
        if self._loses and self._loses(number):
            message = ExportTraceServiceRequest.FromString(body)
            self.lost_spans += sum(len(scope.spans) for one in message.resource_spans for scope in one.scope_spans)
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the proxy lost the answer")
        return answer


class _Handler(grpc.GenericRpcHandler):  # type: ignore[type-arg] # generic in the stubs only
    def __init__(self, export: Any) -> None:
        self._method = grpc.unary_unary_rpc_method_handler(export)

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes] | None:
        return self._method if details.method == _METHOD else None
