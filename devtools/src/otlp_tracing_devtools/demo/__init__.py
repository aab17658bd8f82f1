"""The whole thing on one machine, without Kong and Docker: `otlp-tracing demo`.

A stand-in Kong with the project's own kong.yml, two small services behind it, the real plugin server with its sidecar,
and an OTLP receiver for the spans of all of them. Each trace is printed as an indented list of its spans.
"""

import argparse
import sys

from otlp_tracing.commands.option_kinds import integer
from otlp_tracing.commands.options import OptionParser
from otlp_tracing_devtools.demo.signals import EarlySignals

EXAMPLE = "otlp-tracing demo --requests 20 --exit"


def add_options(parser: OptionParser) -> None:
    """Add the command's options."""
    parser.option("--requests", integer(1, 1_000_000), "20", "N", "requests to send")
    parser.add_argument(
        "--exit",
        action="store_true",
        help="end after the last request instead of waiting for Ctrl-C; always so if stdin is no terminal",
    )


def run(options: argparse.Namespace) -> int:
    """Run the demo and return its exit code."""
    early = EarlySignals()
    from otlp_tracing_devtools.demo.run import perform  # noqa: PLC0415 - takes half a second, in which Ctrl-C may come

    return perform(options.requests, early, leave=options.exit or not _has_terminal())


def _has_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()
