"""Promises of commands/kong_files/documents.py; test_check.py has the files that are refused."""

from __future__ import annotations

from pathlib import Path

from otlp_tracing.commands.kong_files.documents import Entry, read_documents


def entries_of(folder: Path, text: str) -> list[Entry]:
    (folder / "kong.yml").write_text(text)
    return [entry for document in read_documents(folder / "kong.yml", "p".__eq__) for entry in document.entries]


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


def test_a_folders_file_of_another_kind_is_told_from_a_declarative_one(tmp_path: Path) -> None:
    """Answers and bodies of the Admin API, lists of entries and manifests are read too."""
    known = {
        '{"data": [{"name": "p"}], "next": null}': 1, '{"name": "p"}': 1, "- {name: p}": 1,
        "apiVersion: v1\nkind: List\nitems: [{kind: KongPlugin, plugin: p}]": 1, "on: [push]": 0,
    }  # fmt: skip
    assert {text: len(entries_of(tmp_path, text)) for text in known} == known


def test_the_first_document_counts(tmp_path: Path) -> None:
    """Kong ignores the others; a stream of manifests is read to its end."""
    (tmp_path / "kong.yml").write_text("plugins: []\n---\nplugins: []\n---\nkind: KongPlugin\nplugin: p\n")

    documents = read_documents(tmp_path / "kong.yml", "p".__eq__)
    assert [one.is_ignored for one in documents] == [False, True, False]
