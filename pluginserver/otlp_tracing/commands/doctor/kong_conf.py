"""Kong's configuration: a kong.conf and KONG_* variables, or the configuration that a running Kong has written.

Source: kong/conf_loader/init.lua and pl/config.lua of Kong 3.9.3; kong/cmd/utils/prefix_handler.lua (`.kong_env`).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from otlp_tracing.errors import ConfigError, Fault
from otlp_tracing.paths import typed_command

"""Of the plugin, and of its plugin server in the shipped files."""
DEFAULT_PREFIX = Path("/usr/local/kong")
DEFAULT_FILES = (Path("/etc/kong/kong.conf"), Path("/etc/kong.conf"))
_MOST_BYTES = 1 << 20  # kong.conf.default has 100 kB


@dataclass(frozen=True)
class KongConf:
    """The settings of one Kong.

    Args:
        source: where they were read, for a person.
        values: each setting as written.
        file: that a new setting can be appended to; the last line of a setting counts.
        variables: names of the settings that come from KONG_* variables, which win over the file.
        is_origin_known: file and variables are those of this Kong; a running one does not tell its own.
    """

    source: str
    values: Mapping[str, str]
    file: Path | None
    variables: frozenset[str] = frozenset()
    is_origin_known: bool = True

    def get(self, name: str) -> str:
        """Return a setting; empty if it is unset."""
        return self.values.get(name, "")

    def words(self, name: str, default: str = "") -> list[str]:
        """Return a setting that is a list."""
        return [word.strip() for word in (self.get(name) or default).split(",") if word.strip()]

    @property
    def prefix(self) -> Path:
        """Kong's prefix."""
        return Path(self.get("prefix") or DEFAULT_PREFIX)

    def set_command(self, name: str, value: str) -> str:
        """Return the command that sets a setting where Kong will read it."""
        if not self.is_origin_known:
            return _with_kong_conf()
        if self.file is None or name in self.variables:
            return f"export KONG_{name.upper()}={shlex.quote(value)}"
        if not self.values:  # `$` is no line of an empty file
            return f"echo {shlex.quote(f'{name} = {value}')} >>{shlex.quote(str(self.file))}"
        return f"sed -i {shlex.quote(f'$a {name} = {value}')} {shlex.quote(str(self.file))}"

    def append_command(self, name: str, words: str) -> str:
        """Return the command that adds words to the end of a setting; its other words may hold a secret."""
        if not self.is_origin_known:
            return _with_kong_conf()
        if self.file is None or name in self.variables:
            return f'export KONG_{name.upper()}="$KONG_{name.upper()} {words}"'
        script = f"/^ *{name} *=/ s/( #.*)?$/ {words}/"  # in front of a comment
        return f"sed -i -E {shlex.quote(script)} {shlex.quote(str(self.file))}"

    def unset_command(self, name: str) -> str:
        """Return the command that leaves a setting to its default."""
        if not self.is_origin_known:
            return _with_kong_conf()
        if self.file is None or name in self.variables:
            return f"unset KONG_{name.upper()}"
        return f"sed -i {shlex.quote(f'/^ *{name} *=/d')} {shlex.quote(str(self.file))}"


def server_setting(server: str, kind: str) -> str:
    """Return the name of a plugin server's setting.

    Args:
        server: a name in `pluginserver_names`.
        kind: `socket`, `start_cmd` or `query_cmd`.
    """
    return f"pluginserver_{server.replace('-', '_')}_{kind}"


def read_kong_conf(file: Path, environment: Mapping[str, str]) -> KongConf:
    """Read a kong.conf, with the variables of the environment over it, as Kong does.

    Raises:
        ConfigError: if the file cannot be read.
    """
    variables = _variables(environment)
    return KongConf(str(file), {**parse(_read(file)), **variables}, file, frozenset(variables))


def running_kong_conf(prefix: Path, environment: Mapping[str, str]) -> KongConf | None:
    """Return the configuration of the Kong that runs in a prefix; None if it cannot be read.

    Its origin is known if the configuration that `kong start` would read here has the same prefix.
    """
    try:
        values = parse(_read(prefix / ".kong_env"))
    except ConfigError:
        return None
    origin, source = default_kong_conf(environment), f"the Kong in {prefix}"
    if origin is None or origin.prefix != prefix:
        return KongConf(source, values, None, is_origin_known=False)
    return KongConf(source, values, origin.file, origin.variables)


def default_kong_conf(environment: Mapping[str, str]) -> KongConf | None:
    """Return the configuration that `kong start` would read here; None without one."""
    for file in DEFAULT_FILES:
        if file.is_file():
            return read_kong_conf(file, environment)
    variables = _variables(environment)
    if not any(name == "plugins" or name.startswith("pluginserver_") for name in variables):
        return None
    return KongConf("KONG_* variables", variables, None, frozenset(variables))


def parse(text: str) -> dict[str, str]:
    """Return the settings of a kong.conf's text. Any text is a kong.conf."""
    values: dict[str, str] = {}
    held = ""
    for line in re.split(r"\r?\n", text):
        if not line.strip() or re.match(r"\s*[;#]", line):
            continue
        if continued := re.search(r"\\\s*$", line):
            held += line[: continued.start()]
            continue
        whole, held = held + line, ""
        if whole.startswith("["):
            break  # a section: Kong sees neither its settings nor those behind it
        name, equals, value = whole.strip().partition("=")
        if equals and name:
            value = re.sub(r"\s*(?<!\\)#.*$", "", value, flags=re.DOTALL).replace("\\#", "#").strip()
            values[re.sub(r"[^A-Za-z0-9]", "_", name.rstrip())] = value
    return values


def _variables(environment: Mapping[str, str]) -> dict[str, str]:
    return {name[5:].lower(): value.strip() for name, value in environment.items() if name.startswith("KONG_")}


def _with_kong_conf() -> str:
    """Return the command that asks again, and then knows where Kong's settings are written."""
    return typed_command("doctor", "--kong-conf", "KONG_CONF")


def _read(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return opened.read(_MOST_BYTES).decode(errors="replace").replace("\0", "")
    except OSError as error:
        raise ConfigError([Fault("--kong-conf", str(file), f"cannot be read: {error.strerror}")]) from error
