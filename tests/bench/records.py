"""CPU time of the sidecar's own code for a request: from the bytes of a record to its spans' delivery, without
sockets.

    python -m bench.records      (in tests/)

prints CPU microseconds a request: first the whole, with the spool's thread, and `Pipeline.take` alone, for 100, 10, 1
and 0 % of the requests kept. Then the parts of a kept one. A part is the difference between a run that includes it and
a run that ends before it. No request has anything to redact. A collector answers at once.
"""

from __future__ import annotations

import asyncio
import gc
import json
import random
import tempfile
import time
import zlib
from collections.abc import Callable
from pathlib import Path

from load.traffic import config, varied_log_record
from otlp_tracing.config.settings import Settings
from otlp_tracing.context import RequestContext
from otlp_tracing.sidecar.export.exporters import ExporterRegistry
from otlp_tracing.sidecar.export.result import Action, ExportResult
from otlp_tracing.sidecar.ingest.request_record import RequestRecord, decode
from otlp_tracing.sidecar.live.recorder import Recorder
from otlp_tracing.sidecar.live.what_if import WhatIfRedaction
from otlp_tracing.sidecar.otlp.encoder import encode_resource, encode_span, request
from otlp_tracing.sidecar.outcome import RequestOutcome
from otlp_tracing.sidecar.pipeline import Pipeline
from otlp_tracing.sidecar.redaction.redactor import shared_redactor
from otlp_tracing.sidecar.route_table import RouteTable
from otlp_tracing.sidecar.spans.assemble import assemble
from otlp_tracing.sidecar.spans.cardinality import CardinalityLimit
from otlp_tracing.sidecar.spans.http_methods import HttpMethods
from otlp_tracing.sidecar.spans.model import SpanRecord
from otlp_tracing.sidecar.spans.rules import SpanRules
from otlp_tracing.sidecar.tail.controller import SamplingController
from otlp_tracing.sidecar.tail.report import SamplingReport
from otlp_tracing.sidecar.telemetry.registry import Metrics
from otlp_tracing.sidecar.telemetry.request_duration import RequestDuration

_REQUESTS = 2_000
_ROUNDS = 5
_BATCH = 50  # records that one read from a process of the gateway brings, under load
_BATCH_SPANS = 512  # of an export
_FLUSH_SECONDS = 0.3  # longer than a batch waits to be sent
_KEY, _WORKER = b"k" * 16, b"worker-1"
_CONFIG = config("http://127.0.0.1:4317")


class _Collector:
    """Takes everything."""

    async def export(self, request: bytes) -> ExportResult:  # noqa: ARG002
        """Take a request."""
        return ExportResult(Action.SUCCESS)

    async def close(self) -> None:
        """Nothing is open."""


class _Request:
    """One request on its way, as far as it has come."""

    __slots__ = ("context", "encoded", "log", "outcome", "record", "spans")
    record: RequestRecord
    context: RequestContext
    spans: list[SpanRecord]
    encoded: list[bytes]
    outcome: RequestOutcome

    def __init__(self, log: bytes) -> None:
        self.log = log


def _records(kept_percent: int) -> list[bytes]:
    source = random.Random(1)
    records = []
    for number in range(_REQUESTS):
        is_kept = number % 100 < kept_percent
        ids = {"trace_id": 128, "span_id": 64, "upstream_span_id": 64}
        field = {name: f"{source.getrandbits(bits) | 1:0{bits // 4}x}" for name, bits in ids.items()}
        decision = (
            {"flags": 3, "sampled": True, "trace_state": "ot=th:0"} if is_kept else {"flags": 2, "sampled": False}
        )
        rest = {"decided_by": "rate", "probability": kept_percent / 100}
        records.append(varied_log_record({**field, **decision, **rest}, source).encode())
    return records


async def _whole(records: list[bytes]) -> tuple[float, float]:
    """Return the seconds of the process, and those of them that the pipeline takes of the loop's thread."""
    totals, takes = [], []
    with tempfile.TemporaryDirectory() as folder:
        metrics = Metrics()
        exporters = ExporterRegistry(metrics, {}, Path(folder), lambda _: _Collector())
        await exporters.spool.start(5)
        pipeline = Pipeline(metrics, {}, exporters, SamplingController(metrics, time.monotonic), recorder=Recorder())
        pipeline.configure(_KEY, _CONFIG.encode())
        for number in range(_ROUNDS):
            begun, took = time.process_time(), 0.0
            for start in range(0, _REQUESTS, _BATCH):
                batch_begun = time.thread_time()
                for record in records[start : start + _BATCH]:
                    pipeline.take(_KEY, record, _WORKER)
                safe = pipeline.flush(_WORKER, number * _REQUESTS + start + _BATCH)
                took += time.thread_time() - batch_begun
                await exporters.spool.room()
                await asyncio.sleep(0)
            if safe is not None:
                await safe
            await asyncio.sleep(_FLUSH_SECONDS)
            totals.append(time.process_time() - begun)
            takes.append(took)
        await exporters.close(5)
    return min(totals), min(takes)


def _parts() -> dict[str, Callable[[_Request], None]]:
    settings, metrics, methods = Settings.from_config(json.loads(_CONFIG)), Metrics(), HttpMethods({})
    rules = SpanRules.from_settings(settings, methods, CardinalityLimit())
    redactor = shared_redactor(settings.redaction)
    routes = RouteTable()
    report, durations, recorder = SamplingReport(metrics, routes), RequestDuration(metrics, methods, routes), Recorder()
    recorder.configure(_KEY, WhatIfRedaction((), str))

    def record(one: _Request) -> None:
        one.record = decode(one.log)

    def context(one: _Request) -> None:
        found = RequestContext.from_log_field(one.record.log.otlp_tracing)
        assert found is not None
        one.context = found

    def spans(one: _Request) -> None:
        one.spans = assemble(one.record, one.context, rules)

    def redacted(one: _Request) -> None:
        one.spans = [redactor.redact(span, lambda *_: None) for span in one.spans]

    def encoded(one: _Request) -> None:
        one.encoded = [encode_span(span) for span in one.spans]

    def outcome(one: _Request) -> None:
        route = routes.key(one.record.service, one.record.route)
        one.outcome = RequestOutcome(
            *(_KEY, "", _WORKER),
            record=one.record,
            route=route,
            context=one.context,
            probability=one.context.probability,
            kept_for=None,
            spans=one.encoded,
        )

    return {
        "decode": record,
        "context": context,
        "assemble": spans,
        "redact": redacted,
        "encode": encoded,
        "outcome": outcome,
        "sampling report": lambda one: report.observe(one.outcome),
        "request duration": lambda one: durations.observe(one.outcome),
        "recorder": lambda one: recorder.observe(one.outcome),
    }


def _seconds_of_parts(records: list[bytes]) -> dict[str, float]:
    parts = _parts()
    every = list(parts.values())
    best = [float("inf")] * (len(every) + 1)
    for _ in range(_ROUNDS):
        for count in range(len(every) + 1):
            begun = time.thread_time()
            for record in records:
                one = _Request(record)
                for part in every[:count]:
                    part(one)
            best[count] = min(best[count], time.thread_time() - begun)
    return {name: after - before for name, before, after in zip(parts, best, best[1:], strict=False)}


def _seconds_of_gzip(records: list[bytes], level: int) -> float:
    spans: list[bytes] = []
    parts = list(_parts().values())[:5]
    for record in records[: _BATCH_SPANS // 2]:
        one = _Request(record)
        for part in parts:
            part(one)
        spans += one.encoded
    body = request(encode_resource({}), spans)
    best = float("inf")
    for _ in range(_ROUNDS):
        begun = time.thread_time()
        zlib.compress(body, level)
        best = min(best, time.thread_time() - begun)
    return best * _REQUESTS / (len(spans) / 2)


def main() -> None:
    """Measure, and print the best of some rounds of each."""
    gc.freeze()
    for percent in (100, 10, 1, 0):
        total, take = asyncio.run(_whole(_records(percent)))
        _print(f"{percent:3} % kept: all, with delivery", total)
        _print(f"{percent:3} % kept: Pipeline.take", take)
    records = _records(100)
    for name, seconds in _seconds_of_parts(records).items():
        _print(f"  {name}", seconds)
    for level in (1, 6):
        _print(f"gzip, level {level}", _seconds_of_gzip(records, level))


def _print(name: str, seconds: float) -> None:
    print(f"{name:32}{seconds / _REQUESTS * 1e6:7.1f}")


if __name__ == "__main__":
    main()
