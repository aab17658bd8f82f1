"""`otlp-tracing check`: every fault of every otlp-tracing entry of some files, at once, with its place."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from otlp_tracing.commands.check.entry_rules import inspect_in_file
from otlp_tracing.commands.check.findings import PRINTERS, Finding, text_of
from otlp_tracing.commands.check.http_log_pairs import HTTP_LOG, queue_findings
from otlp_tracing.commands.check.policy_file import policy_findings
from otlp_tracing.commands.convert.equivalent import BUNDLED
from otlp_tracing.commands.kong_files.documents import Document
from otlp_tracing.commands.kong_files.entities import PLUGIN
from otlp_tracing.commands.kong_files.plugin_name import is_meant
from otlp_tracing.commands.kong_files.reader import SUFFIXES, UnreadableFileError, read_content, read_documents
from otlp_tracing.commands.nginx_snippet import PRE_FUNCTION, snippet_findings
from otlp_tracing.commands.option_kinds import choice
from otlp_tracing.commands.options import OptionParser
from otlp_tracing.config.policies import is_policy_file
from otlp_tracing.errors import ConfigError, Fault
from otlp_tracing.paths import typed_command

EXAMPLE = "otlp-tracing check kong.yml"
_DESCRIPTION = """\
Find every fault of the otlp-tracing entries in files, as Kong would, without a Kong.

It reads declarative configurations (kong.yml, also decK's), KongPlugin and KongClusterPlugin manifests, bodies and
answers of the Admin API, and policy files (serve --policy-file). A finding is
`FILE:LINE:COLUMN: scope: field: rule`. Values of headers and keys are not shown.
With --from it converts entries of Kong's bundled opentelemetry and zipkin plugins.

exit codes: 0 no fault, 2 a fault; a warning is no fault."""


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
        from otlp_tracing.commands.check.redaction_preview import show  # noqa: PLC0415 - seldom needed

        if len(options.files) > 1:
            raise ConfigError([Fault("check", "", "takes one kong.yml with --redaction")])
        return show(options.redaction, next(iter(options.files), None))
    if bool(options.files) == (options.bundled is not None):
        raise ConfigError([Fault("check", "", "takes a kong.yml to check, or --from and one to convert")])
    if options.write is not None and options.bundled is None:
        raise ConfigError([Fault("--write", "", "goes with --from")])
    if options.bundled is not None:
        from otlp_tracing.commands.convert.conversion import convert  # noqa: PLC0415 - seldom needed

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
        except UnreadableFileError as error:
            # A folder has templates too, which are no YAML.
            if is_named or (file and PLUGIN.encode() in read_content(file)[1]):
                findings.append(Finding(error.file, error.line, error.column, "", error.reason))
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
        summaries.append(_summary(name, documents, found) + _bundled_hint(file, documents))
    PRINTERS[form](findings)
    if form == "text" and summaries:
        print(*summaries, sep="\n")
    return 2 if any(one.is_fault for one in findings) else 0


def _is_read(name: str) -> bool:
    return name in {HTTP_LOG, PRE_FUNCTION} or is_meant(name)


def _files_in(files: Iterable[Path]) -> Iterator[tuple[Path | None, bool]]:
    for file in files:
        if file.is_dir():
            yield from ((one, False) for one in sorted(file.rglob("*")) if one.suffix in SUFFIXES and one.is_file())
        else:
            yield (None if str(file) == "-" else file), True


def _summary(name: str, documents: Sequence[Document], findings: Sequence[Finding]) -> str:
    entries = sum(len(one.entries) for one in documents if not one.is_ignored)
    faulty = len({one.place for one in findings if one.is_fault and one.place})
    around = sum(one.is_fault and not one.place for one in findings)
    more = f", {around} fault{'s' * (around > 1)} around them" if around else ""
    if not entries:
        return f"{name}: no {PLUGIN} entry"
    return f"{name}: {entries} {PLUGIN} {'entry' if entries == 1 else 'entries'}, {faulty} with faults{more}"


def _bundled_hint(file: Path | None, documents: Sequence[Document]) -> str:
    """Return a hint at --from, for a file without entries of this plugin that has some of Kong's bundled plugins."""
    if file is None or any(one.entries for one in documents):
        return ""
    others = [entry.value["name"] for one in read_documents(file, BUNDLED.__contains__) for entry in one.entries]
    if not others:
        return ""
    converted = typed_command("check", "--from", str(file))
    return f"; it has {', '.join(sorted({*others}))}, and this command prints entries that replace it: {converted}"


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
        faults, warnings = inspect_in_file(entry, is_deck=document.is_deck)
        for fault in faults:
            yield Finding(name, *entry.position(fault.field), entry.place, text_of(fault))
        for key in entry.node.all_twice():
            text = text_of(Fault(key.value, "", "is written twice; the last one counts"))
            yield Finding(name, key.line, key.column, entry.place, text, is_fault=False)
        for field, warning in warnings:
            text = text_of(Fault(field, "", warning))
            yield Finding(name, *entry.position(field), entry.place, text, is_fault=False)
