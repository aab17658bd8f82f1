"""The command `otlp-tracing`: reads the options, runs the command, turns every fault into a sentence.

A command is a module with `add_options(parser)`, `run(options)`, and `EXAMPLE`, a line to type. Only the
module of the command that runs is imported: `serve` listens before anything slow is loaded, and a process of the
plugin server never loads the sidecar. Other distributions add commands in the entry point group of that name.

Exit codes: 0 done, 1 anything unforeseen, 2 bad usage or configuration.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import sys
from collections.abc import Sequence
from types import ModuleType

from otlp_tracing import __version__
from otlp_tracing.commands.options import OptionParser, continues_with_faults, log_level
from otlp_tracing.errors import ConfigError, Fault
from otlp_tracing.logs.file import LogFile
from otlp_tracing.logs.lines import WARNINGS
from otlp_tracing.paths import build_flavor

COMMANDS = {
    "serve": "run Kong's plugin server, with a sidecar beside it",
    "dump": "print the plugin's description for Kong's pluginserver_*_query_cmd",
    "sidecar": "run the sidecar on its own",
    "status": "show the state of delivery to every collector, with the reason",
    "doctor": "find the fault that keeps traces from arriving, and the command that mends it",
    "probe": "ask whether a running process answers; exit 1 if not",
    "check": "find every fault of the otlp-tracing entries in a kong.yml",
    "demo": "show traces through a gateway and two services, on this machine alone",
    "worker": "",  # for `serve` alone: in no list
}
_log = logging.getLogger("otlp_tracing.cli")

_OWN_OPTIONS = ("-h", "--help", "--version")
_ENTRY_POINTS = "otlp_tracing.commands"
_IN_OTHER_DISTRIBUTIONS = {"demo": "demo"}
"""Commands that an extra of this distribution installs, with the extra's name."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    try:
        options = parse(sys.argv[1:] if arguments is None else arguments)
        logging.basicConfig(
            stream=sys.stderr, level=options.log_level.upper(), format="%(levelname)s %(name)s: %(message)s"
        )
        WARNINGS.process = WARNINGS.process or options.command
        logging.getLogger().addHandler(WARNINGS)
        if log_file := getattr(options, "log_file", ""):
            _add_log_file(log_file)
        decisive = [fault for fault in options.faults if fault.field not in getattr(options, "needless", ())]
        if decisive and not continues_with_faults(options):
            raise ConfigError(decisive)
        for fault in options.faults:
            _log.warning("invalid option, its default is used: %s", fault)
        return int(options.run(options) or 0)
    except ConfigError as error:
        for fault in error.faults:
            print(f"otlp-tracing: {fault}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of our output has closed it. Without this, Python's own flush at the end would fail once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _add_log_file(name: str) -> None:
    file = LogFile(name)
    if file.is_stderr():
        file.close()
    else:
        logging.getLogger().addHandler(file)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read a command line; the result has the command's `run`, and `faults` of options' values.

    Raises:
        ConfigError: if the command is in an extra that is not installed.
        SystemExit: for an unknown command or option, and after --help and --version.
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
        if not text and name not in arguments[:1]:
            continue
        command = commands.add_parser(name, description=text, help=text)
        if name in arguments[:1]:
            module = _module_of(name)
            module.add_options(command)
            command.option("--log-level", log_level, "info", "LEVEL", "debug, info, warning or error")
            command.epilog = f"example:\n  {module.EXAMPLE}"
            command.set_defaults(run=module.run, command=name)
    if arguments[:1] and arguments[0].startswith("-") and arguments[0] not in _OWN_OPTIONS:
        parser.error(f"there is no option {arguments[0]}; before the command there are {', '.join(_OWN_OPTIONS)}")
    options, unknown = parser.parse_known_args(arguments)
    if unknown and not continues_with_faults(options):
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    # Named without its value, which may be a secret.
    names = [one.partition("=")[0] for one in unknown if one.startswith("-")] or ["argument"] * bool(unknown)
    options.faults += [Fault(name, "", "there is no such option") for name in names]
    return options


def _module_of(name: str) -> ModuleType:
    if name not in _IN_OTHER_DISTRIBUTIONS:
        return importlib.import_module(f"otlp_tracing.commands.{name}")
    from importlib.metadata import entry_points  # noqa: PLC0415 - reads the metadata of every distribution

    for entry in entry_points(group=_ENTRY_POINTS, name=name):
        return importlib.import_module(entry.module)
    extra = f"otlp-tracing[{_IN_OTHER_DISTRIBUTIONS[name]}]"
    raise ConfigError([Fault(name, "", f"is not installed; install it with: pip install '{extra}'")])
