"""The question whether the sidecar answers at its HTTP port, or another program has the port."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from otlp_tracing.commands.doctor.discovery import UNIT, Surroundings
from otlp_tracing.commands.doctor.findings import Finding, unasked
from otlp_tracing.commands.doctor.kong_conf import server_setting
from otlp_tracing.commands.option_kinds import Address
from otlp_tracing.commands.probe import ask_sidecar
from otlp_tracing.errors import WireError
from otlp_tracing.folders import user_name
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
            text = f"the plugin server runs, and no sidecar answers at {found.address} ({reason})"
            by_hand = found.command_of_server("sidecar", "--listen", str(found.listens), "--http", str(found.address))
            yield Finding("FAIL", "sidecar", text, by_hand)
        return
    sidecar, worker = found.sidecar, next(iter(found.workers), None)
    if sidecar is not None and worker is not None and sidecar.uid not in {0, worker.uid}:
        text = (
            f"runs as {user_name(sidecar.uid)}, and the plugin server as {user_name(worker.uid)}: it refuses records "
            "of another user"
        )
        user = shlex.quote(user_name(worker.uid))
        command = typed_command("sidecar", "--listen", str(found.listens), "--http", str(found.address))
        yield Finding("FAIL", "sidecar", text, f"runuser -u {user} -- {command}")
    else:
        who = f", runs as {user_name(sidecar.uid)} (pid {sidecar.pid})" if sidecar else ""
        yield Finding("ok", "sidecar", f"answers at http://{found.address}{who}")


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
