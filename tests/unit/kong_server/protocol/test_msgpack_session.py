"""Promises of kong_server/protocol/msgpack_session.py, and of the instances behind it."""

from __future__ import annotations

import gc
import json
from typing import Any

import msgpack
import pytest
from kong_pdk.module import Module

from doubles import ManualClock
from otlp_tracing.kong_server.instances import Calls, Instances, slot_of
from otlp_tracing.kong_server.protocol.msgpack import Request, encode_request
from otlp_tracing.kong_server.protocol.msgpack_session import MsgPackEvents, MsgPackSession
from otlp_tracing.kong_server.protocol.session import EVENT_SECONDS, Answer, Close, Forward


class Probe:
    """A plugin with an access phase that follows its configuration."""

    ended: list[str] = []

    def __init__(self, config: dict[str, Any]) -> None:
        if config.get("broken"):
            raise ValueError("broken")
        self.config = config

    access = log = None  # which phases there are

    def access_calls(self) -> Calls:
        if self.config.get("raise_at") == 0:
            raise RuntimeError("before the first call")
        for number in range(1, self.config.get("calls", 2) + 1):
            try:
                self.config.setdefault("answers", []).append((yield "kong.request.get_header", f"x-{number}"))
            except GeneratorExit:
                self.ended.append("abandoned")
                raise
            if self.config.get("raise_at") == number:
                raise RuntimeError(f"after call {number}")
        if self.config.get("unpackable"):
            yield "kong.response.exit", object()

    def log_calls(self) -> Calls:
        yield ("kong.log.serialize",)


class module:  # noqa: N801  # what kong_pdk takes for a module
    Plugin = Probe
    Schema: list[Any] = []
    version = "1"
    priority = 1


class Kong:
    """Asks a worker's events as Kong would, without a socket."""

    def __init__(self, slot: int = 0, **options: Any) -> None:
        self.failures: list[str] = []
        self.clock = ManualClock()
        self.instances = Instances(Module("probe", module=module), slot)
        self.events = MsgPackEvents(self.instances, on_failure=self.failures.append, clock=self.clock, **options)

    def ask(self, method: str, *arguments: Any) -> tuple[Any, Any]:
        answer = self.events.answer(Request(1, method, list(arguments)))
        assert isinstance(answer, bytes)
        _, _, error, result = msgpack.unpackb(answer)
        return error, result

    def config(self, instance: int) -> dict[str, Any]:
        return self.instances._instances[instance].config  # type: ignore[no-any-return]

    def start(self, **config: Any) -> int:
        error, result = self.ask("plugin.StartInstance", {"Name": "probe", "Config": json.dumps(config)})
        assert error is None
        identifier: int = result["Id"]
        return identifier

    def run(self, instance: int, phase: str = "access") -> list[Any]:
        """Run an event to its end; return the calls made, and the error last if there was one."""
        made: list[Any] = []
        error, result = self.ask("plugin.HandleEvent", {"InstanceId": instance, "EventName": phase})
        while error is None and result["Data"] != "ret":
            made.append(result["Data"]["Method"])
            error, result = self.ask("plugin.Step", {"EventId": result["EventId"], "Data": f"answer {len(made)}"})
        return [*made, error] if error else made


def error_of(answer: Answer) -> str | None:
    """Return the error of an answer to Kong."""
    assert isinstance(answer, bytes)
    error: str | None = msgpack.unpackb(answer)[2]
    return error


@pytest.fixture
def kong() -> Kong:
    Probe.ended = []
    return Kong()


def test_a_phase_runs_a_call_at_a_time(kong: Kong) -> None:
    """Each call to Kong is an answer to Kong's last request, and `ret` ends the event."""
    assert kong.run(kong.start(calls=3)) == ["kong.request.get_header"] * 3
    assert kong.run(kong.start(), "log") == ["kong.log.serialize"]


def test_an_answer_is_data_and_error(kong: Kong) -> None:
    """A phase is sent both, as Kong's PDK gives them to Lua."""
    instance = kong.start(calls=2)
    event = kong.ask("plugin.HandleEvent", {"InstanceId": instance, "EventName": "access"})[1]["EventId"]
    kong.ask("plugin.Step", {"EventId": event, "Data": "a"})
    kong.ask("plugin.StepError", {"EventId": event, "Data": "no such thing"})

    assert kong.config(instance)["answers"] == [("a", None), (None, "no such thing")]


def test_events_of_one_instance_run_side_by_side(kong: Kong) -> None:
    """A phase that waits for Kong holds up no other."""
    instance = kong.start(calls=1)
    started = [kong.ask("plugin.HandleEvent", {"InstanceId": instance, "EventName": "access"})[1] for _ in range(50)]
    ended = [kong.ask("plugin.Step", {"EventId": event["EventId"]})[1] for event in reversed(started)]

    assert [event["Data"] for event in ended] == ["ret"] * 50
    assert len({event["EventId"] for event in ended}) == 50


@pytest.mark.parametrize("raise_at", [0, 1, 2, 3])
def test_an_exception_ends_its_event_and_no_other(kong: Kong, raise_at: int) -> None:
    """The error is a string, which lets the client have its answer; it is counted; the next event works."""
    made = kong.run(kong.start(calls=3, raise_at=raise_at))

    assert made == ["kong.request.get_header"] * raise_at + ["access raised RuntimeError"]
    assert kong.failures == ["access"]
    assert kong.run(kong.start(calls=1)) == ["kong.request.get_header"]
    assert len(kong.events) == 0


def test_ten_thousand_exceptions_leave_nothing_behind(kong: Kong) -> None:
    """Failed events are freed with everything they held."""
    instances = [kong.start(calls=3, raise_at=number) for number in range(4)]
    for instance in instances:
        kong.run(instance)
    gc.collect()
    before = len(gc.get_objects())
    for number in range(10_000):
        kong.config(instances[number % 4])["answers"] = []
        kong.run(instances[number % 4])
    kong.failures.clear()
    gc.collect()

    assert len(gc.get_objects()) - before < 100


def test_an_abandoned_event_is_freed(kong: Kong) -> None:
    """A step that never comes, because the call threw inside Kong, costs memory for a minute at most."""
    kong.ask("plugin.HandleEvent", {"InstanceId": kong.start(), "EventName": "access"})
    kong.clock.now += EVENT_SECONDS - 1
    assert kong.events.free_abandoned() == 0
    kong.clock.now += 2

    assert kong.events.free_abandoned() == 1
    assert Probe.ended == ["abandoned"]
    assert kong.failures == []


def test_instance_numbers_differ_between_processes() -> None:
    """Numbers that began at 0 would name another route's configuration after a restart."""
    first, second = Kong().start(), Kong().start()

    assert abs(first - second) > 1000
    assert first < 1 << 31


def test_an_unknown_instance_is_said_in_kongs_words(kong: Kong) -> None:
    """Kong starts the instance again when it reads these words."""
    for method, argument in (("HandleEvent", {"InstanceId": 1, "EventName": "access"}), ("CloseInstance", 1)):
        error, _ = kong.ask(f"plugin.{method}", argument)
        assert "no plugin instance" in error


def test_a_closed_instance_is_gone(kong: Kong) -> None:
    """CloseInstance ends an instance."""
    instance = kong.start()

    assert kong.ask("plugin.CloseInstance", instance)[0] is None
    assert "no plugin instance" in kong.run(instance)[0]


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("plugin.SetPluginDir", ["/"]), ("plugin._load_plugins", []), ("plugin.Cleanup", []), ("os.system", ["true"]),
        ("plugin.Step", [{"EventId": 99}]), ("plugin.Step", []), ("plugin.Step", ["x"]), ("plugin.HandleEvent", [5]),
        ("plugin.HandleEvent", [{"InstanceId": [], "EventName": "access"}]), ("plugin.StartInstance", [{}]),
        ("plugin.StartInstance", [{"Name": "other", "Config": "{}"}]), ("plugin.CloseInstance", [{}]),
        ("plugin.StartInstance", [{"Name": "probe", "Config": "no json"}]), ("", []), ("x" * 10_000, []),
        ("plugin.StartInstance", [{"Name": "probe", "Config": '{"broken": true}'}]),
    ],
)  # fmt: skip
def test_every_error_is_a_string(kong: Kong, method: str, arguments: list[Any]) -> None:
    """Whatever is asked, the answer is well formed, and an error that is no string would mean a 500."""
    error, result = kong.ask(method, *arguments)

    assert isinstance(error, str)
    assert len(error) < 200
    assert result is None


def test_an_answer_that_cannot_be_packed_is_an_error(kong: Kong) -> None:
    """A plugin that hands Kong an object of its own ends its event."""
    error, _ = kong.ask(
        "plugin.HandleEvent", {"InstanceId": kong.start(calls=0, unpackable=True), "EventName": "access"}
    )

    assert error == "plugin.HandleEvent failed: TypeError"


def test_a_phase_that_the_plugin_lacks_is_refused(kong: Kong) -> None:
    """Only the plugin's own phases can be called, not every attribute it has."""
    assert kong.run(kong.start(), "__init__") == ["probe has no phase __init__"]


def test_a_request_for_another_workers_instance_is_sent_on() -> None:
    """The slot is in the number: the request is passed to the worker that issued it."""
    first, second = Kong(slot=0, slots=2), Kong(slot=1, slots=2)
    number = second.start()
    request = Request(7, "plugin.HandleEvent", [{"InstanceId": number, "EventName": "access"}])
    assert slot_of(number) == 1

    assert first.events.answer(request) == Forward(1, encode_request(request))
    assert MsgPackSession(second.events).receive(encode_request(request), settle=True)


def test_a_request_that_nobody_else_can_take_is_settled_here() -> None:
    """If the other worker is gone, Kong is told to start the instance again, and does so here."""
    kong = Kong(slot=0, slots=2)
    request = Request(7, "plugin.HandleEvent", [{"InstanceId": 65, "EventName": "access"}])

    assert error_of(kong.events.answer(request, settle=True)) == "no plugin instance 65"


def test_a_connection_is_idle_between_events() -> None:
    """While an event waits for its next step, the connection that it came over is not closed."""
    kong = Kong()
    session = MsgPackSession(kong.events)
    instance = kong.start(calls=1)
    session.receive(encode_request(Request(1, "plugin.HandleEvent", [{"InstanceId": instance, "EventName": "access"}])))
    assert not session.idle
    (number,) = kong.events._running
    session.receive(encode_request(Request(2, "plugin.Step", [{"EventId": number}])))

    assert session.idle


def test_an_instance_away_from_home_is_given_up() -> None:
    """When the worker that a connection belongs with is back, Kong starts its instance there."""
    kong = Kong(slot=0, slots=2)
    number = kong.start()
    event = Request(7, "plugin.HandleEvent", [{"InstanceId": number, "EventName": "log"}])
    start = Request(8, "plugin.StartInstance", [{"Name": "probe", "Config": "{}"}])

    assert error_of(kong.events.answer(event)) is None
    assert error_of(kong.events.answer(event, preferred_worker=lambda: 1)) == f"no plugin instance {number}"
    assert kong.events.answer(start, preferred_worker=lambda: 1) == Forward(1, encode_request(start))
    assert error_of(kong.events.answer(start, preferred_worker=lambda: 1, settle=True)) is None


def test_a_retired_connection_serves_no_further_event() -> None:
    """The event under way is finished; the next is left to others, an instance's start is answered."""
    kong = Kong()
    session = MsgPackSession(kong.events)
    instance = kong.start(calls=1)
    event = encode_request(Request(1, "plugin.HandleEvent", [{"InstanceId": instance, "EventName": "access"}]))
    session.receive(event)
    session.retire()
    (number,) = kong.events._running

    assert error_of(session.receive(encode_request(Request(2, "plugin.Step", [{"EventId": number}])))) is None
    start = Request(3, "plugin.StartInstance", [{"Name": "probe", "Config": "{}"}])
    assert error_of(session.receive(encode_request(start))) is None
    assert isinstance(session.receive(event), Close)
