"""One event: a phase of a plugin running as plain code, suspended while Kong works on its calls.

A protocol that lets calls be written ahead has a list of calls whose answer the phase does not need. The phase
continues at once after such a call. The protocol sends it together with the next call that is waited for, or with the
end. A plugin may also name the last call of a phase (`final_calls = {"log": "kong.log.serialize"}`): Kong can then be
told the end of the event together with that call, before it is answered.

Source: kong_pdk/pdk/__init__.py of kong-pdk 0.36, which this module replaces: the styles of answers, the arguments of
`kong.log.*`, the methods that end a request.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from greenlet import GreenletExit, getcurrent, greenlet
from kong_pdk.exception import PDKException
from kong_pdk.pdk import non_return_methods

# Idle greenlets kept for reuse. 64 covers the concurrency seen under load; extra ones of a burst are discarded.
_MAX_PARKED = 64


# The classes here are made several times a request and write their __init__ themselves: compiled, that of a
# dataclass stays Python, and takes ten times as long.


@dataclass(slots=True, init=False)
class Call:
    """One call to Kong's PDK, such as `kong.request.get_header` with its arguments."""

    method: str
    arguments: tuple[Any, ...]

    def __init__(self, method: str, arguments: tuple[Any, ...]) -> None:
        self.method = method
        self.arguments = arguments


@dataclass(slots=True, init=False)
class Turn:
    """The calls of a phase until it had to wait, or ended.

    Args:
        calls: in order; the last one is waited for, unless the phase has ended.
        ended: the phase has ended.
        final: it makes no call after these, though it waits for the last one's answer.
    """

    calls: list[Call]
    ended: bool
    final: bool

    def __init__(self, calls: list[Call], *, ended: bool, final: bool) -> None:
        self.calls = calls
        self.ended = ended
        self.final = final


class Runners:
    """Greenlets that run phases, one after the other: a new one costs seven times as much as a parked one.

    Bound to the thread that uses them, as greenlets are.
    """

    def __init__(self) -> None:
        self._parked: list[greenlet] = []

    def take(self) -> greenlet:
        """Return a greenlet that waits for a phase and its argument."""
        return self._parked.pop() if self._parked else greenlet(_run_forever)

    def give_back(self, runner: greenlet) -> None:
        """Park a greenlet after its phase has ended."""
        if not runner.dead and len(self._parked) < _MAX_PARKED:
            self._parked.append(runner)


class _Ended:
    __slots__ = ("error",)

    def __init__(self, error: Exception | None) -> None:
        self.error = error


def _run_forever(phase: Callable[[Any], Any], kong: Kong) -> None:
    # GreenletExit is no Exception: it ends the greenlet itself, in the middle of a phase that was abandoned.
    parent = getcurrent().parent
    while True:
        error: Exception | None = None
        try:
            phase(kong)
        except Exception as raised:
            error = raised
        phase, kong = parent.switch(_Ended(error))


class Event:
    """Runs one phase, a turn at a time.

    Args:
        phase: the plugin's method.
        runners: where the greenlet comes from.
        lua_style: calls return `(data, error)` instead of data.
        written_ahead: methods with an answer that the phase does not wait for.
        final_call: method of the call after which the phase makes no other.
    """

    __slots__ = ("_calls", "_closed", "_final_call", "_lua_style", "_phase", "_runner", "_runners", "_written_ahead")

    def __init__(
        self,
        phase: Callable[[Any], Any],
        runners: Runners,
        *,
        lua_style: bool = False,
        written_ahead: frozenset[str] = frozenset(),
        final_call: str | None = None,
    ) -> None:
        self._phase = phase
        self._runners = runners
        self._lua_style = lua_style
        self._written_ahead = written_ahead
        self._final_call = final_call
        self._calls: list[Call] = []
        self._closed = False
        self._runner: greenlet | None = None

    def resume(self, answer: tuple[Any, Any] | None = None) -> Turn:
        """Run until an answer is needed or the phase ends.

        Args:
            answer: Kong's `(data, error)` for the call that was waited for; None at the start.

        Raises:
            Whatever the phase raised.
        """
        if answer is None:
            self._runner = self._runners.take()
            outcome = self._runner.switch(self._phase, Kong("kong", self._call))
        else:
            assert self._runner is not None
            outcome = self._runner.switch(answer)
        calls, self._calls = self._calls, []
        if outcome is None:
            return Turn(calls, ended=False, final=self._closed)
        runner, self._runner = self._runner, None
        self._runners.give_back(runner)
        if isinstance(outcome, _Ended) and outcome.error is not None:
            raise outcome.error
        return Turn(calls, ended=True, final=self._closed)

    def abandon(self) -> None:
        """End a phase that waits for an answer which will not come."""
        if self._runner is not None:
            self._runner.throw(GreenletExit)
            self._runner = None

    def _call(self, method: str, *arguments: Any) -> Any:
        if self._closed:
            raise GreenletExit  # the request, or this event, has ended: Kong takes no further call
        if method.startswith("kong.log.") or method == "kong.log":
            arguments = tuple(item if type(item) in _PLAIN else str(item) for item in arguments)
        self._calls.append(Call(method, arguments))
        if method in non_return_methods:
            self._closed = True
            return None
        if method in self._written_ahead:
            return (None, None) if self._lua_style else None
        self._closed = method == self._final_call
        data, error = getcurrent().parent.switch(None)
        if self._lua_style:
            return data, error
        if error:
            raise PDKException(f"exception from {method}: {error}")
        return data


_PLAIN: Final = frozenset({str, int, list, dict})


class Kong:
    """The `kong` object of a phase: any attribute is a name, any call of one a call to Kong.

    `call(method, *arguments)` is the same without the way through the names, as kong_pdk's facade has it.
    """

    __slots__ = ("_name", "call")

    def __init__(self, name: str, call: Callable[..., Any]) -> None:
        self._name = name
        self.call = call

    def __getattr__(self, name: str) -> Kong:
        return Kong(f"{self._name}.{name}", self.call)

    def __call__(self, *arguments: Any) -> Any:
        """Call Kong."""
        return self.call(self._name, *arguments)
