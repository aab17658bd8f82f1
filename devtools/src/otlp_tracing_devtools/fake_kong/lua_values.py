"""Values as Lua has them: strings are bytes, numbers are doubles, arrays and maps are one table.

Throughout the stand-in a byte string from the network is a `str` decoded as UTF-8 with surrogateescape ("text" below):
any bytes survive the way in and out. Pure; knows no protocol.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

EMPTY_ARRAY: tuple[()] = ()
"""An empty table that Kong marked as an array: `[]` in JSON, where any other empty table is `{}`."""


def to_text(raw: bytes) -> str:
    """Decode any bytes without loss."""
    return raw.decode("utf-8", "surrogateescape")


def encode_text(text: str) -> bytes:
    """Give the bytes that `to_text` was given."""
    return text.encode("utf-8", "surrogateescape")


def as_text(value: Any) -> Any:
    """Turn bytes into text everywhere in a decoded message: Lua has one string type."""
    if isinstance(value, bytes):
        return to_text(value)
    if isinstance(value, list):
        return [as_text(item) for item in value]
    if isinstance(value, dict):
        return {as_text(key): as_text(item) for key, item in value.items()}
    return value


def lua_number(value: int | float) -> int | float:
    """Give a number the type it has on the wire: a double without a fraction is sent as an integer."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def lua_tostring(value: object) -> str:
    """Write a string, number or boolean the way Lua's `tostring` does."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return format(value, ".14g")
    return str(value)


def encode_json(value: Any, digits: int = 16) -> bytes:
    """Encode as Kong's cjson does.

    Numbers have 16 significant digits, 14 before Kong 3.6 (`digits`). Bytes that are not UTF-8 are kept. An empty
    table is `{}`, a field that is nil is left out. A slash is not escaped.

    Source: kong/globalpatches.lua and kong/tools/cjson.lua of Kong 3.9.1; transcripts 01 and 37.
    """
    return encode_text(_json(value, digits))


def _json(value: Any, digits: int) -> str:
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, (int, float)):
        return format(value, f".{digits}g")
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, Mapping):
        fields = (f"{_json(str(key), digits)}:{_json(item, digits)}" for key, item in value.items() if item is not None)
        return "{" + ",".join(fields) + "}"
    if value == []:
        return "{}"
    return "[" + ",".join(_json(item, digits) for item in value) + "]"
