"""`otlp-tracing dump`: the plugin's description as JSON, alone on stdout, as Kong wants it."""

from __future__ import annotations

import argparse
import json
import sys

from otlp_tracing.commands.options import OptionParser, add_on_fault_option, add_plugins_option, choice
from otlp_tracing.kong_server.loader import describe, load
from otlp_tracing.paths import PLUGIN_FILE, plugin_folder

EXAMPLE = "otlp-tracing dump --protocol msgpack"


def add_options(parser: OptionParser) -> None:
    """Add the command's options."""
    add_plugins_option(parser)
    parser.option(
        "--protocol",
        choice("msgpack", "protobuf"),
        "msgpack",
        "msgpack|protobuf",
        "protocol that Kong is to speak; msgpack never fails a request, protobuf costs Kong less; serve answers both",
    )
    add_on_fault_option(parser)


def run(options: argparse.Namespace) -> None:
    """Print the description."""
    json.dump(describe(load((options.plugins or plugin_folder()) / PLUGIN_FILE), options.protocol), sys.stdout)
