"""`otlp-tracing dump`: the plugin's description on stdout: for Kong, for Konnect, or for an editor."""

from __future__ import annotations

import argparse
import json
import sys

from otlp_tracing.commands.option_kinds import choice
from otlp_tracing.commands.options import (
    PREFIX,
    OptionParser,
    add_hand_over_option,
    add_on_fault_option,
    add_plugins_option,
)
from otlp_tracing.config.json_schema import json_schema
from otlp_tracing.config.lua_schema import lua_schema
from otlp_tracing.kong_server.loader import describe, load, schema_of
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
    parser.option(
        "--format",
        choice("kong", "lua", "json-schema", "nginx-facts", "nginx-facts-json"),
        "kong",
        "kong|lua|json-schema|nginx-facts|nginx-facts-json",
        "kong: the description that Kong's query_cmd wants; lua: schema.lua, as Konnect wants it; "
        "json-schema: for editors, of kong.yml and of KongPlugin; nginx-facts: the pre-function entry that puts facts "
        "of nginx into the log record, as a kong.yml; nginx-facts-json: the same for the Admin API",
    )
    add_hand_over_option(parser)
    add_on_fault_option(parser)
    # Without a description Kong does not start, and a description needs no log.
    parser.set_defaults(needless=frozenset({f"{PREFIX}LOG_LEVEL"}))


def run(options: argparse.Namespace) -> None:
    """Print the description."""
    if options.format.startswith("nginx-facts"):
        from otlp_tracing.commands.nginx_snippet import as_json, as_kong_yml  # noqa: PLC0415 - Kong waits for a dump

        sys.stdout.write(as_json() if options.format == "nginx-facts-json" else as_kong_yml())
        return
    module = load((options.plugins or plugin_folder()) / PLUGIN_FILE)
    if options.format == "lua":
        sys.stdout.write(lua_schema(schema_of(module), module.version))
    elif options.format == "json-schema":
        json.dump(json_schema(module.name, module.schema, module.version), sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        # Without the phase Kong sends no `log` event: the record comes from its own http-log.
        omitted = {"log"} if options.hand_over == "kong" else set()
        json.dump(describe(module, options.protocol, omitted), sys.stdout)
