"""Promises of commands/nginx_snippet.py, through `check` and `dump`."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from checkout import CHECKOUT
from otlp_tracing.commands.check.command import check
from otlp_tracing.commands.nginx_snippet import as_json, as_kong_yml
from otlp_tracing.paths import NGINX_FACTS, command_line

TEXT = NGINX_FACTS.read_text()
TRACING: dict[str, Any] = {"name": "otlp-tracing"}
OTHER: dict[str, Any] = {"name": "pre-function", "config": {"access": ["return 1"]}}


def function(text: str, phase: str = "log") -> dict[str, Any]:
    return {"name": "pre-function", "config": {phase: ["local a = 1", text]}}


def content(top: list[Any], route: list[Any]) -> dict[str, Any]:
    routes = [{"name": "r", "paths": ["/r"], "plugins": route}]
    return {
        "_format_version": "3.0",
        "services": [{"name": "s", "url": "http://s", "routes": routes}],
        "plugins": top,
    }


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    def run(document: dict[str, Any]) -> tuple[int, str]:
        file = tmp_path / "kong.yml"
        file.write_text(yaml.safe_dump(document, sort_keys=False))
        return check([file]), capsys.readouterr().err

    return run


@pytest.mark.parametrize(
    "document",
    [
        content([TRACING, function(TEXT)], []),
        content([TRACING, function("".join(f"   {line}\n\n" for line in TEXT.splitlines()[1:]))], []),
        content([TRACING, OTHER], [OTHER]),
        content([function(TEXT)], [TRACING, function(TEXT)]),
        content([], [TRACING, OTHER]),
        content([TRACING, function(TEXT)], [{**OTHER, "enabled": False}]),
    ],
)
def test_the_shipped_snippet_has_no_finding(run: Any, document: dict[str, Any]) -> None:
    """However it is indented, and with or without its comment; other functions are ignored."""
    assert run(document) == (0, "")


@pytest.mark.parametrize(
    ("document", "finding"),
    [
        (
            content([TRACING, function(TEXT.replace("var.upstream_connect_time", "0"))], []),
            "global: warning: log[2]: differs from the nginx snippet of this package; replace it by that of",
        ),
        (
            content([TRACING, function(TEXT.replace("version = 1,", "version = 7,"))], []),
            "global: warning: log[2]: is version 7 of the nginx snippet, and this package reads version 1;",
        ),
        (
            content([TRACING, function(TEXT, "access")], []),
            "global: warning: access[2]: must be in config.log: nginx knows the times at the end alone",
        ),
        (
            content([TRACING, function(TEXT)], [OTHER]),
            "route r: warning: takes the place of the pre-function with the nginx snippet:",
        ),
    ],
)
def test_a_snippet_that_does_not_match_is_a_warning(run: Any, document: dict[str, Any], finding: str) -> None:
    """Kong runs it all the same; the requests are traced, and facts are missing."""
    code, text = run(document)

    assert code == 0
    assert finding in text
    assert len(text.splitlines()) == 1


def test_both_forms_have_the_snippet() -> None:
    """The kong.yml is a whole one, and lies in kong/ too; the JSON is a body for the Admin API."""
    (entry,) = yaml.safe_load(as_kong_yml())["plugins"]

    assert entry == json.loads(as_json()) == {"name": "pre-function", "config": {"log": [TEXT]}}
    assert (CHECKOUT / "kong" / "nginx-facts.yml").read_text() == as_kong_yml()


def test_dump_prints_the_forms() -> None:
    """A pipe from it into Kong's Admin API is enough."""
    for form, text in (("nginx-facts", as_kong_yml()), ("nginx-facts-json", as_json())):
        printed = subprocess.run(command_line("dump", "--format", form), capture_output=True, text=True, check=True)
        assert printed.stdout == text
