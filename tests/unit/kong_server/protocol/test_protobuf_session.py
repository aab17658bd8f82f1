"""Promises of kong_server/protocol/protobuf_session.py."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from kong_pdk.module import Module

from doubles import ManualClock
from otlp_tracing.errors import WireError
from otlp_tracing.kong_server.instances import Calls, Instances
from otlp_tracing.kong_server.protocol import protobuf as rpc
from otlp_tracing.kong_server.protocol.protobuf_session import ProtoBufSession
from otlp_tracing.kong_server.protocol.protobuf_wire import bytes_field, int_field
from otlp_tracing.kong_server.protocol.session import EVENT_SECONDS, Answer, Close, Forward, PreferredWorker

END = rpc.END_OF_EVENT
HEADERS = "kong.service.request.set_headers"


class Probe:
    """A plugin with phases that follow its configuration."""

    final_calls = {"log": "kong.log.serialize"}
    ended: list[str] = []

    def __init__(self, config: dict[str, Any]) -> None:
        if config.get("broken"):
            raise ValueError("broken")
        self.config = config
        self.answers: list[Any] = []

    access = log = certificate = None  # which phases there are

    def access_calls(self) -> Calls:
        if self.config.get("raise"):
            raise RuntimeError("boom")
        try:
            self.answers.append((yield "kong.nginx.get_var", "a")[0])
        except GeneratorExit:
            self.ended.append("abandoned")
            raise
        self.answers.append((yield HEADERS, {"x": "1"})[0])
        self.answers.append((yield "kong.log.set_serialize_value", "k", {"v": 1})[0])
        if self.config.get("unknown"):
            yield ("kong.no.such.method",)

    def log_calls(self) -> Calls:
        self.answers.append((yield ("kong.log.serialize",))[0])
        if self.config.get("more"):
            yield "kong.log.notice", "one call too many"
        self.ended.append("log")


class module:  # noqa: N801  # what kong_pdk takes for a module
    Plugin = Probe


def framed(message: bytes) -> bytes:
    return rpc.encode_frame(message)


def start_instance(**config: Any) -> bytes:
    body = bytes_field(1, b"probe") + bytes_field(2, json.dumps(config).encode())
    return framed(int_field(1, 7) + bytes_field(33, body))


def handle_event(instance: int, phase: str) -> bytes:
    return framed(int_field(1, 8) + bytes_field(36, int_field(1, instance) + bytes_field(2, phase.encode())))


def close_instance(instance: int) -> bytes:
    return framed(int_field(1, 9) + bytes_field(35, int_field(1, instance)))


class Kong:
    """One connection of Kong's, without a socket."""

    def __init__(self, slot: int = 0, slots: int = 1, preferred_worker: PreferredWorker | None = None) -> None:
        self.failures: list[str] = []
        self.clock = ManualClock()
        self.instances = Instances(Module("probe", module=module), slot)
        self.session = ProtoBufSession(
            self.instances,
            on_failure=self.failures.append,
            clock=self.clock,
            slots=slots,
            preferred_worker=preferred_worker,
        )

    def start(self, **config: Any) -> int:
        self.session.receive(start_instance(**config))
        (number,) = list(self.instances._instances)[-1:]
        return number

    def answers(self, instance: int) -> list[Any]:
        return self.instances._instances[instance].answers  # type: ignore[no-any-return]


def written(answer: Answer) -> bytes:
    """Return the bytes of an answer to Kong."""
    assert isinstance(answer, bytes)
    return answer


@pytest.fixture
def kong() -> Iterator[Kong]:
    Probe.ended = []
    yield Kong()
    Probe.ended = []


def test_an_instance_is_started_and_closed(kong: Kong) -> None:
    """Each command is answered with its sequence number; a start with the instance as well."""
    answer = written(kong.session.receive(start_instance(a=1)))
    (number,) = kong.instances._instances

    assert answer.startswith(answer[:4] + int_field(1, 7))
    assert int_field(2, number) in answer
    assert kong.session.receive(close_instance(number)) == rpc.encode_return(9)
    assert kong.session.receive(close_instance(number)) == rpc.encode_return(9)


def test_access_waits_once(kong: Kong) -> None:
    """Calls that need no answer are sent together with the end of the event, in one write."""
    instance = kong.start()
    asked = kong.session.receive(handle_event(instance, "access"))
    sent = kong.session.receive(framed(bytes_field(1, b"value")))

    assert asked == rpc.encode_call("kong.nginx.get_var", ["a"])
    assert sent == (
        rpc.encode_call(HEADERS, [{"x": "1"}])
        + rpc.encode_call("kong.log.set_serialize_value", ["k", {"v": 1}])
        + END
        + rpc.encode_return(8)
    )
    assert kong.answers(instance) == ["value", None, None]


def test_answers_that_nobody_waits_for_are_read(kong: Kong) -> None:
    """Kong answers every call; the connection serves the next event after the last of them."""
    instance = kong.start()
    kong.session.receive(handle_event(instance, "access"))
    kong.session.receive(framed(b""))
    assert not kong.session.idle
    assert kong.session.receive(framed(b"") + framed(b"")) == b""

    assert kong.session.idle
    assert kong.session.receive(handle_event(instance, "access"))


def test_log_ends_with_its_last_call(kong: Kong) -> None:
    """Kong is done with the event before it has answered; the answer still reaches the phase."""
    instance = kong.start()
    sent = kong.session.receive(handle_event(instance, "log"))
    assert sent == rpc.encode_call("kong.log.serialize", []) + END + rpc.encode_return(8)
    assert not kong.session.idle
    assert kong.session.receive(framed(bytes_field(1, b'{"a":"\xff"}'))) == b""

    assert kong.answers(instance) == ['{"a":"\udcff"}']
    assert kong.session.idle


def test_no_call_follows_the_last_one(kong: Kong) -> None:
    """A phase that calls on after its declared last call is ended there."""
    kong.session.receive(handle_event(kong.start(more=True), "log"))

    assert kong.session.receive(framed(bytes_field(1, b"{}"))) == b""
    assert kong.session.idle
    assert Probe.ended == []
    assert kong.failures == []


@pytest.mark.parametrize("config", [{"raise": True}, {"unknown": True}])
def test_a_phase_that_fails_ends_its_event(kong: Kong, config: dict[str, Any]) -> None:
    """Kong cannot be told of it, and lets the request pass; it is counted."""
    instance = kong.start(**config)
    sent = kong.session.receive(handle_event(instance, "access"))
    if "unknown" in config:
        sent = kong.session.receive(framed(b""))

    assert sent == END + rpc.encode_return(8)
    assert kong.failures == ["access"]
    assert kong.session.idle


def test_an_unknown_instance_is_said_by_hanging_up(kong: Kong) -> None:
    """Kong starts the instance again and repeats the event when the connection closes."""
    assert kong.session.receive(handle_event(64, "access")) == Close("no plugin instance 64")


def test_an_instance_that_cannot_start_hangs_up(kong: Kong) -> None:
    """An answer without an instance would cost Kong 3.4 the plugin for good."""
    assert kong.session.receive(start_instance(broken=True)) == Close("no instance: ValueError")


def test_a_phase_without_a_generator_is_over_at_once(kong: Kong) -> None:
    """A plugin file for another server has the method of the phase alone; its events are answered."""
    assert kong.session.receive(handle_event(kong.start(), "certificate")) == END + rpc.encode_return(8)


def test_a_phase_that_the_plugin_lacks_is_over_at_once(kong: Kong) -> None:
    """An event without a handler has no effect."""
    assert kong.session.receive(handle_event(kong.start(), "rewrite")) == END + rpc.encode_return(8)


def test_a_connection_that_ends_ends_its_event(kong: Kong) -> None:
    """A phase that waits for an answer on it waits no longer."""
    kong.session.receive(handle_event(kong.start(), "access"))
    kong.session.close()

    assert Probe.ended == ["abandoned"]
    assert kong.failures == []


def test_an_answer_that_never_comes_is_overdue(kong: Kong) -> None:
    """A connection on which Kong owes an answer for too long is to be closed."""
    kong.session.receive(handle_event(kong.start(), "access"))
    assert not kong.session.overdue
    kong.clock.now += EVENT_SECONDS + 1

    assert kong.session.overdue


def test_a_request_for_another_workers_instance_is_sent_on() -> None:
    """It is passed there unchanged; settled here, the instance is unknown."""
    second = Kong(slot=1, slots=2)
    event = handle_event(second.start(), "log")

    assert Kong(slot=0, slots=2).session.receive(event) == Forward(1, event)
    assert written(second.session.receive(event, settle=True))
    assert isinstance(Kong(slot=0, slots=2).session.receive(event, settle=True), Close)


@pytest.mark.parametrize("garbage", [framed(b"\xff" * 20), b"\xff" * 4, framed(b"")])
def test_garbage_is_one_kind_of_error(kong: Kong, garbage: bytes) -> None:
    """The worker closes the connection on it."""
    with pytest.raises(WireError):
        kong.session.receive(garbage)


def test_an_instance_away_from_home_is_given_up() -> None:
    """When the worker that a connection belongs with is back, Kong starts its instance there."""
    preferred: list[int | None] = [None]
    kong = Kong(slot=0, slots=2, preferred_worker=lambda: preferred[0])
    event = handle_event(kong.start(), "log")
    assert kong.session.receive(event)
    kong.session.receive(framed(b""))
    preferred[0] = 1

    assert isinstance(kong.session.receive(event), Close)
    assert kong.session.receive(start_instance()) == Forward(1, start_instance())
    assert len(kong.instances) == 0


def test_a_retired_connection_serves_no_further_event(kong: Kong) -> None:
    """Calls that Kong repeats elsewhere are left to others; an instance's start, which Kong does not repeat, is
    answered.
    """
    instance = kong.start()
    kong.session.retire()

    assert written(kong.session.receive(start_instance()))
    assert isinstance(kong.session.receive(handle_event(instance, "log")), Close)
