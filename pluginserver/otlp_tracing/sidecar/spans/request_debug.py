"""Kong's request debugging: the durations of phases, plugins, router, DNS and calls of plugins, for one request.

Kong 3.5 and newer puts them into a response header if the client asks for it and may; the header is in the log record
too. It gives durations and no starts. So steps are laid end to end, in the order of Kong's phases. The order within a
phase is that of the header, but for the router, which always runs first.

Source: kong/timing/init.lua, context.lua and hooks/ of Kong 3.9.3.
"""

from __future__ import annotations

import json
from typing import Any, Final

from otlp_tracing.sidecar.spans.intervals import Interval
from otlp_tracing.sidecar.spans.model import Attributes
from otlp_tracing.sidecar.spans.timing import SpanTimes

MAX_STEPS = 256
"""Steps that are read of one output: about ten a plugin, and a route has a dozen of these."""

_LONGEST_OUTPUT = 64 * 1024  # of bytes; Kong cuts at 2 KiB, but not for a client on its own machine
_LONGEST_NAME = 255
_DEEPEST = 8  # phase, plugin, id, kind, destination, operation
_LONGEST_MS = 1 << 32  # 49 days
_MS = 1_000_000
_UPSTREAM = "upstream"
_PHASES = ("rewrite", "access", "balancer", _UPSTREAM, "response", "header_filter", "body_filter", "log")
# A kind, and in it the names, each with its own steps.
_GROUPS = {"dns": "dns", "external_http": "http", "connections": "connection"}


class Step:
    """One step of Kong's work.

    Args:
        kind: phase, router, plugin, dns, http, connection, redis, or other.
        name: of the phase, the plugin, or the destination.
        start_ms: from the beginning of Kong's work, estimated.
        duration_ms: good to 0.01 ms.
        parent: index of the step that it is a part of; None for a phase.
        plugin_id: of a plugin's entry; empty for others.
    """

    __slots__ = ("duration_ms", "kind", "name", "parent", "plugin_id", "start_ms")

    def __init__(  # noqa: PLR0917 - the fields
        self, kind: str, name: str, start_ms: float, duration_ms: float, parent: int | None, plugin_id: str = ""
    ) -> None:
        self.kind: Final = kind
        self.name: Final = name
        self.start_ms: Final = start_ms
        self.duration_ms: Final = duration_ms
        self.parent: Final = parent
        self.plugin_id: Final = plugin_id


class DebugOutput:
    """The steps of one request.

    Args:
        text: value of the header. Anything that Kong does not write gives no steps.
    """

    __slots__ = ("is_truncated", "steps")
    steps: Final[list[Step]]
    is_truncated: Final[bool]

    def __init__(self, text: str) -> None:
        self.steps = []
        try:
            root = json.loads(text) if len(text) <= _LONGEST_OUTPUT else None
        except (ValueError, RecursionError):
            root = None
        self.is_truncated = isinstance(root, dict) and root.get("truncated") is True
        phases, start = _children(root), 0.0
        for name in _PHASES:
            duration = _duration(phases.get(name))
            if duration is None:
                # Kong's own error page ends a phase without a duration; its parts have some.
                self._add_parts(_children(phases.get(name)), start, None, 1)
                continue
            self._add("phase", name, phases[name], start, None, 0)
            start += duration

    def _add(  # noqa: PLR0917 - private, and called in a few lines below
        self, kind: str, name: str, node: Any, start: float, parent: int | None, depth: int
    ) -> float:
        """Add a step and its parts; return its duration."""
        duration = _duration(node)
        if duration is None or depth > _DEEPEST or len(self.steps) >= MAX_STEPS or not 0 < len(name) <= _LONGEST_NAME:
            return 0.0
        number = len(self.steps)
        children = _children(node)
        if kind == "plugin":
            # One entry or several of a plugin, each by its id.
            return sum(self._add_entry(name, one, children[one], start, parent, depth) for one in children)
        self.steps.append(Step(kind, name, start, duration, parent))
        if name != _UPSTREAM:
            self._add_parts(children, start, number, depth + 1)
        return duration

    def _add_entry(  # noqa: PLR0917
        self, name: str, one: str, node: Any, start: float, parent: int | None, depth: int
    ) -> float:
        duration = _duration(node)
        if duration is None or len(self.steps) >= MAX_STEPS or len(one) > _LONGEST_NAME:
            return 0.0
        self.steps.append(Step("plugin", name, start, duration, parent, one))
        self._add_parts(_children(node), start, len(self.steps) - 1, depth + 1)
        return duration

    def _add_parts(self, children: dict[str, Any], start: float, parent: int | None, depth: int) -> None:
        for key in sorted(children, key=lambda one: one != "router"):
            node = children[key]
            if key == "plugins":
                for name, plugin in _children(node).items():
                    start += self._add("plugin", name, plugin, start, parent, depth)
            elif key in _GROUPS:
                for name, one in _children(node).items():
                    start += self._add(_GROUPS[key], name, one, start, parent, depth)
            else:
                start += self._add(key if key in {"router", "redis"} else "other", key, node, start, parent, depth)


def debug_intervals(text: str, times: SpanTimes) -> list[Interval]:
    """Return the steps of an output as intervals of its request, each inside its parent; the upstream's has spans.

    Args:
        text: value of the header.
        times: of the request.
    """
    found: list[Interval] = []
    index: dict[int, int] = {}
    for number, step in enumerate(DebugOutput(text).steps):
        if step.name == _UPSTREAM and step.kind == "phase":
            continue
        within = index.get(step.parent) if step.parent is not None else None
        first, last = (
            (times.start_ns, times.end_ns) if within is None else (found[within].start_ns, found[within].end_ns)
        )
        start_ns = min(times.start_ns + int(step.start_ms * _MS), last)
        end_ns = min(max(start_ns, first) + int(step.duration_ms * _MS), last)
        index[number] = len(found)
        name = f"kong.{step.name}" if step.kind == "phase" else f"kong.{step.kind}"
        found.append(Interval(name, max(start_ns, first), end_ns, attributes=_attributes(step), within=within))
    return found


def _attributes(step: Step) -> Attributes:
    if step.kind == "plugin":
        return {"kong.plugin.name": step.name, "kong.plugin.id": step.plugin_id}
    if step.kind in {"phase", "router", "redis"}:
        return {}
    return {"kong.step": step.name}


def _children(node: Any) -> dict[str, Any]:
    child = node.get("child") if isinstance(node, dict) else None
    return child if isinstance(child, dict) else {}


def _duration(node: Any) -> float | None:
    duration = node.get("total_time") if isinstance(node, dict) else None
    if isinstance(duration, (int, float)) and not isinstance(duration, bool) and 0 <= duration <= _LONGEST_MS:
        return float(duration)
    return None
