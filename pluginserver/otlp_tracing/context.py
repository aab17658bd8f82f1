"""Trace context: the caller's trace, the decision about a request, and their form in Kong's log record.

`access` writes a RequestContext into Kong's own log record under `otlp_tracing`. The sidecar reads it there, and so
does every other Kong log plugin, which is why the names are spelled out. State travels with the request: no process
has to remember it.

Source: W3C Trace Context level 2; OpenTelemetry specification, trace/api.md (SpanContext).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final

FLAG_SAMPLED: Final = 0x01
FLAG_RANDOM = 0x02

DECIDED_BY: Final = ("parent", "policy", "rule", "rate", "budget", "load")
"""The kinds of a head decision. `budget` and `load` have lowered the configured rate."""

TAIL_RULE = "tail_rule"
"""The reason of a trace that a rule on the finished request keeps."""

MAX_RULE_NAME: Final = 128  # characters; a longer name is not read

LOG_FIELD = "otlp_tracing"
"""The field of Kong's log record that carries a RequestContext."""

# 32 members of 513 characters and the commas between them: the most that the W3C's grammar allows.
_TRACE_STATE: Final = re.compile(r"[\x20-\x7e]{0,16447}", re.ASCII)
_METHOD: Final = re.compile(r"[-!#$%&'*+.^_`|~0-9A-Za-z]{1,64}")  # the longest registered one has 17 characters
_LONGEST_BAGGAGE = 8192  # the largest size of a request's captured baggage, all of it
_MOST_BAGGAGE = 180
_NO_TRACE: Final = bytes(16)
_NO_SPAN: Final = bytes(8)


# Both are made for every request and write their __init__ themselves: compiled, that of a dataclass stays Python, and
# takes thirty times as long.


@dataclass(slots=True, init=False)
class SpanContext:
    """A span as its trace context names it.

    Args:
        trace_id: 16 bytes, not all zero.
        span_id: 8 bytes, not all zero.
        flags: W3C trace flags, 8 bits.
        trace_state: the `tracestate` header's value, checked; empty without one.
    """

    trace_id: Final[bytes]
    span_id: Final[bytes]
    flags: Final[int]
    trace_state: Final[str]

    def __init__(self, trace_id: bytes, span_id: bytes, flags: int = 0, trace_state: str = "") -> None:
        self.trace_id = trace_id
        self.span_id = span_id
        self.flags = flags
        self.trace_state = trace_state

    @property
    def sampled(self) -> bool:
        """Tell whether the caller sampled this trace."""
        return bool(self.flags & FLAG_SAMPLED)


@dataclass(slots=True, init=False)
class RequestContext:
    """The decision of `access` about one request.

    Args:
        trace_id: 16 bytes.
        span_id: 8 bytes; the gateway's SERVER span.
        upstream_span_id: 8 bytes; the CLIENT span of the last try, the parent-id that the upstream saw.
        parent_span_id: 8 bytes; the caller's span, None if the trace starts here.
        flags: W3C trace flags, as sent upstream; the sampled bit is the decision.
        trace_state: as sent upstream.
        link: the caller's span if a new trace was started in spite of it, or None.
        baggage: the members captured, names and decoded values.
        decided_by: one of DECIDED_BY; empty if it is not known.
        rule: name of the sampling rule that decided; empty without one.
        probability: 0 to 1, at which the trace was kept or dropped here; None if the caller decided.
    """

    trace_id: Final[bytes]
    span_id: Final[bytes]
    upstream_span_id: Final[bytes]
    parent_span_id: Final[bytes | None]
    flags: Final[int]
    trace_state: Final[str]
    link: Final[SpanContext | None]
    baggage: Final[tuple[tuple[str, str], ...]]
    decided_by: Final[str]
    rule: Final[str]
    probability: Final[float | None]
    sampled: bool = field(init=False)
    """The trace is kept by this decision."""

    def __init__(  # noqa: PLR0917 - the fields
        self,
        trace_id: bytes,
        span_id: bytes,
        upstream_span_id: bytes,
        parent_span_id: bytes | None,
        flags: int,
        trace_state: str,
        link: SpanContext | None = None,
        baggage: tuple[tuple[str, str], ...] = (),
        decided_by: str = "",
        rule: str = "",
        probability: float | None = None,
    ) -> None:
        self.trace_id = trace_id
        self.span_id = span_id
        self.upstream_span_id = upstream_span_id
        self.parent_span_id = parent_span_id
        self.flags = flags
        self.trace_state = trace_state
        self.link = link
        self.baggage = baggage
        self.decided_by = decided_by
        self.rule = rule
        self.probability = probability
        self.sampled = bool(flags & FLAG_SAMPLED)

    def lowered(self, trace_state: str, probability: float | None) -> RequestContext:
        """Return the context with another statement of its probability."""
        return self._with(trace_state, self.rule, probability)

    def ruled(self, rule: str) -> RequestContext:
        """Return the context with the name of another rule."""
        return self._with(self.trace_state, rule, self.probability)

    def _with(self, trace_state: str, rule: str, probability: float | None) -> RequestContext:
        return RequestContext(
            self.trace_id,
            self.span_id,
            self.upstream_span_id,
            self.parent_span_id,
            self.flags,
            trace_state,
            self.link,
            self.baggage,
            self.decided_by,
            rule,
            probability,
        )

    def to_log_field(self) -> dict[str, Any]:
        """Return the context as Kong's log record carries it: hexadecimal ids, no unset field."""
        field: dict[str, Any] = {
            "trace_id": self.trace_id.hex(),
            "span_id": self.span_id.hex(),
            "upstream_span_id": self.upstream_span_id.hex(),
            "flags": self.flags,
            "sampled": self.sampled,
        }
        if self.parent_span_id is not None:
            field["parent_span_id"] = self.parent_span_id.hex()
        if self.trace_state:
            field["trace_state"] = self.trace_state
        if self.link is not None:
            field["link"] = _link_field(self.link)
        if self.baggage:
            field["baggage"] = dict(self.baggage)
        if self.decided_by:
            field["decided_by"] = self.decided_by
        if self.rule:
            field["rule"] = self.rule
        if self.probability is not None:
            field["probability"] = self.probability
        return field

    @classmethod
    def from_log_field(cls, log_field: object) -> RequestContext | None:
        """Read the field of `to_log_field`; None for anything else.

        Any log plugin can write this field, so everything in it is validated.
        """
        if not isinstance(log_field, dict):
            return None
        ids = _ids(log_field.get("trace_id"), log_field.get("span_id"), log_field.get("upstream_span_id"))
        flags, trace_state = _flags(log_field.get("flags")), _trace_state(log_field.get("trace_state", ""))
        if ids is None or flags is None or trace_state is None:
            return None
        parent_span_id, rule = log_field.get("parent_span_id"), log_field.get("rule")
        decided_by, probability = log_field.get("decided_by"), log_field.get("probability")
        return RequestContext(
            ids[:16],
            ids[16:24],
            ids[24:],
            None if parent_span_id is None else _id(parent_span_id, 8),
            flags,
            trace_state,
            _link(log_field["link"]) if "link" in log_field else None,
            _baggage(log_field["baggage"]) if "baggage" in log_field else (),
            decided_by if decided_by in DECIDED_BY else "",
            rule if isinstance(rule, str) and len(rule) <= MAX_RULE_NAME else "",
            float(probability) if isinstance(probability, (int, float)) and 0 <= probability <= 1 else None,
        )


FORWARDED: Final = ("host", "proto", "port")
"""The headers X-Forwarded-Host, -Proto and -Port."""


@dataclass(slots=True, init=False)
class RequestNotes:
    """The notes of `access` on a request as the client sent it, in the same field: Kong's record may lose these facts.

    Args:
        method: None if Kong was not asked for it.
        is_grpc: it is a gRPC call.
        has_body: it announces a body; only noted where the method is not.
        forwarded: host, proto or port: the X-Forwarded header that Kong took from the peer; empty without one.
    """

    method: Final[str | None]
    is_grpc: Final[bool]
    has_body: Final[bool]
    forwarded: Final[str]

    def __init__(
        self, method: str | None = None, *, is_grpc: bool = False, has_body: bool = False, forwarded: str = ""
    ) -> None:
        self.method = method
        self.is_grpc = is_grpc
        self.has_body = has_body
        self.forwarded = forwarded

    def to_log_field(self) -> dict[str, Any]:
        """Return the notes as Kong's log record carries them."""
        field: dict[str, Any] = {"forwarded": self.forwarded} if self.forwarded else {}
        if self.method:
            field["method"] = self.method
        elif self.is_grpc:
            field["grpc"] = True
        elif self.has_body:
            field["body"] = True
        return field

    @classmethod
    def from_log_field(cls, log_field: object) -> RequestNotes | None:
        """Read the field that has them; None without one: `access` did not run."""
        if not isinstance(log_field, dict):
            return None
        method, grpc, body = log_field.get("method"), log_field.get("grpc"), log_field.get("body")
        known = method if isinstance(method, str) and is_method(method) else None
        forwarded = log_field.get("forwarded")
        return RequestNotes(
            known,
            is_grpc=grpc is True,
            has_body=body is True,
            forwarded=forwarded if forwarded in FORWARDED else "",
        )


def is_grpc(content_type: str) -> bool:
    """Tell whether a content type is gRPC's: neither grpc-web nor another one that begins alike."""
    return content_type == "application/grpc" or content_type.startswith(("application/grpc+", "application/grpc;"))


def is_method(text: str) -> bool:
    """Tell whether a text can be the method of a request: a token of RFC 9110, 9.1."""
    return _METHOD.fullmatch(text) is not None


def hand_over_field(entry_key: bytes, worker_id: bytes | None) -> dict[str, str]:
    """Return what a record that Kong's own queue hands over needs beside the context, in the same field.

    Args:
        entry_key: entry_identity.settings_key of the plugin entry, 16 bytes.
        worker_id: of the process that decided, 8 bytes; None if the entry's rates do not move.
    """
    return {"entry": entry_key.hex(), **({"worker": worker_id.hex()} if worker_id else {})}


def handed_over_by(log_field: object) -> tuple[bytes | None, bytes]:
    """Read hand_over_field; the key is None and the worker's id empty where the field has none."""
    if not isinstance(log_field, dict):
        return None, b""
    return _id(log_field.get("entry"), 16), _id(log_field.get("worker"), 8) or b""


def _ids(trace_id: object, span_id: object, upstream_span_id: object) -> bytes | None:
    # One conversion for all three: each record has them.
    if not (isinstance(trace_id, str) and isinstance(span_id, str) and isinstance(upstream_span_id, str)):
        return None
    if len(trace_id) != 32 or len(span_id) != 16 or len(upstream_span_id) != 16:
        return None
    text = trace_id + span_id + upstream_span_id
    try:
        found = bytes.fromhex(text)
    except ValueError:
        return None
    # It takes capitals and spaces as well.
    if found.hex() != text or found[:16] == _NO_TRACE or found[16:24] == _NO_SPAN or found[24:] == _NO_SPAN:
        return None
    return found


def _id(value: object, size: int) -> bytes | None:
    if not isinstance(value, str) or len(value) != 2 * size:
        return None
    try:
        found = bytes.fromhex(value)
    except ValueError:
        return None
    # It takes capitals and spaces as well.
    return found if found != bytes(size) and found.hex() == value else None


def _flags(value: object) -> int | None:
    # Kong's JSON knows one kind of number: an integer may come back as 3.0.
    return int(value) if isinstance(value, (int, float)) and 0 <= value <= 0xFF else None


def _trace_state(value: object) -> str | None:
    return value if isinstance(value, str) and (not value or _TRACE_STATE.fullmatch(value)) else None


def _link_field(link: SpanContext) -> dict[str, Any]:
    field = {"trace_id": link.trace_id.hex(), "span_id": link.span_id.hex(), "flags": link.flags}
    return {**field, "trace_state": link.trace_state} if link.trace_state else field


def _link(field: object) -> SpanContext | None:
    if not isinstance(field, dict):
        return None
    trace_id, span_id = _id(field.get("trace_id"), 16), _id(field.get("span_id"), 8)
    flags, trace_state = _flags(field.get("flags")), _trace_state(field.get("trace_state", ""))
    if trace_id is None or span_id is None or flags is None or trace_state is None:
        return None
    return SpanContext(trace_id, span_id, flags, trace_state)


def _baggage(field: object) -> tuple[tuple[str, str], ...]:
    if not isinstance(field, dict):
        return ()
    sound = [
        (name, value)
        for name, value in field.items()
        if isinstance(name, str) and isinstance(value, str) and max(len(name), len(value)) <= _LONGEST_BAGGAGE
    ]
    return tuple(sound[:_MOST_BAGGAGE])
