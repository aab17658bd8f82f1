"""Promises of commands/kong_files/entity_rules.py; check/test_command.py compares it with real Kongs on 289 files."""

from __future__ import annotations

from typing import Any

import pytest

from otlp_tracing.commands.kong_files.entity_fields import FIELDS, NESTED
from otlp_tracing.commands.kong_files.entity_names import entities_of, names_of
from otlp_tracing.commands.kong_files.entity_rules import entity_faults
from otlp_tracing.commands.kong_files.yaml_parser import read_yaml


def found(text: str, *, is_deck: bool = False) -> list[str]:
    (node,) = read_yaml(text.encode())
    entities = list(entities_of(node))
    faults = entity_faults(entities, names_of(entities), is_deck=is_deck)
    return [f"{at.line}:{at.column}: {fault}" for at, fault in faults]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("services:\n- name: users", "2:3: services[1].host: is required: a service needs host or url"),
        ("services: [{url: users.local}]", "url = users.local: must be http://host:port/path: it has no host"),
        ("services: [{url: 'http://a:99999'}]", "its port must be a number up to 65535"),
        ("services: [{url: 'ftp://a'}]", "its protocol must be one of grpc, grpcs, http"),
        ("services: [{url: 'grpc://a:5/'}]", "services[1].url = /: must be left out: grpc has no path"),
        ("services: [{host: 'http://a'}]", "must be a host alone: no scheme, port or path"),
        ("services: [{host: a, port: '80'}]", '1:22: services[1].port = "80": must be an integer'),
        ("services: [{host: a, hots: b}]", "services[1].hots: no such field; did you mean host?"),
        ("services: [{host: a, tls_verify: true}]", "goes with https and tls alone; the protocol is http"),
        ("services: [{host: a, routes: [{name: r}]}]", "services[1].routes[1]: matches nothing: set one of methods"),
        ("routes: [{paths: [a]}]", '1:19: routes[1].paths[1] = "a": must begin with /, or with ~/'),
        ("routes: [{paths: ['~/a/(']}]", "must be a regular expression after ~: missing )"),
        ("routes: [{paths: [/], protocols: [http, grpc]}]", "protocols: http, grpc cannot be in one route"),
        ("routes: [{protocols: [tcp], paths: [/]}]", "routes[1].paths: cannot be set for tcp"),
        ("services: [{name: users, host: a}]\nroutes: [{paths: [/], service: user}]",
         "2:23: routes[1].service: this file has no service user; did you mean users?"),
        ("routes: [{paths: [/], service: {name: s}}]", "service: must be the name or the id of one of the services"),
        ("services: [{name: s, host: a},\n {name: s, host: b}]",
         "2:3: services[2].name: there are two services with the name s; the first is in line 1"),
        ("consumers: [{tags: [a]}]", "consumers[1]: must have username or custom_id"),
        ("upstreams: [{name: 10.0.0.1}]", "must be a host name without a port, and no IP address"),
        ("upstreams: [{name: u, hash_on: header}]", "hash_on: goes with hash_on_header, which is missing"),
        ("upstreams: [{name: u, targets: [{target: a}, {target: a}]}]", "there are two targets with the target a"),
        ("targets: [{target: a}]", "targets[1].upstream: is required: the name or the id of one of the upstreams"),
        ("keyauth_credentials: [{consumer: bob}]", "keyauth_credentials[1].consumer: this file has no consumer bob"),
    ],
)  # fmt: skip
def test_a_broken_rule_is_one_sentence_at_its_place(text: str, sentence: str) -> None:
    """Entity, field, value and rule; one fault alone."""
    (line,) = found(text)

    assert sentence in line


def test_a_key_is_never_shown() -> None:
    """A certificate's key is refused without its value."""
    lines = found("certificates: [{cert: /a.pem, key: s3cr3t}]")

    assert len(lines) == 2
    assert "s3cr3t" not in "".join(lines)
    assert all("must have the PEM text itself" in line for line in lines)


def test_the_placeholders_of_deck_are_not_judged() -> None:
    """Neither a field that has one, nor a rule about several fields of which one has it."""
    filled_in = '${{ env "DECK_X" }}'
    text = f"""
services:
- {{name: s, host: '{filled_in}', port: '{filled_in}', routes: [{{name: '{filled_in}', paths: ['{filled_in}']}}]}}
consumers: [{{username: '{filled_in}', groups: [{{name: g}}]}}]
routes: [{{paths: [/], service: {{name: elsewhere}}}}]
"""

    assert found(text, is_deck=True) == []
    assert len(found(text)) == 2


@pytest.mark.parametrize("section", FIELDS)
def test_no_value_ends_in_an_exception(section: str) -> None:
    """Every field with a value of every type, also where Kong has a list or a record."""
    values: list[Any] = ["null", "5", "-0.5", "true", "text", "[]", "{}", "[[1]]", "[{a: 1}]", "{a: [1]}", "{id: 5}"]
    names = [*(name for one in FIELDS[section] for name in one), *NESTED.get(section, ())]

    for name in names:
        for value in values:
            found(f"{section}: [{{{name}: {value}}}, {{{name}: {value}}}]")
    assert found(f"{section}: [null, 5, text, [a]]") == []


def test_long_urls_and_expressions_take_no_time() -> None:
    """A megabyte of colons or parentheses is cut before a pattern sees it."""
    assert found(f"services: [{{url: '{'a:' * 500_000}'}}]")
    assert found(f"routes: [{{paths: ['~/{'(' * 1_000_000}']}}]") == []


def test_a_thousand_references_to_nothing_take_no_time() -> None:
    """A misspelt name is compared with some hundred names, not with all of a large gateway."""
    services = "".join(f"- {{name: service-{number}, host: a}}\n" for number in range(2000))
    routes = "".join(f"- {{paths: [/], service: servce-{number}}}\n" for number in range(200))

    assert len(found(f"services:\n{services}routes:\n{routes}")) == 200


@pytest.mark.parametrize("field", ["groups: [{name: g}]", "groups: null", "some_field_of_konnect: 5"])
def test_deck_takes_unknown_fields_but_no_misspelt_ones(field: str) -> None:
    """A name that is like a known one is a fault to both; decK takes any other, with a value or without."""
    assert found(f"consumers: [{{username: a, {field}}}]", is_deck=True) == []
    assert len(found(f"consumers: [{{username: a, {field}}}]")) == 1
    assert "did you mean username?" in found("consumers: [{usrname: a, custom_id: b}]", is_deck=True)[0]
