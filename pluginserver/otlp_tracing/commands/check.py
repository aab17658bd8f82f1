"""`otlp-tracing check`: every fault of every otlp-tracing entry of a kong.yml, at once."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from otlp_tracing.commands.convert import BUNDLED, equivalent
from otlp_tracing.commands.options import OptionParser
from otlp_tracing.config.schema import SCHEMA
from otlp_tracing.config.settings import Settings
from otlp_tracing.config.validation import complete
from otlp_tracing.errors import ConfigError, Fault
from otlp_tracing.sampling.rules import Rules
from otlp_tracing.sidecar.export.destination import Destination
from otlp_tracing.sidecar.redaction.redactor import Redactor, redaction_warnings

EXAMPLE = "otlp-tracing check kong.yml"
PLUGIN = "otlp-tracing"


def add_options(parser: OptionParser) -> None:
    """Add the command's options."""
    parser.add_argument("file", type=Path, metavar="KONG_YML", nargs="?", help="declarative configuration to check")
    parser.add_argument(
        "--from",
        dest="bundled",
        type=Path,
        metavar="KONG_YML",
        help="print entries that replace the file's opentelemetry and zipkin entries, as YAML",
    )
    parser.add_argument(
        "--redaction",
        type=Path,
        metavar="SAMPLES",
        help="show sample requests (.yml, .json or HTTP) before and after redaction by the file's entries",
    )


def run(options: argparse.Namespace) -> int:
    """Check, convert, or show redaction; return the exit code."""
    if options.redaction is not None:
        from otlp_tracing.commands.preview import show  # noqa: PLC0415 - it imports this module

        return show(options.redaction, options.file)
    if (options.file is None) == (options.bundled is None):
        raise ConfigError([Fault("check", "", "takes a kong.yml to check, or --from and one to convert")])
    return convert(options.bundled) if options.file is None else check(options.file)


def check(path: Path) -> int:
    """Check a file, say what was found, and return the exit code: 0, or 2 with any fault."""
    entries = list(plugin_entries(read_declaration(path)))
    faulty = 0
    for place, entry in entries:
        faults = faults_of(entry)
        faulty += bool(faults)
        for fault in faults:
            print(f"{path}: {place}: {fault}", file=sys.stderr)
        for warning in warnings_of(entry):
            print(f"{path}: {place}: {warning}", file=sys.stderr)
    if not entries:
        print(f"{path}: no {PLUGIN} entry")
        return 0
    print(f"{path}: {len(entries)} {PLUGIN} entries, {faulty} with faults")
    return 2 if faulty else 0


def convert(path: Path) -> int:
    """Write the equivalents of a file's bundled tracing entries to stdout, as YAML; return the exit code.

    0 if there was one and each passes the check, else 2.
    """
    found, faulty = 0, False
    document = read_declaration(path)
    for plugin in BUNDLED:
        for place, entry in plugin_entries(document, plugin):
            found += 1
            made = equivalent(plugin, entry.get("config") or {})
            written = {"name": PLUGIN, "config": made.config}
            print(f"# {place}: instead of {plugin}")
            for note in made.notes:
                print(f"#   {note}")
            print(yaml.safe_dump([written], sort_keys=False, allow_unicode=True, width=110))
            for fault in faults_of(written):
                faulty = True
                print(f"{path}: {place}: {fault}", file=sys.stderr)
    if not found:
        print(f"{path}: no entry of {' or '.join(BUNDLED)}", file=sys.stderr)
    return 2 if faulty or not found else 0


def plugin_entries(document: Mapping[str, Any], plugin: str = PLUGIN) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Find a plugin's entries wherever Kong allows one, each with the place it stands at."""
    yield from _own_entries(document, plugin, "")
    for service in _records(document, "services"):
        service_place = f"service {service.get('name', '?')}"
        yield from _own_entries(service, plugin, service_place)
        for route in _records(service, "routes"):
            yield from _own_entries(route, plugin, f"{service_place}, route {route.get('name', '?')}")
    for kind in ("routes", "consumers", "consumer_groups"):
        for record in _records(document, kind):
            name = record.get("name", record.get("username", "?"))
            yield from _own_entries(record, plugin, f"{kind[:-1].replace('_', ' ')} {name}")


def faults_of(entry: Mapping[str, Any]) -> list[Fault]:
    """Return what is wrong with one entry, by the schema and beyond it."""
    faults = []
    if entry.get("consumer") is not None:
        faults.append(Fault("consumer", "", "cannot be set: the plugin runs before the consumer is known"))
    _, schema_faults = complete(SCHEMA, entry.get("config"))
    if schema_faults:
        return [*faults, *schema_faults]
    try:
        settings = Settings.from_config(entry.get("config") or {})
        Rules.of(settings.sampling.rules)
        Destination.from_settings(settings, os.environ)
        Redactor(settings.redaction)
    except ConfigError as error:
        faults.extend(error.faults)
    return faults


def warnings_of(entry: Mapping[str, Any]) -> Iterator[str]:
    """Return what one entry says that Kong takes and that does not do what it looks like."""
    config = entry.get("config")
    completed, _ = complete(SCHEMA, config)
    high, low = (_value(completed, f"sampling.load.{name}") for name in ("high", "low"))
    if isinstance(high, int | float) and isinstance(low, int | float) and low >= high:
        yield f"sampling.load.low: {low:g} is not below sampling.load.high, {high:g}: rates will swing or stay low"
    with contextlib.suppress(ConfigError):  # said as faults
        yield from redaction_warnings(Settings.from_config(config or {}).redaction)


def _own_entries(record: Mapping[str, Any], plugin: str, place: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for entry in _records(record, "plugins"):
        if entry.get("name") == plugin:
            scopes = [f"{scope} {entry[scope]}" for scope in ("service", "route", "consumer") if entry.get(scope)]
            yield place or ", ".join(scopes) or "global", entry


def _records(record: Mapping[str, Any], name: str) -> Iterator[Mapping[str, Any]]:
    for item in record.get(name) or ():
        if isinstance(item, dict):
            yield item


def _value(config: Any, field: str) -> Any:
    for name in field.split("."):
        config = config.get(name) if isinstance(config, dict) else None
    return config


def read_declaration(path: Path) -> Mapping[str, Any]:
    """Read a kong.yml.

    Raises:
        ConfigError: for what is none.
    """
    try:
        document = yaml.safe_load(path.read_text())
    except OSError as error:
        raise ConfigError([Fault(str(path), "", f"cannot be read: {error.strerror}")]) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError([Fault(str(path), "", f"is not YAML: {' '.join(str(error).split())}")]) from error
    if not isinstance(document, dict):
        raise ConfigError([Fault(str(path), "", "is not a declarative configuration: no record of fields at its top")])
    return document
