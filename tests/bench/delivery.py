"""`python -m bench.delivery`: spans that a core delivers, beside the SDK's own pipeline.

Both send the same finished spans to the same receiver, in turns, each in a process of its own. Its CPU time counts.
One side is the SDK's BatchSpanProcessor with its OTLPSpanExporter, which loses spans that do not fit in memory. The
other is our delivery through the spool on disk. Both send batches of 512. `--docs` writes the table into
docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import grpc
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from bench.document import BENCHMARKS, replace
from bench.report import circumstances
from bench.sink import running_sink
from otlp_tracing.config.settings import Settings
from otlp_tracing.sidecar.export.destination import Destination
from otlp_tracing.sidecar.export.exporters import ExporterRegistry
from otlp_tracing.sidecar.otlp.encoder import encode_span
from otlp_tracing.sidecar.spans.model import SpanRecord
from otlp_tracing.sidecar.telemetry.registry import Metrics
from spans_of import spans_of

_BATCH = 512
_REQUESTS_A_COMMIT = 64  # the amount that a worker sends at once under load
_KINDS = {"server": SpanKind.SERVER, "client": SpanKind.CLIENT, "internal": SpanKind.INTERNAL}
_SUBJECTS = {
    "SDK, no compression": ("sdk", "none"),
    "ours, no compression": ("ours", "none"),
    "SDK, gzip": ("sdk", "gzip"),
    "ours, gzip": ("ours", "gzip"),
}


def main() -> None:
    """Measure all subjects in turns and print a table."""
    parser = argparse.ArgumentParser(prog="python -m bench.delivery", description=__doc__)
    parser.add_argument("--spans", type=int, default=60_000, help="a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--docs", action="store_true", help="write the results into docs/benchmarks.md too")
    parser.add_argument("--subject", nargs=3, metavar=("WHICH", "COMPRESSION", "ENDPOINT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.subject:
        which, compression, endpoint = options.subject
        json.dump((_sdk if which == "sdk" else _ours)(endpoint, compression, options.spans), sys.stdout)
        return
    rounds: dict[str, list[dict[str, float]]] = {name: [] for name in _SUBJECTS}
    with running_sink() as endpoint:
        for _ in range(options.rounds):
            for name, (which, compression) in _SUBJECTS.items():
                rounds[name].append(_measure(which, compression, endpoint, options.spans))
    lines = list(_table(rounds, options.spans))
    print("\n".join(lines))
    if options.docs:
        replace(BENCHMARKS, "delivery", "\n".join(lines))


def _measure(which: str, compression: str, endpoint: str, spans: int) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.delivery", "--spans", str(spans)]
    done = subprocess.run(
        [*command, "--subject", which, compression, endpoint],
        check=True,
        capture_output=True,
        text=True,
    )
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def _table(rounds: Mapping[str, Sequence[Mapping[str, float]]], spans: int) -> Iterator[str]:
    known = circumstances()
    count = len(next(iter(rounds.values())))
    yield f"Medians of {count} rounds of {spans:,} spans, on {known['cores']} cores ({known['cpu']})."
    yield ", ".join(f"{name} {known[name]}" for name in ("date", "commit", "python", "grpcio")) + "."
    yield ""
    yield "| | spans per CPU s | µs a span | memory growth, MiB | ratio |"
    yield "|---|--:|--:|--:|--:|"
    medians = {
        name: {key: statistics.median(one[key] for one in all_) for key in all_[0]} for name, all_ in rounds.items()
    }
    for name, one in medians.items():
        per_core = one["delivered"] / one["cpu_s"]
        sdk = medians["SDK, " + name.partition(", ")[2]]
        ratio = per_core / (sdk["delivered"] / sdk["cpu_s"])
        yield f"| {name} | {per_core:,.0f} | {1e6 / per_core:.1f} | {one['growth_mib']:.0f} | {ratio:.2f} |"


class _Figures:
    """CPU time and memory from now on."""

    def __init__(self) -> None:
        self._cpu = time.process_time()
        self._memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    def of(self, delivered: int) -> dict[str, float]:
        """Return them."""
        growth = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - self._memory
        return {"delivered": delivered, "cpu_s": time.process_time() - self._cpu, "growth_mib": growth / 1024}


def _requests() -> list[list[SpanRecord]]:
    headers = {"user-agent": "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/143.0", "host": "gw:8000"}
    return [
        spans_of(
            request={"headers": headers, "uri": f"/users/{number}?page=2", "size": 312},
            response={"status": 200, "size": 5120},
            upstream_status="200",
            client_ip="10.1.2.3",
            source="upstream",
            tries=[{"ip": "10.0.0.7", "port": 8080, "balancer_start": 1_002, "balancer_latency": 1}],
        )
        for number in range(256)
    ]


def _ours(endpoint: str, compression: str, spans: int) -> dict[str, float]:
    return asyncio.run(_deliver(endpoint, compression, spans))


async def _deliver(endpoint: str, compression: str, spans: int) -> dict[str, float]:
    settings = Settings.from_config({"endpoint": endpoint, "compression": compression})
    requests = _requests()
    with tempfile.TemporaryDirectory(prefix="bench-spool-") as folder:
        exporters = ExporterRegistry(Metrics(), {}, Path(folder))
        await exporters.spool.start(10)
        destination = Destination.from_settings(settings, {})
        delivery = exporters.get(destination)
        for number in range(0, _BATCH * 4, 2):  # the connection, and modules loaded with it
            exporters.submit(destination, [encode_span(span) for span in requests[number % 256]], 0)
        exporters.save(b"", 1)
        while not delivery.is_empty:
            await asyncio.sleep(0.001)
        before, figures, sent = delivery.accounting.exported, _Figures(), 0
        while sent < spans:
            for number in range(_REQUESTS_A_COMMIT):
                encoded = [encode_span(span) for span in requests[number * 4 % 256]]
                exporters.submit(destination, encoded, 0)
                sent += len(encoded)
            exporters.save(b"bench", sent)
            await asyncio.sleep(0)
            await exporters.spool.room()
            while delivery.accounting.spooled > 20 * _BATCH:
                await asyncio.sleep(0.001)
        await _until_idle(delivery)
        found = figures.of(delivery.accounting.exported - before)
        await exporters.close(1)
        return found


async def _until_idle(delivery: Any) -> None:
    # The last batch need not be full.
    delivery._is_flushing = True
    delivery._wake.set()
    while not delivery.is_empty:
        await asyncio.sleep(0.001)


def _sdk(endpoint: str, compression: str, spans: int) -> dict[str, float]:
    algorithm = grpc.Compression.Gzip if compression == "gzip" else grpc.Compression.NoCompression
    exporter = OTLPSpanExporter(endpoint, insecure=True, compression=algorithm)
    processor = BatchSpanProcessor(exporter, max_queue_size=64 * _BATCH, max_export_batch_size=_BATCH)
    resource_ = Resource({"service.name": "kong"})
    requests = [[_readable(span, resource_) for span in request] for request in _requests()]
    queue = processor._batch_processor._queue
    for number in range(0, _BATCH * 4, 2):
        for span in requests[number % 256]:
            processor.on_end(span)
    processor.force_flush()
    figures, sent = _Figures(), 0
    while sent < spans:
        for number in range(_REQUESTS_A_COMMIT):
            for span in requests[number * 4 % 256]:
                processor.on_end(span)
                sent += 1
        while len(queue) > 20 * _BATCH:
            time.sleep(0.001)
    processor.force_flush()
    found = figures.of(sent)
    processor.shutdown()  # type: ignore[no-untyped-call]
    return found


def _readable(span: SpanRecord, resource_: Resource) -> ReadableSpan:
    def context(span_id: bytes, *, is_remote: bool) -> SpanContext:
        state = TraceState.from_header([span.trace_state])
        ids = (int.from_bytes(span.trace_id, "big"), int.from_bytes(span_id, "big"))
        return SpanContext(*ids, is_remote, TraceFlags(span.flags), state)

    return ReadableSpan(
        name=span.name,
        context=context(span.span_id, is_remote=False),
        parent=context(span.parent_span_id, is_remote=span.kind == "server") if span.parent_span_id else None,
        resource=resource_,
        attributes=dict(span.attributes),
        kind=_KINDS[span.kind],
        status=Status(StatusCode.ERROR if span.is_error else StatusCode.UNSET),
        start_time=span.start_unix_ns,
        end_time=span.end_unix_ns,
        instrumentation_scope=InstrumentationScope("otlp_tracing"),
    )


if __name__ == "__main__":
    main()
