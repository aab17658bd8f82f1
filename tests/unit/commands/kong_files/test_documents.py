"""Promises of commands/kong_files/documents.py."""

from __future__ import annotations

from otlp_tracing.commands.kong_files.documents import Document, Entry
from otlp_tracing.commands.kong_files.yaml_parser import read_yaml


def test_a_position_is_that_of_the_field() -> None:
    """Or of the nearest parent that is in the file."""
    (node,) = read_yaml(b"plugins:\n- name: p\n  config:\n    a: [1, {b: 2}]\n")
    entry = Entry("global", {}, node.fields["plugins"][1].items[0])

    assert entry.position("") == (2, 3)
    assert entry.position("config.a[2].b") == (4, 13)
    assert entry.position("config.a[7]") == (4, 5)
    assert entry.position("config.missing.part") == (3, 3)


def test_the_entries_of_one_plugin_are_taken_out() -> None:
    """The document keeps the others, and its faults."""
    (node,) = read_yaml(b"x")
    first, second = (Entry("global", {"name": name}, node) for name in ("p", "q"))
    document = Document([first, second])
    document.add_fault(node, "a", "is wrong")
    rest, taken = document.without("p")

    assert (rest.entries, taken) == ([second], [first])
    assert [(at, str(fault)) for at, fault in rest.faults] == [((1, 1), "a: is wrong")]
