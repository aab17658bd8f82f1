"""Promises of commands/description_option.py."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from otlp_tracing import __version__
from otlp_tracing.commands.description_option import description
from otlp_tracing.kong_server.loader import describe, load
from otlp_tracing.paths import PLUGIN_FILE, plugin_folder


def described(version: str, protocol: str) -> str:
    """Return the output of `dump` of some version."""
    plugins = describe(load(plugin_folder() / PLUGIN_FILE), protocol)
    return json.dumps(plugins).replace(f'"Version": "{__version__}"', f'"Version": "{version}"')


@pytest.mark.parametrize("protocol", ["msgpack", "protobuf"])
def test_a_description_of_this_version_is_taken(tmp_path: Path, protocol: str) -> None:
    """As `dump` writes it, for either protocol."""
    file = tmp_path / "description.json"
    file.write_text(described(__version__, protocol))

    assert description(str(file)) == file


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (described("0.0.9", "msgpack"), f"describes version 0.0.9, and this is {__version__}: write it anew"),
        (described("9.0.0", "protobuf"), f"describes version 9.0.0, and this is {__version__}: write it anew"),
        ("", "must be a file that `otlp-tracing dump` wrote"),
        ("[]", "must be a file that `otlp-tracing dump` wrote"),
        ('[{"Name": "cors"}]', "must be a file that `otlp-tracing dump` wrote"),
        ('{"Plugins": 5}', "must be a file that `otlp-tracing dump` wrote"),
        (None, "cannot be read: No such file or directory"),
    ],
)
def test_another_description_is_refused(tmp_path: Path, text: str | None, rule: str) -> None:
    """A plugin server of another version would get a configuration that it does not know."""
    file = tmp_path / "description.json"
    if text is not None:
        file.write_text(text)

    with pytest.raises(ValueError, match=re.escape(rule)):
        description(str(file))
