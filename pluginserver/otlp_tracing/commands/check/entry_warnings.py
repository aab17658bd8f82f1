"""Warnings about settings of an entry that Kong and the sidecar accept, and that cannot work as written.

Rules that no request reaches or matches, rates that swing, endpoints of the other protocol, redaction without a key.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict

from otlp_tracing.config.endpoint_warnings import endpoint_warnings
from otlp_tracing.config.policies import unmatchable
from otlp_tracing.config.settings import SamplingRule, Settings
from otlp_tracing.sidecar.redaction.redactor import redaction_warnings


def entry_warnings(settings: Settings) -> Iterator[tuple[str, str]]:
    """Give a field and a warning for each setting of a configuration without a fault that cannot work as written."""
    load = settings.sampling.load
    if load.high is not None and load.low >= load.high:
        yield "config.sampling.load.low", f"{load.low:g} is not below high, {load.high:g}: rates swing or stay low"
    if settings.sampling.rate == 0 and not settings.sampling.rules and not settings.sampling.tail_rules:
        yield "config.sampling.rate", "0 and no rule: only a caller's decision and sampling.keep keep traces"
    for number, rule in enumerate(settings.sampling.tail_rules, 1):
        if settings.sampling.keep.errors and rule.rate < 1 and any(one == 5 or one >= 500 for one in rule.statuses):
            place = f"config.sampling.tail_rules[{number}].statuses"
            yield place, "keep.errors keeps a 5xx before this rule is asked; set it to false"
    for name in ("rules", "tail_rules"):
        yield from _rule_warnings(getattr(settings.sampling, name), f"config.sampling.{name}")
    for field, text in (*endpoint_warnings(settings), *redaction_warnings(settings.redaction)):
        yield f"config.{field}", text


def _rule_warnings(rules: Sequence[SamplingRule], field: str) -> Iterator[tuple[str, str]]:
    catch_all = 0
    for number, rule in enumerate(rules, 1):
        conditions = {name: value for name, value in asdict(rule).items() if name not in {"name", "rate"}}
        if catch_all:
            yield f"{field}[{number}]", f"is never asked: rule {catch_all} before it matches every request"
        elif not any(conditions.values()):
            catch_all = number
        for fault in unmatchable(conditions, f"{field}[{number}]"):
            yield fault.field, f"{fault.value} {fault.rule}; no request matches it"
