"""A text with plugin entries replaced in their places; everything else in it, comments too, stays."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from otlp_tracing.commands.kong_files.documents import Entry
from otlp_tracing.commands.kong_files.nodes import Node
from otlp_tracing.commands.kong_files.yaml_parser import write_yaml
from otlp_tracing.errors import ConfigError, Fault

Edit = tuple[int, int, str]
"""Begin and end of a part of the text, in characters, and the text in its place."""

_COMMENT = re.compile(r"^[ \t]*(#.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Replacement:
    """A new plugin and its configuration for an entry.

    Args:
        entry: the old one.
        plugin: the new name.
        config: the new configuration, with at least one field.
        notes: lines that become comments above the configuration, where the form of the file has comments.
    """

    entry: Entry
    plugin: str
    config: Mapping[str, Any]
    notes: tuple[str, ...] = ()


def rewritten(content: bytes, replacements: Iterable[Replacement]) -> bytes:
    """Return a file in UTF-8 with entries replaced; the caller compares it with the old one.

    Raises:
        ConfigError: if it is in another encoding.
    """
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise ConfigError([Fault("--write", "", "takes files in UTF-8")]) from error
    edits = {begin: (end, new) for one in replacements for begin, end, new in _edits(text, one)}
    for begin, (end, new) in sorted(edits.items(), reverse=True):
        text = text[:begin] + new + text[end:]
    return text.encode()


def _edits(text: str, one: Replacement) -> Iterable[Edit]:
    fields, is_flow = one.entry.node.fields, one.entry.node.is_flow
    key, name = fields["plugin" if one.entry.manifest is not None else "name"]
    yield *name.span, json.dumps(one.plugin) if is_flow else one.plugin
    if is_flow:
        made = json.dumps(one.config, ensure_ascii=False)
        if "config" in fields:
            yield *fields["config"][1].span, made if fields["config"][1].value is not None else f" {made}"
        else:
            yield name.span[1], name.span[1], f', "config": {made}'
    elif "config" in fields:
        its_key, value = fields["config"]
        begin, end = its_key.span[1], max(value.span[1], its_key.span[1] + 1)
        yield begin, end, _block(text[begin:end], its_key, one)
    else:
        indent = " " * (key.column - 1)
        yield name.span[1], name.span[1], f"\n{indent}config{_block('', key, one)}"


def _block(old: str, key: Node, one: Replacement) -> str:
    # Comments of the old configuration stay; they may say why a value was chosen.
    comments = [f"# {note}" for note in one.notes] + _COMMENT.findall(old)
    dumped = write_yaml(dict(one.config)).rstrip("\n")
    lines = textwrap.indent("\n".join([*comments, dumped]), " " * (key.column + 1))
    return f":\n{lines}" + ("\n" if old.endswith("\n") else "")
