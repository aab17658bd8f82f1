"""Promises of commands/sidecar_ports.py; test_serve_process.py has the processes."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest

from otlp_tracing.commands.option_kinds import Address
from otlp_tracing.commands.options import OptionParser, SidecarOptions
from otlp_tracing.commands.sidecar_ports import read_ports
from otlp_tracing.errors import ConfigError, Fault

_log = logging.getLogger("test")


def options_of(folder: Path, page: str, ingest: str) -> SidecarOptions:
    parser = OptionParser()
    SidecarOptions.add_to(parser)
    for name, token in (("page", page), ("ingest", ingest)):
        (folder / name).write_text(token)
    return replace(
        SidecarOptions.from_namespace(parser.parse_args([])),
        page_token_file=str(folder / "page"),
        ingest_http=Address("127.0.0.1", 9465),
        ingest_token_file=str(folder / "ingest"),
    )


def test_both_tokens_are_read(tmp_path: Path) -> None:
    """Each from its file."""
    ports = read_ports(options_of(tmp_path, "p" * 16, "i" * 16), _log, refused=(), is_strict=True)

    assert ports.page is not None
    assert ports.ingest is not None
    assert (ports.page.token, ports.ingest.token, ports.faults) == ("p" * 16, "i" * 16, ())


def test_a_token_that_cannot_be_used_closes_its_port_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The log has the effect, without the token; where faults are refused, it is an error."""
    options = options_of(tmp_path, "short", "i" * 16)
    ports = read_ports(options, _log, refused=(), is_strict=False)

    assert ports.page is None
    assert ports.ingest is not None
    assert [fault.field for fault in ports.faults] == ["--page-token-file"]
    assert [record.message.partition(":")[0] for record in caplog.records] == ["live page locked"]
    assert "short" not in caplog.text
    with pytest.raises(ConfigError):
        read_ports(options, _log, refused=(), is_strict=True)


def test_an_option_that_cannot_be_used_closes_the_port_of_its_token_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its default, no file, is no reason to serve the page to every client; the option decides, not its variable."""
    options = options_of(tmp_path, "p" * 16, "i" * 16)
    refused = [Fault("SOME_VARIABLE", "", "no", option=f"--{port}-token-file") for port in ("page", "ingest")]
    unrelated = [Fault("--page-token-file-name", "", "no", option="--http")]

    for index, is_open in ((0, (False, True)), (1, (True, False))):
        ports = read_ports(options, _log, refused=[*unrelated, refused[index]], is_strict=False)
        assert (ports.page is not None, ports.ingest is not None) == is_open
    assert [record.message for record in caplog.records] == [
        "live page locked: --page-token-file cannot be used",
        "no records of Kong's queue are taken: --ingest-token-file cannot be used",
    ]
