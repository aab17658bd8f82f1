"""Promises of commands/kong_files/entity_names.py."""

from __future__ import annotations

from otlp_tracing.commands.kong_files.entity_names import entities_of, names_of
from otlp_tracing.commands.kong_files.yaml_parser import read_yaml

KONG_YML = b"""
services: [{name: a, id: "1", routes: [{name: r}, {paths: [/]}]}, {name: a, host: b}, 5]
consumers: [{username: bob, custom_id: "7"}]
upstreams: [{name: u, targets: [{target: "t:1"}]}]
"""


def test_entities_within_others_are_found() -> None:
    """Each with its path and its name, or with its number if it has no name."""
    (top,) = read_yaml(KONG_YML)

    assert [(one.path, one.label) for one in entities_of(top)] == [
        ("services[1]", "a"), ("services[1].routes[1]", "r"), ("services[1].routes[2]", "2"), ("services[2]", "a"),
        ("consumers[1]", "bob"), ("upstreams[1]", "u"), ("upstreams[1].targets[1]", "t:1"),
    ]  # fmt: skip


def test_an_entity_is_known_by_its_name_and_its_id() -> None:
    """The first of two with one name; a custom_id is no name."""
    (top,) = read_yaml(KONG_YML)
    names = names_of(entities_of(top))

    assert {key: one.path for key, one in names["services"].items()} == {"a": "services[1]", "1": "services[1]"}
    assert list(names["consumers"]) == ["bob"]
