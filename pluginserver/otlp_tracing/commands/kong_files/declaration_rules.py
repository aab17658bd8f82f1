"""Kong's rules for the top of a declarative configuration: its version, its sections, unknown fields.

Source: kong/db/schema/others/declarative_config.lua of Kong 3.9.3; decK's file format.
"""

from __future__ import annotations

from collections.abc import Iterator

from otlp_tracing.commands.kong_files.entities import DECK_SECTIONS, DECLARATION, GROUPS, VERSION_RULE
from otlp_tracing.commands.kong_files.entity_fields import FIELDS
from otlp_tracing.commands.kong_files.entity_rules import Found
from otlp_tracing.commands.kong_files.nodes import Node
from otlp_tracing.config.validation import complete
from otlp_tracing.errors import Fault


def declaration_faults(top: Node, *, is_deck: bool) -> Iterator[Found]:
    """Find the faults of the fields at the top, and entries in entities that cannot have any.

    Args:
        top: the whole document, a record.
        is_deck: the file is for decK, which takes unknown fields and needs no version.
    """
    for fault in complete(DECLARATION, top.value)[1]:
        if not is_deck or _is_fault_to_deck(fault):
            at = top.fields[fault.field][0] if fault.field in top.fields else top
            yield at, Fault(fault.field, "", _rule_of(fault))
    for section in top.fields.keys() - {"plugins", GROUPS, *FIELDS}:
        for one in top.fields[section][1].items:
            if section[:1] != "_" and "plugins" in one.fields:
                yield one.fields["plugins"][0], Fault("plugins", "", f"no such field in {section}")


def _is_fault_to_deck(fault: Fault) -> bool:
    if fault.field == "_format_version":
        return bool(fault.value)
    return fault.kind == "misspelt" and fault.field not in DECK_SECTIONS


def _rule_of(fault: Fault) -> str:
    if fault.field == GROUPS:
        return "no such field: open-source Kong has no consumer groups"
    if fault.field.startswith("x-"):
        return "no such field; put anchors into a list under _ignore"
    if fault.field == "_format_version":
        return f"{VERSION_RULE}{'' if fault.value else '; it is missing'}"
    return fault.rule
