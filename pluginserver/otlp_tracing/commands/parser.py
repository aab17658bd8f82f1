"""The parser of the command line: the commands, and the options of those that are asked for.

A command is a module with `add_options(parser)`, `run(options)`, and `EXAMPLE`, a line to type. A command that is a
package has them in its module `command`. Only the modules that are asked for are imported. Other distributions add
commands in the entry point group of that name.
"""

from __future__ import annotations

import importlib
import shlex
import sys
from collections.abc import Collection
from types import ModuleType
from typing import TYPE_CHECKING

from otlp_tracing import __version__
from otlp_tracing.commands.option_kinds import log_level
from otlp_tracing.commands.options import OptionParser
from otlp_tracing.errors import ConfigError, Fault
from otlp_tracing.paths import build_flavor

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

COMMANDS = {
    "serve": "run Kong's plugin server, with a sidecar beside it",
    "dump": "print the plugin's description for Kong's pluginserver_*_query_cmd",
    "sidecar": "run the sidecar on its own",
    "status": "show the state of delivery to every collector, with the reason",
    "doctor": "find the fault that keeps traces from arriving, and the command that mends it",
    "debug": "keep all requests that match, for some minutes or a number of them",
    "probe": "ask whether a running process answers; exit 1 if not",
    "trace": "send one request through Kong, and draw the time of each plugin",
    "check": "find every fault of the otlp-tracing entries in a kong.yml",
    "completion": "print a script that completes this command in a shell",
    "demo": "show traces through a gateway and two services, on this machine alone",
    "worker": "",  # for `serve` alone: in no list
}

_PACKAGES = frozenset({"check", "doctor"})
_ENTRY_POINTS = "otlp_tracing.commands"
_IN_OTHER_DISTRIBUTIONS = frozenset({"demo"})
"""Commands of the distribution in devtools/ of the repository, which is on no package index."""


def listed_commands() -> list[str]:
    """Return the commands of the help that are installed."""
    return [name for name, text in COMMANDS.items() if text and (name not in _IN_OTHER_DISTRIBUTIONS or _entry(name))]


def parser_of(names: Collection[str]) -> OptionParser:
    """Make the parser. It knows every command, and the options of those that are named.

    Raises:
        ConfigError: if a command is in a distribution that is not installed.
    """
    parser = OptionParser(
        prog="otlp-tracing",
        description="OpenTelemetry tracing for Kong Gateway.",
        epilog="Every option is also an environment variable: --kong-prefix is OTLP_TRACING_KONG_PREFIX.\n"
        "nginx empties the environment of the processes that Kong starts: put variables into the start command,\n"
        "`env OTLP_TRACING_HTTP=… otlp-tracing serve`, or name them in Kong's nginx_main_env.",
    )
    parser.add_argument("--version", action="version", version=f"otlp-tracing {__version__} ({build_flavor()})")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for name, text in COMMANDS.items():
        if not text and name not in names:
            continue
        command = commands.add_parser(name, description=text, help=text)
        if name in names:
            module = _module_of(name)
            module.add_options(command)
            command.option("--log-level", log_level, "info", "debug|info|warning|error", "lowest level of the log")
            command.epilog = f"example:\n  {module.EXAMPLE}"
            command.set_defaults(run=module.run, command=name)
    return parser


def _module_of(name: str) -> ModuleType:
    if name not in _IN_OTHER_DISTRIBUTIONS:
        return importlib.import_module(f"otlp_tracing.commands.{name}{'.command' if name in _PACKAGES else ''}")
    if entry := _entry(name):
        return importlib.import_module(entry.module)
    install = shlex.join([sys.executable, "-m", "pip", "install"])
    rule = "is not installed; in a checkout of the repository, run: "
    rule += f"{install} --require-hashes -r requirements-demo.lock && {install} --no-deps . ./devtools"
    raise ConfigError([Fault(name, "", rule)])


def _entry(name: str) -> EntryPoint | None:
    from importlib.metadata import entry_points  # noqa: PLC0415 - reads the metadata of every distribution

    return next(iter(entry_points(group=_ENTRY_POINTS, name=name)), None)
