"""Promises of config/lua_schema.py: the Lua text has the same schema as the JSON for Kong."""

from __future__ import annotations

from typing import Any

import lupa
import pytest

from otlp_tracing.config.lua_schema import lua_schema
from otlp_tracing.kong_server.loader import load, schema_of
from otlp_tracing.paths import PLUGIN_FILE, plugin_folder

NULL = "ngx.null"


def evaluated(text: str) -> Any:
    """Return the table that a schema.lua returns, in a Lua that has `ngx.null` and nothing else."""
    runtime = lupa.LuaRuntime(encoding="utf-8")
    load_in = runtime.eval("function(text) return load(text, 'schema', 't', {ngx = {null = 'ngx.null'}}) end")
    chunk = load_in(text)
    assert not isinstance(chunk, tuple), chunk
    return chunk()


def as_lua(value: Any) -> Any:
    """Return a JSON value as a table shows it: an empty list and an empty record are the same."""
    if isinstance(value, dict):
        return {name: as_lua(item) for name, item in value.items()}
    if isinstance(value, list):
        return {number: as_lua(item) for number, item in enumerate(value, 1)}
    return NULL if value is None else value


def as_python(value: Any) -> Any:
    return {name: as_python(item) for name, item in value.items()} if lupa.lua_type(value) == "table" else value


def test_it_is_the_schema_that_kong_gets_as_json() -> None:
    """Every field, rule, default and description; without a `require`, which Konnect refuses."""
    schema = schema_of(load(plugin_folder() / PLUGIN_FILE))
    text = lua_schema(schema, "1.0")

    assert as_python(evaluated(text)) == as_lua(schema)
    assert "require(" not in text
    assert "require " not in text


@pytest.mark.parametrize("value", ['a"b\\c', "line\nend", "\x01\x1f\x7f", "naïve …", "[[x]]", "\x001"])
def test_a_string_is_the_same_in_lua(value: str) -> None:
    """Quotes, control characters and characters outside of ASCII."""
    assert as_python(evaluated(lua_schema({"name": "x", "fields": [value]}, "1"))) == {
        "name": "x",
        "fields": {1: value},
    }


def test_a_name_that_lua_reserves_is_quoted() -> None:
    """A field may be called `end`."""
    assert as_python(evaluated(lua_schema({"name": "x", "end": 1, "a-b": 2}, "1"))) == {"name": "x", "end": 1, "a-b": 2}
