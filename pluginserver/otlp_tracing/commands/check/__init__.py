"""`otlp-tracing check`: every fault of every otlp-tracing entry of some files, at once, with its place."""

from __future__ import annotations

import argparse
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any

from otlp_tracing.commands.check.findings import PRINTERS, Finding, text_of
from otlp_tracing.commands.check.http_log_pairs import HTTP_LOG, queue_findings
from otlp_tracing.commands.check.policy_file import policy_findings
from otlp_tracing.commands.kong_files.documents import PLACEHOLDER, SUFFIXES, Document, read_content, read_documents
from otlp_tracing.commands.kong_files.entities import DECK_FIELDS, ENTRY, MANIFEST
from otlp_tracing.commands.nginx_snippet import PRE_FUNCTION, snippet_findings
from otlp_tracing.commands.option_kinds import choice
from otlp_tracing.commands.options import OptionParser
from otlp_tracing.config.endpoint_warnings import endpoint_warnings
from otlp_tracing.config.policies import is_policy_file, unmatchable
from otlp_tracing.config.schema import SCHEMA
from otlp_tracing.config.settings import SamplingRule, Settings
from otlp_tracing.config.validation import FieldList, complete, is_vault_reference
from otlp_tracing.errors import ConfigError, Fault
from otlp_tracing.sampling.rules import Rules
from otlp_tracing.sidecar.access_logs.body import Body
from otlp_tracing.sidecar.export.destination import Destination
from otlp_tracing.sidecar.redaction.redactor import Redactor, redaction_warnings
from otlp_tracing.sidecar.spans.cardinality import CardinalityLimit
from otlp_tracing.sidecar.spans.http_methods import HttpMethods
from otlp_tracing.sidecar.spans.rules import SpanRules
from otlp_tracing.sidecar.tail.rules import TailRules

EXAMPLE = "otlp-tracing check kong.yml"
PLUGIN = "otlp-tracing"
_DESCRIPTION = """\
Find every fault of the otlp-tracing entries in files, as Kong would, without a Kong.

It reads declarative configurations (kong.yml, also decK's), KongPlugin and KongClusterPlugin manifests, bodies and
answers of the Admin API, and policy files (serve --policy-file). A finding is
`FILE:LINE:COLUMN: scope: field: rule`. Values of headers and keys are not shown.
With --from it converts entries of Kong's bundled opentelemetry and zipkin plugins.

exit codes: 0 no fault, 2 a fault; a warning is no fault."""
_ALSO_MEANT = frozenset({"otlp", "otlp-trace", "opentelemetry-tracing", "open-telemetry"})
_CONSUMERS = ("consumer", "consumer_group")


def add_options(parser: OptionParser) -> None:
    """Add the command's options."""
    parser.description = _DESCRIPTION
    parser.add_argument(
        "files", type=Path, metavar="FILE", nargs="*", help="a file, or a folder with YAML and JSON files; - is stdin"
    )
    parser.add_argument(
        "--from",
        dest="bundled",
        type=Path,
        metavar="KONG_YML",
        help="print entries that replace the file's opentelemetry and zipkin entries, as YAML",
    )
    parser.add_argument(
        "--write",
        type=Path,
        metavar="FILE",
        help="with --from: write the whole file with these entries in their places, comments kept; it may be KONG_YML",
    )
    parser.add_argument(
        "--redaction",
        type=Path,
        metavar="SAMPLES",
        help="show sample requests (.yml, .json or HTTP) before and after redaction by the file's entries",
    )
    parser.option("--format", choice("text", "json", "github"), "text", "text|json|github", "form of the findings")
    parser.option(
        "--hand-over",
        choice("auto", "plugin", "kong"),
        "auto",
        "auto|plugin|kong",
        "as for dump: with kong, each entry needs an http-log for the sidecar; auto: as the files show it",
    )


def run(options: argparse.Namespace) -> int:
    """Check, convert, or show redaction; return the exit code."""
    if options.redaction is not None:
        from otlp_tracing.commands.check.redaction_preview import show  # noqa: PLC0415 - it imports this module

        if len(options.files) > 1:
            raise ConfigError([Fault("check", "", "takes one kong.yml with --redaction")])
        return show(options.redaction, next(iter(options.files), None))
    if bool(options.files) == (options.bundled is not None):
        raise ConfigError([Fault("check", "", "takes a kong.yml to check, or --from and one to convert")])
    if options.write is not None and options.bundled is None:
        raise ConfigError([Fault("--write", "", "goes with --from")])
    if options.bundled is not None:
        from otlp_tracing.commands.convert import convert  # noqa: PLC0415 - it imports this module

        return convert(options.bundled, options.write)
    return check(options.files, options.format, options.hand_over)


def check(files: Sequence[Path], form: str = "text", hand_over: str = "auto") -> int:
    """Check files, print the findings, and return the exit code: 0, or 2 with any fault.

    Args:
        files: or folders, of which every YAML and JSON file is checked; `-` is stdin.
        form: text, json for a program, or github for annotations in a pull request.
        hand_over: kong, plugin, or auto: as the files show it.
    """
    findings, summaries = [], []
    for file, is_named in _files_in(files):
        try:
            read = [one for one in read_documents(file, _is_read) if one.is_known or is_named]
        except ConfigError as error:
            # A folder has templates too, which are no YAML.
            if is_named or (file and PLUGIN.encode() in read_content(file)[1]):
                findings += [_unreadable(fault) for fault in error.faults]
            continue
        name = "-" if file is None else str(file)
        policies = [one.node for one in read if one.node is not None and is_policy_file(one.node.value)]
        if policies:
            found = list(policy_findings(file, policies[0]))
            findings += found
            summaries.append(f"{name}: policy file, {len(found) or 'no'} fault{'s' * (len(found) != 1)}")
            continue
        found, documents = [], []
        for one in read:
            document, functions = one.without(PRE_FUNCTION)
            document, loggers = document.without(HTTP_LOG)
            documents.append(document)
            for entry, fault in snippet_findings(document, functions):
                found.append(Finding(name, *entry.position(fault.field), entry.place, text_of(fault), is_fault=False))
            for entry, fault, is_fault in queue_findings(document, loggers, hand_over):
                found.append(Finding(name, *entry.position(fault.field), entry.place, text_of(fault), is_fault))
        found = [*_findings(name, documents), *found]
        findings += found
        summaries.append(_summary(name, documents, found))
    PRINTERS[form](findings)
    if form == "text" and summaries:
        print(*summaries, sep="\n")
    return 2 if any(one.is_fault for one in findings) else 0


def _is_read(name: str) -> bool:
    return name in {HTTP_LOG, PRE_FUNCTION} or _is_meant(name)


def _is_meant(name: str) -> bool:
    # Another name is another plugin's, unless it is so like ours that Kong would not find it.
    words = re.sub(r"[^a-z0-9]", "", name.lower())
    return (
        words == PLUGIN.replace("-", "")
        or name.lower() in _ALSO_MEANT
        or bool(get_close_matches(name, [PLUGIN], 1, 0.85))
    )


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
    entries = sum(len(one.entries) for one in documents if not one.is_ignored)
    faulty = len({one.place for one in findings if one.is_fault and one.place})
    around = sum(one.is_fault and not one.place for one in findings)
    more = f", {around} fault{'s' * (around > 1)} around them" if around else ""
    if not entries:
        return f"{name}: no {PLUGIN} entry"
    return f"{name}: {entries} {PLUGIN} {'entry' if entries == 1 else 'entries'}, {faulty} with faults{more}"


def _findings(name: str, documents: Sequence[Document]) -> Iterator[Finding]:
    for document in documents:
        for one in _of_document(name, document):
            yield replace(one, is_fault=False) if document.is_ignored else one
        if document.is_ignored and document.node:
            text = "Kong reads the first document of a file alone; this one is ignored"
            yield Finding(name, document.node.line, document.node.column, "", text, is_fault=False)


def _of_document(name: str, document: Document) -> Iterator[Finding]:
    for at, fault in document.faults:
        yield Finding(name, *at, "", text_of(fault))
    for at, text in document.warnings:
        yield Finding(name, *at, "", text, is_fault=False)
    for entry in document.entries:
        faults, warnings = inspect(entry.value, is_manifest=entry.manifest is not None, is_deck=document.is_deck)
        if any(one.startswith("consumer") for one in entry.scope) and not any(map(entry.value.get, _CONSUMERS)):
            faults.append(Fault("", "", "cannot belong to a consumer: the plugin runs before the consumer is known"))
        for fault in faults:
            yield Finding(name, *entry.position(fault.field), entry.place, text_of(fault))
        for key in entry.node.all_twice():
            text = f"{text_of(Fault(key.value, '', 'is written twice; the last one counts'))}"
            yield Finding(name, key.line, key.column, entry.place, text, is_fault=False)
        for field, warning in warnings:
            text = text_of(Fault(field, "", warning))
            yield Finding(name, *entry.position(field), entry.place, text, is_fault=False)


def faults_of(entry: Mapping[str, Any]) -> list[Fault]:
    """Return all faults of one entry; fields of its configuration begin with `config.`."""
    return inspect(entry)[0]


def inspect(
    entry: Mapping[str, Any], *, is_manifest: bool = False, is_deck: bool = False
) -> tuple[list[Fault], list[tuple[str, str]]]:
    """Return the faults of an entry, and warnings about settings that Kong accepts and that cannot work as written.

    Args:
        entry: as written; decK's placeholders in it are not checked.
        is_manifest: it is from a KongPlugin, which has other fields around its configuration.
        is_deck: it is in a file for decK, which takes a few fields more.

    Returns:
        All faults; and the warnings, each with its field, if the configuration has no fault.
    """
    fields = MANIFEST if is_manifest else [*ENTRY, *({name: {"type": "any"}} for name in DECK_FIELDS if is_deck)]
    faults, warnings = list(_entry_faults(entry, fields)), []
    config = entry.get("config")
    if PLACEHOLDER in str(config):
        text = "has decK placeholders, which are not checked; run `deck file render --populate-env-vars` first"
        warnings.append(("config", text))
        config = _without(config, lambda value: isinstance(value, str) and PLACEHOLDER in value)
    completed, found = complete(SCHEMA, config)
    if found and isinstance(config, dict):
        # The stages after the schema see the defaults of the fields in which the schema found a fault.
        broken = {re.split(r"[.\[]", fault.field)[0] for fault in found}
        completed, _ = complete(SCHEMA, {name: value for name, value in config.items() if name not in broken})
    if isinstance(config, dict) or not found:
        further, more = _beyond_the_schema(completed)
        found += further
        warnings += more if not found else ()
    for fault in found:
        faults.append(Fault(f"config.{fault.field}" if fault.field != "config" else "config", fault.value, fault.rule))
    return faults, warnings


def _entry_faults(entry: Mapping[str, Any], fields: FieldList) -> Iterator[Fault]:
    configurable = {name for field in SCHEMA for name in field}
    known = {name for field in fields for name in field}
    for fault in complete(fields, entry)[1]:
        if fault.field in known or fault.field.startswith(("protocols[", "tags[", "_ignore[")):
            yield fault
        elif fault.field == "ordering":
            yield Fault(fault.field, "", "no such field: open-source Kong has no ordering of plugins")
        elif fault.field in configurable:
            yield Fault(fault.field, "", "belongs under config: indent it further")
        elif fault.field not in _CONSUMERS or entry[fault.field] is None:
            yield fault
    if entry.get("config") and entry.get("configFrom"):
        yield Fault("configFrom", "", "cannot stand beside config: the Ingress Controller takes one of them")
    if "config" in entry and entry["config"] is None and "config" in known and "disabled" not in known:
        yield Fault("config", "", "is empty: indent its fields below it, or leave it out")
    if entry.get("name") != PLUGIN:
        yield Fault("name", json.dumps(entry.get("name")), f"must be {PLUGIN}")
    for name in _CONSUMERS:
        if entry.get(name) is not None:
            yield Fault(name, "", "cannot be set: the plugin runs before the consumer is known")
    if entry.get("protocols") in ([], {}):
        yield Fault("protocols", "", "is empty: the entry runs for no request and no connection; leave it out for HTTP")


def _beyond_the_schema(completed: Mapping[str, Any]) -> tuple[list[Fault], list[tuple[str, str]]]:
    # Kong resolves vault references before the plugin sees them.
    literal = list(_literal_references(completed, SCHEMA, "config"))
    completed = _resolved(completed, SCHEMA)
    key = completed["redaction"]["hash_key"]
    is_elsewhere = key is not None and key.startswith("/") and not Path(key).exists()
    if is_elsewhere:
        completed["redaction"]["hash_key"] = _RESOLVED
    faults: list[Fault] = []
    try:
        settings = Settings.from_completed(completed)
    except ConfigError as error:
        return list(error.faults), []
    stages: Sequence[Callable[[], object]] = (
        lambda: Rules.of(settings.sampling.rules),
        lambda: TailRules(settings.sampling.tail_rules),
        *(partial(Destination.from_settings, settings, os.environ, signal=signal) for signal in settings.signals),
        lambda: Body(settings.logs.body, settings.span.attributes),
        lambda: Redactor(settings.redaction),
    )
    for stage in stages:
        try:
            stage()
        except ConfigError as error:
            faults += error.faults
    faults += SpanRules.from_settings(settings, HttpMethods({}), CardinalityLimit()).faults
    if faults:
        return faults, []
    warnings = [*_warnings(settings), *literal]
    if is_elsewhere:
        warnings.append(("config.redaction.hash_key", "this file is not on this machine"))
    return faults, warnings


_RESOLVED = "resolved-by-kong-from-a-vault"
"""In the place of a vault reference; longer than the shortest key."""


def _resolved(value: Any, fields: FieldList) -> dict[str, Any]:
    """Return a completed record with a text in the place of each vault reference that Kong resolves."""
    found = dict(value)
    for name, definition in (pair for field in fields for pair in field.items()):
        elements = definition.get("elements", {})
        if definition["type"] == "record":
            found[name] = _resolved(found[name], definition["fields"])
        elif elements.get("type") == "record":
            found[name] = [_resolved(one, elements["fields"]) for one in found[name]]
        elif elements.get("referenceable"):
            found[name] = [one for one in found[name] if not is_vault_reference(one)]
        elif definition.get("referenceable") and is_vault_reference(found[name]):
            found[name] = _RESOLVED if name == "hash_key" else None if "match" in definition else value[name]
    return found


def _literal_references(value: Any, fields: FieldList, path: str) -> Iterator[tuple[str, str]]:
    """Find vault references that Kong does not resolve: in other fields, and within a longer text."""
    for name, definition in (pair for field in fields for pair in field.items()):
        yield from _literal(value[name], definition, f"{path}.{name}")


def _literal(value: Any, definition: Mapping[str, Any], path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str) and "{vault://" in value:
        if not definition.get("referenceable"):
            yield path, "Kong resolves no vault reference in this field: the text itself is used"
        elif not is_vault_reference(value):
            yield path, "Kong resolves a vault reference only if it is the whole text"
    elif isinstance(value, list):
        for number, one in enumerate(value, 1):
            yield from _literal(one, definition["elements"], f"{path}[{number}]")
    elif isinstance(value, dict):
        yield from _literal_references(value, definition["fields"], path)


def _without(value: Any, is_dropped: Callable[[Any], bool]) -> Any:
    if isinstance(value, dict):
        return {name: _without(one, is_dropped) for name, one in value.items() if not is_dropped(one)}
    if isinstance(value, list):
        return [_without(one, is_dropped) for one in value if not is_dropped(one)]
    return value


def _warnings(settings: Settings) -> Iterator[tuple[str, str]]:
    load = settings.sampling.load
    if load.high is not None and load.low >= load.high:
        yield "config.sampling.load.low", f"{load.low:g} is not below high, {load.high:g}: rates swing or stay low"
    if settings.sampling.rate == 0 and not settings.sampling.rules and not settings.sampling.tail_rules:
        yield "config.sampling.rate", "0 and no rule: only a caller's decision and sampling.keep keep traces"
    for number, rule in enumerate(settings.sampling.tail_rules, 1):
        if settings.sampling.keep.errors and rule.rate < 1 and any(one == 5 or one >= 500 for one in rule.statuses):
            place = f"config.sampling.tail_rules[{number}].statuses"
            yield place, "keep.errors keeps a 5xx before this rule is asked; set it to false"
    for name in ("rules", "tail_rules"):
        yield from _rule_warnings(getattr(settings.sampling, name), f"config.sampling.{name}")
    for field, text in endpoint_warnings(settings):
        yield f"config.{field}", text
    for warning in redaction_warnings(settings.redaction):
        field, _, text = warning.partition(" ")
        yield f"config.{field.rstrip(':')}", text


def _rule_warnings(rules: Sequence[SamplingRule], field: str) -> Iterator[tuple[str, str]]:
    catch_all = 0
    for number, rule in enumerate(rules, 1):
        conditions = {name: value for name, value in asdict(rule).items() if name not in {"name", "rate"}}
        if catch_all:
            yield f"{field}[{number}]", f"is never asked: rule {catch_all} before it matches every request"
        elif not any(conditions.values()):
            catch_all = number
        for fault in unmatchable(conditions, f"{field}[{number}]"):
            yield fault.field, f"{fault.value} {fault.rule}; no request matches it"
