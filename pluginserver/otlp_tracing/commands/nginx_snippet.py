"""The `pre-function` snippet that puts facts of nginx into Kong's log record: its forms, and findings about copies.

For each request Kong runs one pre-function entry, the one of the narrowest scope. So a narrower entry without the
snippet takes the facts from its requests.

Source: kong/runloop/plugins_iterator.lua of Kong 3.9.3 (lookup_cfg); kong/plugins/pre-function/_schema.lua.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator, Sequence

from otlp_tracing.commands.kong_files.documents import Document, Entry
from otlp_tracing.errors import Fault
from otlp_tracing.paths import NGINX_FACTS, typed_command
from otlp_tracing.sidecar.ingest.nginx_facts import LOG_FIELD, VERSION

PRE_FUNCTION = "pre-function"
_PHASE = "log"
_HEAD = """\
# Facts of nginx on spans (docs/nginx-facts.md). Add this entry to the plugins of your kong.yml. If pre-function is
# there already, add the text to the list `log` of its config.
_format_version: "3.0"

plugins:
  - name: pre-function
    config:
      log:
        - |
"""


def dump_command() -> str:
    """Return the command that prints the snippet."""
    return typed_command("dump", "--format", "nginx-facts")


def as_kong_yml() -> str:
    """Return the entry as a declarative configuration."""
    text = textwrap.indent(NGINX_FACTS.read_text(), " " * 10, lambda line: bool(line.strip()))
    return _HEAD + text


def as_json() -> str:
    """Return the entry as the body of a request to the Admin API."""
    return json.dumps({"name": PRE_FUNCTION, "config": {_PHASE: [NGINX_FACTS.read_text()]}}) + "\n"


def snippet_findings(document: Document, functions: Sequence[Entry]) -> Iterator[tuple[Entry, Fault]]:
    """Return the findings about one document, each with its entry; Kong accepts them all.

    Args:
        document: with the entries of the plugin.
        functions: its entries of pre-function.
    """
    functions = [one for one in functions if one.value.get("enabled", True)]
    for function in functions:
        for phase, number, text in _snippets(function):
            field = f"config.{phase}[{number}]"
            if phase != _PHASE:
                yield function, Fault(field, "", f"must be in config.{_PHASE}: nginx knows the times at the end alone")
            elif _lines(text) != _lines(NGINX_FACTS.read_text()):
                yield function, Fault(field, "", f"{_difference(text)}; replace it by that of `{dump_command()}`")
    with_snippet = [one.scope for one in functions if any(_snippets(one))]
    entries = [one.scope for one in document.entries if one.manifest is None and one.value.get("enabled", True)]
    for function in functions:
        scope = function.scope
        is_traced = any(one.covers(scope) or scope.covers(one) for one in entries)
        is_narrow = any(one.covers(scope) and one.identity != scope.identity for one in with_snippet)
        if function.manifest is None and is_traced and is_narrow and not any(_snippets(function)):
            text = f"takes the place of the pre-function with the nginx snippet: add the snippet to its {_PHASE} too"
            yield function, Fault("", "", text)


def has_snippet(functions: Sequence[Entry]) -> bool:
    """Tell whether an entry has the snippet, in whatever version."""
    return any(any(_snippets(one)) for one in functions)


def _snippets(function: Entry) -> Iterator[tuple[str, int, str]]:
    config = function.value.get("config")
    for phase, texts in config.items() if isinstance(config, dict) else ():
        for number, text in enumerate(texts if isinstance(texts, list) else (), 1):
            if isinstance(text, str) and LOG_FIELD in text:
                yield phase, number, text


def _difference(text: str) -> str:
    found = re.search(r"\bversion = (\d{1,9})\b", text)
    if found and int(found[1]) != VERSION:
        return f"is version {int(found[1])} of the nginx snippet, and this package reads version {VERSION}"
    return "differs from the nginx snippet of this package"


def _lines(text: str) -> list[str]:
    # Indentation and comments do not change it.
    return [line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith("--")]
