"""CPU time of the plugin server's own code for a request: `access` and `log` from bytes to bytes, without sockets.

    python -m bench.dialogues msgpack|protobuf      (in tests/)

prints CPU microseconds a request, all of them recorded, one of three with a traceparent.
"""

from __future__ import annotations

import itertools
import os
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgpack
from google.protobuf import struct_pb2

from load.traffic import HEADER_SETS, config, log_record
from otlp_tracing.kong_server.instances import Instances
from otlp_tracing.kong_server.loader import load
from otlp_tracing.kong_server.protocol.msgpack_session import MsgPackEvents, MsgPackSession
from otlp_tracing.kong_server.protocol.protobuf_session import ProtoBufSession
from otlp_tracing.paths import PLUGIN_FILE, plugin_folder
from otlp_tracing.plugin.names import HOSTED_VARIABLE
from otlp_tracing_devtools.fake_kong.protobuf_schema import MESSAGES

_TESTS = Path(__file__).parents[1]
_REQUESTS = 10_000
_ROUNDS = 3
_PLUGIN = "otlp-tracing"
# Frames and answers that say nothing, and a log record as access leaves it.
_EMPTY = bytes(4)
_RECORD = log_record({"trace_id": "1" * 32, "span_id": "2" * 16, "upstream_span_id": "3" * 16, "flags": 3})


def dialogue_us(protocol: str) -> float:
    """Measure in a process of its own, in which no thread pumps the emitter."""
    command = [sys.executable, "-m", "bench.dialogues", protocol]
    environment = {**os.environ, HOSTED_VARIABLE: "1"}
    return float(
        subprocess.run(command, cwd=_TESTS, env=environment, check=True, capture_output=True, text=True).stdout
    )


def _protobuf(instances: Instances, instance: int) -> Callable[[int], object]:
    session = ProtoBufSession(instances)
    access, log = (_event(instance, phase) for phase in ("access", "log"))
    headers = [_frame(_struct(one)) for one in HEADER_SETS]
    record = _frame(MESSAGES["String"](v=_RECORD.encode()).SerializeToString())

    def request(number: int) -> object:
        session.receive(access)
        session.receive(headers[number % len(headers)])
        session.receive(_EMPTY + _EMPTY)
        session.receive(log)
        return session.receive(record)

    return request


def _event(instance: int, phase: str) -> bytes:
    event = {"instance_id": instance, "event_name": phase.encode()}
    return _frame(MESSAGES["RpcCall"](sequence=2, cmd_handle_event=event).SerializeToString())


def _struct(headers: dict[str, list[str]]) -> bytes:
    table = struct_pb2.Struct()
    table.update({name: lines[0] if len(lines) == 1 else lines for name, lines in headers.items()})
    return table.SerializeToString()


def _frame(message: bytes) -> bytes:
    return struct.pack("<I", len(message)) + message


def _msgpack(instances: Instances, instance: int) -> Callable[[int], object]:
    session = MsgPackSession(MsgPackEvents(instances, event_numbers=itertools.repeat(1)))
    access, log = (_request("HandleEvent", {"InstanceId": instance, "EventName": phase}) for phase in ("access", "log"))
    headers = [_request("StepMultiMap", {"EventId": 1, "Data": one}) for one in HEADER_SETS]
    nothing, record = _request("Step", {"EventId": 1}), _request("Step", {"EventId": 1, "Data": _RECORD})

    def request(number: int) -> object:
        session.receive(access)
        session.receive(headers[number % len(headers)])
        session.receive(nothing)
        session.receive(nothing)
        session.receive(log)
        return session.receive(record)

    return request


def _request(method: str, argument: object) -> bytes:
    packed: bytes = msgpack.packb([0, 7, f"plugin.{method}", [argument]])
    return packed


def main() -> None:
    """Measure, and print the best of some rounds."""
    instances = Instances(load(plugin_folder() / PLUGIN_FILE))
    instance, _ = instances.start(_PLUGIN, config("http://127.0.0.1:4317"))
    request = {"msgpack": _msgpack, "protobuf": _protobuf}[sys.argv[1]](instances, instance)
    seconds = []
    for _ in range(_ROUNDS):
        started = time.process_time()
        for number in range(_REQUESTS):
            request(number)
        seconds.append(time.process_time() - started)
    print(min(seconds) / _REQUESTS * 1e6)


if __name__ == "__main__":
    main()
