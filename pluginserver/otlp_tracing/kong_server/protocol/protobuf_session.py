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

from otlp_tracing.kong_server.event import Call, Event, Runners
from otlp_tracing.kong_server.instances import Instances, NoInstanceError, RefusalError, slot_of
from otlp_tracing.kong_server.protocol import protobuf as rpc
from otlp_tracing.kong_server.protocol.session import EVENT_SECONDS, ElsewhereError, HangUpError, Home, at_home
from otlp_tracing.log_limit import LimitedLog

_failures = LimitedLog(logging.getLogger("otlp_tracing.kong_server.protocol.protobuf_session"))


class ProtoBufDialogue:
    """One connection that speaks ProtoBuf.

    Args:
        instances: of this worker.
        runners: of this worker.
        lua_style: calls to Kong return `(data, error)`.
        on_failure: told the phase of each event that ended with an exception.
        clock: monotonic seconds.
        slots: how many workers there are to pass a request on to.
        home: tells the worker that should own the connection.
    """

    def __init__(
        self,
        instances: Instances,
        runners: Runners,
        *,
        lua_style: bool = False,
        on_failure: Callable[[str], None] = lambda _phase: None,
        clock: Callable[[], float] = time.monotonic,
        slots: int = 1,
        home: Home = at_home,
    ) -> None:
        self._instances = instances
        self._runners = runners
        self._home = home
        self._retired = False
        self._lua_style = lua_style
        self._on_failure = on_failure
        self._clock = clock
        self._slots = slots
        self._final_calls: Mapping[str, str] = getattr(instances.module.cls, "final_calls", {})
        self._frames = rpc.FrameDecoder()
        self._event: Event | None = None
        self._phase = ""
        self._sequence = 0
        self._end_said = True
        self._unanswered: deque[Call] = deque()
        self._waiting_since = 0.0

    @property
    def idle(self) -> bool:
        """No event is under way, and Kong owes no answer."""
        return self._event is None and not self._unanswered

    @property
    def overdue(self) -> bool:
        """Kong has owed an answer for longer than it ever takes."""
        return not self.idle and self._clock() > self._waiting_since + EVENT_SECONDS

    def receive(self, data: bytes, *, settle: bool = False) -> bytes:
        """Answer the completed messages; see session.Dialogue."""
        return b"".join([self._take(frame, settle) for frame in self._frames.feed(data)])

    def retire(self) -> None:
        """Hang up on the next event."""
        self._retired = True

    def close(self) -> None:
        """End the event that was under way here."""
        if self._event is not None:
            self._event.abandon()
            self._event = None

    def _take(self, frame: bytes, settle: bool) -> bytes:
        if not self._unanswered:
            return self._answer(rpc.decode_call(frame), frame, settle)
        call = self._unanswered.popleft()
        if self._unanswered or self._event is None:
            return b""  # the answer to a call that was written ahead
        return self._resume(self._event, (rpc.decode_reply(call.method, frame), None))

    def _answer(self, call: rpc.Call, frame: bytes, settle: bool) -> bytes:
        if self._retired and isinstance(call, rpc.HandleEvent):
            raise HangUpError("another group serves now")
        if self._slots > 1 and not settle:
            self._send_on(call, frame, self._home())
        if isinstance(call, rpc.HandleEvent):
            return self._handle_event(call.sequence, call.instance_id, call.event_name)
        if isinstance(call, rpc.StartInstance):
            return self._start_instance(call.sequence, call.name, call.config)
        if isinstance(call, rpc.CloseInstance):
            return self._close_instance(call.sequence, call.instance_id)
        return rpc.encode_return(call.sequence)

    def _send_on(self, call: rpc.Call, frame: bytes, home: int | None) -> None:
        if isinstance(call, rpc.StartInstance):
            if home is not None:
                raise ElsewhereError(home, rpc.encode_frame(frame))
            return
        number = getattr(call, "instance_id", None)
        if number is None:
            return
        if self._instances.slot != slot_of(number) < self._slots:
            raise ElsewhereError(slot_of(number), rpc.encode_frame(frame))
        if isinstance(call, rpc.HandleEvent) and home is not None:
            with contextlib.suppress(NoInstanceError):
                self._instances.close(number)
            raise HangUpError("Kong starts it again, and that goes home")

    def _start_instance(self, sequence: int, name: str, config: bytes) -> bytes:
        try:
            number, _ = self._instances.start(name, config)
        except Exception as error:
            _failures.warning("an instance of %s did not start", name[:80], exc_info=True)
            raise HangUpError(f"no instance: {type(error).__name__}") from error
        return rpc.encode_start_return(sequence, name, number, config, int(time.time()))

    def _close_instance(self, sequence: int, number: int) -> bytes:
        with contextlib.suppress(NoInstanceError):  # it is closed already
            self._instances.close(number)
        return rpc.encode_return(sequence)

    def _handle_event(self, sequence: int, number: int, phase: str) -> bytes:
        self._sequence, self._phase, self._end_said = sequence, phase, False
        try:
            method = self._instances.phase(number, phase)
        except NoInstanceError as error:
            raise HangUpError(str(error)) from error
        except RefusalError:
            return self._end()
        self._event = Event(
            method,
            self._runners,
            lua_style=self._lua_style,
            written_ahead=rpc.NO_REPLY,
            final_call=self._final_calls.get(phase),
        )
        return self._resume(self._event, None)

    def _resume(self, event: Event, answer: tuple[Any, Any] | None) -> bytes:
        try:
            turn = event.resume(answer)
            written = b"".join([rpc.encode_call(call.method, call.arguments) for call in turn.calls])
        except Exception:
            self._on_failure(self._phase)
            _failures.warning("%s raised an exception; the request goes on", self._phase, exc_info=True)
            self.close()
            return self._end()
        self._unanswered.extend(turn.calls)
        self._waiting_since = self._clock()
        if turn.ended:
            self._event = None
        return written + self._end() if turn.ended or turn.final else written

    def _end(self) -> bytes:
        if self._end_said:
            return b""
        self._end_said = True
        return rpc.END_OF_EVENT + rpc.encode_return(self._sequence)
