"""The Kong, the plugin server and the sidecar that `doctor` asks about, from its options and the processes here."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from otlp_tracing.commands.doctor.kong_conf import (
    DEFAULT_PREFIX,
    KongConf,
    default_kong_conf,
    read_kong_conf,
    running_kong_conf,
    server_setting,
)
from otlp_tracing.commands.doctor.own_commands import OwnCommands
from otlp_tracing.commands.doctor.processes import Process, running
from otlp_tracing.commands.kong_files.entities import PLUGIN
from otlp_tracing.commands.option_kinds import Address
from otlp_tracing.folders import user_name
from otlp_tracing.paths import typed_command
from otlp_tracing.plugin.names import SIDECAR_SOCKET_VARIABLE

SHIPPED_SOCKET = Path("otlp-tracing.run/plugin-server.sock")
"""The plugin server's in Kong's prefix, in the image and in kong/systemd/otlp-tracing.service."""
_DEFAULT_SOCKET = "otlp-tracing.socket"
UNIT = Path("/etc/systemd/system/otlp-tracing.service")
_DEFAULT_ADDRESS = Address("127.0.0.1", 9464)


@dataclass(frozen=True)
class Surroundings:
    """Everything that was found before the first question.

    Args:
        prefix: Kong's.
        conf: Kong's configuration; None without one.
        server: the name of our plugin server in it; None if it names none.
        kong: the master of Kong's nginx, if it runs here.
        kong_worker: one of Kong's workers.
        workers: of our plugin server.
        sidecar: its process, if it runs here.
        address: of the sidecar's HTTP port.
        token: of its page.
        own: the commands of this program that findings offer.
    """

    prefix: Path
    conf: KongConf | None
    server: str | None
    kong: Process | None
    kong_worker: Process | None
    workers: Sequence[Process]
    sidecar: Process | None
    address: Address
    token: str | None
    own: OwnCommands

    @property
    def socket(self) -> Path:
        """The socket that Kong connects to."""
        if self.conf is not None and self.server is not None:
            return _configured_socket(self.conf, self.server, self.prefix)
        served = next((one.served_socket for one in self.workers), None)
        return served or self.prefix / _DEFAULT_SOCKET

    @property
    def sockets(self) -> Sequence[Path]:
        """The sockets at which the plugin server may listen: the one that Kong connects to, or all usual ones."""
        if self.conf is not None and self.server is not None and self.conf.prefix == self.prefix:
            return [self.socket]
        return _usual_sockets(self.prefix)

    @property
    def listens(self) -> Path:
        """The socket that the sidecar takes records at."""
        named = self.sidecar.setting("--listen") if self.sidecar else None
        told = next((one.environment().get(SIDECAR_SOCKET_VARIABLE) for one in self.workers), None)
        return Path(named or told or self.prefix / PLUGIN / "sidecar.sock")

    @property
    def spool(self) -> Path | None:
        """The folder of the sidecar's spool; None if it has none."""
        named = self.sidecar.setting("--spool") if self.sidecar else None
        if named == "none":
            return None
        return Path(named) if named and named != "auto" else self.listens.parent / "spool"

    @property
    def sidecar_environment(self) -> Mapping[str, str]:
        """The variables that the sidecar sees; this command's own if they cannot be read."""
        return (self.sidecar and self.sidecar.environment()) or os.environ

    @property
    def start_command(self) -> str:
        """The command that starts the plugin server where Kong looks for it."""
        if UNIT.is_file():
            return f"systemctl restart {UNIT.stem}"
        within = self.socket.is_relative_to(self.prefix)
        folder = self.prefix if within else self.socket.parent
        return self.command_of_server(
            "serve", "--kong-prefix", str(folder), "--socket-name", str(self.socket.relative_to(folder))
        )

    @property
    def reload_command(self) -> str:
        """The command by which Kong reads changed lines of its configuration, and kong.yml.

        Without file and prefix Kong looks at the usual places alone; without file or variable, not at kong.yml.
        Source: kong/cmd/reload.lua of Kong 3.9.3.
        """
        conf = self.conf
        file = conf.file if conf else None
        words = ["kong", "reload" if self.kong else "start", *(["-c", str(file)] if file else [])]
        declaration = conf.get("declarative_config") if conf else ""
        if self.kong and declaration and file is None:
            words = ["env", f"KONG_DECLARATIVE_CONFIG={declaration}", *words]
        return self._as_kongs_owner(*words)

    @property
    def restart_command(self) -> str:
        """The command by which Kong forgets a line of its configuration that was removed; a reload keeps it."""
        file = self.conf.file if self.conf else None
        return self._as_kongs_owner("kong", "restart" if self.kong else "start", *(["-c", str(file)] if file else []))

    def _as_kongs_owner(self, *words: str) -> str:
        """Return a command of Kong for its prefix; a root shell would leave files that another user cannot change."""
        command = shlex.join([*words, "-p", str(self.prefix)])
        return _as_user(self.kong.uid, command) if self.kong else command

    def command_of_server(self, *words: str) -> str:
        """Return a command that must run as the user of Kong's workers; a root shell has to change its user."""
        of_kong = self.kong_worker or next(iter(self.workers), None)
        command = typed_command(*words)
        return _as_user(of_kong.uid, command) if of_kong else command


def _usual_sockets(prefix: Path) -> list[Path]:
    return [prefix / _DEFAULT_SOCKET, prefix / SHIPPED_SOCKET]


def _configured_socket(conf: KongConf, server: str, prefix: Path) -> Path:
    return Path(conf.get(server_setting(server, "socket")) or prefix / f"{server}.socket")


def _as_user(uid: int, command: str) -> str:
    """Return a command that runs as a user, also from a shell of root."""
    if uid == 0 or os.geteuid() != 0:
        return command
    return f"runuser -u {shlex.quote(user_name(uid))} -- {command}"


def look_around(
    *, prefix: Path | None, kong_conf: Path | None, address: Address | None, token: str | None
) -> Surroundings:
    """Find Kong, the plugin server and the sidecar.

    Args:
        prefix: as given; None takes that of the configuration, or of the one Kong that runs.
        kong_conf: as given; None takes the configuration of the Kong that runs, or the file that Kong reads by default.
        address: as given; None takes that of the sidecar that runs.
        token: of the sidecar's page.

    Raises:
        ConfigError: if `kong_conf` cannot be read.
    """
    everyone = running()
    given = {"--kong-prefix": prefix, "--kong-conf": kong_conf, "--http": address}
    conf = None if kong_conf is None else read_kong_conf(kong_conf, os.environ)
    masters = {path: one for one in everyone if (path := one.kong_prefix)}
    is_named = prefix is not None or conf is not None
    if prefix is None and conf is not None:
        prefix = conf.prefix
    if prefix is None:
        prefix = next(iter(masters)) if len(masters) == 1 else _default_prefix()
    kong = masters.get(prefix)
    conf = conf or (running_kong_conf(prefix, os.environ) if kong else None) or default_kong_conf(os.environ)
    server = None if conf is None else server_name(conf)
    sockets = _usual_sockets(prefix)
    if conf is not None and server is not None:
        sockets.append(_configured_socket(conf, server, prefix))
    workers = [one for one in everyone if one.served_socket in sockets]
    sidecar = _sidecar(everyone, workers, prefix, is_named)
    address = address or _address(sidecar, conf, server) or _DEFAULT_ADDRESS
    options = [word for name, value in given.items() if value is not None for word in (name, str(value))]
    return Surroundings(
        prefix,
        conf,
        server,
        kong,
        next((one for one in everyone if kong and one.parent == kong.pid and "worker process" in one.argv[0]), None),
        workers,
        sidecar,
        address,
        token,
        OwnCommands(address, options),
    )


def server_name(conf: KongConf) -> str | None:
    """Return the name of our plugin server in Kong's configuration: that which runs our commands, or has our name."""
    names = [name.lower() for name in conf.words("pluginserver_names")]
    for name in names:
        if any(PLUGIN in conf.get(server_setting(name, kind)) for kind in ("query_cmd", "start_cmd")):
            return name
    return PLUGIN if PLUGIN in names else None


def _default_prefix() -> Path:
    return Path(os.environ.get("KONG_PREFIX") or DEFAULT_PREFIX)


def _sidecar(everyone: Sequence[Process], workers: Sequence[Process], prefix: Path, is_named: bool) -> Process | None:
    sidecars = [one for one in everyone if one.role == "sidecar"]
    parents = {one.parent for one in workers}
    listens = {one.environment().get(SIDECAR_SOCKET_VARIABLE) for one in workers} | {
        str(prefix / PLUGIN / "sidecar.sock")
    }
    for one in sidecars:
        if one.parent in parents or one.setting("--listen") in listens:
            return one
    return sidecars[0] if len(sidecars) == 1 and not is_named else None


def _address(sidecar: Process | None, conf: KongConf | None, server: str | None) -> Address | None:
    given = sidecar and sidecar.setting("--http")
    if given is None and conf is not None and server is not None:
        start = conf.get(server_setting(server, "start_cmd"))
        found = re.search(r"(?:--http[= ]|OTLP_TRACING_HTTP=)(\S+)", start)
        given = found and found[1]
    try:
        return Address.parse(given) if given else None
    except ValueError:
        return None
