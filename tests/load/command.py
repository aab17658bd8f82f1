"""The command `python -m tests.load`: options, the run, the result."""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

from load.heartbeat import Heartbeat
from load.kong_worker import KongWorker
from load.loop import Loop, Pool
from load.msgpack_rpc import MsgPackRpc
from load.outcome import Tally
from load.protobuf_rpc import ProtoBufRpc
from load.traffic import config

READY = "ready"
SETTLED = "settled"
_LOOK_SECONDS = 0.01
_PLUGIN = "otlp-tracing"
_PROTOCOLS: dict[str, type[MsgPackRpc | ProtoBufRpc]] = {"msgpack": MsgPackRpc, "protobuf": ProtoBufRpc}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 1 if a client of Kong would have got a 500."""
    options = _parser().parse_args(arguments)
    result = _Run(options).go()
    if options.json:
        print(json.dumps(result), flush=True)
    else:
        for name, value in result.items():
            print(f"{name:>22}  {value}")
    return 1 if result["would_be_500"] else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.load", description=__doc__)
    parser.add_argument("socket", help="of the plugin server")
    parser.add_argument("--protocol", choices=sorted(_PROTOCOLS), default="msgpack")
    parser.add_argument("--concurrency", type=int, default=16, help="requests at a time")
    parser.add_argument("--seconds", type=float, default=10.0, help="for how long at the most")
    parser.add_argument("--requests", type=int, help="how many at the most")
    parser.add_argument("--rate", type=float, help="requests a second; as fast as it goes unless given")
    parser.add_argument("--warm-up", type=int, default=100, help="requests before those that count")
    parser.add_argument("--endpoint", default="http://127.0.0.1:4317", help="of the plugin's configuration")
    parser.add_argument("--read-timeout", type=float, default=60.0, help="nginx_proxy_lua_socket_read_timeout")
    parser.add_argument("--pool-size", type=int, default=256, help="lua_socket_pool_size; 30 on Kong 3.4")
    parser.add_argument("--json", action="store_true", help="print the result as one line of JSON")
    parser.add_argument(
        "--told",
        action="store_true",
        help="say `ready`, begin at a line on stdin, end when it closes; "
        "at a line in between say `settled` as soon as every request has ended that is under way then",
    )
    return parser


class _Run:
    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._tally = Tally()
        self._loop = Loop(options.read_timeout)
        pool = Pool(self._loop, options.socket, options.pool_size)
        rpc = _PROTOCOLS[options.protocol](pool, _PLUGIN, config(options.endpoint), self._tally)
        self._worker = KongWorker(rpc, self._tally, Heartbeat())
        self._told_to_end = False
        self._began = self._end = 0.0

    def go(self) -> dict[str, Any]:
        options = self._options
        self._send(options.warm_up, None)
        if options.told:
            print(READY, flush=True)
            sys.stdin.readline()
            threading.Thread(target=self._listen, daemon=True).start()
        self._tally.begin()
        cpu = time.process_time()
        self._send(options.requests, options.seconds)
        return {
            "pid": os.getpid(),
            "protocol": options.protocol,
            **self._tally.summary(),
            "client_cpu_seconds": time.process_time() - cpu,
        }

    def _listen(self) -> None:
        while sys.stdin.readline():
            begun = self._worker.under_way()
            while begun & self._worker.under_way():
                time.sleep(_LOOK_SECONDS)
            print(SETTLED, flush=True)
        self._told_to_end = True

    def _send(self, requests: int | None, seconds: float | None) -> None:
        self._began = time.monotonic()
        self._end = self._began + seconds if seconds else float("inf")
        tickets = self._tickets(requests)
        for _ in range(self._options.concurrency):
            self._loop.start(self._worker.lane(tickets, self._pause))
        self._loop.run()

    def _tickets(self, requests: int | None) -> Iterator[int]:
        for number in itertools.count() if requests is None else range(requests):
            if self._told_to_end or time.monotonic() >= self._end:
                return
            yield number

    def _pause(self, number: int) -> float:
        rate = self._options.rate
        return self._began + number / rate - time.monotonic() if rate else 0.0
