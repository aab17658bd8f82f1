"""A curl command that repeats a request, made from its SERVER span. Pure.

All values came from a client, so each is quoted for the shell, and characters that a terminal or curl would act on
are removed. Redacted values stay redacted; bodies are not recorded.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

_HEADER = "http.request.header."
# curl writes these itself, or has an option for them.
_NOT_REPEATED = frozenset({"host", "content-length", "connection", "user-agent", "transfer-encoding", "traceparent"})
_UNSAFE_IN_URL = re.compile(r"[\x00-\x20\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
_UNSAFE_IN_HEADER = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def curl_command(attributes: Mapping[str, Any]) -> str:
    """Return the command.

    Args:
        attributes: of a SERVER span.
    """
    return " ".join(shlex.quote(word) for word in _words(attributes))


def _words(attributes: Mapping[str, Any]) -> Iterator[str]:
    url = _url(attributes)
    yield "curl"
    method = str(attributes.get("http.request.method_original") or attributes.get("http.request.method", "GET"))
    if method == "HEAD":
        yield "--head"
    elif method != "GET":
        yield from ("--request", _UNSAFE_IN_HEADER.sub("", method))
    if re.search(r"[][{}]", url):
        yield "--globoff"
    if "/." in url:
        yield "--path-as-is"
    if agent := attributes.get("user_agent.original"):
        yield from ("--user-agent", _line(agent))
    for name, values in attributes.items():
        if name.startswith(_HEADER) and name.removeprefix(_HEADER) not in _NOT_REPEATED:
            for value in values if isinstance(values, list) else [values]:
                yield from ("--header", f"{name.removeprefix(_HEADER)}: {_line(value)}")
    yield url


def _url(attributes: Mapping[str, Any]) -> str:
    scheme, host = attributes.get("url.scheme", "http"), str(attributes.get("server.address", "localhost"))
    port, query = attributes.get("server.port"), attributes.get("url.query")
    authority = f"[{host}]" if ":" in host else host
    if port is not None and (scheme, port) not in {("http", 80), ("https", 443)}:
        authority = f"{authority}:{port}"
    url = f"{scheme}://{authority}{attributes.get('url.path') or '/'}{f'?{query}' if query else ''}"
    return _UNSAFE_IN_URL.sub(lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()), url)


def _line(value: object) -> str:
    return _UNSAFE_IN_HEADER.sub(" ", str(value))
