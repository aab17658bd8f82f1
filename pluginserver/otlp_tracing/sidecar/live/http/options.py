"""Whether there is a live page, and who may see it."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from otlp_tracing.errors import ConfigError, Fault

__all__ = ["TOKEN_VARIABLE", "PageOptions", "page_options"]

TOKEN_VARIABLE = "OTLP_TRACING_PAGE_TOKEN"  # noqa: S105  # the name of it
_SHORTEST_TOKEN = 16  # characters; 64 bits at the least, if they are random hexadecimal digits
_PLACE = "{trace_id}"


@dataclass(frozen=True, slots=True)
class PageOptions:
    """The live page's, and of the reports beside it.

    Args:
        is_on: there is a page.
        token: asked for before any data is shown; None where everyone who reaches the address may look.
        hosts: names, in lower case, that the page may be asked for by, beside localhost and addresses.
        trace_url: where a trace is found in the user's backend, with {trace_id}; empty where nobody said.
    """

    is_on: bool = True
    token: str | None = None
    hosts: frozenset[str] = frozenset()
    trace_url: str = ""


def page_options(
    mode: str,
    http_host: str,
    environment: Mapping[str, str],
    *,
    token_file: str = "",
    hosts: str = "",
    trace_url: str = "",
) -> PageOptions:
    """Put the options together.

    Args:
        mode: on, off, or auto: on where only this machine can reach it, or with a token.
        http_host: the address that is listened on.
        environment: may hold the token; an argument would be there for all to see.
        token_file: holds it instead.
        hosts: names, separated by commas.
        trace_url: as PageOptions has it.

    Raises:
        ConfigError: with every option that cannot be used.
    """
    faults: list[Fault] = []
    if mode not in {"auto", "on", "off"}:
        faults.append(Fault("--page", json.dumps(mode), "must be auto, on or off"))
    if trace_url and (urlsplit(trace_url).scheme not in {"http", "https"} or _PLACE not in trace_url):
        faults.append(Fault("--trace-url", json.dumps(trace_url), f"must be an http URL with {_PLACE} in it"))
    token = _token(environment, token_file, faults)
    if faults:
        raise ConfigError(faults)
    is_on = mode == "on" or (mode == "auto" and (token is not None or _is_loopback(http_host)))
    names = frozenset(name.strip().lower() for name in hosts.split(",") if name.strip())
    return PageOptions(is_on, token, names, trace_url)


def _token(environment: Mapping[str, str], token_file: str, faults: list[Fault]) -> str | None:
    source = "--page-token-file" if token_file else TOKEN_VARIABLE
    try:
        token = Path(token_file).read_text(encoding="ascii").strip() if token_file else environment.get(TOKEN_VARIABLE)
    except (OSError, UnicodeDecodeError) as error:
        faults.append(Fault(source, json.dumps(token_file), f"cannot be read: {error}"))
        return None
    if token is None or (not token and not token_file):
        return None
    if len(token) < _SHORTEST_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        rule = f"must hold a token of {_SHORTEST_TOKEN} or more printable ASCII characters, without spaces"
        faults.append(Fault(source, "", rule))
        return None
    return token


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
