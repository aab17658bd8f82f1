"""Questions about Kong's socket and the plugin server behind it."""

from __future__ import annotations

import os
import shlex
import socket
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from otlp_tracing.commands.doctor.discovery import Surroundings
from otlp_tracing.commands.doctor.findings import Finding, unasked
from otlp_tracing.commands.doctor.kong_conf import server_setting
from otlp_tracing.commands.doctor.users import owner_and_mode
from otlp_tracing.commands.probe import ask_plugin_server
from otlp_tracing.errors import WireError
from otlp_tracing.folders import give_command, is_own, user_name

_SECONDS = 1.0
# A call that Kong never makes, plugin.GetPluginNames with the sequence 1; a worker answers it in any state.
# Source: kong/include/kong/pluginsocket.proto of Kong 3.9.3, RpcCall.
_PROTOBUF_QUESTION = b"\x05\x00\x00\x00\x08\x01\xfa\x01\x00"


def ask_socket(found: Surroundings) -> Iterator[Finding]:
    """Tell whether the socket is there, its owner, and how fast the plugin server answers."""
    path = found.socket
    serve = found.start_command
    quoted = shlex.quote(str(path))
    closed = _closed_way(found, path)
    try:
        status = path.lstat()
    except PermissionError:
        yield closed or unasked("socket", f"{_me()} may not look at {path}", _as_owner(found, path.parent))
        return
    except OSError:
        if closed:
            yield closed
            return
        served = next((one.served_socket for one in found.workers if one.served_socket != path), None)
        if found.kong and served and found.conf and found.server:
            text = f"Kong connects to {path}, and the plugin server listens at {served}"
            command = found.conf.set_command(server_setting(found.server, "socket"), str(served))
            yield Finding("FAIL", "socket", text, command)
        elif found.kong:
            yield Finding("FAIL", "socket", f"Kong runs, and there is no socket {path}", serve)
        else:
            yield unasked("socket", f"there is no socket {path}; no plugin server runs for it here")
        return
    if not stat.S_ISSOCK(status.st_mode):
        yield Finding("FAIL", "socket", f"{path} is there and is not a socket", f"mv {quoted} {quoted}.old")
        return
    kong = found.kong_worker
    owner = user_name(status.st_uid)
    mode = stat.S_IMODE(status.st_mode)
    if kong is not None and kong.uid not in {0, status.st_uid}:
        text = f"{path} belongs to {owner}, and Kong's workers run as {user_name(kong.uid)}: they cannot connect"
        yield Finding("FAIL", "socket", text, _change_user(found, path, user_name(kong.uid)))
    elif closed:
        yield closed
    elif mode & 0o077 or mode & 0o600 != 0o600:
        effect = "other users can send events to the plugin server" if mode & 0o077 else f"{owner} cannot connect"
        text = f"{path} has mode {mode:04o}: {effect}"
        yield Finding("FAIL", "socket", text, f"chmod 600 {quoted}")
    else:
        yield Finding("ok", "socket", f"{path} belongs to {owner}, mode {mode:04o}")
    yield from _ask_answers(found, path, serve)


def _closed_way(found: Surroundings, path: Path) -> Finding | None:
    """Return the finding about folders on the way to the socket that the user of Kong's workers may not enter."""
    if found.kong_worker is None:
        return None
    user = found.kong_worker.user
    barred = user.barred_from(path)
    if not barred:
        return None
    text = f"Kong's workers run as {user.name} and cannot reach {path}: {owner_and_mode(barred[0])}"
    commands = [
        give_command(one, user.name) if is_own(one) and one.stat().st_uid != user.uid else user.enter_command(one)
        for one in barred
    ]
    return Finding("FAIL", "socket", text, " && ".join(commands))


def _change_user(found: Surroundings, path: Path, user: str) -> str:
    own = give_command(path.parent if is_own(path.parent) else path, user)
    worker = next((one for one in found.workers if one.served_socket == path), None)
    if worker is None or user_name(worker.uid) == user:
        return own
    return f"kill {worker.parent} && sleep 2 && {own} && {found.start_command}"


def _ask_answers(found: Surroundings, path: Path, serve: str) -> Iterator[Finding]:
    times = []
    for protocol, ask in (("MessagePack", ask_plugin_server), ("ProtoBuf", _ask_protobuf)):
        try:
            times.append(f"{protocol} in {_milliseconds(ask, path):.1f} ms")
        except PermissionError:
            yield unasked("plugin server", f"{_me()} may not connect", _as_owner(found, path))
            return
        except TimeoutError:
            restart = f"kill {found.workers[0].parent} && sleep 2 && " if found.workers else ""
            text = f"no worker answers {protocol} within {_SECONDS:.0f} s"
            yield Finding("FAIL", "plugin server", text, f"{restart}{serve}")
            return
        except (OSError, WireError) as error:
            if times:
                text = f"answers {times[0]}, and not {protocol}: it is not `otlp-tracing serve`"
                yield Finding("note", "plugin server", text)
                return
            reason = getattr(error, "strerror", None) or str(error)
            yield Finding("FAIL", "plugin server", f"no answer at {path}: {reason.lower()}", serve)
            return
    yield Finding("ok", "plugin server", f"answers {' and '.join(times)}")


def _milliseconds(ask: Callable[[Path], None], path: Path) -> float:
    begun = time.perf_counter()
    ask(path)
    return (time.perf_counter() - begun) * 1000


def _ask_protobuf(path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_SECONDS)
        connection.connect(str(path))
        connection.sendall(_PROTOBUF_QUESTION)
        if not connection.recv(4096):
            raise WireError("it hangs up")


def _me() -> str:
    return f"user {user_name(os.geteuid())}"


def _as_owner(found: Surroundings, path: Path) -> str:
    try:
        owner = user_name(path.stat().st_uid)
    except OSError:
        owner = user_name(found.kong_worker.uid) if found.kong_worker else "kong"
    return f"runuser -u {shlex.quote(owner)} -- {found.own.doctor()}"
