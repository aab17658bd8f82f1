"""Promises of commands/options.py."""

from __future__ import annotations

import dataclasses

from otlp_tracing.cli import parse
from otlp_tracing.commands.options import SidecarOptions


def test_a_sidecar_option_reaches_the_sidecar_under_serve() -> None:
    """Every option of `sidecar` but the two that `serve` sets is read by `serve` and handed on unchanged."""
    values = {
        "http": "[::1]:80", "spool": "/a b", "page": "on", "page_token_file": "", "page_hosts": "a,b.example",
        "trace_url": "http://j/{trace_id}", "spool_max_bytes": "1073741824",
        "ingest_http": "127.0.0.1:9465", "ingest_token_file": "", "policy_file": "/p.yml",
    }  # fmt: skip
    argv = [f"--{name.replace('_', '-')}={value}" for name, value in values.items()]

    under_serve, alone = parse(["serve", *argv]), parse(["sidecar", *argv])
    handed_on = parse(["sidecar", *SidecarOptions.from_namespace(under_serve).to_argv()])

    assert {name: str(value) for name, value in vars(handed_on).items() if name in values} == values
    assert vars(handed_on) == vars(alone)
    own = {"listen", "embedded", "log_level", "run", "log_file", "command", "faults"}
    assert vars(alone).keys() - own == {one.name for one in dataclasses.fields(SidecarOptions)} == values.keys()
    assert vars(alone).keys() - vars(under_serve).keys() == {"listen", "embedded"}
