"""The fields of Kong's log record by which other log plugins find a request's trace.

Source: kong/observability/tracing/propagation/init.lua (propagate) of Kong 3.9.3, which sets `trace_id` from 3.5 on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from otlp_tracing.context import LOG_FIELD
from otlp_tracing.plugin.pdk import Call, set_log_field


def remember(context: Mapping[str, Any]) -> Call:
    """Put the trace context into the log record. Phase: access."""
    return set_log_field(LOG_FIELD, context)


def remember_trace_id(trace_id: str) -> Call:
    """Put the trace id into the log record as Kong's own plugins do: `trace_id: {w3c: …}`. Phase: access."""
    return set_log_field("trace_id", {"w3c": trace_id})
