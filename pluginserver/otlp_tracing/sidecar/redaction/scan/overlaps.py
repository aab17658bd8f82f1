"""Merges findings of one string that overlap."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence

from otlp_tracing.sidecar.redaction.detectors.credentials import Userinfo
from otlp_tracing.sidecar.redaction.detectors.email import Email
from otlp_tracing.sidecar.redaction.scan.finding import Finding


def without_hosts(findings: Sequence[Finding]) -> Sequence[Finding]:
    """Return the findings without e-mail addresses that begin in a URL's userinfo: their host is the URL's host."""
    userinfos = merge_overlaps(one for one in findings if one.rule == Userinfo.rule)
    if not userinfos:
        return findings
    starts = [userinfo.start for userinfo in userinfos]

    def begins_in_one(finding: Finding) -> bool:
        before = bisect_right(starts, finding.start)
        return before > 0 and finding.start < userinfos[before - 1].end

    return [one for one in findings if one.rule != Email.rule or not begins_in_one(one)]


def merge_overlaps(findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings from left to right, overlapping ones merged.

    The merged finding keeps the rule of the first (the longest, if several begin there). Pass only findings with the
    same action: merging a reported finding with a redacted one would leak the redacted value.
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
