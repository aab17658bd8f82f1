"""Kong's side of `MsgPack:1`: a request, an answer; the steps of an event may come over any connection.

Every error is a string, which lets Kong's client have its answer. An event is freed after a while if its next step
never comes (a call that throws inside Kong, a client that disconnects).

Source: kong/runloop/plugin_servers/rpc/mp_rpc.lua of Kong 3.9.1.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

from otlp_tracing.kong_server.event import Event, Runners
from otlp_tracing.kong_server.instances import Instances, NoInstanceError, Numbers, RefusalError, slot_of
from otlp_tracing.kong_server.protocol.msgpack import Decoder, Request, encode_error, encode_request, encode_result
from otlp_tracing.kong_server.protocol.session import EVENT_SECONDS, ElsewhereError, HangUpError, Home, at_home
from otlp_tracing.log_limit import LimitedLog

_failures = LimitedLog(logging.getLogger("otlp_tracing.kong_server.protocol.msgpack_session"))

_FINISHED = "ret"  # Kong reads this as the end of an event
_STEPS = frozenset({
    "plugin.Step",
    "plugin.StepConsumer",
    "plugin.StepCredential",
    "plugin.StepMemoryStats",
    "plugin.StepMultiMap",
    "plugin.StepRoute",
    "plugin.StepService",
})  # fmt: skip


class _Running:
    __slots__ = ("event", "phase", "stepped_at")

    def __init__(self, event: Event, phase: str, stepped_at: float) -> None:
        self.event = event
        self.phase = phase
        self.stepped_at = stepped_at


class MsgPackEvents:
    """The events under way in one worker, and Kong's possible requests to it.

    Args:
        instances: of this worker.
        lua_style: calls to Kong return `(data, error)`.
        on_failure: called with the phase of each event that ended with an exception.
        clock: monotonic seconds.
        slots: how many workers there are to pass a request on to.
        take_number: gives the events' numbers out, each once; None for ones that tell this worker's slot.
    """

    def __init__(
        self,
        instances: Instances,
        *,
        lua_style: bool = False,
        on_failure: Callable[[str], None] = lambda _phase: None,
        clock: Callable[[], float] = time.monotonic,
        slots: int = 1,
        take_number: Callable[[], int] | None = None,
    ) -> None:
        self._instances = instances
        self._lua_style = lua_style
        self._on_failure = on_failure
        self._clock = clock
        self._slots = slots
        self._take_number = take_number or Numbers(instances.slot).take
        self._runners = Runners()
        self._running: OrderedDict[int, _Running] = OrderedDict()
        self.suspended = False
        """The last request answered left an event waiting for its next step."""
        self._methods: Mapping[str, Callable[..., Any]] = {
            "plugin.StartInstance": self._start_instance,
            "plugin.CloseInstance": self._close_instance,
            "plugin.HandleEvent": self._handle_event,
            "plugin.StepError": self._step_error,
            **dict.fromkeys(_STEPS, self._step),
        }

    def __len__(self) -> int:
        return len(self._running)

    def answer(self, request: Request, *, settle: bool = False, home: Home = at_home) -> bytes:
        """Answer one request; every failure is an answer too.

        Args:
            request: from Kong.
            settle: answer here, even a request for another worker.
            home: returns the worker that should rather have the connection.

        Raises:
            ElsewhereError: if another worker's instance or event is asked for.
        """
        self.suspended = False
        method = self._methods.get(request.method)
        try:
            if method is None:
                raise RefusalError(f"there is no method {request.method[:80]}")
            if self._slots > 1 and not settle:
                self._send_on(request, home())
            return encode_result(request.id, method(*request.arguments))
        except RefusalError as refusal:
            return encode_error(request.id, str(refusal))
        except ElsewhereError:
            raise
        except Exception as error:
            _failures.warning("%s failed", request.method, exc_info=True)
            return encode_error(request.id, f"{request.method} failed: {type(error).__name__}")

    def free_abandoned(self) -> int:
        """End the events with an overdue next step, and return how many there were."""
        overdue = self._clock() - EVENT_SECONDS
        freed = 0
        while self._running:
            number, running = next(iter(self._running.items()))
            if running.stepped_at > overdue:
                break
            del self._running[number]
            running.event.abandon()
            freed += 1
        return freed

    def _send_on(self, request: Request, home: int | None) -> None:
        if request.method == "plugin.StartInstance":
            if home is not None:
                raise ElsewhereError(home, encode_request(request))
            return
        argument = request.arguments[0] if request.arguments else None
        is_event = isinstance(argument, dict) and "InstanceId" in argument
        if isinstance(argument, dict):
            argument = argument.get("EventId", argument.get("InstanceId"))
        if not isinstance(argument, int):
            return
        if slot_of(argument) != self._instances.slot and slot_of(argument) < self._slots:
            raise ElsewhereError(slot_of(argument), encode_request(request))
        if is_event and home is not None:
            self._instances.close(argument)
            raise NoInstanceError(argument)  # Kong starts it again, at the worker that should have it

    def _start_instance(self, instance: Mapping[str, Any]) -> dict[str, Any]:
        number, config = self._instances.start(instance["Name"], instance["Config"])
        return {"Name": instance["Name"], "Id": number, "Config": config, "StartTime": time.time()}

    def _close_instance(self, number: int) -> dict[str, Any]:
        self._instances.close(number)
        return {"Name": self._instances.module.name, "Id": number, "Config": {}}

    def _handle_event(self, call: Mapping[str, Any]) -> dict[str, Any]:
        phase = call["EventName"]
        event = Event(self._instances.phase(call["InstanceId"], phase), self._runners, lua_style=self._lua_style)
        return self._resume(self._take_number(), _Running(event, phase, self._clock()), None)

    def _step(self, step: Mapping[str, Any]) -> dict[str, Any]:
        return self._continue(step["EventId"], (step.get("Data"), None))

    def _step_error(self, step: Mapping[str, Any]) -> dict[str, Any]:
        return self._continue(step["EventId"], (None, step.get("Data")))

    def _continue(self, number: int, answer: tuple[Any, Any]) -> dict[str, Any]:
        running = self._running.pop(number, None)
        if running is None:
            raise RefusalError(f"there is no event {number}")
        return self._resume(number, running, answer)

    def _resume(self, number: int, running: _Running, answer: tuple[Any, Any] | None) -> dict[str, Any]:
        try:
            turn = running.event.resume(answer)
        except Exception as error:
            self._on_failure(running.phase)
            _failures.warning("%s raised an exception; the request goes on", running.phase, exc_info=True)
            raise RefusalError(f"{running.phase} raised {type(error).__name__}") from error
        if not turn.ended:
            self.suspended = True
            running.stepped_at = self._clock()
            self._running[number] = running  # at the end, so that the oldest is first
        if not turn.calls:
            return {"Data": _FINISHED, "EventId": number}
        call = turn.calls[0]
        return {"Data": {"Method": call.method, "Args": call.arguments}, "EventId": number}


class MsgPackDialogue:
    """One connection that speaks MessagePack."""

    overdue = False

    def __init__(self, events: MsgPackEvents, home: Home = at_home) -> None:
        self._events = events
        self._home = home
        self._retired = False
        self._decoder = Decoder()
        self.idle = True

    def receive(self, data: bytes, *, settle: bool = False) -> bytes:
        """Answer every request that the bytes complete; see session.Dialogue."""
        answers = [self._answer(request, settle) for request in self._decoder.feed(data)]
        # The next step most likely comes over this connection, the last that Kong has used.
        self.idle = not self._events.suspended
        return b"".join(answers)

    def retire(self) -> None:
        """Hang up on the next event."""
        self._retired = True

    def _answer(self, request: Request, settle: bool) -> bytes:
        if self._retired and request.method == "plugin.HandleEvent":
            raise HangUpError("another group serves now")
        return self._events.answer(request, settle=settle, home=self._home)

    def close(self) -> None:
        """End nothing: the steps of an event may come over another connection."""
