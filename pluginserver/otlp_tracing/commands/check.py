"""`otlp-tracing check`: every fault of every otlp-tracing entry of some files, at once, with its place."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from otlp_tracing.commands.documents import PLACEHOLDER, SUFFIXES, Document, Entry, duplicate_keys, read_documents
from otlp_tracing.commands.options import OptionParser, choice
from otlp_tracing.commands.screen import printable
from otlp_tracing.config.endpoint_warnings import endpoint_warnings
from otlp_tracing.config.schema import SCHEMA
from otlp_tracing.config.settings import Settings
from otlp_tracing.config.validation import complete, is_vault_reference, unknown_field
from otlp_tracing.errors import ConfigError, Fault
from otlp_tracing.sampling.rules import Rules
from otlp_tracing.sidecar.export.destination import Destination
from otlp_tracing.sidecar.redaction.redactor import Redactor, redaction_warnings

EXAMPLE = "otlp-tracing check kong.yml"
PLUGIN = "otlp-tracing"
_MISSPELLED = ("otlp_tracing", "otlp-trace", "otlptracing", "OTLP-tracing", "Otlp-Tracing", "opentelemetry-tracing")
_SCOPES = ("service", "route", "consumer", "consumer_group")
# kong/db/schema/entities/plugins.lua; `ordering` is Kong Enterprise's, `_config` decK's.
_ENTRY_FIELDS = ("id", "name", "instance_name", "config", "enabled", "protocols", "tags", *_SCOPES,
                 "created_at", "updated_at", "ordering", "_config")  # fmt: skip
_MANIFEST_FIELDS = ("name", "config", "configFrom", "configPatches", "disabled", "protocols", "instance_name", "run_on",
                    "ordering", "status")  # fmt: skip
_PROTOCOLS = frozenset({"grpc", "grpcs", "http", "https"})
_SECRET_FIELD = re.compile(r"header|key|cert", re.IGNORECASE)


@dataclass(frozen=True)
class Finding:
    """A fault, or a warning, at a place in a file."""

    file: str
    line: int
    column: int
    place: str
    text: str
    is_fault: bool = True

    def __str__(self) -> str:
        place = f" {self.place}:" if self.place else ""
        return f"{self.file}:{self.line}:{self.column}:{place} {'' if self.is_fault else 'warning: '}{self.text}"


def add_options(parser: OptionParser) -> None:
    """Add the command's options."""
    parser.add_argument(
        "files", type=Path, metavar="FILE", nargs="*", help="kong.yml, decK file, KongPlugin, or a folder; - is stdin"
    )
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
    parser.option("--format", choice("text", "json", "github"), "text", "text|json|github", "form of the findings")


def run(options: argparse.Namespace) -> int:
    """Check, convert, or show redaction; return the exit code."""
    if options.redaction is not None:
        from otlp_tracing.commands.preview import show  # noqa: PLC0415 - it imports this module

        if len(options.files) > 1:
            raise ConfigError([Fault("check", "", "takes one kong.yml with --redaction")])
        return show(options.redaction, next(iter(options.files), None))
    if bool(options.files) == (options.bundled is not None):
        raise ConfigError([Fault("check", "", "takes a kong.yml to check, or --from and one to convert")])
    if options.bundled is not None:
        from otlp_tracing.commands.convert import convert  # noqa: PLC0415 - it imports this module

        return convert(options.bundled)
    return check(options.files, options.format)


def check(files: Sequence[Path], form: str = "text") -> int:
    """Check files, print the findings, and return the exit code: 0, or 2 with any fault.

    Args:
        files: or folders, of which every YAML and JSON file is checked; `-` is stdin.
        form: text, json for a program, or github for annotations in a pull request.
    """
    findings, summaries = [], []
    for file, is_named in _files_in(files):
        try:
            documents = [one for one in read_documents(file, (PLUGIN, *_MISSPELLED)) if one.is_known or is_named]
        except ConfigError as error:
            findings += [_unreadable(fault) for fault in error.faults]
            continue
        name = "-" if file is None else str(file)
        found = list(_findings(name, documents))
        findings += found
        summaries.append(_summary(name, documents, found))
    _PRINTERS[form](findings)
    if form == "text":
        print(*summaries, sep="\n")
    return 2 if any(one.is_fault for one in findings) else 0


def _files_in(files: Iterable[Path]) -> Iterator[tuple[Path | None, bool]]:
    for file in files:
        if file.is_dir():
            yield from ((one, False) for one in sorted(file.rglob("*")) if one.suffix in SUFFIXES and one.is_file())
        else:
            yield (None if str(file) == "-" else file), True


def _unreadable(fault: Fault) -> Finding:
    place = re.fullmatch(r"(.*):(\d+):(\d+)", fault.field, re.DOTALL)
    return Finding(*(place[1], int(place[2]), int(place[3])) if place else (fault.field, 1, 1), "", fault.rule)


def _summary(name: str, documents: Sequence[Document], findings: Sequence[Finding]) -> str:
    entries = sum(len(one.entries) for one in documents)
    faulty = len({one.place for one in findings if one.is_fault})
    if not entries:
        return f"{name}: no {PLUGIN} entry"
    return f"{name}: {entries} {PLUGIN} {'entry' if entries == 1 else 'entries'}, {faulty} with faults"


def _print_text(findings: Sequence[Finding]) -> None:
    for one in findings:
        print(printable(str(one)), file=sys.stderr)


def _print_json(findings: Sequence[Finding]) -> None:
    print(json.dumps([{**vars(one), "level": "error" if one.is_fault else "warning"} for one in findings], indent=1))


def _print_github(findings: Sequence[Finding]) -> None:
    for one in findings:
        where = f"file={one.file},line={one.line},col={one.column}"
        text = printable(f"{one.place}: {one.text}" if one.place else one.text).replace("%", "%25")
        print(f"::{'error' if one.is_fault else 'warning'} {printable(where)}::{text}")


_PRINTERS: Mapping[str, Callable[[Sequence[Finding]], None]] = {
    "text": _print_text,
    "json": _print_json,
    "github": _print_github,
}


def _findings(name: str, documents: Sequence[Document]) -> Iterator[Finding]:
    first: dict[tuple[str, ...], int] = {}
    for document in documents:
        for at, fault in document.faults:
            yield Finding(name, *at, "", _text(fault))
        for entry in document.entries:
            faults, warnings = inspect(entry.value, is_manifest=entry.manifest is not None)
            for fault in [*faults, *_structure_faults(entry, first)]:
                yield Finding(name, *entry.position(fault.field), entry.place, _text(fault))
            for at, key in duplicate_keys(entry.node):
                yield Finding(name, *at, entry.place, f"{key}: is written twice; the last one counts", is_fault=False)
            for field, warning in warnings:
                yield Finding(name, *entry.position(field), entry.place, f"{_short(field)}: {warning}", is_fault=False)


def _structure_faults(entry: Entry, first: dict[tuple[str, ...], int]) -> Iterator[Fault]:
    line, _ = entry.position("")
    if any(one.startswith("consumer") for one in entry.scope[1:]) and not any(map(entry.value.get, _SCOPES[2:])):
        yield Fault("", "", "cannot belong to a consumer: the plugin runs before the consumer is known")
    if entry.manifest is None and entry.scope[0] == PLUGIN and first.setdefault(entry.scope, line) != line:
        yield Fault(
            "name", "", f"is the second {PLUGIN} entry of this scope; the first is in line {first[entry.scope]}"
        )


def _text(fault: Fault) -> str:
    """Return a fault as text, without the value of a header or key, of a record or list, and of a password in a URL."""
    is_shown = not _SECRET_FIELD.search(fault.field) and fault.value[:1] not in {"{", "["}
    value = fault.value if is_shown else ""
    head, _, name = _short(fault.field).rpartition(".")
    name = name if re.fullmatch(r"[\w\[\]-]{1,40}", name) or not name else "…"
    return str(Fault(f"{head}.{name}" if head else name, value, fault.rule)) if fault.field else fault.rule


def _short(field: str) -> str:
    return field.removeprefix("config.")


def faults_of(entry: Mapping[str, Any]) -> list[Fault]:
    """Return all faults of one entry; fields of its configuration begin with `config.`."""
    return inspect(entry)[0]


def inspect(entry: Mapping[str, Any], *, is_manifest: bool = False) -> tuple[list[Fault], list[tuple[str, str]]]:
    """Return the faults of an entry, and warnings about settings that Kong accepts and that cannot work as written.

    Args:
        entry: as written; decK's placeholders in it are not checked.
        is_manifest: it is from a KongPlugin, which has other fields around its configuration.

    Returns:
        All faults; and the warnings, each with its field, if the configuration has no fault.
    """
    faults, warnings = list(_entry_faults(entry, is_manifest)), []
    config = _without_placeholders(entry.get("config"))
    if PLACEHOLDER in json.dumps(entry.get("config"), default=str):
        text = "has decK placeholders, which are not checked; run `deck file render --populate-env-vars` first"
        warnings.append(("config", text))
    completed, found = complete(SCHEMA, config)
    if found and isinstance(config, dict):
        # The stages after the schema see the defaults of the fields in which the schema found a fault.
        broken = {re.split(r"[.\[]", fault.field)[0] for fault in found}
        completed, _ = complete(SCHEMA, {name: value for name, value in config.items() if name not in broken})
    if not found or isinstance(config, dict):
        try:
            settings = Settings.from_completed(completed)
        except ConfigError as error:
            found += error.faults
        else:
            found += _faults_beyond_the_schema(settings)
            warnings += _warnings(settings) if not found else ()
    for fault in found:
        faults.append(Fault(f"config.{fault.field}" if fault.field != "config" else "config", fault.value, fault.rule))
    return faults, warnings


def _entry_faults(entry: Mapping[str, Any], is_manifest: bool) -> Iterator[Fault]:
    names = {name for field in SCHEMA for name in field}
    known = _MANIFEST_FIELDS if is_manifest else _ENTRY_FIELDS
    for name in entry:
        if name in names and name not in known:
            yield Fault(name, "", "belongs under config: indent it further")
        elif name not in known and not name.startswith("x-"):
            yield unknown_field(name, known)
    if entry.get("name") != PLUGIN:
        yield Fault("name", json.dumps(entry.get("name")), f"must be {PLUGIN}")
    if entry.get("consumer") is not None or entry.get("consumer_group") is not None:
        field = "consumer" if entry.get("consumer") is not None else "consumer_group"
        yield Fault(field, "", "cannot be set: the plugin runs before the consumer is known")
    if not isinstance(entry.get("enabled", True), bool):
        yield Fault("enabled", json.dumps(entry["enabled"], default=str), "must be a boolean")
    protocols = entry.get("protocols")
    if protocols is not None and not (
        isinstance(protocols, list) and protocols and set(map(str, protocols)) <= _PROTOCOLS
    ):
        yield Fault("protocols", "", f"must be a list of {', '.join(sorted(_PROTOCOLS))}")
    if not isinstance(entry.get("tags") or [], list):
        yield Fault("tags", "", "must be a list of strings")


def _faults_beyond_the_schema(settings: Settings) -> Iterator[Fault]:
    for stage in (
        lambda: Rules.of(settings.sampling.rules),
        lambda: Destination.from_settings(settings, os.environ),
        lambda: settings.metrics.enabled and Destination.from_settings(settings, os.environ, signal="metrics"),
        lambda: Redactor(settings.redaction),
    ):
        try:
            stage()
        except ConfigError as error:
            yield from error.faults


def _without_placeholders(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_placeholders(one) for name, one in value.items() if not _is_placeholder(one)}
    if isinstance(value, list):
        return [_without_placeholders(one) for one in value if not _is_placeholder(one)]
    return value


def _is_placeholder(value: object) -> bool:
    return isinstance(value, str) and PLACEHOLDER in value


def _warnings(settings: Settings) -> Iterator[tuple[str, str]]:
    load = settings.sampling.load
    if load.high is not None and load.low >= load.high:
        yield "config.sampling.load.low", f"{load.low:g} is not below high, {load.high:g}: rates swing or stay low"
    if settings.sampling.rate == 0 and not settings.sampling.rules:
        yield "config.sampling.rate", "0 and no rule: only a caller's decision and sampling.keep keep traces"
    for field, text in endpoint_warnings(settings):
        yield f"config.{field}", text
    for number, line in enumerate(settings.headers, 1):
        if "{vault://" in line and not is_vault_reference(line):
            yield f"config.headers[{number}]", "Kong resolves a vault reference only if it is the whole line"
    for warning in redaction_warnings(settings.redaction):
        field, _, text = warning.partition(" ")
        yield f"config.{field.rstrip(':')}", text
