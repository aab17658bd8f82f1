"""The plugin instances of one worker process.

Their numbers carry the worker's slot, so that any worker can tell which worker has the instance of a request. They
begin at a random place: numbers that began at 0 would name another route's configuration after a restart (Kong/kong
#8370). They fit the 31 bits that the ProtoBuf protocol has for them.
"""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Generator, Iterator
from typing import Any

from kong_pdk.module import Module

from otlp_tracing.errors import TracingError
from otlp_tracing.kong_server.heartbeat import MAX_SLOTS

Calls = Generator[tuple[Any, ...], tuple[Any, Any], None]
"""An event of a plugin: yields its calls to Kong's PDK, method and arguments, and is sent `(data, error)` for each."""


class RefusalError(TracingError):
    """A request that cannot be served; the message is for Kong's log."""


class NoInstanceError(RefusalError):
    """The instance is not here: Kong has to start it again."""

    def __init__(self, number: object) -> None:
        # Kong looks for these words (mp_rpc.lua, handle_event).
        super().__init__(f"no plugin instance {number}")


def slot_of(number: int) -> int:
    """Return the slot of the worker that gave a number out."""
    return number % MAX_SLOTS


def numbers(slot: int) -> Iterator[int]:
    """Return the numbers of a slot's instances, each once; the first hundred million are below 2^31."""
    return itertools.count(random.SystemRandom().randrange(1 << 24) * MAX_SLOTS + slot, MAX_SLOTS)


class Instances:
    """Starts, finds and closes instances.

    Args:
        module: the plugin.
        slot: this worker's, 0 to MAX_SLOTS - 1.
    """

    def __init__(self, module: Module, slot: int = 0) -> None:
        self.module = module
        self.slot = slot
        self._numbers = numbers(slot)
        self._instances: dict[int, Any] = {}

    def __len__(self) -> int:
        return len(self._instances)

    def start(self, name: str, config: str | bytes) -> tuple[int, Any]:
        """Start an instance; return its number and its configuration.

        Raises:
            RefusalError: if there is no such plugin, or its configuration is no JSON.
            Exception: whatever the plugin raises.
        """
        if name != self.module.name:
            raise RefusalError(f"there is no plugin {name[:80]}")
        try:
            document = json.loads(config)
        except ValueError as error:
            raise RefusalError("the configuration is no JSON") from error
        instance = self.module.cls(document)
        number = next(self._numbers)
        self._instances[number] = instance
        return number, document

    def close(self, number: int) -> None:
        """Forget an instance.

        Raises:
            NoInstanceError: if it is not here.
        """
        if self._instances.pop(number, None) is None:
            raise NoInstanceError(number)

    def begin(self, number: int, phase: str) -> Calls:
        """Return the calls of an event: the generator `<phase>_calls` of the instance.

        Raises:
            NoInstanceError: if the instance is not here.
            RefusalError: if the plugin has no such phase.
        """
        instance = self._instances.get(number)
        if instance is None:
            raise NoInstanceError(number)
        begin = getattr(instance, f"{phase}_calls", None) if phase in self.module.phases else None
        if begin is None:
            raise RefusalError(f"{self.module.name} has no phase {phase[:80]}")
        calls: Calls = begin()
        return calls
