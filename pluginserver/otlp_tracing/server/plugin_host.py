"""Answers Kong's requests: plugin instances, and the events that run in them. No socket here.

An exception ends the event it was raised in and becomes an error string, which lets the client have its
answer; nothing else is touched. An event whose next step never comes is freed after a while: a call that
throws inside Kong, a client that went away, and `kong.response.exit` all leave one behind.
"""

from __future__ import annotations

import json
import logging
import random
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from kong_pdk.module import Module

from otlp_tracing.limited_log import LimitedLog
from otlp_tracing.server.event import FINISHED, Event
from otlp_tracing.server.rpc_msgpack import Request, encode_error, encode_result

__all__ = ["PluginHost"]

_failures = LimitedLog(logging.getLogger("otlp_tracing.server.plugin_host"))

# Kong itself gives up on a call after 60 s (lua_socket_read_timeout), so no step comes later than that.
EVENT_SECONDS = 65.0
_STEPS = frozenset({
    "plugin.Step",
    "plugin.StepConsumer",
    "plugin.StepCredential",
    "plugin.StepError",
    "plugin.StepMemoryStats",
    "plugin.StepMultiMap",
    "plugin.StepRoute",
    "plugin.StepService",
})  # fmt: skip


class _Refusal(Exception):
    """A request that is answered with an error; the message is for Kong's log."""


@dataclass(slots=True)
class _Running:
    event: Event
    phase: str
    stepped_at: float


class PluginHost:
    """The instances and events of one process.

    Args:
        module: the plugin.
        lua_style: calls to Kong return `(data, error)`.
        on_failure: told the phase of each event that ended with an exception.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        module: Module,
        *,
        lua_style: bool = False,
        on_failure: Callable[[str], None] = lambda _phase: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._module = module
        self._lua_style = lua_style
        self._on_failure = on_failure
        self._clock = clock
        self._instances: dict[int, Any] = {}
        # Numbers that began at 0 would mean another route's instance after a restart (Kong/kong #8370);
        # Lua holds integers exactly up to 2^53.
        self._next_instance = random.SystemRandom().randrange(1 << 48)
        self._running: OrderedDict[int, _Running] = OrderedDict()
        self._next_event = 0
        self._methods: Mapping[str, Callable[..., Any]] = {
            "plugin.StartInstance": self._start_instance,
            "plugin.CloseInstance": self._close_instance,
            "plugin.HandleEvent": self._handle_event,
            **dict.fromkeys(_STEPS - {"plugin.StepError"}, self._step),
            "plugin.StepError": self._step_error,
        }

    def __repr__(self) -> str:
        return f"<PluginHost {self._module.name} | {len(self._instances)} instances, {len(self._running)} events>"

    def answer(self, request: Request) -> bytes:
        """Answer one request; whatever happens there is an answer, and an error is always a string."""
        method = self._methods.get(request.method)
        try:
            if method is None:
                raise _Refusal(f"there is no method {request.method[:80]}")
            return encode_result(request.id, method(*request.arguments))
        except _Refusal as refusal:
            return encode_error(request.id, str(refusal))
        except Exception as error:
            _failures.warning("%s failed", request.method, exc_info=True)
            return encode_error(request.id, f"{request.method} failed: {type(error).__name__}")

    def free_abandoned(self) -> int:
        """End the events whose next step is overdue, and return how many there were."""
        overdue = self._clock() - EVENT_SECONDS
        freed = 0
        while self._running:
            identifier, running = next(iter(self._running.items()))
            if running.stepped_at > overdue:
                break
            del self._running[identifier]
            running.event.abandon()
            freed += 1
        return freed

    def _start_instance(self, instance: Mapping[str, Any]) -> dict[str, Any]:
        name, config = instance["Name"], json.loads(instance["Config"])
        if name != self._module.name:
            raise _Refusal(f"there is no plugin {name}")
        identifier = self._next_instance
        self._instances[identifier] = self._module.cls(config)
        self._next_instance += 1
        return {"Name": name, "Id": identifier, "Config": config, "StartTime": time.time()}

    def _close_instance(self, identifier: int) -> dict[str, Any]:
        if self._instances.pop(identifier, None) is None:
            raise _no_instance(identifier)
        return {"Name": self._module.name, "Id": identifier, "Config": {}}

    def _handle_event(self, call: Mapping[str, Any]) -> dict[str, Any]:
        identifier, phase = call["InstanceId"], call["EventName"]
        instance = self._instances.get(identifier)
        if instance is None:
            raise _no_instance(identifier)
        if phase not in self._module.phases:
            raise _Refusal(f"{self._module.name} has no phase {phase}")
        self._next_event += 1
        running = _Running(Event(getattr(instance, phase), self._lua_style), phase, self._clock())
        return self._resume(self._next_event, running, None)

    def _step(self, step: Mapping[str, Any]) -> dict[str, Any]:
        return self._continue(step["EventId"], (step.get("Data"), None))

    def _step_error(self, step: Mapping[str, Any]) -> dict[str, Any]:
        return self._continue(step["EventId"], (None, step.get("Data")))

    def _continue(self, identifier: int, answer: tuple[Any, Any]) -> dict[str, Any]:
        running = self._running.pop(identifier, None)
        if running is None:
            raise _Refusal(f"there is no event {identifier}")
        return self._resume(identifier, running, answer)

    def _resume(self, identifier: int, running: _Running, answer: tuple[Any, Any] | None) -> dict[str, Any]:
        try:
            call = running.event.resume(answer)
        except Exception as error:
            self._on_failure(running.phase)
            _failures.warning("%s raised an exception; the request goes on", running.phase, exc_info=True)
            raise _Refusal(f"{running.phase} raised {type(error).__name__}") from error
        if not running.event.over:
            running.stepped_at = self._clock()
            self._running[identifier] = running  # at the end, so that the oldest stands first
        return {"Data": FINISHED if call is None else call, "EventId": identifier}


def _no_instance(identifier: object) -> _Refusal:
    # Kong looks for these words, starts the instance again and repeats the event (mp_rpc.lua, handle_event).
    return _Refusal(f"no plugin instance {identifier}")
