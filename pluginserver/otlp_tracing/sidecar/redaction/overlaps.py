"""What findings become that overlap in one string."""

from __future__ import annotations

from collections.abc import Iterable

from otlp_tracing.sidecar.redaction.finding import Finding

__all__ = ["without_overlaps"]


def without_overlaps(findings: Iterable[Finding]) -> list[Finding]:
    """Return findings from left to right, those that overlap as one.

    It has the name of the one that begins first, or is the longest of those: so what is given here must have
    one fate, or a finding that is let go takes one with it that must not leave.
    """
    merged: list[Finding] = []
    for one in sorted(findings, key=lambda finding: (finding.start, -finding.end)):
        if merged and one.start < merged[-1].end:
            if one.end > merged[-1].end:
                last = merged[-1]
                merged[-1] = Finding(last.start, one.end, last.rule, last.value + one.value)
        else:
            merged.append(one)
    return merged
