"""The faults of a policy file, each with its place, for `otlp-tracing check`."""

from __future__ import annotations

from collections.abc import Iterator

from otlp_tracing.commands.findings import Finding, text_of
from otlp_tracing.commands.nodes import Node
from otlp_tracing.config.policies import read_policies
from otlp_tracing.errors import ConfigError
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
