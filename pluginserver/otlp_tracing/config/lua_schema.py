"""The plugin's schema as `schema.lua`, for control planes that take no description of an external plugin.

Konnect wants the file with every custom plugin, whatever its language, and refuses `require`. So the types that
Kong's own schemas take from kong.db.schema.typedefs are written out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_KEYWORDS = (
    "and|break|do|else|elseif|end|false|for|function|goto|if|in|local|nil|not|or|repeat|return|then|true|until|while"
)
_NAME = re.compile(rf"(?!(?:{_KEYWORDS})\Z)[A-Za-z_][A-Za-z0-9_]*")
_ESCAPED = re.compile(r'[\x00-\x1f\x7f"\\]')


def lua_schema(schema: Mapping[str, Any], version: str) -> str:
    """Return the text of schema.lua.

    Args:
        schema: name and fields, as the plugin's description has them. A JSON null is Kong's `ngx.null`.
        version: of the plugin, for the comment.
    """
    return (
        f"-- Schema of {schema['name']} {version}. Made by: otlp-tracing dump --format lua\nreturn {_lua(schema, '')}\n"
    )


def _lua(value: object, indent: str) -> str:
    if value is None:
        return "ngx.null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"' + _ESCAPED.sub(lambda found: f"\\{ord(found[0]):03d}", value) + '"'
    if isinstance(value, Mapping):
        return _table([f"{_key(name)} = {_lua(item, f'{indent}  ')}" for name, item in value.items()], indent)
    if isinstance(value, list):
        return _table([_lua(item, f"{indent}  ") for item in value], indent)
    return repr(value)


def _key(name: str) -> str:
    return name if _NAME.fullmatch(name) else f"[{_lua(name, '')}]"


def _table(items: list[str], indent: str) -> str:
    line = f"{{ {', '.join(items)} }}" if items else "{}"
    if len(line) + len(indent) <= 100 and "\n" not in line:
        return line
    return "{\n" + "".join(f"{indent}  {item},\n" for item in items) + f"{indent}}}"
