"""Promises of commands/kong_files/entry_duplicates.py; check/test_command.py compares them with real Kongs."""

from __future__ import annotations

from otlp_tracing.commands.kong_files.entry_duplicates import EntryDuplicates, Parent
from otlp_tracing.commands.kong_files.scope import Scope
from otlp_tracing.commands.kong_files.yaml_parser import read_yaml

Found = tuple[str, str, bool]


def add(
    seen: EntryDuplicates,
    entry: str,
    scope: Scope = Scope(),  # noqa: B008 - it is immutable
    parent: Parent | None = None,
    *,
    is_wanted: bool = True,
) -> list[Found]:
    (node,) = read_yaml(entry.encode())
    return list(seen.add(node, scope, parent, is_wanted=is_wanted))


def test_two_entries_of_one_scope_are_a_fault() -> None:
    """An entry with another scope, or of another plugin, is no duplicate."""
    seen = EntryDuplicates(is_identity_exact=True)

    assert add(seen, "{name: p}") == []
    assert add(seen, "{name: p, service: a}", Scope(service="a")) == []
    assert add(seen, "{name: q}") == []
    assert add(seen, "\n{name: p}") == [("name", "is the second p entry of this scope; the first is in line 1", True)]


def test_a_name_and_an_id_of_one_service_are_two_texts_to_kong() -> None:
    """Kong takes both entries, and runs one: a warning. To decK they are one scope."""
    first, second, scope = "{name: p, service: a}", "{name: p, service: 8b2b3a0e}", Scope(service="a")
    kong, deck = EntryDuplicates(is_identity_exact=True), EntryDuplicates(is_identity_exact=False)

    assert add(kong, first, scope) == add(deck, first, scope) == []
    ((field, rule, is_fault),) = add(kong, second, scope)
    assert (field, is_fault) == ("", False)
    assert "Kong takes both and runs one of them" in rule
    assert [is_fault for *_, is_fault in add(deck, second, scope)] == [True]


def test_an_entry_in_a_service_without_a_name_is_no_duplicate() -> None:
    """Kong makes its id of nothing that another entry could have."""
    seen = EntryDuplicates(is_identity_exact=True)

    assert add(seen, "{name: p}", Scope(service=(1, 1)), ("service", "")) == []
    assert add(seen, "{name: p}", Scope(service=(2, 1)), ("service", "")) == []


def test_ids_and_instance_names_are_unique_across_plugins() -> None:
    """One fault for each, unless neither entry is wanted."""
    seen = EntryDuplicates(is_identity_exact=True)
    entry = "{name: %s, id: x, instance_name: y}"

    assert add(seen, entry % "cors", is_wanted=False) == []
    assert add(seen, entry % "acl", is_wanted=False) == []
    assert [(field, is_fault) for field, _, is_fault in add(seen, entry % "p")] == [
        ("id", True), ("instance_name", True),
    ]  # fmt: skip
