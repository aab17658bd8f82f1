"""Every command that a document or a shipped file tells its reader to type, found in the text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from checkout import CHECKOUT

SHOWN: dict[str, dict[str, Any]] = yaml.safe_load(
    (CHECKOUT / "tests" / "testdata" / "documented_commands.yaml").read_text()
)
"""Every command, and how it is shown to work. The file explains its keys."""

# The start of a command, behind any variables. In running text `make demo` is a command and `text/html` is not.
PROGRAMS = (
    r"(?:[\w./~-]*/)?(?:amtool|curl|deck|docker|env|git|kong|kubectl|kustomize|make|openssl|otelcol-contrib|otlp-tracing"
    r"|pip|pipx|podman|printf|promtool|pytest|python3?|sh|sudo|systemctl|uv)"
)
COMMAND = re.compile(rf"(?:[A-Z][A-Z0-9_]*=\S* +)*{PROGRAMS} +\S")
# A command that Kong runs.
DIRECTIVE = re.compile(r"\s*(?:#.*|pluginserver_\w+_cmd *= *(?P<command>.+))?")
COMMENT = re.compile(r"\s{2,}#\s.*|\s{2,}(?:#.*)?$")
SHELLS = frozenset({"sh", "bash", "shell", "console"})


def documents() -> list[Path]:
    """Every page that a reader may follow."""
    pages = [CHECKOUT / name for name in ("README.md", "CONTRIBUTING.md")]
    return [*pages, *sorted((CHECKOUT / "docs").rglob("*.md")), *sorted((CHECKOUT / "examples").rglob("README.md"))]


def shipped() -> list[Path]:
    """Every shipped file that may explain its use in its first comment."""
    files = [path for folder in ("kong", "examples") for path in sorted((CHECKOUT / folder).rglob("*"))]
    return [
        *sorted(CHECKOUT.glob("Dockerfile*")),
        *(path for path in files if path.is_file() and path.suffix in {".conf", ".sh", ".yaml", ".yml", ""}),
    ]


def commands_of(path: Path) -> list[str]:
    """Find a file's commands, unchanged, without the comment behind each."""
    lines = path.read_text().splitlines()
    return list(_of_document(lines) if path.suffix == ".md" else _of_first_comment(lines))


def _of_document(lines: list[str]) -> Iterator[str]:
    fence: str | None = None
    indented, before = False, ""
    for line in _joined(lines):
        if line.startswith("```"):
            fence = line[3:].strip() if fence is None else None
        elif fence is not None:
            directive = DIRECTIVE.fullmatch(line)
            if fence in SHELLS and line.strip() and not line.startswith("#"):
                yield COMMENT.sub("", line).removeprefix("$ ")
            elif not fence and directive and directive["command"]:
                yield directive["command"]
        elif line.startswith("    ") and (indented or not before.strip()):
            indented = True
            yield COMMENT.sub("", line.strip())
        else:
            indented = False
            yield from (code for code in re.findall(r"`([^`]+)`", line) if COMMAND.match(code))
        before = line


def _of_first_comment(lines: list[str]) -> Iterator[str]:
    for line in _joined(lines):
        if not line.startswith("#"):
            return
        found = re.match(r"#(?: {3,}|\t)(?P<command>\S.*)", line)
        # Variables with their meaning, as a script lists them, are not commands.
        if found and not re.match(r"[A-Z_, ]+(?:\s{2,}|$)", found["command"]):
            yield COMMENT.sub("", re.sub(r"\s{3,}.*", "", found["command"]))


def _joined(lines: list[str]) -> Iterator[str]:
    """Lines, those that end with a backslash together with the next."""
    held = ""
    for line in lines:
        if line.endswith("\\"):
            held += line[:-1].rstrip() + " "
        else:
            yield held + (line.lstrip("# ") if held else line)
            held = ""
