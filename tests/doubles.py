"""Doubles that several tests use, each named as a double."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FROM_KONG: Mapping[str, Any] = {
    "__seq__": 5,
    "__key__": "plugins:otlp-tracing:::::",
    "__plugin_id": "479343e1",
    "route_id": "7dbfe890",
    "$refs": {"headers": ["{vault://env/otlp-header}"]},
    "endpoint": "https://collector:4317",
    "headers": {},
    "resource_attributes": [{"key": "service.name", "value": "edge"}],
    "sampling": {"rate": 0.25, "parent": "ignore"},
}
"""The configuration of a plugin entry as Kong hands it over, with its ids and notes."""


class FakeKong:
    """A `kong` object with scripted answers. An unknown PDK method fails, and calls are counted.

    Args:
        answers: by PDK method; an exception is raised, anything else returned.
        lua_style: answers come as `(data, None)`.
    """

    KNOWN = frozenset({
        "kong.nginx.get_var",
        "kong.request.get_headers",
        "kong.response.set_header",
        "kong.service.request.set_headers",
        "kong.log.set_serialize_value",
        "kong.log.serialize",
    })  # fmt: skip

    def __init__(self, answers: Mapping[str, Any] | None = None, *, lua_style: bool = False) -> None:
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        self._answers = answers or {}
        self._lua_style = lua_style

    def call(self, method: str, *arguments: Any) -> Any:
        assert method in self.KNOWN, f"{method} is no method of Kong's PDK that the plugin uses"
        self.calls.append((method, arguments))
        answer = self._answers.get(method)
        if isinstance(answer, BaseException):
            raise answer
        return (answer, None) if self._lua_style else answer


class ManualClock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now
