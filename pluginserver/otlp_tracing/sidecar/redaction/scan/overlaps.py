"""What findings become that overlap in one string."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence

from otlp_tracing.sidecar.redaction.detectors.contact import Email
from otlp_tracing.sidecar.redaction.detectors.credentials import Userinfo
from otlp_tracing.sidecar.redaction.scan.finding import Finding

__all__ = ["without_hosts", "without_overlaps"]


def without_hosts(findings: Sequence[Finding]) -> Sequence[Finding]:
    """Return findings but for e-mail addresses that begin in a URL's userinfo: their host is the URL's, and stays."""
    userinfos = without_overlaps(one for one in findings if one.rule == Userinfo.rule)
    if not userinfos:
        return findings
    starts = [userinfo.start for userinfo in userinfos]

    def begins_in_one(finding: Finding) -> bool:
        before = bisect_right(starts, finding.start)
        return before > 0 and finding.start < userinfos[before - 1].end

    return [one for one in findings if one.rule != Email.rule or not begins_in_one(one)]


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
