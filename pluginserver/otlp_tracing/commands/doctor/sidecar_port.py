"""The question whether the sidecar answers at its HTTP port, or another program has the port."""

from __future__ import annotations

import shlex
import stat
from collections.abc import Iterator
from pathlib import Path

from otlp_tracing.commands.doctor.discovery import UNIT, Surroundings
from otlp_tracing.commands.doctor.findings import Finding, unasked
from otlp_tracing.commands.doctor.kong_conf import server_setting
from otlp_tracing.commands.option_kinds import Address
from otlp_tracing.commands.probe import ask_sidecar
from otlp_tracing.errors import WireError
from otlp_tracing.folders import give_command, user_name
from otlp_tracing.paths import typed_command


def ask_port(found: Surroundings) -> Iterator[Finding]:
    """Tell whether the sidecar answers at its port, and as which user it runs."""
    try:
        ask_sidecar(found.address)
    except WireError as error:
        text = f"another program has the port {found.address}, or answers there: {error}"
        yield Finding("FAIL", "sidecar", text, _other_port(found))
        return
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        if not found.workers and found.sidecar is None:
            text = f"no sidecar answers at {found.address} ({reason}); name another address with --http"
            yield unasked("sidecar", text)
        else:
            text = f"the plugin server runs, and no sidecar answers at {found.address} ({reason}); {_seen(found)}"
            by_hand = found.command_of_server("sidecar", "--listen", str(found.listens), "--http", str(found.address))
            yield Finding("FAIL", "sidecar", text, by_hand)
        return
    sidecar, worker = found.sidecar, next(iter(found.workers), None)
    user, socket_shown = (sidecar.uid, "") if sidecar else _owner_of_socket(found.listens)
    if user is not None and worker is not None and user != worker.uid:  # root's is no exception: unix_sockets.py
        text = (
            f"runs as {user_name(user)}{socket_shown}, and the plugin server as {user_name(worker.uid)}: "
            "no record is handed over between two users, the workers keep the last ones"
        )
        yield Finding("FAIL", "sidecar", text, _change_user(found, user, user_name(worker.uid)))
    else:
        who = f", runs as {user_name(sidecar.uid)} (pid {sidecar.pid})" if sidecar else ""
        yield Finding("ok", "sidecar", f"answers at http://{found.address}{who}")


def _seen(found: Surroundings) -> str:
    """Return the process that the question is about: it may be that of another Kong on this machine."""
    if found.workers:
        worker = found.workers[0]
        return f"the plugin server has pid {worker.parent} and serves {worker.served_socket}"
    return f"the sidecar has pid {found.sidecar.pid}" if found.sidecar else ""


def _owner_of_socket(path: Path) -> tuple[int | None, str]:
    """Return the user of a sidecar with a process that is not seen here, from its socket, and the words for it."""
    try:
        status = path.lstat()
    except OSError:
        return None, ""
    return status.st_uid, f" (its socket {path} has mode {stat.S_IMODE(status.st_mode):04o})"


def _change_user(found: Surroundings, before: int, user: str) -> str:
    """Return the command that starts the sidecar again as another user, with the folders that are its own."""
    sidecar, quoted = found.sidecar, shlex.quote(user)
    options = {"--listen": str(found.listens), "--http": str(found.address)}
    if sidecar:
        argv = [word for word in sidecar.argv if word]
        words = [word for name, value in options.items() if not sidecar.option(name) for word in (name, value)]
        start = shlex.join([*argv, *words])  # its variables are not in a root shell
    else:
        start = typed_command("sidecar", *(word for option in options.items() for word in option))
    steps = [f"kill {sidecar.pid} && sleep 2"] if sidecar else []
    folder, spool = found.listens.parent, found.spool
    folders = [folder, *([spool] if spool and not spool.is_relative_to(folder) else [])]
    steps += [give_command(one, user, is_private=True) for one in folders if _is_private(one, before)]
    return " && ".join([*filter(None, steps), f"runuser -u {quoted} -- {start}"])


def _is_private(folder: Path, user: int) -> bool:
    """Tell whether a folder is this user's alone, so that nothing but the sidecar uses it."""
    try:
        status = folder.stat()
    except OSError:
        return False
    return status.st_uid == user and not status.st_mode & 0o077


def _other_port(found: Surroundings) -> str:
    other = Address(found.address.host, found.address.port + 1 if found.address.port < 65_535 else 9464)
    start = found.conf and found.server and server_setting(found.server, "start_cmd")
    if found.conf and start and "serve" in found.conf.get(start):
        return found.conf.append_command(start, f"--http {other}")
    if UNIT.is_file():
        lines = shlex.quote(f"[Service]\\nEnvironment=OTLP_TRACING_HTTP={other}\\n")
        folder = f"{UNIT}.d"
        restart = f"systemctl daemon-reload && {found.start_command}"
        return f"mkdir -p {folder} && printf {lines} >{folder}/http.conf && {restart}"
    return f"export OTLP_TRACING_HTTP={other}"
