"""Promises of commands/options.py."""

from __future__ import annotations

import dataclasses

import pytest

from otlp_tracing.cli import parse
from otlp_tracing.commands.options import Address, SidecarOptions, size


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


def test_a_sidecar_option_reaches_the_sidecar_under_serve() -> None:
    """Every option of `sidecar` but the two that `serve` sets is read by `serve` and handed on unchanged."""
    values = {
        "http": "[::1]:80", "spool": "/a b", "page": "on", "page_token_file": "", "page_hosts": "a,b.example",
        "trace_url": "http://j/{trace_id}", "spool_max_bytes": "1073741824",
        "ingest_http": "127.0.0.1:9465", "ingest_token_file": "",
    }  # fmt: skip
    argv = [f"--{name.replace('_', '-')}={value}" for name, value in values.items()]

    under_serve, alone = parse(["serve", *argv]), parse(["sidecar", *argv])
    handed_on = parse(["sidecar", *SidecarOptions.from_namespace(under_serve).to_argv()])

    assert {name: str(value) for name, value in vars(handed_on).items() if name in values} == values
    assert vars(handed_on) == vars(alone)
    own = {"listen", "embedded", "log_level", "run", "log_file", "command", "faults"}
    assert vars(alone).keys() - own == {one.name for one in dataclasses.fields(SidecarOptions)} == values.keys()
    assert vars(alone).keys() - vars(under_serve).keys() == {"listen", "embedded"}
