"""`otlp-tracing serve`: Kong's plugin server, a group of workers and an embedded sidecar under a supervisor.

Imports nothing that takes time: the socket is bound here.
"""

from __future__ import annotations

import argparse
import dataclasses
import errno
import itertools
import logging
import os
import stat
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from socket import socket as Socket  # noqa: N812 - the name of a path here

from otlp_tracing.commands.description_option import description
from otlp_tracing.commands.option_kinds import integer, text
from otlp_tracing.commands.options import (
    PREFIX,
    OptionParser,
    SidecarOptions,
    add_log_file_option,
    add_on_fault_option,
    add_plugins_option,
    add_socket_options,
    continues_with_faults,
)
from otlp_tracing.commands.sidecar_ports import read_ports
from otlp_tracing.commands.variables import unknown_variables
from otlp_tracing.commands.worker_options import WorkerOptions
from otlp_tracing.config.otel_variables import tracer_remarks
from otlp_tracing.errors import ConfigError, Fault
from otlp_tracing.folders import make_private, reason, reason_in, user_name
from otlp_tracing.kong_server import supervisor
from otlp_tracing.kong_server.fd_passing import create_inboxes
from otlp_tracing.kong_server.heartbeat import MAX_SLOTS, HeartbeatTable
from otlp_tracing.kong_server.lifecycle import is_running, watch_starter
from otlp_tracing.kong_server.supervisor import Child
from otlp_tracing.log_limit import LimitedLog
from otlp_tracing.logs.lines import WARNINGS
from otlp_tracing.paths import command_line, plugin_folder
from otlp_tracing.plugin.names import HOSTED_VARIABLE, SIDECAR_SOCKET_VARIABLE
from otlp_tracing.unix_sockets import listen_owner_only

_log = logging.getLogger("otlp_tracing.commands.serve")

_cannot_listen = LimitedLog(_log)
_BIND_SECONDS = 1.0
_SECRET_FILES = ("OTLP_HEADER_FILE", "OTEL_EXPORTER_OTLP_HEADERS_FILE")  # kong/image/entrypoint.sh
EXAMPLE = "otlp-tracing serve --kong-prefix /usr/local/kong"


def add_options(parser: OptionParser) -> None:
    """Add the command's options."""
    add_socket_options(parser)
    add_plugins_option(parser)
    parser.option(
        "--sidecar",
        text("embedded|/.+", "must be embedded, or the absolute path of the socket of a sidecar that runs"),
        "embedded",
        "embedded|PATH",
        "embedded: start a sidecar and keep it alive; otherwise the socket of a sidecar that runs",
    )
    parser.option(
        "--workers", integer(1, MAX_SLOTS, "auto"), "auto", "auto|N", "worker processes; auto: one for each core"
    )
    parser.option(
        "--description",
        description,
        None,
        "PATH",
        "file that Kong reads instead of running `otlp-tracing dump`; serve refuses one of another version",
    )
    SidecarOptions.add_to(parser)
    add_log_file_option(parser)
    add_on_fault_option(parser)


def run(options: argparse.Namespace) -> None:
    """Serve until told to stop, Kong is gone, or another group has taken the socket over.

    Raises:
        ConfigError: if the socket cannot be bound, or the page's token cannot be used.
    """
    try:
        kong = watch_starter()
    except ProcessLookupError:
        _log.info("ending: the process that started this one has ended")
        return
    is_embedded = options.sidecar == "embedded"
    folder = options.kong_prefix / "otlp-tracing"
    socket = options.kong_prefix / options.socket_name
    log = [f"--log-level={options.log_level}", f"--log-file={options.log_file}"]
    shared = SidecarOptions.from_namespace(options)
    ports = read_ports(shared, _log, refused=options.faults, is_strict=not continues_with_faults(options))
    faults = [*options.faults, *ports.faults, *_secret_faults()]
    _refuse_root(options, folder, socket)
    if ports.ingest is None:
        shared = dataclasses.replace(shared, ingest_http="off")
    listener, bound = _bind(options.kong_prefix, socket, kong, wait=continues_with_faults(options))
    for remark in [*unknown_variables(os.environ), *tracer_remarks(os.environ, has_own_sidecar=not is_embedded)]:
        _log.warning("%s", remark)
    sidecar = _sidecar_folder(folder, socket) / "sidecar.sock" if is_embedded else Path(options.sidecar)
    if shared.spool == "auto":
        # Also where the socket is elsewhere: once the folder is mended, the spool is used.
        shared = dataclasses.replace(shared, spool=str(folder / "spool"))
    count = _worker_count(options.workers)
    table = HeartbeatTable.create(count)
    inboxes = create_inboxes(count)
    children = [
        _child(
            WorkerOptions(
                slot=slot,
                listener=listener.fileno(),
                table=table.descriptor,
                inboxes=[reading.fileno() for reading, _ in inboxes],
                outboxes=[writing.fileno() for _, writing in inboxes],
                socket=str(socket),
                bound=bound,
                kong=kong,
                supervisor_pid=os.getpid(),
                plugins=str(options.plugins or plugin_folder()),
                refused=[fault.field for fault in faults] if slot == 0 else [],
            ),
            log,
            {SIDECAR_SOCKET_VARIABLE: str(sidecar), HOSTED_VARIABLE: "1"},
        )
        for slot in range(count)
    ]
    if is_embedded:
        command = command_line(
            "sidecar", "--embedded", str(os.getpid()), "--listen", str(sidecar), *shared.to_argv(), *log
        )
        # Without the token that was meant, no client may see the data of requests.
        environment = {f"{PREFIX}PAGE_TOKEN": os.urandom(16).hex()} if ports.page is None else {}
        children.append(Child("sidecar", command, environment=environment))
    from otlp_tracing.plugin.warning_sender import WarningSender  # noqa: PLC0415 - after the socket is bound

    try:
        pump = WarningSender(sidecar, WARNINGS).pump
        supervisor.supervise(children, table, socket, bound, kong=kong, pump=pump)
    finally:
        for one in (listener, *itertools.chain(*inboxes)):
            one.close()


def _refuse_root(options: argparse.Namespace, folder: Path, socket: Path) -> None:
    """Refuse to take the place of another user's plugin server: Kong's workers cannot connect to a socket of root.

    Raises:
        ConfigError: in a root shell, if socket or folders belong to another user.
    """
    if os.geteuid() != 0:
        return
    places = [one for one in (socket, socket.parent, folder) if one != options.kong_prefix and os.path.lexists(one)]
    owner = next((uid for one in places if (uid := one.lstat().st_uid) != 0), None)
    if owner is None:
        return
    user = user_name(owner)
    rule = f"the plugin server here belongs to {user}, and this process runs as root; run: runuser -u {user} -- …"
    if not continues_with_faults(options):
        raise ConfigError([Fault("--kong-prefix", str(options.kong_prefix), rule)])
    _log.warning("--kong-prefix = %s: %s", options.kong_prefix, rule)


def _bind(prefix: Path, socket: Path, kong: int | None, *, wait: bool) -> tuple[Socket, tuple[int, int]]:
    """Listen for Kong, and make the folder of a socket that is deeper in the prefix.

    Args:
        prefix: Kong's.
        socket: Kong's path.
        kong: pidfd of the process that started this one.
        wait: try again each second: Kong would only start this process again, and Kong 3.4 gives up after 20 s.

    Raises:
        ConfigError: if it cannot be bound.
    """
    while True:
        try:
            if prefix.is_dir():
                make_private(socket.parent)
            return supervisor.bind(socket)
        except OSError as error:
            rule = f"cannot listen there: {reason(socket, error)}"
            failed = ConfigError([Fault("--kong-prefix", str(socket), rule)])
        except ConfigError as error:
            failed = error
        if not wait or (kong is not None and not is_running(kong)):
            raise failed
        _cannot_listen.error("plugin server not listening, trying again: %s", failed)
        time.sleep(_BIND_SECONDS)


def _sidecar_folder(preferred: Path, socket: Path) -> Path:
    """Return the folder of the sidecar's socket: the first in which a socket can be bound.

    A volume at the preferred folder can be read-only, belong to another user, or hold no sockets.
    """
    own = f"otlp-tracing.{os.geteuid()}"
    for folder in (preferred, socket.parent / own, Path(tempfile.gettempdir()) / own):
        try:
            make_private(folder)
            if folder != preferred:
                _refuse_shared(folder)
            probe = folder / f".probe.{os.getpid()}"
            listen_owner_only(probe, 1).close()
            probe.unlink()
        except OSError as error:
            _log.warning("folder unusable, sidecar socket is elsewhere: %s", reason_in(folder, error))
        else:
            return folder
    return preferred


def _refuse_shared(folder: Path) -> None:
    # In /tmp another user could have made it.
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o077:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), str(folder))


def _secret_faults() -> Sequence[Fault]:
    """Return the files of secrets that the image's entrypoint could not read; requests are served without them."""
    faults = [Fault(name, os.environ[name], "cannot be read") for name in _SECRET_FILES if os.environ.get(name)]
    for fault in faults:
        _log.warning("secret unreadable: %s by user %d; exports lack it", fault, os.geteuid())
    return faults


def _worker_count(workers: int | str) -> int:
    return workers if isinstance(workers, int) else min(len(os.sched_getaffinity(0)), MAX_SLOTS)


def _child(worker: WorkerOptions, log: Sequence[str], environment: dict[str, str]) -> Child:
    """Return the process of a worker, to be started."""
    return Child(
        f"worker {worker.slot}",
        command_line("worker", worker.to_json(), *log),
        environment=environment,
        descriptors=[
            *(worker.listener, worker.table, *worker.inboxes, *worker.outboxes),
            *([] if worker.kong is None else [worker.kong]),
        ],
        slot=worker.slot,
    )
