"""The course of the demo: start, send, show, continue until told to stop, sum up.

Signals only set an event here; everything is then taken down in order.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, TypeVar

from otlp_tracing.errors import ConfigError, Fault, TracingError
from otlp_tracing_devtools.demo.plugin_server import PluginServerError
from otlp_tracing_devtools.demo.ports import Port, reserve
from otlp_tracing_devtools.demo.programs import WANTED_PORTS, Programs, running_programs
from otlp_tracing_devtools.demo.screen import Screen, Tally
from otlp_tracing_devtools.demo.services import ORDER_SERVICE, USER_SERVICE
from otlp_tracing_devtools.demo.signals import STOP_SIGNALS, EarlySignals
from otlp_tracing_devtools.demo.span_counts import are_settled, span_counts
from otlp_tracing_devtools.demo.spans import SeenSpan, is_complete
from otlp_tracing_devtools.demo.traffic import EXAMPLES, GATEWAY, Sent

T = TypeVar("T")

_PATIENCE_S = 10.0  # for a trace
_LITTLE_PATIENCE_S = 1.0  # once one has not come
_STEADY_INTERVAL_S = 1.0
_SETTLE_S = 2.0  # the sidecar counts a span a moment after the receiver has it
_SETTLE_INTERVAL_S = 0.05


class _StoppedError(Exception):
    """A signal came."""


def perform(requests: int, early: EarlySignals, *, leave: bool) -> int:
    """Run the demo and return its exit code; see `otlp_tracing_devtools.demo.run`."""
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        raise ConfigError([Fault("OTEL_SDK_DISABLED", "true", "must not be set: the demo's services use the SDK")])
    if logging.getLogger().level == logging.INFO:  # at debug someone wants to read the gateway's log
        logging.getLogger("otlp_tracing").setLevel(logging.WARNING)
    return asyncio.run(_Demo(Screen(sys.stdout)).run(requests, early, leave=leave))


class _Demo:
    """One run of the demo."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._tally = Tally()
        self._patience_s = _PATIENCE_S
        self._crossed = 0
        self._furthest: set[str] = set()
        self._stop: asyncio.Future[signal.Signals]

    async def run(self, requests: int, early: EarlySignals, *, leave: bool) -> int:
        self._stop = _stop_on_signals(early)
        try:
            with reserve(WANTED_PORTS) as ports:
                self._screen.opening(ports)
                return await self._with_programs(ports, requests, leave=leave)
        except _StoppedError:
            return 128 + self._stop.result()
        except (TracingError, OSError) as error:
            print(f"otlp-tracing demo: {error}", file=sys.stderr)
            return 1

    async def _with_programs(self, ports: Mapping[str, Port], requests: int, *, leave: bool) -> int:
        async with contextlib.AsyncExitStack() as stack:
            programs = await self._unless_stopped(stack.enter_async_context(running_programs(ports)))
            return await self._send_and_sum_up(programs, requests, ports["sidecar"].url, leave=leave)

    async def _send_and_sum_up(self, programs: Programs, requests: int, sidecar_url: str, *, leave: bool) -> int:
        interrupted = False
        try:
            await self._unless_stopped(self._send_rounds(programs, requests))
            if not leave:
                self._screen.in_lines(f"{sidecar_url}/")
                with contextlib.suppress(_StoppedError):  # the way to end this
                    await self._unless_stopped(self._send_steadily(programs))
        except _StoppedError:
            interrupted = True
        counts = await _settled_counts(programs)
        self._screen.summary(self._tally, programs.book.spans_by_service, counts, f"{sidecar_url}/metrics")
        return 128 + self._stop.result() if interrupted else self._verdict(programs)

    async def _send_rounds(self, programs: Programs, requests: int) -> None:
        """Send the requests a round of examples at a time, then show their traces: the first round in full."""
        for first in range(0, requests, len(EXAMPLES)):
            if first == len(EXAMPLES):
                self._screen.in_lines()
            numbers = range(first, min(first + len(EXAMPLES), requests))
            for sent in [await programs.send(EXAMPLES[number % len(EXAMPLES)]) for number in numbers]:
                await self._show(programs, sent, in_full=first == 0)

    async def _send_steadily(self, programs: Programs) -> None:
        while True:
            sent = await programs.send(EXAMPLES[self._tally.sent % len(EXAMPLES)])
            await self._show(programs, sent, in_full=False)
            await asyncio.sleep(_STEADY_INTERVAL_S)

    async def _show(self, programs: Programs, sent: Sent, *, in_full: bool) -> None:
        self._tally.sent += 1
        wanted = sent.example.services
        spans = await programs.trace_of(sent, self._patience_s if wanted else 0)
        show = self._screen.trace if in_full else self._screen.line
        show(self._tally.sent, sent, spans)
        if not wanted:
            self._tally.untraced[sent.example.untraced] = self._tally.untraced.get(sent.example.untraced, 0) + 1
            if spans:
                self._screen.unexpected(spans)
            return
        self._count(spans)
        if not is_complete(spans, wanted):
            self._screen.incomplete(sent, spans, self._patience_s)
            self._patience_s = _LITTLE_PATIENCE_S

    def _count(self, spans: Sequence[SeenSpan]) -> None:
        services = {one.service for one in spans}
        self._tally.traces += bool(spans)
        self._crossed += is_complete(spans, _WHOLE_WAY)
        self._furthest = max(self._furthest, services & _WHOLE_WAY, key=len)

    def _verdict(self, programs: Programs) -> int:
        if self._crossed:
            return 0
        missing = ", ".join(sorted(_WHOLE_WAY - self._furthest))
        reason = f"no trace with a span of {missing} came" if missing else "the traces are not connected"
        print(f"otlp-tracing demo: no trace crossed gateway and both services: {reason}", file=sys.stderr)
        print(programs.plugin_server.log_tail(), file=sys.stderr)
        return 1

    async def _unless_stopped(self, work: Coroutine[Any, Any, T]) -> T:
        """Do the work; break it off when a signal comes."""
        task = asyncio.ensure_future(work)
        waited_for: set[asyncio.Future[Any]] = {task, self._stop}
        await asyncio.wait(waited_for, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        # Running requests are cancelled on purpose, so this is not reported.
        logging.getLogger("otlp_tracing").setLevel(logging.CRITICAL)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        raise _StoppedError


async def _settled_counts(programs: Programs) -> dict[str, int]:
    """Return the sidecar's counts once no span is on its way, or after two seconds; empty if it does not answer."""
    counts: dict[str, int] = {}
    deadline = asyncio.get_running_loop().time() + _SETTLE_S
    with contextlib.suppress(PluginServerError):
        while asyncio.get_running_loop().time() < deadline:
            counts = span_counts(await programs.plugin_server.metrics())
            if are_settled(counts):
                break
            await asyncio.sleep(_SETTLE_INTERVAL_S)
    return counts


_WHOLE_WAY = {GATEWAY, USER_SERVICE, ORDER_SERVICE}


def _stop_on_signals(early: EarlySignals) -> asyncio.Future[signal.Signals]:
    loop = asyncio.get_running_loop()
    stop: asyncio.Future[signal.Signals] = loop.create_future()

    def on_signal(number: signal.Signals) -> None:
        if not stop.done():
            stop.set_result(number)

    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, on_signal, number)
    if early.first is not None:
        on_signal(early.first)
    return stop
