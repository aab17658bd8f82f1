"""CPU time of a request by part: in Kong's nginx worker by Lua function, in our processes by kind.

It is a run of its own, because the profiler in nginx (lua/) costs some percent of the measured time. A sample belongs
to the first of NGINX_GROUPS that its stack shows.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.dialogues import dialogue_us
from bench.kong import Kong
from bench.measurement import CpuMeter
from bench.subjects import (
    MSGPACK,
    NO_PLUGIN,
    OPENTELEMETRY,
    PROTOBUF,
    SUBJECTS,
    ZIPKIN,
    running_gateway,
    surroundings,
)
from bench.wrk import run_wrk
from e2e.kong_process import NAME
from load.process_figures import system_seconds

PROFILED = (NO_PLUGIN, OPENTELEMETRY, ZIPKIN, MSGPACK, PROTOBUF)
Profile = Mapping[str, float]
"""Part of a request's way to its CPU microseconds, in the order of the way."""

NGINX_GROUPS: Mapping[str, str] = {
    "nginx: kong.log.serialize": r"pdk/log\.lua:serialize",
    "nginx: other calls to the PDK, and their messages": r"_rpc\.lua:call_pdk",
    "nginx: the plugin server's protocol": r"plugin_servers/|MessagePack\.lua",
    "nginx: a bundled tracing plugin": r"plugins/(zipkin|opentelemetry)/|kong/observability/|tools/queue\.lua",
    "nginx: timers, such as the one that `log` runs in": r"timerng",
    "nginx: a request without tracing": "",
}
_GARBAGE = "nginx: Lua's garbage collection"
_LUA = Path(__file__).parent / "lua"
_SAMPLE = re.compile(r"(.*) ([A-Z]) (\d+)")
_PROFILER = "bench-profile"
_WARM_UP_SECONDS = 2.0


def measure(command: Path, seconds: float, say: Callable[[str], None]) -> dict[str, Profile]:
    """Profile each of PROFILED.

    Args:
        command: the `kong` command.
        seconds: of load on each.
        say: called with lines about the progress.

    Raises:
        WrkMissingError: there is no wrk.
    """
    found: dict[str, Profile] = {}
    with surroundings(command) as around:
        for name in PROFILED:
            say(f"profile: {name}")
            with running_gateway(name, around, **_profiled(name)) as gateway:
                found[name] = dict(_profile(gateway.kong, name, seconds))
    return found


def _profiled(name: str) -> dict[str, Any]:
    names = ["bundled", *([NAME] if SUBJECTS[name].protocol else []), _PROFILER]
    settings = {"plugins": ",".join(names), "lua_package_path": f"{_LUA}/?.lua;;"}
    return {"settings": settings, "plugins": [{"name": _PROFILER}]}


def _profile(kong: Kong, name: str, seconds: float) -> Iterator[tuple[str, float]]:
    run_wrk(kong.port, _WARM_UP_SECONDS)
    nginx, server, sidecar = (CpuMeter(kong.pids(kind)) for kind in ("nginx", "server", "sidecar"))
    server_system = CpuMeter(kong.pids("server"), system_seconds)
    sidecar_system = CpuMeter(kong.pids("sidecar"), system_seconds)
    requests = run_wrk(kong.port, seconds).requests
    yield from _nginx(kong.prefix / _PROFILER, nginx.microseconds(requests) or 0.0)
    protocol = SUBJECTS[name].protocol
    if protocol:
        ours = dialogue_us(protocol)
        total, system = server.microseconds(requests) or 0.0, server_system.microseconds(requests) or 0.0
        yield "plugin server: our code, from bytes to bytes", ours
        yield "plugin server: the kernel", system
        yield "plugin server: the loop, and Python's side of the system calls", max(0.0, total - system - ours)
        total, system = sidecar.microseconds(requests) or 0.0, sidecar_system.microseconds(requests) or 0.0
        yield "sidecar: spans, redaction, spool and export", total - system
        yield "sidecar: the kernel", system


def _nginx(samples: Path, microseconds: float) -> Iterator[tuple[str, float]]:
    counts: Counter[str] = Counter()
    for line in samples.read_text(errors="replace").splitlines():
        match = _SAMPLE.fullmatch(line)
        if match:
            stack, state, number = match.groups()
            counts[_GARBAGE if state == "G" else _group(stack)] += int(number)
    for group in (*NGINX_GROUPS, _GARBAGE):
        yield group, microseconds * counts[group] / max(1, counts.total())


def _group(stack: str) -> str:
    return next(group for group, pattern in NGINX_GROUPS.items() if re.search(pattern, stack))
