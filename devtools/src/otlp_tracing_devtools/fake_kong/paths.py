"""Paths the way Kong's router sees them: normalised for matching, escaped for the upstream.

Pure. Paths are text (see `lua_values`).

Source: kong/tools/uri.lua and get_upstream_uri_v0 in kong/router/utils.lua of Kong 3.9.1.
"""

from __future__ import annotations

import re

from otlp_tracing_devtools.fake_kong.lua_values import encode_text, to_text

_RESERVED = frozenset(b"!*'();:@&=+$,/?%#[]")
_ESCAPED = re.compile(rb"%([0-9A-Fa-f]{2})")
_UNSAFE = re.compile(rb"[^!#$&'()*+,/:;=?@\[\]A-Za-z0-9\-_.~%]")
_MAX_QUERY_ARGUMENTS = 100  # lua_max_uri_args, Kong's default


def split_target(target: str) -> tuple[str, str | None]:
    """Split a request target into path and query; no `?` means no query, which differs from an empty one."""
    path, mark, query = target.partition("?")
    return path, query if mark else None


def normalize(path: str) -> str:
    """Decode needless escapes, resolve dot segments, merge slashes."""
    decoded = to_text(_ESCAPED.sub(_decode_unreserved, encode_text(path)))
    segments: list[str] = []
    parts = re.sub(r"/{2,}", "/", decoded).split("/")[1:]
    for number, part in enumerate(parts, 1):
        last = number == len(parts)
        if part == "..":
            del segments[-1:]
        if part in {".", ".."}:
            segments.extend([""] if last else [])
        else:
            segments.append(part)
    return "/" + "/".join(segments)


def _decode_unreserved(match: re.Match[bytes]) -> bytes:
    code = int(match[1], 16)
    return match[0].upper() if code in _RESERVED else bytes([code])


def escape(path: str) -> str:
    """Escape characters that are not allowed in a URI."""
    return to_text(_UNSAFE.sub(lambda match: b"%%%02X" % match[0][0], encode_text(path)))


def upstream_path(base: str, path: str, matched: str, strip_path: bool) -> str:
    """Join a service's path with the request's, the way `path_handling: v0` does.

    Args:
        base: the service's path, `/` when it has none.
        path: the request's normalised path.
        matched: the part of it the route's path matched.
        strip_path: whether that part is left out.
    """
    if not strip_path:
        return base.removesuffix("/") + path if path != "/" else base
    rest = path[len(matched) :]
    if not rest:
        bare = base.removesuffix("/")
        return f"{bare}/" if (path.endswith("/") and len(path) > 1) or base == "/" else bare
    return f"{base.removesuffix('/')}/{rest.removeprefix('/')}"


def decode_query(query: str | None) -> dict[str, str | bool | list[str | bool]]:
    """Give the table of `ngx.req.get_uri_args()`: `true` for an argument without `=`, lists for repeats."""
    arguments: dict[str, str | bool | list[str | bool]] = {}
    for part in (query or "").split("&")[:_MAX_QUERY_ARGUMENTS]:
        raw_name, mark, raw_value = part.partition("=")
        name = _unescape_argument(raw_name)
        if not name:
            continue
        value = _unescape_argument(raw_value) if mark else True
        seen = arguments.get(name)
        if seen is None:
            arguments[name] = value
        elif isinstance(seen, list):
            seen.append(value)
        else:
            arguments[name] = [seen, value]
    return arguments


def _unescape_argument(raw: str) -> str:
    plain = encode_text(raw).replace(b"+", b" ")
    return to_text(_ESCAPED.sub(lambda match: bytes([int(match[1], 16)]), plain))
