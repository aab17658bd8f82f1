"""One event: a phase of a plugin running as plain code, suspended while Kong works on its calls.

A protocol that lets calls be written ahead names those whose answer nobody needs: the phase goes on at
once, and they are handed out together with the next call that is waited for, or with the end. A plugin
may also name the last call of a phase (`final_calls = {"log": "kong.log.serialize"}`): Kong can then be
told the end of the event together with that call, before it is answered.

Source: kong_pdk/pdk/__init__.py (the facade and its channel, and the methods that end a request).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from greenlet import GreenletExit, getcurrent, greenlet
from kong_pdk.pdk import Kong, non_return_methods

__all__ = ["Call", "Event", "Turn"]


@dataclass(frozen=True, slots=True)
class Call:
    """One call to Kong's PDK, such as `kong.request.get_header` with its arguments."""

    method: str
    arguments: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Turn:
    """What a phase did until it had to wait, or ended.

    Args:
        calls: in order; the last one is waited for, unless the phase has ended.
        ended: the phase has ended.
        final: it makes no call after these, though it waits for the last one's answer.
    """

    calls: list[Call]
    ended: bool
    final: bool


class Event:
    """Runs one phase, a turn at a time.

    Args:
        phase: the plugin's method.
        lua_style: calls return `(data, error)` instead of data.
        written_ahead: methods whose answer the phase does not wait for.
        final_call: method of the call after which the phase makes no other.
    """

    def __init__(
        self,
        phase: Callable[[Any], Any],
        *,
        lua_style: bool = False,
        written_ahead: frozenset[str] = frozenset(),
        final_call: str | None = None,
    ) -> None:
        self._phase = phase
        self._lua_style = lua_style
        self._channel = _Channel(written_ahead, final_call)
        self._greenlet = greenlet(self._run)

    def resume(self, answer: tuple[Any, Any] | None = None) -> Turn:
        """Run until an answer is needed or the phase ends.

        Args:
            answer: Kong's `(data, error)` for the call that was waited for; None at the start.

        Raises:
            Whatever the phase raised.
        """
        self._greenlet.switch(answer) if answer is not None else self._greenlet.switch()
        calls, self._channel.calls = self._channel.calls, []
        return Turn(calls, bool(self._greenlet.dead), self._channel.closed)

    def abandon(self) -> None:
        """End a phase that waits for an answer which will not come."""
        if not self._greenlet.dead:
            self._greenlet.throw(GreenletExit)

    def _run(self, _answer: object = None) -> None:
        self._phase(Kong(self._channel, self._lua_style).kong)


@dataclass
class _Channel:
    """What kong_pdk's facade takes for its connection: `put` a call, `get` its answer."""

    written_ahead: frozenset[str]
    final_call: str | None
    calls: list[Call] = field(default_factory=list)
    closed: bool = False

    def put(self, call: dict[str, Any]) -> None:
        if self.closed:
            raise GreenletExit  # the request, or this event, has ended: Kong takes no further call
        method = call["Method"]
        self.closed = method in non_return_methods or method == self.final_call
        self.calls.append(Call(method, tuple(call["Args"])))

    def get(self) -> Any:
        if self.calls[-1].method in self.written_ahead:
            return None, None
        parent = getcurrent().parent
        assert parent is not None
        return parent.switch()
