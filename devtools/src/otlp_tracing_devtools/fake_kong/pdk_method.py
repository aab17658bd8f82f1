"""The type of a PDK function, and its arguments.

Knows no function; they are tables of `Method` in the modules beside this one.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from otlp_tracing_devtools.fake_kong.context import RequestContext
from otlp_tracing_devtools.fake_kong.entities import Declaration, PluginEntry

IN_ACCESS = frozenset({"access"})
IN_LOG = frozenset({"log"})
BEFORE_ANSWER = frozenset({"rewrite", "access"})
ANY_PHASE = frozenset({"rewrite", "access", "log"})


@dataclass(frozen=True)
class PdkEvent:
    """One phase of one request for one plugin entry."""

    context: RequestContext
    phase: str
    entry: PluginEntry
    declaration: Declaration


@dataclass(frozen=True)
class Method:
    """A PDK function: takes a `PdkEvent` and the plugin's arguments; outside `phases` Kong throws."""

    function: Callable[..., Any]
    phases: frozenset[str] = ANY_PHASE

    def fitted(self, values: list[Any]) -> list[Any]:
        """Give as many arguments as the function takes: Lua drops surplus ones and fills up with nil."""
        wanted = _parameters(self.function)
        return values if wanted is None else [*values, *[None] * wanted][:wanted]


@functools.cache
def _parameters(function: Callable[..., Any]) -> int | None:
    """Count a function's parameters behind the event; None when it takes any number."""
    parameters = inspect.signature(function).parameters.values()
    if any(parameter.kind is inspect.Parameter.VAR_POSITIONAL for parameter in parameters):
        return None
    return len(parameters) - 1
