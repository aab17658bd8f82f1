"""Promises of commands/variables.py."""

from __future__ import annotations

import re
from pathlib import Path
from unittest import mock

import pytest

from checkout import CHECKOUT
from otlp_tracing.cli import parse
from otlp_tracing.commands.options import PREFIX, OptionParser
from otlp_tracing.commands.parser import COMMANDS
from otlp_tracing.commands.variables import OF_OPTIONS, unknown_variables

SERVICES = {
    f"OTLP_TRACING_{service}{name}": "z"
    for service in ("", "SIDECAR_")
    for name in ("SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTP", "PORT", "PORT_9464_TCP_ADDR")
}
"""Kubernetes sets these for Services with the names otlp-tracing and otlp-tracing-sidecar."""
SHIPPED = [
    path
    for path in [CHECKOUT / "Dockerfile.kong", *(CHECKOUT / "kong").rglob("*")]
    if path.is_file() and path.suffix in {".kong", ".yml", ".yaml", ".sh", ".service", ".conf", ".tf"}
]


def test_every_option_has_its_variable_in_the_list() -> None:
    """The list has the variables of all commands' options, and no other."""
    names = set()
    for command in sorted(set(COMMANDS) - {"worker"}):
        with mock.patch.object(OptionParser, "option") as option:
            parse([command])
        names |= {call.args[0].removeprefix("--").replace("-", "_").upper() for call in option.call_args_list}

    assert names == OF_OPTIONS


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("OTLP_TRACING_WORKRES", "did you mean OTLP_TRACING_WORKERS?"),
        ("OTLP_TRACING_HTP", "did you mean OTLP_TRACING_HTTP?"),
        ("OTLP_TRACING_ZZZZ", "nothing reads this variable"),
    ],
)
def test_a_misspelt_variable_is_named(name: str, words: str) -> None:
    """With the one that was probably meant; variables of others are left alone."""
    (fault,) = unknown_variables({name: "secret", "OTLP_TRACING_HTTP": "x", "KONG_PREFIX": "y", **SERVICES})

    assert fault.field == name
    assert words in str(fault)
    assert "secret" not in str(fault)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_no_shipped_file_has_a_misspelt_variable(path: Path) -> None:
    """Every variable that a shipped file names is read by something."""
    text = path.read_text()
    kongs = re.sub(r"(?i)pluginserver_otlp_tracing_\w+", "", text)

    assert not list(unknown_variables(re.findall(rf"{PREFIX}[A-Z][A-Z_]*[A-Z]", kongs)))
