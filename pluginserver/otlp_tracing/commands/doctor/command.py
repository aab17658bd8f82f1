"""`otlp-tracing doctor`: finds the fault that keeps traces from arriving, from the package to the collector.

It asks and changes nothing. With --send it exports one span.
"""

from __future__ import annotations

import argparse
import asyncio
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from otlp_tracing.commands.doctor.candidates import Candidate, candidates, of_sidecar
from otlp_tracing.commands.doctor.destinations import ask_destinations
from otlp_tracing.commands.doctor.discovery import Surroundings, look_around
from otlp_tracing.commands.doctor.findings import AcceptedExport, Finding, Masking, show, unasked
from otlp_tracing.commands.doctor.installation import ask_installation
from otlp_tracing.commands.doctor.kong_questions import ask_kong_conf
from otlp_tracing.commands.doctor.kong_yml import read_entries
from otlp_tracing.commands.doctor.plugin_server_questions import ask_socket
from otlp_tracing.commands.doctor.sidecar_port import ask_port
from otlp_tracing.commands.doctor.sidecar_questions import (
    ask_faulty_entries,
    ask_folder,
    ask_requests,
    ask_spool,
    ask_variables,
    fetch_delivery,
)
from otlp_tracing.commands.kong_files.reader import read_content
from otlp_tracing.commands.option_kinds import Address, path, readable_file
from otlp_tracing.commands.options import OptionParser, SidecarOptions, add_plugins_option
from otlp_tracing.commands.status import unit_of
from otlp_tracing.config.tokens import read_token

EXAMPLE = "otlp-tracing doctor kong.yml --kong-conf /etc/kong/kong.conf"
_WELL = frozenset({"ok", "idle"})


def add_options(parser: OptionParser) -> None:
    """Add the command's options."""
    parser.add_argument(
        "kong_yml",
        type=Path,
        metavar="KONG_YML",
        nargs="?",
        help="the entries whose collectors are asked; by default the declarative_config of Kong",
    )
    parser.option(
        "--kong-conf", readable_file, None, "FILE", "Kong's configuration; by default that of the running Kong"
    )
    parser.option("--kong-prefix", path, None, "DIR", "Kong's prefix; by default that of its configuration")
    parser.option(
        "--http", Address.parse, None, "ADDRESS:PORT", "address of the sidecar; by default that of the one that runs"
    )
    SidecarOptions.add_to(parser, "page_token_file")
    parser.add_argument("--send", action="store_true", help="export a span to each collector, and print its trace id")
    parser.add_argument("--json", action="store_true", help="print JSON, for a program")
    add_plugins_option(parser)


def run(options: argparse.Namespace) -> int:
    """Ask everything, print the findings, and return the exit code: 1 with any FAIL.

    Raises:
        ConfigError: if a file that was named cannot be read.
    """
    if options.kong_yml is not None:
        read_content(options.kong_yml)
    masking = Masking()
    masking.add_variables(os.environ)
    found = look_around(
        prefix=options.kong_prefix,
        kong_conf=options.kong_conf,
        address=options.http,
        token=read_token("page", os.environ, options.page_token_file),
    )
    masking.add_variables(found.sidecar_environment)
    findings = _findings(options, found, masking)
    return show(findings, masking, reload=found.reload_command, restart=found.restart_command, as_json=options.json)


def _findings(options: argparse.Namespace, found: Surroundings, masking: Masking) -> Iterator[Finding]:
    yield from ask_installation(options.plugins)
    yield from ask_kong_conf(found)
    yield from ask_socket(found)
    yield from ask_folder(found)
    yield from ask_port(found)
    yield from ask_variables(found)
    kong_yml = options.kong_yml or _declarative_config(found)
    entries, about = read_entries(kong_yml) if kong_yml else ([], [])
    report, reason = fetch_delivery(found)
    if report is not None:
        yield from ask_spool(found, report)
        yield from ask_faulty_entries(report, kong_yml)
        yield from ask_requests(found, entries, report)
        yield from _ask_log(found, report.get("warnings") or ())
    yield from about
    if kong_yml is None and report is None:
        text = f"there is no kong.yml here, name one; the sidecar's are not known: {reason}"
        yield unasked("destinations", text)
    some: list[Candidate] = []
    for one in candidates(entries, found.sidecar_environment, masking, found.own):
        if isinstance(one, Candidate):
            some.append(one)
        else:
            yield one
    asked = asyncio.run(ask_destinations(some, send=options.send))
    reports = [*(report or {}).get("destinations", []), *(report or {}).get("metrics", [])]
    yield from joined(asked, list(ask_deliveries(found, reports, is_asked=kong_yml is not None)))


def joined(asked: Sequence[Finding], deliveries: Sequence[Finding]) -> Iterator[Finding]:
    """Make one finding of a destination's answer and of its state in the sidecar, where both are well.

    Args:
        asked: the answers of destinations.
        deliveries: their states in the sidecar.
    """
    rest = list(deliveries)
    for one in asked:
        if not isinstance(one, AcceptedExport):
            yield one
            continue
        same = [other for other in rest if other.level == "ok" and other.subject == one.subject]
        rest = [other for other in rest if other not in same]
        yield Finding(one.level, one.subject, "; ".join([one.text, *(other.text for other in same)]), one.command)
    yield from rest


def _ask_log(found: Surroundings, warnings: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    if warnings:
        last = warnings[-1]
        count = "1 warning" if len(warnings) == 1 else f"{len(warnings)} warnings"
        text = f"{count}; the last, {last['age_s']:.0f} s ago, of {last['process']}: {last['text'].splitlines()[0]}"
        yield Finding("note", "log", text, found.own.status())


def ask_deliveries(found: Surroundings, reports: Sequence[Mapping[str, Any]], *, is_asked: bool) -> Iterator[Finding]:
    """Tell the state of each destination in the sidecar, and ask those that fail.

    Args:
        found: by look_around().
        reports: of the destinations, from /delivery.
        is_asked: they were asked already, because a kong.yml names them.
    """
    for one in reports:
        label, state = f"{one.get('destination')} ({one.get('protocol')})", one.get("state")
        unit = unit_of(one)
        exported, waiting = f"{one.get('exported', 0):,} {unit} exported", f"{one.get('spooled', 0):,} {unit} wait"
        if one.get("signal") == "metrics":
            exported, waiting = "metrics have no queue", "the next export has all counts"
        if state in _WELL:
            yield Finding("ok", label, f"the sidecar is {state}: {exported}, {waiting}")
            continue
        reason = f": {one['reason']}" if one.get("reason") else ""
        remedy = f": {one['remedy']}" if one.get("remedy") else ""
        text = f"the sidecar is {state}{reason}{remedy}; {waiting}"
        command = one.get("command") or found.own.status()
        yield Finding("warn" if state == "unknown" else "FAIL", label, text, command)
        candidate = None if is_asked else of_sidecar(one, found.sidecar_environment, found.own)
        if candidate is not None:
            yield from asyncio.run(ask_destinations([candidate], send=False))


def _declarative_config(found: Surroundings) -> Path | None:
    configured = found.conf.get("declarative_config") if found.conf else ""
    return Path(configured) if os.path.isfile(configured) else None
