"""`otlp-tracing check --from`: entries of Kong's bundled opentelemetry and zipkin plugins as otlp-tracing entries.

An entry keeps its scope, enabled, protocols, tags and instance name. An entry that cannot be carried over is left as it
is, and the reason is said.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from otlp_tracing.commands.check.entry_rules import faults_of
from otlp_tracing.commands.convert.equivalent import BUNDLED, Config, equivalent
from otlp_tracing.commands.convert.rewrite import Replacement, rewritten
from otlp_tracing.commands.kong_files.documents import Document, Entry
from otlp_tracing.commands.kong_files.entities import PLUGIN
from otlp_tracing.commands.kong_files.reader import read_content, read_documents
from otlp_tracing.commands.kong_files.yaml_parser import write_yaml
from otlp_tracing.commands.screen import printable
from otlp_tracing.errors import ConfigError, Fault

_KEPT = ("instance_name", "enabled", "protocols", "tags", "service", "route")
"""Fields of an entry, beside its name and its configuration, that stay as they are."""
_PATCHES = (
    "configPatches: its paths are those of the old configuration; correct them: headers are a list of `name: value`"
)


@dataclass(frozen=True)
class Conversion:
    """An entry of a bundled plugin.

    Args:
        entry: the old one.
        config: the new configuration.
        notes: a sentence for each field that has no equivalent, or asks for a decision.
        reason: for which the entry is left as it is; empty if it is converted.
    """

    entry: Entry
    config: Config
    notes: tuple[str, ...]
    reason: str = ""


def convert(path: Path, output: Path | None = None) -> int:
    """Print the equivalents of a file's bundled tracing entries, or write the file with them; return the exit code.

    Args:
        path: of the file; `-` is stdin.
        output: of the whole file, with each entry replaced in its place; None prints the entries alone.

    Returns:
        0 if an entry was converted, and each passes the check; otherwise 2.

    Raises:
        ConfigError: if the file cannot be read or written.
    """
    source = None if str(path) == "-" else path
    if source is None and output:
        raise ConfigError([Fault("--write", "", "needs a file to convert: stdin cannot be read twice")])
    documents = read_documents(source, lambda name: name in BUNDLED or name == PLUGIN)
    found = [one for document in documents if not document.is_ignored for one in _conversions(document)]
    done = [one for one in found if not one.reason]
    if output and done:
        _write(path, output, done)
    for one in found:
        (_report if output else _print)(one)
    faults = [(one, fault) for one in done for fault in faults_of(_whole(one))]
    for one, fault in faults:
        print(f"{path}: {one.entry.place}: {fault.field}: {fault.rule}", file=sys.stderr)
    if not found:
        print(f"{path}: no entry of {' or '.join(BUNDLED)}", file=sys.stderr)
    return 2 if faults or not done else 0


def _conversions(document: Document) -> Iterator[Conversion]:
    taken: dict[object, str] = {
        one.scope: f"in line {one.position('')[0]}" for one in document.entries if one.value["name"] == PLUGIN
    }
    old = [one for one in document.entries if one.value["name"] != PLUGIN]
    for entry in sorted(old, key=lambda one: BUNDLED.index(one.value["name"])):
        key = entry.scope if entry.manifest is None else id(entry.node)
        reason = _reason_to_leave(entry)
        if not reason and key in taken:
            reason = f"its scope has the {PLUGIN} entry {taken[key]}, and can have one alone"
        if reason:
            yield Conversion(entry, {}, (), reason)
            continue
        taken[key] = f"that replaces {entry.value['name']} in line {entry.position('')[0]}"
        made = equivalent(entry.value["name"], entry.value.get("config") or {})
        yield Conversion(entry, made.config, (*made.notes, *([_PATCHES] if entry.value.get("configPatches") else ())))


def _reason_to_leave(entry: Entry) -> str:
    config = entry.value.get("config")
    if entry.scope.has_consumer:
        return f"it belongs to a consumer, and {PLUGIN} runs before the consumer is known"
    if entry.value.get("protocols") == []:
        return "it runs for no protocol"
    if entry.value.get("configFrom"):
        return "its configuration is in a Secret, which is not in this file"
    endpoints = config if isinstance(config, dict) else {}
    if endpoints.get("logs_endpoint") and not (endpoints.get("traces_endpoint") or endpoints.get("endpoint")):
        return "it has no endpoint for traces: it sends logs alone"
    return ""


def _whole(one: Conversion) -> Config:
    """Return the new entry, with the service or route that the old one is nested in."""
    value = one.entry.value
    made: Config = {"name": PLUGIN, **{key: value[key] for key in _KEPT if value.get(key) is not None}}
    scope = one.entry.scope
    for kind, name in (("route", scope.route), ("service", scope.service)):
        if isinstance(name, str) and not made.keys() & {"route", "service"}:
            made[kind] = name
    return {**made, "config": one.config}


def _print(one: Conversion) -> None:
    name = one.entry.value["name"]
    if one.reason:
        print(f"# {_line(f'{one.entry.place}: {name} is left as it is: {one.reason}')}\n")
        return
    if one.entry.manifest is not None:
        print("---")
    print(f"# {_line(f'{one.entry.place}: instead of {name}')}")
    if one.config.get("headers"):
        print("# It has the values of headers: keep it as safe as the file.")
    for note in one.notes:
        print(f"#   {_line(note)}")
    written: object = [_whole(one)]
    if one.entry.manifest is not None:
        written = {**one.entry.manifest, "plugin": PLUGIN, "config": one.config}
    print(write_yaml(written))


def _report(one: Conversion) -> None:
    name = one.entry.value["name"]
    place = f"line {one.entry.position('')[0]}, {one.entry.place}: {name}"
    print(_line(f"{place} is left as it is: {one.reason}" if one.reason else f"{place} is {PLUGIN} now"))
    for note in one.notes:
        print(f"  {_line(note)}")


def _write(path: Path, output: Path, done: Sequence[Conversion]) -> None:
    replacements = [Replacement(one.entry, PLUGIN, one.config, tuple(map(_line, one.notes))) for one in done]
    content = rewritten(read_content(path)[1], replacements)
    partial = output.with_name(f".{output.name}.{os.getpid()}{path.suffix}")
    try:
        # The values of headers are in it: it is for the owner, as the old file is.
        partial.touch(mode=path.stat().st_mode & 0o777)
        partial.write_bytes(content)
        _verify(path, partial, replacements)
        partial.replace(output)
    except OSError as error:
        raise ConfigError([Fault(str(output), "", f"cannot be written: {error.strerror}")]) from error
    finally:
        partial.unlink(missing_ok=True)


def _verify(path: Path, written: Path, replacements: Sequence[Replacement]) -> None:
    """Compare the new file with the old one: nothing else may have changed.

    An anchor in an entry, or an alias for one, is where a text in another place counts.
    """
    try:
        before = [_without_entries(one.node.value) for one in read_documents(path, BUNDLED.__contains__) if one.node]
        documents = read_documents(written, PLUGIN.__eq__)
        after = [_without_entries(one.node.value) for one in documents if one.node]
        made = [entry.value.get("config") for document in documents for entry in document.entries]
    except ConfigError:
        before, after, made = [], [None], []
    if before != after or not all(one.config in made for one in replacements):
        rule = "has an anchor or alias in an entry to convert: nothing is written; convert it without --write"
        raise ConfigError([Fault(str(path), "", rule)])


def _without_entries(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_entries(one) for one in value]
    if not isinstance(value, dict):
        return value
    if any(value.get(name) in (*BUNDLED, PLUGIN) for name in ("name", "plugin")):
        return {key: one for key, one in value.items() if key not in {"name", "plugin", "config"}}
    return {key: _without_entries(one) for key, one in value.items()}


def _line(text: str) -> str:
    return printable(" ".join(text.split()))
