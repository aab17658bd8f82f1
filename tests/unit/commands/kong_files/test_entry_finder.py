"""Promises of commands/kong_files/entry_finder.py; check/test_command.py has the files that are refused."""

from __future__ import annotations

from otlp_tracing.commands.kong_files.documents import Document
from otlp_tracing.commands.kong_files.entry_finder import find_entries
from otlp_tracing.commands.kong_files.scope import Scope
from otlp_tracing.commands.kong_files.yaml_parser import read_yaml


def document_of(text: str) -> Document:
    (node,) = read_yaml(text.encode())
    return find_entries(node, "p".__eq__, has_placeholders=False)


def test_entries_are_found_wherever_kong_allows_one() -> None:
    """At the top, in services and their routes, in routes, consumers and consumer groups; named or numbered."""
    text = """
plugins: [{name: p}, {name: p, service: {name: s}, route: r}, {name: other}]
services: [{name: a, plugins: [{name: p}], routes: [{plugins: [{name: p}]}]}]
routes: [{name: b, plugins: [{name: p}]}]
consumers: [{username: c, plugins: [{name: p}]}]
consumer_groups: [{name: d, plugins: [{name: p}]}]
"""
    assert [entry.place for entry in document_of(text).entries] == [
        "global", "service s, route r", "service a", "service a, route 1", "route b", "consumer c", "consumer group d",
    ]  # fmt: skip


def test_the_scope_of_an_entry_is_not_read_out_of_names() -> None:
    """A name may hold any words, or be a number; an entity without a name is known by its place in the file."""
    text = """
services: [{name: "a, route b", plugins: [{name: p}]}, {routes: [{name: 1, plugins: [{name: p}]}]}]
routes: [{plugins: [{name: p}]}, {name: ab, plugins: [{name: p, service: a, consumer: {username: c}}]}]
"""
    scopes = [(entry.place, entry.scope) for entry in document_of(text).entries]

    assert scopes == [
        ("service a, route b", Scope(service="a, route b")),
        ("service 2, route 1", Scope(service=(2, 56), route="1")),
        ("route 1", Scope(route=(3, 10))),
        ("route ab, service a, consumer c", Scope(service="a", route="ab", consumer="c")),
    ]


def test_a_folders_file_of_another_kind_is_told_from_a_declarative_one() -> None:
    """Answers and bodies of the Admin API, lists of entries and manifests are read too."""
    known = {
        '{"data": [{"name": "p"}], "next": null}': 1, '{"name": "p"}': 1, "- {name: p}": 1,
        "apiVersion: v1\nkind: List\nitems: [{kind: KongPlugin, plugin: p}]": 1, "on: [push]": 0,
    }  # fmt: skip
    assert {text: len(document_of(text).entries) for text in known} == known


def test_a_reference_is_looked_up_in_the_whole_file() -> None:
    """By name or by id, also where the service is within a certificate; the scope has the name."""
    one = "8b2b3a0e-0000-4000-8000-000000000001"
    document = document_of(
        f"_format_version: '3.0'\nservices: [{{id: {one}, name: a, host: a}}]\n"
        "certificates: [{cert: '-----BEGIN C', key: '-----BEGIN K', services: [{name: b, host: b}]}]\n"
        f"plugins: [{{name: p, service: {one}}}, {{name: p, service: b}}, {{name: p, service: c}}]\n"
    )

    assert [entry.place for entry in document.entries] == ["service a", "service b", "service c"]
    assert [str(fault) for _, fault in document.faults] == ["service: this file has no service c"]
