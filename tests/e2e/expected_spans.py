"""The expected spans of the recordings, compared with those of the same requests made again.

Values that no two runs share follow a rule. Ids, sizes and latencies must have the right form. Times must be in the
right order. A long duration in the recording must be about as long again.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import yaml
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from checkout import TESTDATA
from e2e.spans import SeenSpan

Expected = Mapping[str, Any]

EXPECTED = TESTDATA / "expected_spans"

_KINDS: Mapping[int, str] = {
    Span.SPAN_KIND_SERVER: "server",
    Span.SPAN_KIND_CLIENT: "client",
    Span.SPAN_KIND_INTERNAL: "internal",
}
_LONG_NS = 100_000_000
_EARLY_SHARE = 0.8  # of a long duration: clocks of whole milliseconds, timers that fire a little early
_MS_NS = 1_000_000


def _is_size(seen: Any, expected: Any) -> bool:
    return isinstance(seen, int) and (seen > 0) == (expected > 0)


def _is_latency(seen: Any, expected: Any) -> bool:
    return isinstance(seen, int) and seen >= (_EARLY_SHARE * expected if expected * _MS_NS >= _LONG_NS else 0)


_LEFT_TO_A_RULE: Mapping[str, Callable[[Any, Any], bool]] = {
    "http.request.size": _is_size,
    "http.response.size": _is_size,
    "kong.latency.kong_ms": _is_latency,
    "kong.latency.proxy_ms": _is_latency,
    "kong.latency.receive_ms": _is_latency,
    "kong.request.id": lambda seen, _: bool(re.fullmatch("[0-9a-f]{32}", str(seen))),
    # gRPC's client says its own version.
    "user_agent.original": lambda seen, expected: str(seen).split("/")[0] == expected.split("/")[0] == "grpc-python",
}


_SINCE: Mapping[str, tuple[int, int]] = {
    "kong.request.id": (3, 5),
    "kong.latency.receive_ms": (3, 8),
    "kong.workspace.id": (3, 8),
    "kong.workspace.name": (3, 8),
}
"""The version of Kong from which on its log record has the value of an attribute; docs/versions.md."""


def expected_spans(name: str, ports: Mapping[int, int], version: tuple[int, int] = (3, 9)) -> list[dict[str, Any]]:
    """Return the spans of a file, with the ports of this run instead of the recordings'.

    Args:
        name: the file's, without its suffix.
        ports: this run's port for each recorded one.
        version: of Kong; an older one knows fewer attributes.
    """
    spans: list[dict[str, Any]] = yaml.safe_load((EXPECTED / f"{name}.yaml").read_text())["spans"]
    spans[0]["attributes"]["otlp_tracing.sampling.reason"] = "parent"  # the recordings' plugin decided nothing
    for span in spans:
        attributes = span["attributes"]
        for key in [key for key, since in _SINCE.items() if version < since]:
            attributes.pop(key, None)
        for key in ("server.port", "network.peer.port"):
            if key in attributes:
                attributes[key] = ports.get(attributes[key], attributes[key])
        if "url.full" in attributes:
            attributes["url.full"] = re.sub(
                r"(?<=:)\d+(?=/)", lambda port: str(ports.get(int(port[0]), port[0])), attributes["url.full"]
            )
    return spans


def span_faults(spans: Sequence[SeenSpan], expected: Sequence[Expected]) -> list[str]:
    """Describe each unexpected or missing part of the spans, a line each."""
    faults = [f"{len(spans)} spans instead of {len(expected)}"] if len(spans) != len(expected) else []
    for number, (span, basis) in enumerate(zip(spans, expected, strict=False), 1):
        seen, wanted = _shown(span, basis["attributes"]), _flat(basis, basis["attributes"])
        faults += [
            f"span {number}: {name} is {seen.get(name)!r}, not {wanted.get(name)!r}"
            for name in sorted(seen.keys() | wanted.keys())
            if seen.get(name) != wanted.get(name)
        ]
    return faults


def _shown(span: SeenSpan, basis: Mapping[str, Any]) -> Mapping[str, Any]:
    own = {"name": span.name, "kind": _KINDS[span.kind], "status": "error" if span.is_error else "unset"}
    return _flat(own, {key: _settled(key, value, basis) for key, value in span.attributes.items()})


def _flat(span: Mapping[str, Any], attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"(name)": span["name"], "(kind)": span["kind"], "(status)": span["status"], **attributes}


def _settled(key: str, value: Any, basis: Mapping[str, Any]) -> Any:
    rule = _LEFT_TO_A_RULE.get(key)
    return basis[key] if rule and key in basis and rule(value, basis[key]) else value


def time_faults(spans: Sequence[SeenSpan], expected: Sequence[Expected]) -> list[str]:
    """Describe faults of the times: children outside their parent, tries out of order, long ones cut short."""
    server, *children = spans
    faults = [f"{span.name} ends before it starts" for span in spans if _duration_ns(span) < 0]
    faults += [
        f"{child.name} is not inside {server.name}"
        for child in children
        if not server.start_unix_ns <= child.start_unix_ns <= child.end_unix_ns <= server.end_unix_ns
    ]
    tries = [span for span in children if span.kind == Span.SPAN_KIND_CLIENT]
    faults += [
        f"{second.name} begins before the try before it ends"
        for first, second in itertools.pairwise(tries)
        if second.start_unix_ns < first.end_unix_ns
    ]
    for span, basis in zip([server, *tries], expected, strict=False):
        recorded_ns = basis.get("end_unix_ns", 0) - basis.get("start_unix_ns", 0)
        if recorded_ns >= _LONG_NS and _duration_ns(span) < _EARLY_SHARE * recorded_ns:
            faults.append(f"{span.kind} {span.name} took {_duration_ns(span)} ns, and {recorded_ns} when recorded")
    return faults


def _duration_ns(span: SeenSpan) -> int:
    return span.end_unix_ns - span.start_unix_ns
