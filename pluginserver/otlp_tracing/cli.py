"""The command `otlp-tracing`: reads the options, runs the command, turns every fault into a sentence.

Only the module of the command that runs is imported: `serve` listens before anything slow is loaded, and a process of
the plugin server never loads the sidecar.

Exit codes: 0 done, 1 anything unforeseen, 2 bad usage or configuration.
"""

from __future__ import annotations

import argparse
import errno
import logging
import os
import sys
from collections.abc import Sequence

from otlp_tracing.commands.options import continues_with_faults
from otlp_tracing.commands.parser import parser_of
from otlp_tracing.errors import ConfigError, Fault
from otlp_tracing.logs.file import LogFile
from otlp_tracing.logs.lines import WARNINGS

_log = logging.getLogger("otlp_tracing.cli")

_OUTPUT_ERRORS = (errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EIO)
_OWN_OPTIONS = ("-h", "--help", "--version")


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
        code = int(options.run(options) or 0)
        sys.stdout.flush()
        return code
    except ConfigError as error:
        for fault in error.faults:
            print(f"otlp-tracing: {fault}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        if error.errno not in _OUTPUT_ERRORS or error.filename is not None:
            raise
        if error.errno != errno.EPIPE:  # the reader of our output may stop when it likes
            print(f"otlp-tracing: standard output cannot be written: {error.strerror}", file=sys.stderr)
        # Without this, Python's own flush at the end would fail once more.
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
        ConfigError: if the command is in a distribution that is not installed.
        SystemExit: for an unknown command or option, and after --help and --version.
    """
    parser = parser_of(arguments[:1])
    if arguments[:1] and arguments[0].startswith("-") and arguments[0] not in _OWN_OPTIONS:
        parser.error(f"there is no option {arguments[0]}; before the command there are {', '.join(_OWN_OPTIONS)}")
    options, unknown = parser.parse_known_args(arguments)
    if unknown and not continues_with_faults(options):
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    # Named without its value, which may be a secret.
    names = [one.partition("=")[0] for one in unknown if one.startswith("-")] or ["argument"] * bool(unknown)
    options.faults += [Fault(name, "", "there is no such option") for name in names]
    return options
