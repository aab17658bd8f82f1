"""Reads a file as Kong, decK or kubectl would: its bytes, its format by its name, its documents."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from otlp_tracing.commands.kong_files.documents import Document
from otlp_tracing.commands.kong_files.entities import PLACEHOLDER
from otlp_tracing.commands.kong_files.entry_finder import find_entries, is_declaration
from otlp_tracing.commands.kong_files.json_parser import read_json
from otlp_tracing.commands.kong_files.nodes import Node, UnreadableError
from otlp_tracing.commands.kong_files.yaml_parser import read_yaml
from otlp_tracing.errors import ConfigError, Fault

SUFFIXES = frozenset({".yml", ".yaml", ".json"})
"""Of the files of a folder that are read."""
_MOST_BYTES = 64 << 20  # far more than the largest kong.yml


class UnreadableFileError(ConfigError):
    """A file that cannot be read, or is neither YAML nor JSON.

    Args:
        file: its name.
        reason: the end of a sentence.
        line: from 1; None if the fault has no place in the file.
        column: from 1.
    """

    def __init__(self, file: str, reason: str, line: int | None = None, column: int = 1) -> None:
        super().__init__([Fault(file if line is None else f"{file}:{line}:{column}", "", reason)])
        self.file, self.reason, self.line, self.column = file, reason, line or 1, column


def read_documents(path: Path | None, is_wanted: Callable[[str], bool]) -> list[Document]:
    """Read a file's documents.

    Args:
        path: of the file; None reads stdin.
        is_wanted: tells from a plugin's name whether its entries are wanted.

    Raises:
        UnreadableFileError: if it cannot be read, or is neither YAML nor JSON.
    """
    name, content = read_content(path)
    try:
        nodes = _nodes(content, name)
    except UnreadableError as error:
        raise UnreadableFileError(name, error.reason, error.line, error.column) from error
    if not any(node.value is not None for node in nodes):
        raise UnreadableFileError(name, "is empty", 1)
    # Kong reads the first document, even an empty one; kubectl skips every empty one.
    is_manifest = any(isinstance(node.value, dict) and "kind" in node.value for node in nodes)
    nodes = [node for number, node in enumerate(nodes) if node.value is not None or (number == 0 and not is_manifest)]
    documents = [find_entries(node, is_wanted, has_placeholders=PLACEHOLDER.encode() in content) for node in nodes]
    for number, one in enumerate(documents):
        one.is_ignored = number > 0 and is_declaration(one.node)
    return documents


def read_content(path: Path | None) -> tuple[str, bytes]:
    """Read a file, or stdin; return its name and its bytes.

    Raises:
        UnreadableFileError: if it cannot be read.
    """
    name = "-" if path is None else str(path)
    try:
        if path is None:
            return name, sys.stdin.buffer.read(_MOST_BYTES)
        with path.open("rb") as file:
            return name, file.read(_MOST_BYTES)
    except OSError as error:
        raise UnreadableFileError(name, f"cannot be read: {error.strerror}") from error


def _nodes(content: bytes, name: str) -> list[Node]:
    # Kong reads a file by its suffix. It takes the body of a request for JSON first; stdin has no suffix either.
    text = content.decode("utf-8", "surrogateescape")
    if name.endswith(".json"):
        return [read_json(text)] if text.strip() else []
    if name == "-":
        try:
            return [read_json(text)]
        except UnreadableError:
            pass
    return read_yaml(content)
