"""OpenTelemetry's member of the tracestate: `ot=th:…;rv:…`.

Source: OpenTelemetry specification, trace/tracestate-handling.md.
"""

from __future__ import annotations

from otlp_tracing.propagation import tracestate as trace_state

_KEY = "ot"
_LONGEST = 256  # the whole value, by the specification


def read(members: trace_state.Members) -> dict[str, str]:
    """Return the sub-keys; empty where there is no `ot` member or it breaks the grammar."""
    # Most requests bring no tracestate, and this is asked of every one.
    value = trace_state.get(members, _KEY) if members else None
    if not value or len(value) > _LONGEST:
        return {}
    pairs = [entry.partition(":") for entry in value.split(";")]
    return {key: text for key, colon, text in pairs if colon}


def with_threshold(members: trace_state.Members, encoded: str) -> trace_state.Members:
    """State the threshold that this trace was sampled with."""
    if not members:
        return ((_KEY, f"th:{encoded}"),)
    entries = {"th": encoded, **{key: text for key, text in read(members).items() if key != "th"}}
    return _put(members, entries)


def without_threshold(members: trace_state.Members) -> trace_state.Members:
    """Remove the threshold: the count that it implies is no longer known."""
    entries = read(members)
    if "th" not in entries:
        return members
    del entries["th"]
    return _put(members, entries)


def _put(members: trace_state.Members, entries: dict[str, str]) -> trace_state.Members:
    value = ";".join(f"{key}:{text}" for key, text in entries.items())
    if not value or len(value) > _LONGEST:
        return trace_state.remove(members, _KEY)
    return trace_state.put(members, _KEY, value)
