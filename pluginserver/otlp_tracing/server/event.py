"""One event: a phase of a plugin running as plain code, suspended while Kong works on a call.

Source: kong_pdk/pdk/__init__.py (the facade and its channel), kong_pdk/server.py (the methods that end a
request).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from greenlet import GreenletExit, getcurrent, greenlet
from kong_pdk.pdk import Kong, non_return_methods

__all__ = ["FINISHED", "Event"]

FINISHED = "ret"
"""What Kong reads as the end of an event."""


class Event:
    """Runs one phase, a call to Kong at a time.

    Args:
        phase: the plugin's method.
        lua_style: calls return `(data, error)` instead of data.
    """

    def __init__(self, phase: Callable[[Any], Any], lua_style: bool) -> None:
        self._channel = _Channel()
        self._greenlet = greenlet(self._run)
        self._phase = phase
        self._lua_style = lua_style

    def resume(self, answer: tuple[Any, Any] | None = None) -> Any:
        """Run until the next call to Kong or the end.

        Args:
            answer: Kong's `(data, error)` for the last call; None at the start.

        Returns:
            The call, `{"Method": …, "Args": …}`, or FINISHED.

        Raises:
            Whatever the phase raised.
        """
        return self._greenlet.switch(answer) if answer is not None else self._greenlet.switch()

    @property
    def over(self) -> bool:
        """The phase has returned or raised; the event takes no further answer."""
        return bool(self._greenlet.dead)

    def abandon(self) -> None:
        """End a phase that waits for an answer which will not come."""
        if not self._greenlet.dead:
            self._greenlet.throw(GreenletExit)

    def _run(self) -> Any:
        self._phase(Kong(self._channel, self._lua_style).kong)
        return self._channel.last_call or FINISHED


class _Channel:
    """What kong_pdk's facade takes for its connection: `put` a call, `get` its answer."""

    def __init__(self) -> None:
        self.last_call: dict[str, Any] | None = None
        self._call: dict[str, Any] | None = None

    def put(self, call: dict[str, Any]) -> None:
        if self.last_call is not None:
            raise GreenletExit  # the request has ended; Kong takes no further call
        if call["Method"] in non_return_methods:
            self.last_call = call
        self._call = call

    def get(self) -> Any:
        parent = getcurrent().parent
        assert parent is not None
        return parent.switch(self._call)
