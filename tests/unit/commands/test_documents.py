"""Promises of commands/documents.py; test_check.py has the files that are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from otlp_tracing.commands.documents import Entry, duplicate_keys, position, read_documents


def entries_of(folder: Path, text: str) -> list[Entry]:
    (folder / "kong.yml").write_text(text)
    return [entry for document in read_documents(folder / "kong.yml", ["p"]) for entry in document.entries]


@pytest.mark.parametrize(
    ("scalar", "value"),
    [
        ("yes", True), ("Off", False), ("y", "y"), ("~", None), ("2024-02-30", "2024-02-30"), ("1e3", 1000.0),
        ("0x10", 16), ("'1'", "1"), ("!!int x", "x"), ("1.5", 1.5), ("text", "text"), ('"2024-01-01"', "2024-01-01"),
    ],
)  # fmt: skip
def test_scalars_have_the_types_of_kongs_parser(tmp_path: Path, scalar: str, value: Any) -> None:
    """YAML 1.1 as lyaml reads it, which knows no dates."""
    (entry,) = entries_of(tmp_path, f"plugins: [{{name: p, config: {{a: {scalar}}}}}]")

    assert entry.value["config"]["a"] == value
    assert type(entry.value["config"]["a"]) is type(value)


def test_entries_are_found_wherever_kong_allows_one(tmp_path: Path) -> None:
    """At the top, in services and their routes, in routes, consumers and consumer groups; named or numbered."""
    text = """
plugins: [{name: p}, {name: p, service: {name: s}, route: r}, {name: other}]
services: [{name: a, plugins: [{name: p}], routes: [{plugins: [{name: p}]}]}]
routes: [{name: b, plugins: [{name: p}]}]
consumers: [{username: c, plugins: [{name: p}]}]
consumer_groups: [{name: d, plugins: [{name: p}]}]
"""
    assert [entry.place for entry in entries_of(tmp_path, text)] == [
        "global", "service s, route r", "service a", "service a, route 1", "route b", "consumer c", "consumer group d",
    ]  # fmt: skip


def test_a_position_is_that_of_the_field(tmp_path: Path) -> None:
    """Or of the nearest parent that is in the file."""
    (entry,) = entries_of(tmp_path, "plugins:\n- name: p\n  config:\n    a: [1, {b: 2}]\n")

    assert entry.position("") == (2, 3)
    assert entry.position("config.a[2].b") == (4, 13)
    assert entry.position("config.a[7]") == (4, 5)
    assert entry.position("config.missing.part") == (3, 3)


def test_anchors_and_merge_keys_are_written_out(tmp_path: Path) -> None:
    """As Kong's parser does."""
    (entry,) = entries_of(tmp_path, "x: &a {b: 1, c: 2}\nplugins: [{name: p, config: {<<: *a, c: 3}}]")

    assert entry.value["config"] == {"b": 1, "c": 3}


def test_keys_that_are_written_twice_are_found() -> None:
    """At any depth."""
    node = yaml.compose("a: 1\nb: [{c: 1, c: 2}]\na: 2")

    assert node is not None
    assert list(duplicate_keys(node)) == [((2, 12), "c"), ((3, 1), "a")]
    assert position(node, "a") == (3, 1)
