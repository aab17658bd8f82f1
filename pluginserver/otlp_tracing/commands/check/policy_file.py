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


def policy_findings(file: Path | None, node: Node) -> Iterator[Finding]:
    """Find the faults that the sidecar would find in a policy file.

    Args:
        file: its path; None for stdin, which is not read a second time.
        node: its document, for positions.
    """
    try:
        check_patterns(parse_policies(read_policy_file(file)) if file else read_policies(node.value))
    except ConfigError as error:
        for fault in error.faults:
            yield Finding(str(file or "-"), *node.position(fault.field), "", text_of(fault))
