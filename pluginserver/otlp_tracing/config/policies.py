"""A policy file: rules for all entries of a gateway, which change without a reload of Kong. Pure.

    sender: platform-team
    policies:
    - id: gold-customers
      name: Every request of gold customers
      trace: {match: {consumers: ["gold-*"]}, keep: all}

A policy is a sampling rule for all entries. One that only asks for the request is a rule of the head decision. One that
asks for the finished request is a tail rule. Both are asked before an entry's own, in the order of the file.

Source for the shape: OpenTelemetry, OTEP 4738 (telemetry policy), with the conditions of our own rules.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import yaml

from otlp_tracing.config.declaration import about, fields_of
from otlp_tracing.config.settings import SamplingRule, TailRule
from otlp_tracing.config.validation import complete
from otlp_tracing.errors import ConfigError, Fault

MAX_BYTES = 64 << 10
"""Of the file: 64 policies with a kilobyte of conditions each."""

DEBUG = "debug"
"""The name of a debug session's rule, on the spans that it keeps."""

_MAX_POLICIES = 64  # as of an entry's tail rules
_HEAD = ("methods", "paths", "hosts", "headers")
_PERCENTAGE = re.compile(r"(\d{1,3}(?:\.\d{1,10})?)%")
# A glob that begins with another character, or a regular expression whose first character is one, without alternatives.
_NO_PATH = re.compile(r"[^/*~]|~\^?[A-Za-z0-9_-](?![?*{])[^|]*$", re.DOTALL)
_NO_HOST = re.compile(r"[/\s]|:[0-9]+$")
_SHARES = {"all": 1.0, "none": 0.0}
_KEEP_RULE = "must be all, none, or a percentage such as 10%"
_CONDITIONS = [one for one in fields_of(TailRule) if not {"name", "rate"} & one.keys()]
_ID = {"type": "string", "required": True, "match": "^[A-Za-z0-9_.-]+$",
       **about("Of the policy; on the spans that it decides.", len_max=64)}  # fmt: skip
_TRACE = [
    {"match": {"type": "record", "required": True, "fields": _CONDITIONS}},
    {"keep": {"type": "string", "required": True, "match": rf"^all|none|{_PERCENTAGE.pattern}$", "err": _KEEP_RULE}},
]
_POLICY = [
    {"id": _ID},
    {"name": {"type": "string", "required": True, "len_max": 256}},
    {"description": {"type": "string", "len_max": 4096}},
    {"enabled": {"type": "boolean", "default": True}},
    {"trace": {"type": "record", "required": True, "fields": _TRACE}},
]
_FILE = [
    {"sender": {"type": "string", "len_max": 64}},
    {
        "policies": {
            "type": "array",
            "required": True,
            "len_max": _MAX_POLICIES,
            "elements": {"type": "record", "fields": _POLICY},
        }
    },
]


@dataclass(frozen=True, slots=True)
class Policies:
    """The policies of a file that are enabled, as rules.

    Args:
        sender: of the file, in its own words; empty without one.
        head: rules of the head decision.
        tail: rules on the finished request.
        places: of their conditions in the file, by the rule's name.
    """

    sender: str = ""
    head: tuple[SamplingRule, ...] = ()
    tail: tuple[TailRule, ...] = ()
    places: Mapping[str, str] = field(default_factory=dict)


def is_policy_file(document: object) -> bool:
    """Tell whether a document is meant as a policy file; no configuration of Kong's has such a field."""
    return isinstance(document, Mapping) and "policies" in document and "_format_version" not in document


def parse_policies(content: bytes) -> Policies:
    """Read the bytes of a policy file, YAML or JSON.

    Raises:
        ConfigError: with every fault that the shape of the file has.
    """
    if len(content) > MAX_BYTES:
        raise ConfigError([Fault("", "", f"must be {MAX_BYTES} bytes or less")])
    try:
        document = _parsed(content.decode())
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        reason = str(getattr(error, "problem", None) or error).splitlines()[0][:200]
        if reason.startswith("but "):  # the first half of the sentence is the context
            reason = f"{getattr(error, 'context', None)} {reason}"
        raise ConfigError([Fault("", "", f"cannot be read as YAML: {place}{reason}")]) from error
    return read_policies(document)


def read_policies(document: object) -> Policies:
    """Read a parsed policy file.

    Raises:
        ConfigError: with every fault but those of patterns; sidecar/tail/policy_file.py finds these.
    """
    if not isinstance(document, dict):
        raise ConfigError([Fault("", "", "must be a record with policies, each with id, name and trace")])
    completed, faults = complete(_FILE, document)
    faults = faults or list(_further_faults(completed))
    if faults:
        raise ConfigError(faults)
    head: list[SamplingRule] = []
    tail: list[TailRule] = []
    places: dict[str, str] = {}
    for number, policy in enumerate(completed["policies"], 1):
        if policy["enabled"]:
            places[policy["id"]] = f"policies[{number}].trace.match"
            rule = _rule(policy)
            if isinstance(rule, TailRule):
                tail.append(rule)
            else:
                head.append(rule)
    return Policies(completed["sender"] or "", tuple(head), tuple(tail), places)


def read_match(match: object) -> Policies:
    """Read the conditions of a debug session, the `match` of a policy; the result has one rule.

    Raises:
        ConfigError: with every fault but those of patterns.
    """
    trace = {"match": match, "keep": "all"}
    return read_policies({"policies": [{"id": DEBUG, "name": DEBUG, "trace": trace}]})


def rules_json(rules: Iterable[SamplingRule]) -> bytes:
    """Write rules of the head decision as `sampling.rules` has them, for a worker."""
    return json.dumps([{one.name: getattr(rule, one.name) for one in fields(rule)} for rule in rules]).encode()


def _parsed(text: str) -> object:
    try:
        return json.loads(text.removeprefix("\ufeff"), object_pairs_hook=_object)  # YAML takes no tabs
    except (ValueError, RecursionError):
        return yaml.load(text, _PlainLoader)  # noqa: S506 - a SafeLoader


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError  # YAML's reader says where
    return found


class _PlainLoader(yaml.SafeLoader):
    """YAML without aliases: ten lines of aliases can expand to a billion."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases (*) are not allowed")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        # YAML's own reader takes the last one, and a second `policies` would end the first without a word.
        keys = [one.value for one, _ in node.value if isinstance(one, yaml.ScalarNode)]
        if twice := next((key for key in keys if keys.count(key) > 1), None):
            raise yaml.constructor.ConstructorError(None, None, f"{twice[:80]} is written twice", node.start_mark)
        return super().construct_mapping(node, deep)


def _further_faults(completed: Mapping[str, Any]) -> Iterator[Fault]:
    if not (completed["sender"] or "").isprintable():
        yield Fault("sender", json.dumps(completed["sender"]), "must be one line without control characters")
    ids = Counter(policy["id"] for policy in completed["policies"])
    for number, policy in enumerate(completed["policies"], 1):
        place = f"policies[{number}]"
        if ids[policy["id"]] > 1:
            yield Fault(f"{place}.id", json.dumps(policy["id"]), "is also that of another policy")
        if _share(policy["trace"]["keep"]) is None:
            yield Fault(f"{place}.trace.keep", json.dumps(policy["trace"]["keep"]), _KEEP_RULE)
        match = policy["trace"]["match"]
        if not any(match.values()):
            rule = 'must have a condition; paths: ["*"] matches every request'
            yield Fault(f"{place}.trace.match", "", rule)
        yield from unmatchable(match, f"{place}.trace.match")


def unmatchable(match: Mapping[str, Any], place: str) -> Iterator[Fault]:
    """Find conditions that no request can meet; Kong's schema language cannot express them.

    Args:
        match: conditions of a SamplingRule or a TailRule by their names.
        place: their field.
    """
    for number, path in enumerate(match["paths"], 1):
        if _NO_PATH.match(path):
            yield Fault(f"{place}.paths[{number}]", json.dumps(path), "must begin with / or *, as every path does")
    for number, host in enumerate(match["hosts"], 1):
        if _NO_HOST.search(host):
            rule = "must be a host name without a scheme, a port and a path"
            yield Fault(f"{place}.hosts[{number}]", json.dumps(host), rule)
    for number, status in enumerate(match.get("statuses", ()), 1):
        if 5 < status < 100:
            yield Fault(
                f"{place}.statuses[{number}]", str(status), "must be a status such as 404, or a class from 1 to 5"
            )
    slower, faster = match.get("slower_than_ms"), match.get("faster_than_ms")
    if slower and faster and faster <= slower:
        yield Fault(f"{place}.faster_than_ms", str(faster), f"must be more than slower_than_ms, {slower}")


def _share(keep: str) -> float | None:
    if keep in _SHARES:
        return _SHARES[keep]
    found = _PERCENTAGE.fullmatch(keep)
    share = float(found[1]) / 100 if found else 2.0
    return share if share <= 1 else None


def _rule(policy: Mapping[str, Any]) -> SamplingRule:
    conditions: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in policy["trace"]["match"].items()
    }
    named: dict[str, Any] = {"name": policy["id"], "rate": _share(policy["trace"]["keep"])}
    if any(value for name, value in conditions.items() if name not in _HEAD):
        return TailRule(**named, **conditions)
    return SamplingRule(**named, **{name: conditions[name] for name in _HEAD})
