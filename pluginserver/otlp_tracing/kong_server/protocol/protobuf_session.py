"""Kong's side of `ProtoBuf:1`: one connection carries a whole event, and calls are written ahead.

A call without an answer is written without waiting. An event with a known last call ends, for Kong, with that call.
So `access` waits once, and `log` does not keep Kong waiting.

For an unknown instance the connection is closed: Kong then starts the instance again and repeats the event. There is no
answer for a failed phase; the event ends as if it had succeeded.

Source: kong/runloop/plugin_servers/rpc/pb_rpc.lua of Kong 3.9.1; tests/testdata/transcripts/60-protobuf.jsonl.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from otlp_tracing.kong_server.instances import Calls, Instances, NoInstanceError, RefusalError, slot_of
from otlp_tracing.kong_server.protocol import protobuf as rpc
from otlp_tracing.kong_server.protocol.session import EVENT_SECONDS, Answer, Close, Forward, PreferredWorker
from otlp_tracing.log_limit import LimitedLog

_NO_ANSWER = (None, None)  # to a call that the phase does not wait for
_failures = LimitedLog(logging.getLogger("otlp_tracing.kong_server.protocol.protobuf_session"))


class ProtoBufSession:
    """One connection that speaks ProtoBuf.

    Args:
        instances: of this worker.
        on_failure: told the phase of each event that ended with an exception.
        clock: monotonic seconds.
        slots: how many workers there are to pass a request on to.
        preferred_worker: returns the worker that should own the connection; None if it is this one.
    """

    def __init__(
        self,
        instances: Instances,
        *,
        on_failure: Callable[[str], None] = lambda _phase: None,
        clock: Callable[[], float] = time.monotonic,
        slots: int = 1,
        preferred_worker: PreferredWorker | None = None,
    ) -> None:
        self._instances = instances
        self._preferred_worker = preferred_worker
        self._retired = False
        self._on_failure = on_failure
        self._clock = clock
        self._slots = slots
        self._final_calls: Mapping[str, str] = getattr(instances.module.cls, "final_calls", {})
        self._frames = rpc.FrameDecoder()
        self._calls: Calls | None = None
        self._final_call: str | None = None
        self._phase = ""
        self._sequence = 0
        self._end_said = True
        self._unanswered: deque[str] = deque()  # methods
        self._waiting_since = 0.0

    @property
    def idle(self) -> bool:
        """No event is under way, and Kong owes no answer."""
        return self._calls is None and not self._unanswered

    @property
    def overdue(self) -> bool:
        """Kong has owed an answer for longer than it ever takes."""
        return not self.idle and self._clock() > self._waiting_since + EVENT_SECONDS

    def receive(self, data: bytes, *, settle: bool = False) -> Answer:
        """Answer the completed messages; see session.RpcSession."""
        answers = b""
        for frame in self._frames.feed(data):
            answer = self._take(frame, settle)
            if not isinstance(answer, bytes):
                return answer
            answers += answer
        return answers

    def retire(self) -> None:
        """Close the connection at the next event."""
        self._retired = True

    def close(self) -> None:
        """End the event that was under way here."""
        if self._calls is not None:
            self._calls.close()
            self._calls = None

    def _take(self, frame: bytes, settle: bool) -> Answer:
        if not self._unanswered:
            return self._answer(rpc.decode_call(frame), frame, settle)
        method = self._unanswered.popleft()
        if self._unanswered or self._calls is None:
            return b""  # the answer to a call that was written ahead
        return self._resume(self._calls, (rpc.decode_reply(method, frame), None))

    def _answer(self, call: rpc.Call, frame: bytes, settle: bool) -> Answer:
        if self._retired and isinstance(call, rpc.HandleEvent):
            return Close("another group serves now")
        if self._slots > 1 and not settle:
            elsewhere = self._elsewhere(call, frame)
            if elsewhere is not None:
                return elsewhere
        if isinstance(call, rpc.HandleEvent):
            return self._handle_event(call.sequence, call.instance_id, call.event_name)
        if isinstance(call, rpc.StartInstance):
            return self._start_instance(call.sequence, call.name, call.config)
        if isinstance(call, rpc.CloseInstance):
            return self._close_instance(call.sequence, call.instance_id)
        return rpc.encode_return(call.sequence)

    def _elsewhere(self, call: rpc.Call, frame: bytes) -> Forward | Close | None:
        """Return what happens to a call that another worker has to answer; None if it is this one."""
        preferred = self._preferred_worker() if self._preferred_worker else None
        if isinstance(call, rpc.StartInstance):
            return None if preferred is None else Forward(preferred, rpc.encode_frame(frame))
        if not isinstance(call, rpc.HandleEvent | rpc.CloseInstance):
            return None
        number = call.instance_id
        if self._instances.slot != slot_of(number) < self._slots:
            return Forward(slot_of(number), rpc.encode_frame(frame))
        if isinstance(call, rpc.HandleEvent) and preferred is not None:
            with contextlib.suppress(NoInstanceError):
                self._instances.close(number)
            return Close("Kong starts the instance again, at the worker that should have it")
        return None

    def _start_instance(self, sequence: int, name: str, config: bytes) -> bytes | Close:
        try:
            number, _ = self._instances.start(name, config)
        except Exception as error:
            _failures.warning("instance start failed: %s", name[:80], exc_info=True)
            return Close(f"no instance: {type(error).__name__}")
        return rpc.encode_start_return(sequence, name, number, config, int(time.time()))

    def _close_instance(self, sequence: int, number: int) -> bytes:
        with contextlib.suppress(NoInstanceError):  # it is closed already
            self._instances.close(number)
        return rpc.encode_return(sequence)

    def _handle_event(self, sequence: int, number: int, phase: str) -> bytes | Close:
        self._sequence, self._phase, self._end_said = sequence, phase, False
        try:
            self._calls = self._instances.begin(number, phase)
        except NoInstanceError as error:
            return Close(str(error))
        except RefusalError:
            return self._end()
        self._final_call = self._final_calls.get(phase)
        return self._resume(self._calls, None)

    def _resume(self, calls: Calls, answer: tuple[Any, Any] | None) -> bytes:
        written = b""
        made: list[str] = []
        is_over = self._end_said
        try:
            while True:
                # A generator is started by None.
                call = calls.send(answer)  # type: ignore[arg-type]
                if is_over:
                    self.close()  # Kong takes no call after the final one
                    return b""
                method: str = call[0]
                written += rpc.encode_call(method, call[1:])
                made.append(method)
                if method not in rpc.NO_REPLY:
                    break
                answer = _NO_ANSWER
        except StopIteration:
            self._calls = None
            is_over = True
        except Exception:
            self._on_failure(self._phase)
            _failures.warning("%s raised an exception; the request goes on", self._phase, exc_info=True)
            self.close()
            return self._end()
        self._unanswered.extend(made)
        self._waiting_since = self._clock()
        return written + self._end() if is_over or made[-1] == self._final_call else written

    def _end(self) -> bytes:
        if self._end_said:
            return b""
        self._end_said = True
        return rpc.END_OF_EVENT + rpc.encode_return(self._sequence)
