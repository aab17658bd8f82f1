"""The entries of a kong.yml, and the commands that set a field of one.

A command is offered only if its edit was tried on a copy and changes that field alone.
"""

from __future__ import annotations

import copy
import re
import shlex
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from otlp_tracing.commands.check.entry_rules import inspect_in_file
from otlp_tracing.commands.check.findings import text_of
from otlp_tracing.commands.check.http_log_pairs import HTTP_LOG, is_for_sidecar, queue_findings
from otlp_tracing.commands.doctor.findings import Finding, unasked
from otlp_tracing.commands.kong_files.documents import Document, Entry
from otlp_tracing.commands.kong_files.entities import PLUGIN, STREAM_PROTOCOLS
from otlp_tracing.commands.kong_files.nodes import Node
from otlp_tracing.commands.kong_files.plugin_name import is_meant
from otlp_tracing.commands.kong_files.reader import read_documents
from otlp_tracing.commands.nginx_snippet import PRE_FUNCTION, dump_command, has_snippet, snippet_findings
from otlp_tracing.config.settings import Settings
from otlp_tracing.errors import ConfigError
from otlp_tracing.paths import typed_command


@dataclass(frozen=True)
class ConfiguredEntry:
    """One entry, with its settings."""

    file: Path
    entry: Entry
    settings: Settings

    @property
    def place(self) -> str:
        """Return file, line and scope, for a person."""
        line, _ = self.entry.position("")
        return f"{self.file}:{line} ({self.entry.place})"

    def set_command(self, field: str, value: str) -> str:
        """Return the command that sets a field; if no edit of one line does, the command that opens the file there.

        Args:
            field: `config.protocol`, or `config.headers[1]`.
            value: as YAML writes it in one line.
        """
        for script in _scripts(self.entry.node, field, value):
            if self._is_right(script, field):
                return f"sed -i {shlex.quote(script.sed)} {shlex.quote(str(self.file))}"
        line, _ = self.entry.position(field)
        return f"vi +{line} {shlex.quote(str(self.file))}"

    def _is_right(self, script: _Script, field: str) -> bool:
        try:
            lines = self.file.read_text().split("\n")
            with tempfile.NamedTemporaryFile("w", suffix=".yml") as edited:
                edited.write("\n".join(script.apply(lines)))
                edited.flush()
                after = _entries(Path(edited.name))
        except (OSError, UnicodeDecodeError, ConfigError, IndexError):
            return False
        before = _entries(self.file)
        if len(before) != len(after):
            return False
        same = [one.place for one in before] == [one.place for one in after]
        changed = [(old.value, new.value) for old, new in zip(before, after, strict=True) if old.value != new.value]
        return same and len(changed) == 1 and _without(changed[0][0], field) == _without(changed[0][1], field)


@dataclass(frozen=True)
class _Script:
    """An edit of one line: as sed does it, and as Python does it.

    Args:
        line: from 1.
        pattern: of the replaced text, which means the same to both; empty inserts a line before this one.
        text: the new one.
    """

    line: int
    pattern: str
    text: str

    @property
    def sed(self) -> str:
        text = re.sub(r"[|&\\]", r"\\\g<0>", self.text)
        return f"{self.line}s|{self.pattern}|{text}|" if self.pattern else f"{self.line}i\\{text}"

    def apply(self, lines: list[str]) -> list[str]:
        number = self.line - 1
        if not self.pattern:
            return [*lines[:number], self.text, *lines[number:]]
        return [*lines[:number], re.sub(self.pattern, lambda _: self.text, lines[number], count=1), *lines[self.line :]]


def read_entries(file: Path) -> tuple[list[ConfiguredEntry], list[Finding]]:
    """Read the entries that are enabled, and say which cannot be used.

    Args:
        file: a kong.yml, decK file or KongPlugin.
    """
    check = typed_command("check", str(file))
    try:
        read = read_documents(file, lambda name: name in {PRE_FUNCTION, HTTP_LOG} or is_meant(name))
    except ConfigError as error:
        return [], [Finding("FAIL", str(file), "; ".join(fault.rule for fault in error.faults), check)]
    parted = []
    for document in read:
        if not document.is_ignored:
            rest, functions = document.without(PRE_FUNCTION)
            parted.append((*rest.without(HTTP_LOG), functions))
    documents = [document for document, _, _ in parted]
    used, findings = [], []
    for document in documents:
        for (line, _), fault in document.faults:
            findings.append(Finding("FAIL", f"{file}:{line}", text_of(fault), check))
        for entry in document.entries:
            one = _configured(file, entry, is_deck=document.is_deck)
            if isinstance(one, Finding):
                findings.append(replace(one, command=one.command or check))
            else:
                used.append(one)
                findings += _about_connections(one)
    if not any(document.entries for document in documents):
        text = f"has no entry of {PLUGIN}: no request is traced"
        findings.append(Finding("FAIL", str(file), text, _add_command(file)))
    elif used:
        count = "1 entry" if len(used) == 1 else f"{len(used)} entries"
        findings.insert(0, Finding("ok", str(file), f"{count} of {PLUGIN}"))
    for document, _, functions in parted:
        findings += _snippet_findings(file, document, functions)
    for document, loggers, _ in parted if used else ():
        findings += _queue_findings(file, document, loggers, check)
    return used, findings


def _queue_findings(file: Path, document: Document, loggers: list[Entry], check: str) -> Iterator[Finding]:
    """Tell whether the http-log entries bring the records to the sidecar, if one is for it."""
    about = list(queue_findings(document, loggers, "auto"))
    for entry, fault, is_fault in about:
        place = f"{file}:{entry.position(fault.field)[0]}"
        yield Finding("FAIL" if is_fault else "warn", place, f"http-log: {text_of(fault)}", check)
    if loggers and not about:
        is_ours = any(map(is_for_sidecar, loggers))
        text = "brings the records to the sidecar" if is_ours else "is for another server, not for the sidecar"
        yield Finding("note", str(file), f"http-log {text}")


def _snippet_findings(file: Path, document: Document, functions: list[Entry]) -> Iterator[Finding]:
    wrong = [*snippet_findings(document, functions)]
    for entry, fault in wrong:
        yield Finding(
            "warn", f"{file}:{entry.position(fault.field)[0]}", f"nginx facts: {text_of(fault)}", dump_command()
        )
    if has_snippet(functions) and not wrong:
        yield Finding("ok", str(file), "the nginx snippet is that of this package")


def _configured(file: Path, entry: Entry, *, is_deck: bool) -> ConfiguredEntry | Finding:
    place = f"{file}:{entry.position('')[0]}"
    faults, _ = inspect_in_file(entry, is_deck=is_deck)
    if faults:
        text = f"the entry ({entry.place}) has faults: {', '.join(fault.field or fault.rule for fault in faults[:3])}"
        return Finding("FAIL", place, text)
    try:
        settings = Settings.from_config(entry.value.get("config") or {})
    except ConfigError:
        return unasked(place, f"the entry ({entry.place}) has placeholders of decK")
    one = ConfiguredEntry(file, entry, settings)
    if entry.value.get("disabled") is True:
        text = f"the entry ({entry.place}) is switched off"
        return Finding("warn", place, text, one.set_command("disabled", "false"))
    if entry.value.get("enabled") is False:
        return Finding("warn", place, f"the entry ({entry.place}) is switched off", one.set_command("enabled", "true"))
    return one


def _about_connections(one: ConfiguredEntry) -> Iterator[Finding]:
    protocols = one.entry.value.get("protocols")
    if isinstance(protocols, list) and not {*STREAM_PROTOCOLS}.isdisjoint(protocols):
        text = f"the entry ({one.entry.place}) takes connections: Kong 3.4 hands them over by its own queue alone"
        yield Finding("note", f"{one.file}:{one.entry.position('protocols')[0]}", text)


def _entries(file: Path) -> list[Entry]:
    return [entry for document in read_documents(file, PLUGIN.__eq__) for entry in document.entries]


def _add_command(file: Path) -> str:
    quoted = shlex.quote(str(file))
    try:
        has_plugins = re.search(r"^plugins:\s*$", file.read_text(), re.MULTILINE)
    except (OSError, UnicodeDecodeError):
        has_plugins = None
    if has_plugins:
        return f"sed -i '/^plugins:/a\\- name: {PLUGIN}' {quoted}"
    return f"printf 'plugins:\\n- name: {PLUGIN}\\n' >>{quoted}"


def _scripts(entry: Node, field: str, value: str) -> Iterator[_Script]:
    """Give the edits that may set a field, the most specific first."""
    node = entry
    names = re.findall(r"[^.\[\]]+", field)
    for depth, name in enumerate(names):
        rest = names[depth + 1 :]
        text = f"{name}: " + "".join(f"{{{one}: " for one in rest) + value + "}" * len(rest)
        if name.isdecimal() and int(name) <= len(node.items):
            node = node.items[int(name) - 1]
            if not rest:
                yield _Script(node.line, "- .*", f"- {value}")
        elif not isinstance(node.value, dict):
            return
        elif name not in node.fields:
            # Before a field of the same record; the first may be behind the dash of a list.
            for key, _ in [*node.fields.values()][:2]:
                yield _Script(key.line, "", " " * (key.column - 1) + text)
            return
        else:
            key, node = node.fields[name]
            if not rest or node.value in (None, "", {}, []):
                for pattern in (f"{name}:.*", f"{name}: *[^,}}]*"):  # a field of its own line, or one of several
                    yield _Script(key.line, pattern, text)


def _without(value: Mapping[str, Any], field: str) -> Any:
    """Return an entry without a field, and without the records that are empty then."""
    left = copy.deepcopy(dict(value))
    names = re.findall(r"[^.\[\]]+", field)
    parents: list[Any] = [left]
    for name in names[:-1]:
        parent = parents[-1]
        child = parent.get(name) if isinstance(parent, dict) else None
        if child is None:
            return _pruned(left)
        parents.append(child)
    if isinstance(parents[-1], dict):
        parents[-1].pop(names[-1], None)
    elif isinstance(parents[-1], list) and names[-1].isdecimal() and int(names[-1]) <= len(parents[-1]):
        parents[-1][int(names[-1]) - 1] = None
    return _pruned(left)


def _pruned(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: one for name, one in ((name, _pruned(one)) for name, one in value.items()) if one not in ({}, None)
        }
    return value
