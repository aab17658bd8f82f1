"""Promises of commands/option_kinds.py."""

from __future__ import annotations

import pytest

from otlp_tracing.commands.option_kinds import Address, size


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
