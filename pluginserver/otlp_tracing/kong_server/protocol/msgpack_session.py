"""Kong's side of `MsgPack:1`: a request, an answer; the steps of an event may come over any connection.

Every error is a string, which lets Kong's client have its answer. An event is freed after a while if its next step
never comes (a call that throws inside Kong, a client that disconnects).

Source: kong/runloop/plugin_servers/rpc/mp_rpc.lua of Kong 3.9.1.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from otlp_tracing.kong_server.instances import Calls, Instances, NoInstanceError, RefusalError, numbers, slot_of
from otlp_tracing.kong_server.protocol.msgpack import Decoder, Request, encode_error, encode_request, encode_result
from otlp_tracing.kong_server.protocol.session import EVENT_SECONDS, Answer, Close, Forward, PreferredWorker
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
    __slots__ = ("calls", "phase", "stepped_at")

    def __init__(self, calls: Calls, phase: str, stepped_at: float) -> None:
        self.calls = calls
        self.phase = phase
        self.stepped_at = stepped_at


class MsgPackEvents:
    """The events under way in one worker, and Kong's possible requests to it.

    Args:
        instances: of this worker.
        on_failure: called with the phase of each event that ended with an exception.
        clock: monotonic seconds.
        slots: how many workers there are to pass a request on to.
        event_numbers: each once; None for numbers that tell this worker's slot.
    """

    def __init__(
        self,
        instances: Instances,
        *,
        on_failure: Callable[[str], None] = lambda _phase: None,
        clock: Callable[[], float] = time.monotonic,
        slots: int = 1,
        event_numbers: Iterator[int] | None = None,
    ) -> None:
        self._instances = instances
        self._on_failure = on_failure
        self._clock = clock
        self._slots = slots
        self._numbers = event_numbers or numbers(instances.slot)
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

    def answer(
        self, request: Request, *, settle: bool = False, preferred_worker: PreferredWorker | None = None
    ) -> bytes | Forward:
        """Answer one request; every failure is an answer too.

        Args:
            request: from Kong.
            settle: answer here, even a request for another worker.
            preferred_worker: returns the worker that should rather have the connection; None if it is this one.
        """
        self.suspended = False
        method = self._methods.get(request.method)
        try:
            if method is None:
                raise RefusalError(f"there is no method {request.method[:80]}")
            if self._slots > 1 and not settle:
                slot = self._other_worker(request, preferred_worker() if preferred_worker else None)
                if slot is not None:
                    return Forward(slot, encode_request(request))
            return encode_result(request.id, method(*request.arguments))
        except RefusalError as refusal:
            return encode_error(request.id, str(refusal))
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
            running.calls.close()
            freed += 1
        return freed

    def _other_worker(self, request: Request, preferred: int | None) -> int | None:
        """Return the slot of the worker that has to answer; None if it is this one."""
        if request.method == "plugin.StartInstance":
            return preferred
        argument = request.arguments[0] if request.arguments else None
        is_event = isinstance(argument, dict) and "InstanceId" in argument
        if isinstance(argument, dict):
            argument = argument.get("EventId", argument.get("InstanceId"))
        if not isinstance(argument, int):
            return None
        slot = slot_of(argument)
        if slot != self._instances.slot and slot < self._slots:
            return slot
        if is_event and preferred is not None:
            self._instances.close(argument)
            raise NoInstanceError(argument)  # Kong starts it again, at the worker that should have it
        return None

    def _start_instance(self, instance: Mapping[str, Any]) -> dict[str, Any]:
        number, config = self._instances.start(instance["Name"], instance["Config"])
        return {"Name": instance["Name"], "Id": number, "Config": config, "StartTime": time.time()}

    def _close_instance(self, number: int) -> dict[str, Any]:
        self._instances.close(number)
        return {"Name": self._instances.module.name, "Id": number, "Config": {}}

    def _handle_event(self, event: Mapping[str, Any]) -> dict[str, Any]:
        phase = event["EventName"]
        calls = self._instances.begin(event["InstanceId"], phase)
        return self._resume(next(self._numbers), _Running(calls, phase, self._clock()), None)

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
            # A generator is started by None.
            call = running.calls.send(answer)  # type: ignore[arg-type]
        except StopIteration:
            return {"Data": _FINISHED, "EventId": number}
        except Exception as error:
            self._on_failure(running.phase)
            _failures.warning("%s raised an exception; the request goes on", running.phase, exc_info=True)
            raise RefusalError(f"{running.phase} raised {type(error).__name__}") from error
        self.suspended = True
        running.stepped_at = self._clock()
        self._running[number] = running  # at the end, so that the oldest is first
        return {"Data": {"Method": call[0], "Args": call[1:]}, "EventId": number}


class MsgPackSession:
    """One connection that speaks MessagePack.

    Args:
        events: of this worker.
        preferred_worker: returns the worker that should own the connection; None if it is this one.
    """

    overdue = False

    def __init__(self, events: MsgPackEvents, preferred_worker: PreferredWorker | None = None) -> None:
        self._events = events
        self._preferred_worker = preferred_worker
        self._retired = False
        self._decoder = Decoder()
        self.idle = True

    def receive(self, data: bytes, *, settle: bool = False) -> Answer:
        """Answer every request that the bytes complete; see session.RpcSession."""
        answers = b""
        for request in self._decoder.feed(data):
            if self._retired and request.method == "plugin.HandleEvent":
                return Close("another group serves now")
            answer = self._events.answer(request, settle=settle, preferred_worker=self._preferred_worker)
            # The next step most likely comes over this connection, the last that Kong has used.
            self.idle = not self._events.suspended
            if isinstance(answer, Forward):
                return answer
            answers += answer
        return answers

    def retire(self) -> None:
        """Close the connection at the next event."""
        self._retired = True

    def close(self) -> None:
        """End nothing: the steps of an event may come over another connection."""
