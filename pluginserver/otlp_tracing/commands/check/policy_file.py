"""The faults of a policy file, each with its place, for `otlp-tracing check`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from otlp_tracing.commands.check.findings import Finding, text_of
from otlp_tracing.commands.kong_files.nodes import Node
from otlp_tracing.config.policies import parse_policies, read_policies
from otlp_tracing.errors import ConfigError
from otlp_tracing.sidecar.tail.policy_file import read_policy_file
from otlp_tracing.sidecar.tail.rules import check_patterns


def policy_findings(name: str, node: Node) -> Iterator[Finding]:
    """Find the faults of a policy file.

    Args:
        name: of the file.
        node: its document.
    """
    try:
        check_patterns(read_policies(node.value))
    except ConfigError as error:
        for fault in error.faults:
            yield Finding(name, *node.position(fault.field), "", text_of(fault))


def policy_file_findings(file: Path | None) -> Iterator[Finding]:
    """Find the faults that the sidecar would find in a policy file as a whole.

    Args:
        file: its path; None for stdin, which is not read a second time.
    """
    if file is None:
        return
    try:
        parse_policies(read_policy_file(file))
    except ConfigError as error:
        for fault in error.faults:
            yield Finding(str(file), 1, 1, "", text_of(fault))
