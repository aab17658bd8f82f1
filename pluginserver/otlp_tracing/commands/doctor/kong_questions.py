"""Questions about Kong's configuration: does it know the plugin, and do its commands work?

Source: kong/runloop/plugin_servers/process.lua and kong/conf_loader/init.lua of Kong 3.9.3.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from otlp_tracing import __version__
from otlp_tracing.commands import serve
from otlp_tracing.commands.doctor.discovery import SHIPPED_SOCKET, Surroundings
from otlp_tracing.commands.doctor.findings import Finding, Removal, unasked
from otlp_tracing.commands.doctor.kong_conf import KongConf, server_setting
from otlp_tracing.commands.doctor.users import User, owner_and_mode
from otlp_tracing.commands.kong_files.entities import PLUGIN
from otlp_tracing.commands.kong_files.plugin_name import is_meant, is_misspelt
from otlp_tracing.commands.options import OptionParser
from otlp_tracing.errors import ConfigError, Fault
from otlp_tracing.paths import typed_command

_QUERY_SECONDS = 20.0  # Python starts in one; Kong itself waits without end
_MOST_BYTES = 1 << 20  # of a description; ours has 12 kB
_MOST_PATH = 4096  # PATH_MAX of Linux
_LUA_SECONDS = 60  # Kong's default of lua_socket_read_timeout
_TIMEOUTS = ("nginx_proxy_lua_socket_read_timeout", "nginx_http_lua_socket_read_timeout")
DEFAULT_STARTS = Path("/usr/local/bin")
"""Without a start command Kong starts a program there that has the name of the plugin server (conf_loader/init.lua)."""
_CALLS_ANY = (3, 5)
_BREAKS_ADMIN_API = (3, 9)
_UNITS = {"ms": 0.001, "s": 1, "": 1, "m": 60, "h": 3600}
_SILENT_LEVELS = frozenset({"notice", "warn", "error", "crit", "alert", "emerg"})


def ask_kong_conf(found: Surroundings) -> Iterator[Finding]:
    """Tell whether Kong loads the plugin, and reaches the plugin server that it starts."""
    conf = found.conf
    if conf is None:
        text = "no kong.conf, no KONG_* variables and no Kong that runs; name a file with --kong-conf"
        yield unasked("kong.conf", text)
        return
    running = f"Kong runs in {found.prefix} (pid {found.kong.pid})" if found.kong else "Kong does not run here"
    yield Finding("ok" if found.kong else "note", "kong.conf", f"read from {conf.source}; {running}")
    plugins = conf.words("plugins", "bundled")
    wrong = list(filter(is_misspelt if PLUGIN in plugins else is_meant, plugins))
    if PLUGIN in plugins and not wrong:
        yield Finding("ok", "kong.conf", f"plugins has {PLUGIN}")
    else:
        words = [word for word in plugins if word not in {"off", PLUGIN, *wrong}]
        text = f"plugins has {', '.join(wrong)}, and the name is {PLUGIN}: Kong does not start" if wrong else ""
        command = conf.set_command("plugins", ",".join([*words, PLUGIN]))
        yield Finding("FAIL", "kong.conf", text or f"plugins has no {PLUGIN}", command)
    yield from _ask_names(conf, found.server)
    if found.server is not None:
        yield from _ask_query(conf, server_setting(found.server, "query_cmd"))
        yield from _ask_start(found, conf, found.server)
    yield from _ask_levels(found, conf)


def _ask_names(conf: KongConf, server: str | None) -> Iterator[Finding]:
    names = conf.words("pluginserver_names")
    if server is not None:
        yield Finding("ok", "kong.conf", f"pluginserver_names has {server}")
        return
    text = f"pluginserver_names has no server of {PLUGIN}" if names else "pluginserver_names is not set"
    yield Finding("FAIL", "kong.conf", text, conf.set_command("pluginserver_names", ",".join([*names, PLUGIN])))


def _ask_query(conf: KongConf, name: str) -> Iterator[Finding]:
    command = conf.get(name)
    mend = conf.set_command(name, typed_command("dump"))
    if not command:
        yield Finding("FAIL", "kong.conf", f"{name} is not set", mend)
        return
    reason, description = _description(command)
    if reason:
        yield Finding("FAIL", "kong.conf", f"{name} {reason}", mend)
    elif description.get("Name") != PLUGIN:
        yield Finding("FAIL", "kong.conf", f"{name} describes another plugin, {description.get('Name')!r:.60}", mend)
    elif description.get("Version") != __version__:
        text = f"{name} describes version {description.get('Version')!r:.40}, and this package has {__version__}"
        yield Finding("FAIL", "kong.conf", text, mend)
    else:
        yield Finding("ok", "kong.conf", f"{name} prints the description of {PLUGIN} {__version__}")


def _description(command: str) -> tuple[str, Mapping[str, object]]:
    """Run a query command as Kong does, and return the reason why Kong cannot use it, or the plugin's description."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        started = subprocess.Popen(  # noqa: S602 - Kong gives it to a shell, too
            command, shell=True, stdin=subprocess.DEVNULL, stdout=output, stderr=errors, start_new_session=True
        )
        try:
            status = started.wait(_QUERY_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(started.pid, signal.SIGKILL)
            started.wait()
            return f"does not end within {_QUERY_SECONDS:.0f} s", {}
        texts = []
        for file in (output, errors):
            file.seek(0)
            texts.append(file.read(_MOST_BYTES).decode(errors="replace").strip())
    try:
        description = json.loads(texts[0])
    except (ValueError, RecursionError):
        first = next(iter((texts[0] or texts[1]).splitlines()), "")[:120]
        kind = "prints text that is not JSON" if texts[0] else f"prints nothing, and ends with {status}"
        return f"{kind}: {first}" if first else kind, {}
    plugins = description.get("Plugins") if isinstance(description, dict) else description
    if not isinstance(plugins, list) or not plugins or not isinstance(plugins[0], dict):
        return "prints JSON that is not the description of a plugin", {}
    return "", plugins[0]


def _ask_start(found: Surroundings, conf: KongConf, server: str) -> Iterator[Finding]:
    name = server_setting(server, "start_cmd")
    command = conf.get(name)
    serve_command = typed_command("serve", "--kong-prefix", str(found.prefix))
    version = _kong_version()
    if not command:
        yield _ask_without_start(conf, server, version)
        return
    if version is not None and version >= _BREAKS_ADMIN_API and conf.get("admin_listen") != "off":
        text = (
            f"{name} is set: GET / of the Admin API of Kong {_dotted(version)}, which decK and Kong Manager ask, "
            "answers 500 in one nginx worker. Start the plugin server by systemd (docs/install.md)"
        )
        yield Removal("warn", "kong.conf", text, _without_start(found, conf, server))
    try:
        assigned, words = _split(command)
    except ValueError as error:
        text = f"{name} is not a command: {str(error).lower()}"
        yield Finding("FAIL", "kong.conf", text, conf.set_command(name, serve_command))
        return
    program = shutil.which(words[0]) if words else None
    if program is None:
        text = f"{name} cannot be started: there is no program {words[0] if words else ''}"
        yield Finding("FAIL", "kong.conf", text, conf.set_command(name, serve_command))
        return
    if found.kong_worker is not None and (barred := _barred_from(Path(program), found.kong_worker.user)):
        user = found.kong_worker.user
        text = f"{name} cannot be started by {user.name}, the user of Kong's workers: {owner_and_mode(barred[0])}"
        yield Finding("FAIL", "kong.conf", text, " && ".join(map(user.enter_command, barred)))
        return
    if "serve" not in words:
        return  # Kong's own plugin server, or a script
    options, faults = _serve_options(words[words.index("serve") + 1 :], {**_passed_on(found, conf), **assigned})
    if faults or options is None:
        text = f"{name}: {'; '.join(map(str, faults))}"
        yield Finding("FAIL", "kong.conf", text, conf.set_command(name, serve_command))
        return
    listens = Path(options.kong_prefix, options.socket_name)
    if listens != found.socket:
        text = f"{name} serves {listens}, and Kong connects to {found.socket}"
        yield Finding("FAIL", "kong.conf", text, conf.set_command(server_setting(server, "socket"), str(listens)))
    else:
        yield Finding("ok", "kong.conf", f"{name} serves the socket that Kong connects to, {listens}")


def _barred_from(program: Path, user: User) -> Sequence[Path]:
    """Return the folders and files that keep a user from a program, or from the interpreter in its first line."""
    programs = [program]
    with contextlib.suppress(OSError), program.open("rb") as file:
        first = file.readline(_MOST_PATH).decode(errors="replace")
        if first.startswith("#!") and (words := first[2:].split()):
            programs.append(Path(words[0]))
    found = [one for path in programs for one in (*user.barred_from(path), *([] if user.may_enter(path) else [path]))]
    return list(dict.fromkeys(found))


def _ask_without_start(conf: KongConf, server: str, version: tuple[int, int] | None) -> Finding:
    name, default = server_setting(server, "start_cmd"), DEFAULT_STARTS / server
    if default.exists():
        text = f"{name} is not set, so Kong starts {default} in the place of the plugin server"
        return Finding("FAIL", "kong.conf", text, f"mv {shlex.quote(str(default))} /usr/local/sbin/")
    if version is not None and version < _CALLS_ANY:
        text = f"{name} is not set: Kong {_dotted(version)} never calls a plugin server that it has not started"
        return Finding("FAIL", "kong.conf", text, conf.set_command(name, "sleep infinity"))
    text = f"{name} is not set: another program has to start the plugin server. Kong 3.4 needs it"
    return Finding("note", "kong.conf", text)


def _kong_version() -> tuple[int, int] | None:
    """Return the version of the `kong` command; None without one."""
    kong = shutil.which("kong")
    if kong is None:
        return None
    try:
        printed = subprocess.run(
            [kong, "version"], capture_output=True, text=True, check=False, timeout=_QUERY_SECONDS
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"\b(\d+)\.(\d+)\.\d", printed)
    return (int(found[1]), int(found[2])) if found else None


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))


def _without_start(found: Surroundings, conf: KongConf, server: str) -> str:
    """Return the command that lets another program start the plugin server, and Kong find it there."""
    name = server_setting(server, "start_cmd")
    unset = conf.unset_command(name)
    # In Kong's image the entrypoint starts the plugin server; or a command that only stays alive.
    if conf.file is None or name in conf.variables or conf.get(name).startswith("sleep"):
        return unset
    socket = conf.set_command(server_setting(server, "socket"), str(found.prefix / SHIPPED_SOCKET))
    return f"systemctl enable --now otlp-tracing && {unset} && {socket}"


def _split(command: str) -> tuple[dict[str, str], list[str]]:
    """Return the variables that a command sets for itself, and its words."""
    words = shlex.split(command)
    assigned = {}
    while words and (words[0] in {"env", "exec"} or re.match(r"[A-Za-z_]\w*=", words[0])):
        name, equals, value = words.pop(0).partition("=")
        if equals:
            assigned[name] = value
    return assigned, words


def _passed_on(found: Surroundings, conf: KongConf) -> dict[str, str]:
    """Return the variables of Kong's master that nginx passes on to a plugin server."""
    passed = set(re.findall(r"\w+", conf.get("nginx_main_env")))
    environment = found.kong.environment() if found.kong else os.environ
    return {name: value for name, value in environment.items() if name in passed}


class _StartCommandError(Exception):
    """A command line of `serve` that its parser does not take."""


class _ServeParser(OptionParser):
    """Reads the options of `serve`."""

    def error(self, message: str) -> NoReturn:
        """Raise, where the command itself would end."""
        raise _StartCommandError(message)


def _serve_options(
    words: Sequence[str], environment: Mapping[str, str]
) -> tuple[argparse.Namespace | None, Sequence[Fault]]:
    parser = _ServeParser(add_help=False, environment=environment)
    serve.add_options(parser)
    parser.add_argument("--log-level")
    try:
        options = parser.parse_args(words)
    except (_StartCommandError, ConfigError) as error:
        return None, [Fault("serve", "", str(error))]
    return options, options.faults


def _ask_levels(found: Surroundings, conf: KongConf) -> Iterator[Finding]:
    level = conf.get("log_level") or "notice"
    silent = f": Kong's log leaves out the lines of plugin servers, `{found.own.status()}` has the last warnings"
    yield Finding("ok", "kong.conf", f"log_level is {level}{silent if level in _SILENT_LEVELS else ''}")
    for name in _TIMEOUTS:
        duration = re.fullmatch(r"(\d+)(ms|s|m|h|)", conf.get(name))
        if duration and int(duration[1]) * _UNITS[duration[2]] < _LUA_SECONDS:
            text = (
                f"{name} = {conf.get(name)} binds every plugin server: Kong skips an authentication plugin "
                "that takes longer"
            )
            yield Removal("warn", "kong.conf", text, conf.unset_command(name))
