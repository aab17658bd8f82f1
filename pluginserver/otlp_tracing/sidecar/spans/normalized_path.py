"""A request's path as Kong's router matches it.

Percent-encoded characters that are not reserved are decoded, dot segments are resolved, and slashes are merged.

Source: kong/tools/uri.lua of Kong 3.9.1, normalize(uri, true), which kong/router/utils.lua calls; 3.4.2 has the same.
"""

from __future__ import annotations

import re

_ENCODED = re.compile(r"%([0-9A-Fa-f]{2})")
_RESERVED = frozenset("!*'();:@&=+$,/?%#[]")


def normalized_path(path: str) -> str:
    """Return the normalized path; bytes that are not UTF-8 together are read as Latin-1.

    Args:
        path: as the client sent it, without the query.
    """
    if "%" in path:
        path = _readable(_ENCODED.sub(_decoded, path))
    if ("/." not in path and "//" not in path) or not path.startswith("/"):
        return path
    segments: list[str] = []
    parts = path.split("/")[1:]
    for number, part in enumerate(parts):
        is_last = number == len(parts) - 1
        if part == "..":
            del segments[-1:]
        elif part not in {"", "."}:
            segments.append(part)
        if is_last and part in {"", ".", ".."}:
            segments.append("")
    return "/" + "/".join(segments)


def _decoded(match: re.Match[str]) -> str:
    character = chr(int(match[1], 16))
    return match[0].upper() if character in _RESERVED else character


def _readable(path: str) -> str:
    try:
        return path.encode("latin-1").decode()
    except UnicodeError:
        return path
