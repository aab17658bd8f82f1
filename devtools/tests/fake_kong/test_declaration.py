"""Reading kong.yml: the resulting entities, and the sentence for each fault."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from otlp_tracing.errors import ConfigError
from otlp_tracing_devtools.fake_kong import PluginServerCommands, StandInGateway, parse_declaration, read_declaration

_SERVICE = {"name": "a", "url": "http://127.0.0.1:81/base", "routes": [{"name": "r", "paths": ["/a"]}]}


def _content(**entities: Any) -> dict[str, Any]:
    return {"_format_version": "3.0", **entities}


def test_a_service_url_is_taken_apart() -> None:
    """Protocol, host, port and path come from `url`; the ids are those Kong derives from the names."""
    declaration = parse_declaration(_content(services=[{**_SERVICE, "name": "echo"}]), now_s=7)
    service = declaration.services[0]

    assert (service.protocol, service.host, service.port, service.path) == ("http", "127.0.0.1", 81, "/base")
    assert service.id == "adbd70b3-4224-5183-a52a-179d7b34ab5b"
    assert declaration.routes[0].service is service
    assert service.record["created_at"] == 7


def test_references_work_by_name_and_by_map() -> None:
    """Top-level routes and plugins refer to a service by name, or by {name}."""
    declaration = parse_declaration(
        _content(
            services=[{"name": "a", "host": "h"}],
            routes=[{"name": "r", "service": "a", "paths": ["/a"]}],
            plugins=[{"name": "key-auth", "route": {"name": "r"}}, {"name": "key-auth", "enabled": False}],
        )
    )

    assert declaration.routes[0].service is declaration.services[0]
    assert [entry.route_id for entry in declaration.plugins] == [declaration.routes[0].id]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ([], "kong.yml: must be a map with _format_version"),
        ({}, '_format_version: must be "3.0"'),
        ({"_format_version": "2.1"}, '_format_version = 2.1: must be "3.0"'),
        (_content(servces=[]), "servces: is not known to the stand-in gateway"),
        (_content(services={}), "services: must be a list"),
        (_content(services=[1]), "services[1] = 1: must be a map"),
        (_content(services=[{"name": "a"}]), "services[1].host: is required, unless url is given"),
        (_content(services=[{"name": "a", "host": "h", "retries": -1}]), "services[1].retries = -1: must be between"),
        (_content(services=[_SERVICE, {"name": "a", "host": "h"}]), "services[2].name = a: is already taken by"),
        (_content(services=[{**_SERVICE, "routes": [{"paths": ["x"]}]}]), "services[1].routes[1].paths[1]"),
        (_content(routes=[{"paths": ["/"], "service": "nope"}]), "routes[1].service = nope: there is no such entity"),
        (_content(services=[{"name": "a", "host": "h", "colour": 1}]), "services[1].colour: no such field"),
        (_content(routes=[{"protocols": ["grpc"], "methods": ["PUT"]}]), "routes[1].methods = ['PUT']: cannot"),
        (_content(routes=[{"protocols": ["grpc"], "strip_path": True}]), "routes[1].strip_path = True: cannot"),
        (_content(routes=[{"protocols": ["grpc", "http"]}]), "routes[1].protocols = grpc, http: must be of HTTP"),
    ],
)  # fmt: skip
def test_a_fault_is_named_with_its_place(content: Any, sentence: str) -> None:
    """Each fault gives one sentence with place, value and rule."""
    with pytest.raises(ConfigError) as caught:
        parse_declaration(content)

    assert sentence in str(caught.value)
    assert len(caught.value.faults) == 1


@pytest.mark.parametrize(
    ("text", "rule"), [(None, "cannot be read"), ("a: [", "is not YAML"), ("\udcff", "is not YAML")]
)
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, text: str | None, rule: str) -> None:
    """A file that is not there, or no YAML, is one sentence with its path."""
    path = tmp_path / "kong.yml"
    if text is not None:
        path.write_text(text, errors="surrogateescape")

    with pytest.raises(ConfigError, match=rule) as caught:
        read_declaration(path)

    assert str(path) in str(caught.value)


_LIST = {
    "type": "array",
    "elements": {"type": "record", "fields": [{"x": {"type": "string", "description": "Short."}}]},
}
_CONFIG = {"config": {"type": "record", "fields": [{"list": _LIST}]}}
_MISDESCRIBED = json.dumps([{"Name": "x", "Priority": 1, "Phases": ["log"], "Schema": {"fields": [_CONFIG]}}])


@pytest.mark.parametrize(
    ("dump", "plugin", "sentence"),
    [
        ("nonsense", {}, "must print JSON and nothing else"),
        ("[]", {}, "must print a list with at least one plugin"),
        ('{"Protocol": "Thrift:1", "Plugins": []}', {}, "speaks MsgPack:1 and ProtoBuf:1"),
        ('[{"Name": "x"}]', {}, "must print Name, Priority and Phases"),
        (_MISDESCRIBED, {}, "must describe config.list.x in 10 to 500 characters"),
        (None, {"name": "unheard-of"}, "plugins[1].name = unheard-of: is no plugin of Kong's"),
        (None, {"name": "key-auth", "config": {"key_names": 1}}, "plugins[1].config.key_names = 1: must be an array"),
        (None, {"name": "mine", "config": {"limit": 10}}, "plugins[1].config.limit = 10: must be between 1 and 9"),
        (None, {"name": "mine", "consumer": "bob"}, "plugins[1].consumer: must be null"),
    ],
)  # fmt: skip
def test_the_gateway_refuses_to_start_with_a_wrong_dump_or_plugin(
    tmp_path: Path, dump: str | None, plugin: dict[str, Any], sentence: str
) -> None:
    """A declaration that Kong would refuse is refused at start, in a sentence."""
    limit = {"type": "integer", "between": [1, 9]}
    config = {"type": "record", "fields": [{"limit": limit}]}
    no_consumer = {"type": "foreign", "reference": "consumers", "eq": None}
    schema = {"name": "mine", "fields": [{"consumer": no_consumer}, {"config": config}]}
    good = [{"Name": "mine", "Priority": 1, "Phases": ["log"], "Version": "1", "Schema": schema}]
    (tmp_path / "dump").write_text(json.dumps(good) if dump is None else dump)
    server = PluginServerCommands("mine", tmp_path / "s.sock", f"cat {tmp_path / 'dump'}")
    declaration = parse_declaration(_content(plugins=[plugin] if plugin else [], consumers=[{"username": "bob"}]))

    with pytest.raises(ConfigError) as caught:
        asyncio.run(StandInGateway(declaration, [server]).start())

    assert sentence in str(caught.value)
