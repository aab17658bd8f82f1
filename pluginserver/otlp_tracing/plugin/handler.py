"""The plugin's phases, written once for every server it runs in.

Every failure here is counted, and the request continues: no exception but the end of the process leaves a phase.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Any, Protocol

from otlp_tracing.config.settings import Sampling, Settings
from otlp_tracing.config.validation import unresolved_references
from otlp_tracing.context import hand_over_field
from otlp_tracing.errors import ConfigError, FrameTooLarge
from otlp_tracing.log_limit import LimitedLog
from otlp_tracing.metrics import EVENTS_FAILED, REQUESTS_BEGUN, REQUESTS_UNTRACED, Counters
from otlp_tracing.plugin import pdk
from otlp_tracing.plugin.emitter import Origin
from otlp_tracing.plugin.log_correlation import remember, remember_trace_id
from otlp_tracing.plugin.notes import asks_for_method, notes_of, telling_header
from otlp_tracing.sampling.head import RequestTracer
from otlp_tracing.sampling.head_policy import HeadPolicy
from otlp_tracing.sampling.rules import RequestLine
from otlp_tracing.sampling.token_bucket import Allowance

_log = logging.getLogger("otlp_tracing.plugin.handler")
_failures = LimitedLog(_log)


class Records(Protocol):
    """The way to the sidecar: emitter.Emitter."""

    @property
    def counters(self) -> Counters:
        """Of this process."""

    def allowance(self, origin: Origin, sampling: Sampling) -> Allowance | None:
        """Return this process's allowance of an entry; None if no rate moves."""

    @property
    def worker_id(self) -> bytes:
        """Of this process, 8 bytes."""

    @property
    def policy(self) -> HeadPolicy:
        """The rules of the policy file, for all entries of this process."""

    def announce(self, origin: Origin) -> None:
        """Tell the sidecar the configuration of an entry."""

    def refuse(self, origin: Origin) -> None:
        """Tell the sidecar that an entry cannot work."""

    def submit(self, origin: Origin, log: bytes) -> None:
        """Queue one log record."""


class Phases:
    """The phases of one plugin instance.

    A configuration that cannot work does not fail the instance, which Kong would turn into a 500 for every request of
    the route. Its requests are not traced, which is logged once and counted.

    Args:
        config: as Kong passes it at the start of an instance.
        records: the way to the sidecar.
    """

    def __init__(self, config: Mapping[str, Any], records: Records) -> None:
        self._records = records
        self._tracer: RequestTracer | None = None
        try:
            settings = Settings.from_config(config)
            self._origin = Origin.of(config)
            allowance = records.allowance(self._origin, settings.sampling)
            self._tracer = RequestTracer.from_settings(settings, os.urandom, allowance, records.policy)
            self._log_correlation = settings.log_correlation
            records.announce(self._origin)
            self._hand_over = hand_over_field(self._origin.key, records.worker_id if allowance is not None else None)
        except (ConfigError, FrameTooLarge) as error:
            faults = error.faults if isinstance(error, ConfigError) else ()
            texts = [str(fault) for fault in [*unresolved_references(config)] or faults] or [str(error)]
            _log.error("invalid configuration, tracing disabled for this entry: %s", "; ".join(texts))
            records.refuse(Origin.refused(config, texts))

    def access(self) -> pdk.Calls:
        """Decide, tell the upstream, and remember: three calls to Kong.

        One more each where a sampling rule asks for method or path, or the log record may lose the method; where the
        peer sends X-Forwarded-Proto, -Host or -Port; where other log plugins get the trace id in Kong's form; and where
        the client is told its trace.
        """
        tracer = self._tracer
        if tracer is None:
            return
        try:
            received = pdk.headers_of((yield pdk.GET_HEADERS))
            asks_method, extracted = asks_for_method(received), tracer.boundary.extract(received)
            if asks_method or tracer.asks_for_line(received, extracted):
                line = RequestLine.parse(pdk.text_of((yield pdk.GET_REQUEST_LINE)))
                context = tracer.begin(received, line.itself, extracted=extracted)
                method = line.method if asks_method else None
            else:
                context = tracer.begin(received, extracted=extracted)
                method = None
            telling = telling_header(received)
            believed = pdk.text_of((yield pdk.get_variable(f"upstream_x_forwarded_{telling}"))) if telling else ""
            outgoing = tracer.upstream_headers(context, received)
            if outgoing:
                pdk.result((yield pdk.set_upstream_headers(outgoing)))
            notes = notes_of(received, method, telling, believed)
            pdk.result((yield remember({**context.to_log_field(), **notes.to_log_field(), **self._hand_over})))
            if self._log_correlation:
                pdk.result((yield remember_trace_id(context.trace_id.hex())))
            self._records.counters.add(REQUESTS_BEGUN)
            answer = tracer.boundary.answer(context)
            if answer is not None:
                pdk.result((yield pdk.set_response_header(*answer)))
        except Exception:
            self._failed("access")

    def log(self) -> pdk.Calls:
        """Hand the log record over unread: one call to Kong."""
        if self._tracer is None:
            self._records.counters.add(REQUESTS_UNTRACED, "bad_configuration")
            return
        try:
            self._records.submit(self._origin, pdk.log_of((yield pdk.READ_LOG)))
        except Exception:
            self._records.counters.add(REQUESTS_UNTRACED, "capture_failed")
            self._failed("log")

    def _failed(self, phase: str) -> None:
        self._records.counters.add(EVENTS_FAILED, phase)
        _failures.warning("%s failed; the request goes on", phase, exc_info=True)
