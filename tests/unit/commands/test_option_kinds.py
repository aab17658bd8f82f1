"""Promises of commands/option_kinds.py."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from otlp_tracing import __version__
from otlp_tracing.commands.option_kinds import Address, description, size
from otlp_tracing.kong_server.loader import describe, load
from otlp_tracing.paths import PLUGIN_FILE, plugin_folder


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:9464", Address("127.0.0.1", 9464)),
        (":0", Address("127.0.0.1", 0)),
        ("[::1]:80", Address("::1", 80)),
        ("0.0.0.0:65535", Address("0.0.0.0", 65_535)),
        ("sidecar.internal:9464", Address("sidecar.internal", 9464)),
    ],
)
def test_an_address_is_read_and_written(text: str, address: Address) -> None:
    """The written form is read as the same address."""
    assert Address.parse(text) == address
    assert Address.parse(str(address)) == address


@pytest.mark.parametrize("text", ["", "banana", "127.0.0.1", "a:65536", "a:-1", "http://a:1", "a b:1", "a:٣"])
def test_no_other_text_is_an_address(text: str) -> None:
    """A URL, a missing port and a port out of range are refused."""
    with pytest.raises(ValueError, match="must be ADDRESS:PORT"):
        Address.parse(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [("auto", "auto"), ("1MiB", 1 << 20), ("2GiB", 2 << 30), ("1024GiB", 1 << 40), ("1048576", 1 << 20)],
)
def test_a_size_is_read(text: str, value: int | str) -> None:
    """In bytes, or in one of three units."""
    assert size("auto")(text) == value


@pytest.mark.parametrize("text", ["", "none", "1048575", "2TiB", "1 GiB", "1GB", "-1", "1.5GiB", "1025GiB", "9" * 99])
def test_no_other_text_is_a_size(text: str) -> None:
    """The rule names the range and gives an example."""
    with pytest.raises(ValueError, match="must be auto or 1MiB to 1024GiB, such as 512MiB"):
        size("auto")(text)


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
